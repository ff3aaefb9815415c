#!/bin/sh
# SPDX-License-Identifier: MIT
# Help, usage errors and exit codes of the command.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

check "help lists commands" [ "$(commands | wc -l)" -ge 27 ]
expect "the version is printed" 0 "penstock " "$penstock" --version
expect "--help prints on stdout and exits 0" 0 "Commands that" "$penstock" --help
check "--help prints nothing on stderr" [ ! -s "$tmp/stderr" ]

commands >"$tmp/commands"
while read -r name; do
	# shellcheck disable=SC2086 # a name is several words
	expect "$name --help exits 0" 0 "Usage: penstock $name" \
		"$penstock" $name --help
	cp "$tmp/stdout" "$tmp/by-option"
	# shellcheck disable=SC2086
	expect "help $name exits 0" 0 "Usage: penstock $name" \
		"$penstock" help $name
	check "both are the same" cmp -s "$tmp/stdout" "$tmp/by-option"
	# shellcheck disable=SC2086
	refuse "$name refuses an unknown option" 2 "'--no-such-option'" \
		"$penstock" $name --no-such-option
	# shellcheck disable=SC2086
	refuse "$name wants -e's argument" 2 "needs an argument" \
		"$penstock" $name -e
done <"$tmp/commands"

expect "penstock alone prints the help, and is a usage error" 2 "Try first" \
	"$penstock"
check "it is the whole help" sh -c "'$penstock' --help | cmp - '$tmp/stdout'"
for way in "demo --no-vm" "-e spawn: gemm" "host check"; do
	check "it shows $way" grep -q "^  penstock $way" "$tmp/stdout"
done
check "in one screen" [ "$(wc -l <"$tmp/stdout")" -le 48 ]
refuse "no command of a group is one too" 2 "a command is needed" \
	"$penstock" host
refuse "an unknown command is named" 2 "no command 'nonesuch'" \
	"$penstock" nonesuch
refuse "an unknown command of a group is named" 2 "no command 'nonesuch'" \
	"$penstock" host nonesuch
refuse "help of an unknown command fails" 2 "no command 'nonesuch'" \
	"$penstock" help nonesuch
refuse "an unknown letter is named" 2 "'-x'" "$penstock" ping -x
refuse "an argument too many is named" 2 "'more'" "$penstock" ping more
refuse "an argument of a flag is refused" 2 "takes no argument" \
	"$penstock" ping --json=yes
refuse "a missing operand is a usage error" 2 "needs A.npy B.npy" \
	"$penstock" gemm a.npy -o c.npy
refuse "gemm needs an output" 2 "needs -o" "$penstock" gemm a.npy b.npy
refuse "--beta needs an input C" 2 "input C" \
	"$penstock" gemm a.npy b.npy -o c.npy --beta 2
refuse "a factor must be a number" 2 "'x1'" \
	"$penstock" gemm a.npy b.npy -o c.npy --alpha x1
refuse "a factor must be finite" 2 "finite" \
	"$penstock" gemm a.npy b.npy -o c.npy --alpha nan
refuse "a duration needs a unit" 2 "'10'" \
	"$penstock" gemm a.npy b.npy -o c.npy --timeout 10
refuse "a count must be a number" 2 "'-1'" "$penstock" ping --count=-1
refuse "a count of 0 is refused" 2 "'0'" "$penstock" ping -c 0

for name in ping info health; do
	refuse "$name without an endpoint names the variable" 2 \
		PENSTOCK_ENDPOINT "$penstock" $name
	refuse "$name takes an empty variable as unset" 2 \
		PENSTOCK_ENDPOINT env PENSTOCK_ENDPOINT= "$penstock" $name
	refuse "$name exits 4 when there is no socket" 4 "$tmp/none" \
		"$penstock" $name -e "unix://$tmp/none"
	refuse "-e may stand before $name" 4 "$tmp/none" \
		"$penstock" -e "unix://$tmp/none" $name
	refuse "$name uses the variable" 4 "$tmp/none" \
		env PENSTOCK_ENDPOINT="unix://$tmp/none" "$penstock" $name
	refuse "$name takes -e before the variable" 4 "$tmp/none" \
		env PENSTOCK_ENDPOINT=unix:///other \
		"$penstock" --endpoint="unix://$tmp/none" $name
	refuse "$name refuses what is no endpoint" 2 "vsock://CID:PORT" \
		"$penstock" $name -e tcp://localhost
done
refuse "gemm without an endpoint names the variable" 2 PENSTOCK_ENDPOINT \
	"$penstock" gemm a.npy b.npy -o c.npy

expect "health --json tells of an unreachable agent" 4 '"reachable":false' \
	"$penstock" health --json -e "unix://$tmp/none"

finish
