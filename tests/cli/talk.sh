#!/bin/sh
# SPDX-License-Identifier: MIT
# ping, info and health of a private agent, and what they print.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

# Whether the last line of stdout is a JSON object that has a key.
# shellcheck disable=SC2317 # check calls it
has() {
	tail -n 1 "$tmp/stdout" | grep -q "^{.*\"$1\":.*}\$"
}

export PENSTOCK_ENDPOINT="spawn:?size=8M"
expect "ping prints a table" 0 "ring (NOP)" "$penstock" ping
check "of 1000 rounds through the ring" grep -qE \
	'^ring \(NOP\) +1000 ' "$tmp/stdout"
check "and 100 over the socket" grep -qE \
	'^control socket +100 ' "$tmp/stdout"
expect "ping --json prints an object" 0 '"count":3' \
	"$penstock" ping -c 3 --json
for key in endpoint control_us ring_us median; do
	check "ping --json has $key" has $key
done
expect "of an option given twice the last one counts" 0 '"count":3,' \
	"$penstock" ping -c 5 --count 3 --json
expect "and of two endpoints, too" 0 "ring (NOP)" \
	"$penstock" -e "unix://$tmp/none" ping -c 1 -e "$PENSTOCK_ENDPOINT"
expect "info is for people" 0 "backend    cpu" "$penstock" info
check "in one screen" [ "$(wc -l <"$tmp/stdout")" -le 24 ]
check "of 80 columns" [ -z "$(awk 'length($0) > 80' "$tmp/stdout")" ]
expect "info --verbose prints all" 0 "session.backend" "$penstock" info -v
expect "and lists of words in one" 0 "dtypes          i8 f32 f64" \
	"$penstock" info --verbose
expect "info --json prints an object" 0 '"session":{' "$penstock" info --json
for key in endpoint client_version agent max_dim arena_size provider; do
	check "info --json has $key" has $key
done
check "both numbers of the session are numbers" [ "$(grep -o \
	'"session":[0-9]' "$tmp/stdout" | wc -l)" = 2 ]
check "info --json has no stats unasked" \
	[ "$(grep -c '"stats":' "$tmp/stdout")" = 0 ]
expect "info --stats has them" 0 '"stats":{' "$penstock" info --stats --json
check "which count the reasons asked for" grep -q '"failures":0' "$tmp/stdout"
expect "health of a private agent is good" 0 "healthy" "$penstock" health
expect "health --json says so" 0 '"healthy":true' "$penstock" health --json
check "and that it was reached" has reachable
for name in ping info health "model list"; do
	# shellcheck disable=SC2086 # a name is several words
	expect "$name --json begins with its schema" 0 '{"schema":1,"' \
		"$penstock" $name --json
done
expect "-e goes before the variable" 4 "" \
	"$penstock" health -e "unix://$tmp/none"
refuse "an agent that cannot be started is unreachable" 4 "$tmp/no-agent" \
	env PENSTOCK_AGENT="$tmp/no-agent" "$penstock" ping
refuse "an agent that ends at once is unreachable" 4 "" \
	"$penstock" ping -e "spawn:?agent=/bin/false"

# U+009B begins a terminal's control sequence.
expect "an object has plain characters only" 4 '\u009B' "$penstock" health \
	--json -e "unix://$tmp/$(printf '\302\233')2J"
check "and no other" [ "$(LC_ALL=C grep -c '[^ -~]' "$tmp/stdout")" = 0 ]

# A private agent ends with its only connection, not a second later.
slow=0
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
	start=$(date +%s%N)
	"$penstock" ping -c 1 >/dev/null
	end=$(date +%s%N)
	[ $(((end - start) / 1000000)) -lt 900 ] || slow=$((slow + 1))
done
check "a private agent ends at once ($slow of 15 did not)" [ "$slow" -le 4 ]
finish
