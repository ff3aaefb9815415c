#!/bin/sh
# SPDX-License-Identifier: MIT
# The steps of penstock-tutorial(7) that need no guest work as they stand there,
# and every option in the others exists.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
page=$PST_TOP_SRCDIR/host-client/penstock-tutorial.7.scd

if [ -z "${PST_PYTHON:-}" ]; then
	echo "skipped: no python3 with numpy"
	exit 77
fi

# blocks STEP: the fenced blocks of a step; of all without. scdoc doubles
# backslashes.
blocks() {
	awk -v step="# $1" '/^# / { on = index($0, step) == 1 }
		/^```/ { inside = !inside; next }
		inside && on { gsub(/\\\\/, "\\"); print }' "$page"
}

# step NUMBER: runs one in $tmp, where build/ is ours.
# shellcheck disable=SC2317 # check calls it
step() {
	{
		echo "trap 'kill \$(jobs -p) 2>/dev/null || :' EXIT"
		echo "trap 'exit 1' TERM"
		blocks "$1"
	} >"$tmp/step"
	(cd "$tmp" && timeout 300 sh -eu step >"$tmp/stdout" 2>&1) || {
		sed 's/^/  | /' "$tmp/stdout"
		return 1
	}
}

mkdir "$tmp/bin"
ln -s "$PST_PYTHON" "$tmp/bin/python3"
ln -s "$PST_TOP_BUILDDIR" "$tmp/build"
export PATH="$tmp/bin:$PST_TOP_BUILDDIR/host-client:$PATH"
export PYTHONPATH="$PST_TOP_SRCDIR/host-client/python"
export PENSTOCK_LIBRARY="$PST_TOP_BUILDDIR/host-client/.libs/libpenstock.so"
export PENSTOCK_AGENT="$agent"
check "spawn: and an agent that stays work as the tutorial says" step 2
check "both products were checked" \
	[ "$(grep -c '^verified  *yes' "$tmp/stdout")" -eq 2 ]
check "Python works as the tutorial says" step 6
check "and prints an element of the last product" \
	grep -qx '512.0' "$tmp/stdout"

# A command in one line: "vm define", and its options.
blocks "" | sed -e ':a' -e '/\\$/{N;s/\\\n//;ba' -e '}' |
	grep '^penstock ' >"$tmp/lines"
while read -r line; do
	# shellcheck disable=SC2086 # words
	set -- $line
	shift
	[ "$1" != -e ] || shift 2
	case $1 in
	host | vm) command="$1 $2" ;;
	--*) continue ;;
	*) command=$1 ;;
	esac
	# shellcheck disable=SC2086 # a name is several words
	"$penstock" $command --help >"$tmp/help"
	for word; do
		case $word in
		--*) check "$command has $word" grep -q -e "$word\\b" "$tmp/help" ;;
		esac
	done
done <"$tmp/lines"
check "guests and hosts are among the commands" \
	grep -q 'vm define .*--gpu' "$tmp/lines"
finish
