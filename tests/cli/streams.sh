#!/bin/sh
# SPDX-License-Identifier: MIT
# What shells do to a command: streams that are closed, full, or a pipe whose
# reader goes; small limits; folders that are not there.
# shellcheck disable=SC2016 # says expands them
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

# says SENTENCE CODE WORDS LINE: a line of the shell, with $p the command.
says() {
	p=$penstock e=$endpoint t=$tmp bash -c "$4" >"$tmp/out" 2>"$tmp/err" \
		</dev/null
	got=$?
	if [ $got -eq "$2" ] && { [ -z "$3" ] ||
		cat "$tmp/out" "$tmp/err" | grep -qF -e "$3"; }; then
		ok "$1"
	else
		not_ok "$1" "exit $got: $(cat "$tmp/out" "$tmp/err")"
	fi
}

start_agent "unix://$tmp/sock" --region memfd:16M --backend cpu
npy "$tmp/a.npy" "'<f4'" False "(200, 200)" 160000

full="standard output: No space left"
closed="standard output: Bad file descriptor"
for command in --help --version "-e \$e ping -c 1" "-e \$e info --json" \
	"help gemm" "completion zsh" "completion words --" "-e \$e model list" \
	"-e \$e gemm \$t/a.npy \$t/a.npy -o \$t/c.npy" \
	"-e spawn:?size=8M ping -c 1" "demo --no-vm --n 32"; do
	says "$command fails into a full disk" 1 "$full" "\$p $command >/dev/full"
	says "$command fails into nothing" 1 "$closed" "\$p $command >&-"
done
says "an error's code stays what it is" 2 "$full" '$p nope --json >/dev/full'
says "findings, too" 3 "$full" '$p host check --root / >/dev/full'
# A library's own descriptor is no place for a table.
"$penstock" vm list --uri test:///default >/dev/null 2>"$tmp/stderr"
if ! grep -q "was built without" "$tmp/stderr"; then
	says "vm list fails into nothing" 1 "$closed" \
		'$p vm list --uri test:///default >&-'
fi
says "an error is silent without stderr" 2 "" '$p nope 2>&-'
check "and is not on stdout then" [ ! -s "$tmp/out" ]
says "with no stream at all it works" 0 "" \
	'$p -e $e gemm $t/a.npy $t/a.npy -o $t/c.npy <&- 2>&- >/dev/null'
says "so does a private agent" 0 "ring" '$p -e spawn:?size=8M ping -c 1 <&- 2>&-'
says "who reads one line ends it without a word" 0 "Usage" \
	'$p --help | head -n 1; exit $((PIPESTATUS[0] & ~141))'
check "indeed" [ ! -s "$tmp/err" ]

says "a file that becomes too large is told" 1 "File too large" \
	'ulimit -f 8; $p -e $e gemm $t/a.npy $t/a.npy -o $t/big.npy'
check "and nothing is left of it" [ ! -e "$tmp/big.npy" ]
says "no descriptor is told" 1 "Too many open files" \
	'ulimit -n 4; $p -e $e ping'

says "the log of an agent is named when it cannot be written" 4 \
	'$PENSTOCK_AGENT_LOG, /nowhere/log' \
	'PENSTOCK_AGENT_LOG=/nowhere/log $p -e spawn: ping'
says "an agent of the environment is named" 4 "/nowhere/agent" \
	'PENSTOCK_AGENT=/nowhere/agent $p -e spawn: ping'
says "a wrong endpoint of the environment is, too" 2 \
	'$PENSTOCK_ENDPOINT: ' 'PENSTOCK_ENDPOINT=tcp://x $p ping'
says "nothing of the environment is needed" 0 "ring" \
	'env -i $p -e spawn:?size=8M ping -c 1'
says "a name is looked up without a home" 2 "no nope.conf in /etc/penstock" \
	'env -i $p -e nope ping'
says "no temporary folder is needed" 0 "guest      none" \
	'TMPDIR=/nowhere XDG_RUNTIME_DIR=/nowhere $p demo --no-vm --n 32'
finish
