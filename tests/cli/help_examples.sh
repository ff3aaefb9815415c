#!/bin/sh
# SPDX-License-Identifier: MIT
# The example in the help of every command works, or at least means something.
# shellcheck disable=SC2016,SC2086,SC2317 # lines are split into words; check calls
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

mkdir "$tmp/bin"
ln -s "$penstock" "$tmp/bin/penstock"
PATH=$tmp/bin:$PATH
export HOME="$tmp" LIBVIRT_DEFAULT_URI=test:///default
cd "$tmp" || exit 99
npy a.npy "'<f4'" False "(64, 64)" 16384
npy b.npy "'<f4'" False "(64, 64)" 16384
npy rows.npy "'<f4'" False "(5, 10)" 200
cp "$PST_TOP_SRCDIR/tests/data/diabetes.safetensors" net.safetensors
start_agent "unix://$tmp/sock" --region memfd:16M --backend cpu
export PENSTOCK_ENDPOINT="$endpoint"

# Where an example cannot run, since it changes the host or a domain that is not
# there: exit 2 is all that it may not have.
means() {
	"$@" >"$tmp/stdout" 2>"$tmp/stderr" </dev/null
	got=$?
	[ $got -ne 2 ] || sed 's/^/  | /' "$tmp/stderr"
	[ $got -ne 2 ] && [ $got -lt 5 ]
}

runs() {
	"$@" >"$tmp/stdout" 2>"$tmp/stderr" </dev/null && return
	sed 's/^/  | /' "$tmp/stderr"
	return 1
}

# With --json the last line of stdout is an object that begins with its schema.
objects() {
	"$@" --json >"$tmp/stdout" 2>"$tmp/stderr" </dev/null
	tail -n 1 "$tmp/stdout" | grep -q '^{"schema":1,".*}$' && return
	sed 's/^/  | /' "$tmp/stdout" "$tmp/stderr"
	return 1
}

commands >"$tmp/commands"
mkdir "$tmp/root"
while read -r name; do
	penstock $name --help >"$tmp/help"
	sed -n '/^Examples*:/,/^$/s/^  \(penstock .*\)/\1/p' "$tmp/help" \
		>"$tmp/examples"
	check "the help of $name has an example" [ -s "$tmp/examples" ]
	while read -r line; do
		check "which is one of $name: $line" sh -c \
			'case " $1 " in *" $2 "*) ;; *) false ;; esac' \
			- "$line" "$name"
		how="it means something" try=means
		case $name in
		host*check | host*plan | host*apply | host*verify | host*undo | \
			host*reset | host*rom)
			line="$line --root $tmp/root" ;;
		"host region create") line="$line --path $tmp/none" ;;
		# Of an ONNX file, which needs ONNX Runtime.
		"model install" | run) ;;
		vm*) line="$line --uri test:///default" ;;
		*) how="it runs" try=runs ;;
		esac
		check "$how" $try $line
		grep -q '^ .* --json ' "$tmp/help" || continue
		rm -f host.tar
		check "and with --json" objects $line
	done <"$tmp/examples"
done <"$tmp/commands"
# What it says to try first, but for the guest, which tests/vm/test_demo.py tries.
check "a product over spawn: is what it shows" runs \
	penstock -e spawn: gemm a.npy b.npy -o c.npy
check "and it is there" [ -s c.npy ]
finish
