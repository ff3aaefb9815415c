#!/bin/sh
# SPDX-License-Identifier: MIT
# Every line of wrong-inputs fails as it says, and with --json as an object.
# shellcheck disable=SC2034,SC2119,SC2120 # a row is read by eval
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

start_agent "unix://$tmp/sock" --region memfd:16M --backend cpu
e=$endpoint
t=$tmp
mkdir "$t/dir"
npy "$t/a.npy" "'<f4'" False "(4, 3)" 48
npy "$t/b.npy" "'<f4'" False "(3, 2)" 24
npy "$t/f64.npy" "'<f8'" False "(3, 2)" 48
npy "$t/i8.npy" "'<i8'" False "(4, 3)" 96
npy "$t/3d.npy" "'<f4'" False "(4, 3, 1)" 48
npy "$t/short.npy" "'<f4'" False "(4, 3)" 47
npy "$t/long.npy" "'<f4'" False "(4, 3)" 49
npy "$t/huge.npy" "'<f4'" False "(4611686018427387904, 4611686018427387904)" 0
head -c 60 "$t/a.npy" >"$t/head.npy"
: >"$t/empty.npy"
echo "some text, not a matrix" >"$t/text.npy"
cp "$t/a.npy" "$t/shut.npy"
chmod 0 "$t/shut.npy"

npy "$t/vector.npy" "'<f4'" False "(3,)" 12
printf '\066\0\0\0\0\0\0\0%s----' \
	'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' \
	>"$t/odd.safetensors"
mkfifo "$t/fifo"
ln -s loop "$t/loop"

# Endpoints by name.
export XDG_CONFIG_HOME="$t/conf"
conf=$t/conf/penstock/endpoints.d
mkdir -p "$conf"
: >"$conf/empty.conf"
echo "endpont = spawn:" >"$conf/key.conf"
printf 'endpoint = spawn:\nendpoint = spawn:\n' >"$conf/two.conf"
echo "endpoint = spawn:" >"$conf/open.conf"
chmod 666 "$conf/open.conf"
mkfifo "$conf/fifo.conf"

# One may not read it, root may.
may_read() {
	[ -r "$t/shut.npy" ]
}

# has_words WORDS: all of them, with " ; " between them, are in stderr.
has_words() {
	rest="$1 ; "
	while [ "$rest" ]; do
		word=${rest%% ; *}
		rest=${rest#*" ; "}
		if ! grep -qF -e "$word" "$tmp/stderr"; then
			not_ok "$what" "no '$word' in: $(cat "$tmp/stderr")"
			return 1
		fi
	done
}

# Whether stdout is one object with that error.
is_error() {
	[ "$(wc -l <"$tmp/stdout")" -eq 1 ] &&
		grep -q "^{\"schema\":1,.*\"error\":{\"exit\":$1,\"kind\":\"" \
			"$tmp/stdout"
}

# With --json, where it can be put at the end of a line.
as_json() {
	case " $line" in
	*" -- "* | *--json* | *" completion "*) return ;;
	esac
	eval "set -- $line"
	case $# in
	0) return ;;
	esac
	for last; do :; done
	case $last in
	-c | --count | '') return ;;
	esac
	"$penstock" "$@" --json >"$tmp/stdout" 2>"$tmp/stderr" </dev/null
	got=$?
	if [ $got -ne "$code" ] || ! is_error "$code"; then
		not_ok "$what, with --json" "exit $got: $(cat "$tmp/stdout")"
	fi
}

# try_line: code, words and line are set.
try_line() {
	what="penstock $line"
	eval "set -- $line"
	"$penstock" "$@" >"$tmp/stdout" 2>"$tmp/stderr" </dev/null
	got=$?
	eval "words=\"$(echo "$words" | sed 's/"/\\"/g')\""
	if [ $got -ne "$code" ]; then
		not_ok "$what" "exit $got, not $code: $(cat "$tmp/stderr")"
	elif [ -s "$tmp/stdout" ] || [ "$(wc -l <"$tmp/stderr")" -ne 1 ]; then
		not_ok "$what" "not one line on stderr alone:" \
			"$(cat "$tmp/stdout" "$tmp/stderr")"
	elif has_words "$words"; then
		ok "$what"
	fi
	as_json
}

"$penstock" vm list --uri test:///default >/dev/null 2>"$tmp/stderr"
without_vm=false
! grep -q "was built without" "$tmp/stderr" || without_vm=true

grep '^[0-9]' "$PST_TOP_SRCDIR/tests/cli/wrong-inputs" >"$tmp/lines"
check "there are at least 64 of them" [ "$(wc -l <"$tmp/lines")" -ge 64 ]
while IFS= read -r row; do
	code=${row%% *}
	line=${row##* | }
	words=${row#* | }
	words=${words% | *}
	case $line in
	*shut.npy*) ! may_read || continue ;;
	vm*) ! $without_vm || continue ;;
	esac
	try_line
done <"$tmp/lines"
check "no output was written" [ ! -e "$tmp/c.npy" ]
finish
