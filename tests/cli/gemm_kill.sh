#!/bin/sh
# SPDX-License-Identifier: MIT
# A product that is interrupted leaves the directory as it was.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

mkdir "$tmp/out"
n=3000
npy "$tmp/a.npy" "'<f8'" False "($n, $n)" $((8 * n * n))

# Ends the command by a signal while it works; it has to die of that.
# shellcheck disable=SC2317 # check calls it
interrupted() {
	"$penstock" gemm -e "spawn:?size=256M&threads=1" "$tmp/a.npy" \
		"$tmp/a.npy" -o "$tmp/out/c.npy" >/dev/null 2>&1 &
	pid=$!
	pids="$pids $pid"
	sleep 0.7
	kill -s "$1" "$pid"
	wait "$pid"
	status=$?
	[ "$status" -eq $((128 + $2)) ] || echo "  exit status $status"
	[ "$status" -eq $((128 + $2)) ]
}

# Not INT: a shell starts background jobs with that ignored.
for signal in "HUP 1" "TERM 15" "KILL 9"; do
	# shellcheck disable=SC2086 # name and number
	set -- $signal
	check "SIG$1 ends a product" interrupted "$1" "$2"
	check "and leaves nothing behind" [ -z "$(ls -A "$tmp/out")" ]
done
finish
