#!/bin/sh
# SPDX-License-Identifier: MIT
# Exit codes of an agent that is not well or ends, and the memory it takes.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

region=$tmp/penstock-r
"$penstock" host region create r --size 64M --path "$tmp" >/dev/null || exit 1
start_agent "unix://$tmp/sock?region=$region" --region "file:$region" \
	--backend cpu
n=1024
npy "$tmp/a.npy" "'<f4'" False "($n, $n)" $((4 * n * n))
expect "a product of $n works" 0 written "$penstock" gemm -e "$endpoint" \
	"$tmp/a.npy" "$tmp/a.npy" -o "$tmp/c.npy"
# Rss of every mapping but the region's. Sanitizers have memory of theirs.
beside=$(awk -v region="$region" '
	/^[0-9a-f]+-[0-9a-f]+ / { ours = $6 != region }
	/^Rss:/ && ours { kb += $2 }
	END { print kb + 0 }' "/proc/$agent_pid/smaps")
echo "# $beside kB resident beside the region"
if ! grep -q -e __asan_init -e __tsan_init "$agent"; then
	check "the agent takes less than 64 MiB beside the region" \
		[ "$beside" -lt 65536 ]
fi

# Another hand on the heartbeat, which the agent puts right 100 ms later.
# shellcheck disable=SC2317 # check calls it
degraded() {
	tries=0
	while [ "$tries" -lt 30 ]; do
		tries=$((tries + 1))
		printf 'XXXXXXXX' | dd of="$region" conv=notrunc bs=1 \
			seek=$((2097152 + 192)) 2>/dev/null
		"$penstock" health --json -e "$endpoint" >"$tmp/stdout"
		[ $? -eq 1 ] && grep -q '"healthy":false' "$tmp/stdout" &&
			return
	done
	return 1
}
check "an agent that is not well is degraded, exit 1" degraded
check "and says why" grep -q "another process writes" "$tmp/stdout"
tries=0
until "$penstock" health -e "$endpoint" >/dev/null || [ $tries -ge 100 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
expect "it recovers" 0 '"healthy":true' \
	"$penstock" health --json -e "$endpoint"

# Pings until one fails: it is under way when the agent ends.
ping_on() {
	code=0
	while [ $code -eq 0 ]; do
		"$penstock" ping -c 1000000 -e "$endpoint" >/dev/null || code=$?
	done
	return $code
}
ping_on 2>"$tmp/stderr" &
ping=$!
pids="$pids $ping"
sleep 0.5
kill -KILL "$agent_pid"
wait "$ping"
check "a ping whose agent ends finds it unreachable" [ $? -eq 4 ]
finish
