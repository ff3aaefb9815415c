#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock host check on trees of hosts: exit codes, JSON, the names of findings.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
page=$PST_TOP_SRCDIR/kernel-params/penstock-host.8.scd

# file PATH TEXT: a file of the tree $tree.
file() {
	mkdir -p "$(dirname "$tree/$1")"
	printf '%s\n' "$2" >"$tree/$1"
}

# pci ADDR VENDOR DEVICE CLASS DRIVER GROUP: one on PCI. Links are files
# here, as in trees that were copied without care.
pci() {
	dir=sys/devices/pci0000:00/$1
	file "sys/bus/pci/devices/$1" "../../../devices/pci0000:00/$1"
	file "$dir/vendor" "0x$2"
	file "$dir/device" "0x$3"
	file "$dir/class" "0x$4"
	file "$dir/driver" "../../../bus/pci/drivers/$5"
	file "$dir/numa_node" -1
	file "$dir/reset_method" "flr bus"
	file "$dir/resource" "0xfa000000 0xfaffffff 0x40200"
	file "$dir/iommu_group" "../../../kernel/iommu_groups/$6"
	file "sys/kernel/iommu_groups/$6/devices/$1" ""
}

# A laptop with one GPU beside the processor's own.
make_tree() {
	tree=$tmp/$1
	file proc/cmdline "intel_iommu=on iommu=pt hugepages=10240"
	file proc/cpuinfo "vendor_id : GenuineIntel
model name : Core
flags : vmx
address sizes : 39 bits physical, 48 bits virtual"
	file proc/meminfo "MemTotal: 33554432 kB"
	file proc/modules "vfio_pci 1 0 - Live 0x0
vfio_iommu_type1 1 0 - Live 0x0
vhost_vsock 1 0 - Live 0x0"
	file proc/mounts "h /dev/hugepages hugetlbfs rw,pagesize=2M 0 0"
	file proc/sys/kernel/osrelease 7.1.0
	file proc/sys/kernel/io_uring_disabled 0
	file sys/firmware/acpi/tables/DMAR DMAR
	file sys/class/iommu/dmar0/intel-iommu/cap 1c0000c40660462
	file sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages 10240
	file sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 10240
	file etc/modprobe.d/vfio.conf "options vfio-pci ids=10de:25a2"
	file etc/mkinitcpio.conf "MODULES=(vfio_pci nvidia)"
	file usr/bin/qemu-system-x86_64 ""
	mkdir -p "$tree/dev"
	file dev/kvm ""
	pci 0000:00:02.0 8086 9a60 030000 i915 0
	pci 0000:01:00.0 10de 25a2 030200 vfio-pci 1
}

make_tree good
expect "a host in order exits 0" 0 "PASS  gpu.functions" \
	"$penstock" host check --root "$tree"
check "it is told first how many there are" sh -c "head -n 1 '$tmp/stdout' |
	grep -q 'guest with 0000:01:00.0: 0 FAIL, .* WARN, .* PASS$'"
check "and nothing on stderr" [ ! -s "$tmp/stderr" ]
sed -i 1d "$tmp/stdout"
check "there is one line a finding" \
	sh -c "! grep -vE '^(PASS|WARN|FAIL)  [a-z_]+\.[a-z_]+ ' '$tmp/stdout'"
check "the worst come first" sh -c "cut -c 1-4 '$tmp/stdout' | uniq |
	tr '\\n' ' ' | grep -qx 'WARN PASS '"
check "why is said of what does not pass" sh -c "! grep '^WARN' '$tmp/stdout' |
	grep -v '\\. Why: '"
check "and not of what does" sh -c "! grep '^PASS.*Why:' '$tmp/stdout'"
expect "but with -v" 0 "" "$penstock" host check --root "$tree" -v
check "of all" sh -c "! grep '^PASS' '$tmp/stdout' | grep -v '\\. Why: '"
sed -i 1d "$tmp/stdout"
check "of printable characters, so without colour" \
	sh -c "! LC_ALL=C grep -q '[^ -~]' '$tmp/stdout'"

sed 's/^....  \([a-z_.]*\) .*/\1/' "$tmp/stdout" | while read -r id; do
	grep -qF "*$id*" "$page" || echo "$id"
done >"$tmp/unknown"
check "the manual has each name" [ ! -s "$tmp/unknown" ]

"$penstock" host check --root "$tree" --json >"$tmp/json" 2>"$tmp/stderr"
check "--json says nothing else" [ ! -s "$tmp/stderr" ]
cat >"$tmp/shape.py" <<-END
	import json, sys
	d = json.load(open(sys.argv[1]))
	assert list(d) == ["schema", "findings"] and d["schema"] == 1
	assert len(d["findings"]) > 30
	for f in d["findings"]:
	    assert sorted(f) == ["id", "remedy", "seen", "status", "why"], f
	    assert f["status"] in ("PASS", "WARN", "FAIL")
	    assert f["seen"] and f["why"]
	    assert f["remedy"] or f["status"] == "PASS", f
	ids = [f["id"] for f in d["findings"]]
	assert len(ids) == len(set(ids))
