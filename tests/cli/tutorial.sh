#!/bin/sh
# SPDX-License-Identifier: MIT
# The steps of penstock-tutorial(7) that need no guest work as they stand there,
# those of the host on the files of one; every option in the others exists.
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
if [ -x "$PST_TOP_BUILDDIR/host-client/gateway/penstock-gateway" ]; then
	check "the gateway works as the tutorial says" step 7
	check "and has the product" grep -q '"data": *\[39' "$tmp/stdout"
	check "and the agent is up" \
		grep -qx 'penstock_up{agent="mine"} 1' "$tmp/stdout"
else
	echo "  step 7 not run: built without the gateway (libmicrohttpd)"
fi

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

# Steps 4 and 5 as they stand there, on the files of a host with that card, and
# with libvirt's driver that only pretends. tests/vm/test_vm.py runs guests.
# shellcheck source=tests/cli/vm_tree.sh
. "$PST_TOP_SRCDIR/tests/cli/vm_tree.sh"
make_tree "$tmp/host"
pci 0000:99:00.0 0x10de 0x2684 0x030000 vfio-pci 9
pci 0000:99:00.1 0x10de 0x22ba 0x040300 vfio-pci 9
for f in nr free; do
	echo 16384 >"$pool/${f}_hugepages"
done
mkdir -p "$tree/etc/default" "$tree/proc/sys/kernel"
echo 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"' >"$tree/etc/default/grub"
echo 'root=/dev/x quiet' >"$tree/proc/cmdline"
echo 6.12.1 >"$tree/proc/sys/kernel/osrelease"
echo 'MemTotal: 67108864 kB' >"$tree/proc/meminfo"
grep -o -e '^penstock \(vm\|host\) .*' "$tmp/lines" | cut -d ' ' -f 2- \
	>"$tmp/rest"
if "$penstock" vm list --uri test:///default >/dev/null 2>"$tmp/stderr"; then
	vm=yes
else
	vm=
	echo "# the steps of vm were not run: $(cat "$tmp/stderr")"
fi
n=0
while read -r line; do
	# shellcheck disable=SC2086 # words
	set -- $line
	more="--root $tree"
	allowed=0
	case $line in
	"host check"*) allowed=3 ;;
	"host verify"*) allowed=3 ;; # not rebooted
	host*) ;;
	"vm xml"*) more="$more --uri test:///default" ;;
	"vm define"*) more="$more --uri test:///default --conf-dir $tmp/conf" ;;
	*) continue ;; # needs the guest of before
	esac
	[ "$1" = host ] || [ "$vm" ] || continue
	n=$((n + 1))
	code=0
	# shellcheck disable=SC2086 # words
	"$penstock" "$@" $more >"$tmp/stdout" 2>"$tmp/stderr" || code=$?
	[ $code -ne $allowed ] || code=0
	[ $code -eq 0 ] || sed 's/^/  | /' "$tmp/stdout" "$tmp/stderr"
	check "it works: $line" [ $code -eq 0 ]
done <"$tmp/rest"
check "the steps of the host were run" [ $n -ge 5 ]
check "apply has changed the host" grep -q hugepages "$tree"/etc/default/grub*
"$penstock" host undo --root "$tree" >/dev/null
check "undo gives each file its former bytes, as the tutorial says" \
	[ "$(cat "$tree/etc/default/grub")" = 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"' ]
finish
