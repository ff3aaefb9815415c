#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock vm start records how the card is, and stop says what is different,
# with libvirt's driver that only pretends.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/vm_tree.sh"

"$penstock" vm list --uri test:///default >/dev/null 2>"$tmp/stderr"
if grep -q "was built without" "$tmp/stderr"; then
	echo "SKIP: built without libvirt"
	exit 77
fi
host=$tmp/host
record=$host/run/penstock/card.card
make_tree "$host"
"$penstock" vm xml card --memory 4G --vcpus 2 --disk /var/t.qcow2 \
	--root "$host" --gpu 01:00.0 \
	--uri test:///default --region-path "$tmp/penstock-card" --region 8M \
	--region-via nvdimm >"$tmp/card.xml" 2>/dev/null
check "there is a domain with a card" grep -q '<hostdev' "$tmp/card.xml"

# part NAME: an element of that domain.
part() {
	sed -n "/<$1[ >]/,/<\/$1>/p" "$tmp/card.xml" |
		sed "s/ node=\"1\"//; s/ group=\"kvm\"//"
}

# node STATE: a libvirt with the domain, 1: running, 5: off. Each command finds
# it as it is here.
node() {
	cat >"$tmp/node$1.xml" <<END
<node><domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
<name>card</name><memory unit='KiB'>4096</memory>$(part metadata)
<os><type>hvm</type></os><devices>$(part hostdev)</devices>
<test:runstate>$1</test:runstate></domain></node>
END
}
node 1
node 5

# shellcheck disable=SC2317 # functions that expect calls
start() {
	"$penstock" vm start card --root "$host" --uri "test://$tmp/node5.xml"
}

# shellcheck disable=SC2317
stop() {
	"$penstock" vm stop card --root "$host" --uri "test://$tmp/node1.xml" "$@"
}

gpu=$host/sys/devices/pci0000:00/0000:01:00.0
echo 16 >"$gpu/current_link_width"
echo "flr bus" >"$gpu/reset_method"
expect "start" 0 "card runs" start
check "records both functions" [ "$(grep -c '^0000:01:00' "$record")" -eq 2 ]
expect "stop" 0 "card has ended" stop
check "says nothing of a card that is as it was" [ "$(wc -l <"$tmp/stdout")" -eq 1 ]
check "and forgets it" [ ! -e "$record" ]
expect "a second stop has nothing to compare" 0 '"how":' stop --json
check "indeed" sh -c "! grep -q '\"card\":' '$tmp/stdout'"

start >/dev/null 2>&1
echo 8 >"$gpu/current_link_width"
expect "a narrower link is said" 0 \
	"the card is different: 0000:01:00.0 has x8 lanes, and had x16" stop
check "with what to do" grep -qF "penstock host check --gpu 0000:01:00.0" \
	"$tmp/stdout"

start >/dev/null 2>&1
head -c 64 /dev/zero | tr '\0' '\377' >"$gpu/config"
expect "a card that fell off the bus is said" 0 \
	"the card is not back: 0000:01:00.0 does not answer" stop
check "with what to do about it" grep -qF "penstock host gpu reset 0000:01:00.0" \
	"$tmp/stdout"
expect "a start with such a card is noted" 0 "card runs" start
check "on stderr" grep -qF "0000:01:00.0 does not answer: see" "$tmp/stderr"
rm "$gpu/config" "$host/sys/bus/pci/devices/0000:01:00.1"
expect "a function that is gone is in JSON" 0 \
	'"card":{"back":false,"seen":"0000:01:00.1 is gone"}' stop --json

start >/dev/null 2>&1
echo "penstock-card 1" >"$record"
expect "a damaged record hinders no stop" 0 "card has ended" stop
check "and is noted" grep -qF "cannot use /run/penstock/card.card" "$tmp/stderr"
rm -rf "$host/run"
: >"$host/run"
expect "nor does one that cannot be written hinder a start" 0 "card runs" start
check "which is noted" grep -qF "vm stop will not compare the card" "$tmp/stderr"
finish