END
if [ -n "${PST_PYTHON:-}" ]; then
	check "JSON has the documented shape" \
		"$PST_PYTHON" "$tmp/shape.py" "$tmp/json"
else
	echo "# no Python: the shape of the JSON was not looked at"
fi

file sys/devices/pci0000:00/0000:01:00.0/driver ../../../bus/pci/drivers/nvidia
expect "a card that its driver holds exits 3" 3 "FAIL  gpu.functions" \
	"$penstock" host check --root "$tree"
check "FAIL comes first, behind the summary" [ "$(head -n 2 "$tmp/stdout" |
	cut -c 1-19 | tr '\n' '|')" = "A guest would not c|FAIL  gpu.functions|" ]
expect "so it does with --json" 3 '"gpu.functions"' \
	"$penstock" host check --root "$tree" --json
expect "a card that is not there is a finding" 3 "there is no PCI device" \
	"$penstock" host check --root "$tree" --gpu 0000:7f:00.0

make_tree many
rm "$tree/sys/bus/pci/devices/0000:01:00.0"
for i in 10 11 12 13 14 15 16 17 18 19 1a 1b; do
	pci "0000:$i:00.0" 10de 2330 030200 nvidia "2$i"
done
expect "of many cards those that do not fit are counted" 3 \
	"0000:19:00.0 [10de:2330] and 2 more; say which with --gpu" \
	"$penstock" host check --root "$tree"

make_tree sizes
expect "sizes that fit pass" 0 "PASS  hugepages.pool" \
	"$penstock" host check --root "$tree" --region 1G --vm-memory 8G
expect "sizes that do not fit fail" 3 "FAIL  hugepages.pool" \
	"$penstock" host check --root "$tree" --vm-memory 24G

refuse "a tree that is not there exits 1" 1 "nonesuch" \
	"$penstock" host check --root "$tmp/nonesuch"
mkdir "$tmp/empty"
refuse "an empty tree exits 1" 1 "neither proc nor sys" \
	"$penstock" host check --root "$tmp/empty"
refuse "a file is no tree" 1 "page" "$penstock" host check --root "$tmp/json/page"
refuse "an address has a form" 2 "titan" "$penstock" host check --gpu titan
refuse "a size has one too" 2 "'big'" "$penstock" host check --region big
refuse "no memory is a usage error" 2 "--vm-memory" \
	"$penstock" host check --vm-memory 0
refuse "there are no operands" 2 "more" "$penstock" host check more

# A tree made to do harm: none of it blocks, escapes or takes long.
make_tree hostile
dir=$tree/sys/devices/pci0000:00/0000:01:00.0
rm "$dir/vendor" "$dir/resource" "$tree/proc/meminfo"
mkfifo "$dir/vendor"
ln -s resource "$dir/resource"
ln -s /dev/zero "$tree/proc/meminfo"
truncate -s 1T "$tree/proc/modules"
ln -s ../../../../../../../../.. "$tree/sys/bus/pci/devices/0000:02:00.0"
ln -s loop "$tree/sys/kernel/iommu_groups/loop"
printf '\377\376\000iommu=pt' >"$tree/proc/cmdline"
printf 'options a b=\033[31m\nblacklist \000\n' >"$tree/etc/modprobe.d/x.conf"
ln -s /etc/shadow "$tree/etc/modprobe.d/y.conf"
printf '\377\377\377\377' >"$tree/sys/firmware/acpi/tables/DMAR"
expect "a hostile tree ends with findings" 0 "WARN  tree.readable" \
	timeout 20 "$penstock" host check --root "$tree"
check "of printable characters alone" \
	sh -c "! LC_ALL=C grep -q '[^ -~]' '$tmp/stdout'"

# Of the running machine only that it is looked at: it may lack anything.
"$penstock" host check --json >"$tmp/json" 2>"$tmp/stderr"
code=$?
check "this machine is looked at" [ $((code % 3)) -eq 0 ]
check "and asked for KVM" grep -q '"kvm.open"' "$tmp/json"

# The developers' trees, where they are beside the checkout.
hosts=$PST_TOP_SRCDIR/../shared/fixtures/hosts
if [ -d "$hosts/titan-x-ready" ]; then
	expect "the ready host has no FAIL" 0 "PASS  gpu.functions" \
		"$penstock" host check --root "$hosts/titan-x-ready"
	check "its card is found by itself" \
		grep -q "PASS  gpu.selected .*0000:99:00.0" "$tmp/stdout"
	check "and the other one keeps its driver" \
		grep -q "PASS  host.gpu .*0000:18:00.0 .* nvidia" "$tmp/stdout"
	expect "with the IOMMU off it fails" 3 "FAIL  iommu.enabled" \
		"$penstock" host check --root "$hosts/titan-x-off"
	check "and says which parameter" \
		grep -q "FAIL  iommu.enabled .*intel_iommu=on" "$tmp/stdout"
	expect "with the IOMMU on the card is still not bound" 3 \
		"FAIL  gpu.functions" \
		"$penstock" host check --root "$hosts/titan-x-iommu"
	check "though the IOMMU passes" \
		grep -q "PASS  iommu.enabled" "$tmp/stdout"
else
	echo "# $hosts is not there: those trees were not checked"
fi
finish
