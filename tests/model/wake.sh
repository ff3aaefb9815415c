#!/bin/sh
# SPDX-License-Identifier: MIT
# The Promela model of waiting: no lost wake-up, and each way to break it found.
# shellcheck disable=SC2086 # options
set -u

if ! command -v spin >/dev/null 2>&1; then
	echo "spin is not installed: the model of waiting is not checked"
	exit 77
fi
model=$PST_TOP_SRCDIR/tests/model/wake.pml
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# verify NAME WANT [-DDEFINE...]: WANT is the number of errors, 0 or 1. The search is
# bounded in memory (MiB) and time; one that did not end is a failure.
failed=0
storage='-DCOLLAPSE -DMEMLIM=3000' bounds=-m200000 seconds=900
verify()
{
	name=$1 want=$2
	shift 2
	if ! spin "$@" -a "$model" >out 2>&1 ||
		! cc -O2 -w -DSAFETY $storage -o pan pan.c >>out 2>&1 ||
		! timeout $seconds ./pan $bounds >>out 2>&1 ||
		grep -q 'max search depth too small\|reached -DMEMLIM' out; then
		echo "not ok - $name: the model did not run to its end"
		tail -n 20 out
		failed=1
	elif grep -q "errors: $want\$" out; then
		echo "ok - $name ($(awk '/states, stored/ { print $1 }' out) states)"
	else
		echo "not ok - $name"
		grep -E 'errors:|pan:|states, stored' out
		failed=1
	fi
	rm -f pan ./pan.* ./*.trail
}

verify "no wake-up is lost in any interleaving of one call each" 0
verify "no wake-up is lost when the second call's fence is put off" 0 -DALONE
if [ -n "${PST_MODEL_FULL-}" ]; then
	# Minutes and gigabytes: not in every run. All 390 million states would take
	# more than 16 GiB: here each is three bits of 2^35, so that a few may be
	# taken for others and not be looked at (a hash factor of 88).
	storage='-DBITSTATE -DMEMLIM=6000' bounds='-m400000 -w35 -k3' seconds=2400
	verify "no wake-up is lost when one of two clients calls twice" 0 -DFULL
	storage='-DCOLLAPSE -DMEMLIM=3000' bounds=-m200000 seconds=900
fi
verify "without the fences one is" 1 -DNO_FENCE
verify "without the second look one is" 1 -DNO_RESCAN
verify "without the other lane in the second look one is" 1 -DONE_LANE
verify "without what a client owes when it sleeps one is" 1 \
	-DALONE -DNO_DEBT_CLIENT
verify "without the tick for a client that calls no more one is" 1 \
	-DALONE -DNO_TICK
verify "without what the agent owes its clients one is" 1 \
	-DALONE -DNO_DEBT_AGENT
exit $failed
