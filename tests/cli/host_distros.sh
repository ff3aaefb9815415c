#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock host on the hosts that people have today: check, plan, apply, verify and
# undo on each, a report of each, and the manual's table of what is written by itself
# and what is to be run, which has to be what their plans say.
# shellcheck disable=SC2016,SC2154,SC2317 # programs for sh -c; hostlib's; look()
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/treelib.sh"
. "$PST_TOP_SRCDIR/tests/cli/hostlib.sh"

# The words are somewhere where this host's loader finds them.
look() {
	check "$tree: the card is vfio-pci's" grep -rqE \
		'10de:(2684|2330|25a2)|0000:01:00.0' "$tree/etc"
}

# row TREE ARGUMENT...: the table's row of the tree's plan.
row() {
	of=$1
	shift
	"$penstock" host plan --root "$of" "$@" >"$tmp/plan" 2>&1
	files=$(sed -n 's/^+++ b//p' "$tmp/plan" | grep -v \
		-e ^/etc/modprobe.d/ -e ^/etc/modules-load.d/ | tr '\n' ' ' |
		sed 's/ $//; s|/entries/[^ ]*|/entries|; s/ /, /g')
	run=$(sed -n 's/^    \([a-z]\)/\1/p' "$tmp/plan" | grep -vx reboot |
		sed 's/$/; /' | tr -d '\n' | sed 's/; $//')
	note=$(grep -o '^note: .*rpm-ostree kargs' "$tmp/plan" | sed 's/.*rpm/rpm/')
	printf '|  %s\n:  %s\n:  %s\n' "$(title "${of##*/}")" "$files" \
		"$run${note:+; and, as a note says, $note}"
}

for host in $hosts; do
	"host_$host"
	set -- --gpu 01:00.0
	[ "$host" != two_sockets ] || set -- --gpu 81:00.0 --region 2G
	"$penstock" host check --root "$tree" "$1" "$2" >"$tmp/stdout"
	check "$host: check sees that the driver has the card" grep -q \
		"^FAIL  gpu.functions" "$tmp/stdout"
	check "$host: and nothing that it cannot read" grep -q \
		"^PASS  tree.readable" "$tmp/stdout"
	round "$@"
	"$penstock" host report --root "$tree" -o "$tmp/report.tar" >/dev/null
	mkdir "$tmp/unpacked"
	tar -xf "$tmp/report.tar" -C "$tmp/unpacked"
	for of in "$tree" "$tmp/unpacked"; do
		"$penstock" host check --root "$of" "$1" "$2" >"$tmp/check.${of##*/}"
	done
	check "$host: check finds the same in a report" cmp "$tmp/check.$host" \
		"$tmp/check.unpacked"
	rm -r "$tmp/unpacked" "$tmp/report.tar"
	row "$tree" "$@" >>"$tmp/table"
done

# What is kept is kept.
tree=$tmp/two_sockets
expect "the pool is the card's node's" 0 "hugepages=1:1024" plan --gpu 81:00.0 \
	--region 2G
tree=$tmp/equal_cards
expect "equal cards are told apart" 0 "by its address" plan --gpu 01:00.0
refuse "and the one with the screen is kept" 1 "--i-know" plan --gpu 02:00.0
tree=$tmp/laptop
refuse "so is the laptop's screen" 1 "--i-know" plan --gpu 00:02.0

sed -n '/^\[\[ \*Host\*/,/^$/p' "$PST_TOP_SRCDIR/kernel-params/penstock-host.8.scd" |
	sed 1,3d | sed '/^$/d' >"$tmp/manual"
check "the manual's table is what the plans say" cmp "$tmp/manual" "$tmp/table"
diff "$tmp/manual" "$tmp/table"
finish
