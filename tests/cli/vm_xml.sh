#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock vm xml: what it prints for a host's files, and what it refuses.
# shellcheck disable=SC2016 # programs for sh -c
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/vm_tree.sh"
make_tree "$tmp/host"

# xml ARGUMENT...: with what every domain needs.
# shellcheck disable=SC2317 # called through expect and refuse
xml() {
	# shellcheck disable=SC2046 # an option and its value
	"$penstock" vm xml titan $(unless --memory 4G "$@") \
		$(unless --vcpus 2 "$@") $(unless --disk /var/t.qcow2 "$@") \
		--root "$tmp/host" "$@"
}

# printed SENTENCE WORDS: in the last output.
printed() {
	check "$1" grep -qF -e "$2" "$tmp/stdout"
}

# Formats that need no libvirt.
expect "qemu: the card's functions are passed" 0 "vfio-pci,host=0000:01:00.1" \
	xml --format qemu --gpu 01:00.0 --cid 7
printed "qemu: the region is shared" "mem-path=/mnt/huge/penstock-titan"
printed "qemu: address bits are the card's" "host-phys-bits-limit=40"
printed "qemu: the CID is the one that was named" "guest-cid=7"
check "qemu: the region's making is said" grep -q \
	"host region create titan --size 4096M --path /mnt/huge" "$tmp/stderr"
check "qemu: the line is one for a shell" sh -n "$tmp/stdout"
expect "qemu: so is that making, whatever the file is called" 0 \
	"--path '/mnt/a b' && mv '/mnt/a b'/penstock-titan '/mnt/a b/r'" \
	xml --format qemu --region-path "/mnt/a b/r"
expect "cloud-hypervisor: a shared zone is the region" 0 \
	"id=region,size=4294967296,file=/mnt/huge/penstock-titan,shared=on" \
	xml --format cloud-hypervisor --gpu 01:00.0
printed "cloud-hypervisor: vsock is a Unix socket" \
	"socket=/run/penstock/titan.vsock"
check "cloud-hypervisor: what the guest has to do is said" grep -qF \
	"memmap=4096M!5120M" "$tmp/stderr"
refuse "firecracker: says why not, and what else" 1 \
	"no device that could be the region" xml --format firecracker
expect "qemu: --json has the words of the line" 0 \
	'"argv":["qemu-system-x86_64",' xml --format qemu --json
check "on one line" [ "$(wc -l <"$tmp/stdout")" -eq 1 ]

refuse "an unknown format is refused" 2 "vbox" \
	"$penstock" vm xml titan --format vbox
refuse "memory is needed" 2 "--memory and --vcpus" \
	"$penstock" vm xml titan --vcpus 2 --format qemu
refuse "a name is no path" 2 "not a valid domain name" \
	"$penstock" vm xml ../t --memory 4G --vcpus 2 --disk /d --format qemu
refuse "no such root" 1 "$tmp/none" "$penstock" vm xml t --memory 4G \
	--vcpus 2 --disk /d --format qemu --root "$tmp/none"

# bad SENTENCE CODE WORDS ARGUMENT...: refused; notes may stand before.
bad() {
	sentence=$1 code=$2 words=$3
	shift 3
	# shellcheck disable=SC2046 # an option and its value
	expect "$sentence" "$code" "$words" xml \
		$(unless --format qemu "$@") "$@"
	check "$sentence: nothing on stdout" [ ! -s "$tmp/stdout" ]
}
bad "an address that is not here" 1 "07:00.0" --gpu 07:00.0
bad "an address that is none" 2 "x" --gpu x
bad "the host's display is refused" 1 "--i-know" --gpu 02:00.0
expect "and passed with --i-know" 0 "host=0000:02:00.0" \
	xml --format qemu --gpu 02:00.0 --i-know
check "that its driver has it is noted, for both ways of <hostdev>" grep -q \
	"does not start one whose <hostdev> has managed='no'" "$tmp/stderr"
no_driver=$tmp/host/sys/devices/pci0000:00/0000:02:00.0/driver
mv "$no_driver" "$tmp/driver"
bad "so is one that only the firmware draws to" 1 "--i-know" --gpu 02:00.0
mv "$tmp/driver" "$no_driver"
bad "a group with the host's disk is refused" 1 "0000:05:00.0" --gpu 03:00.0
disk=$tmp/host/sys/devices/pci0000:00/0000:05:00.0/driver
mv "$disk" "$tmp/driver"
ln -s ../../../bus/pci/drivers/disk_vfio_pci "$disk"
mkdir "$tmp/host/sys/bus/pci/drivers/disk_vfio_pci"
expect "one that a variant of vfio-pci has is not" 0 "host=0000:03:00.0" \
	xml --format qemu --gpu 03:00.0
rm "$disk"
ln -s ../../../bus/pci/drivers/pci-stub "$disk"
mkdir "$tmp/host/sys/bus/pci/drivers/pci-stub"
expect "nor one that the host has given up" 0 "host=0000:03:00.0" \
	xml --format qemu --gpu 03:00.0
rm "$disk"
mv "$tmp/driver" "$disk"
bad "a function without a group is refused" 1 "0000:04:00.1" --gpu 04:00.0
cp "$tmp/host/proc/mounts" "$tmp/mounts"
printf '%s\n' 'none /mnt/my\040pages hugetlbfs rw,pagesize=2048k 0 0' \
	>"$tmp/host/proc/mounts"
expect "the mount table's blanks are read" 0 \
	"mem-path=/mnt/my pages/penstock-titan" xml --format qemu
mv "$tmp/mounts" "$tmp/host/proc/mounts"
bad "memory larger than the pool" 1 "(8192 MiB)" --memory 16G
expect "unless a hook reserves it" 0 "hugetlb=on" \
	xml --format qemu --memory 16G --hugepages later
expect "or pages are ordinary" 0 "memory-backend-ram" \
	xml --format qemu --memory 16G --hugepages no
bad "memory larger than the machine's" 1 "more than the host has" \
	--memory 64G --hugepages later
bad "memory and region larger than the machine's" 1 "more than the host has" \
	--memory 31G --region 2G --hugepages no
expect "little left for the host is noted" 0 "less than an eighth" \
	xml --format qemu --memory 28G --region 1G --hugepages no
expect "memory and region together are only noted" 0 "more are needed" \
	xml --format qemu --memory 6G
bad "a region of nothing" 2 "such as 4G" --region 0
bad "a BAR that is no power of two" 2 "power of two" \
	--region 3G --region-via ivshmem
bad "more vCPUs than the node has, when asked for" 1 "do not fit" \
	--gpu 01:00.0 --vcpus 4 --pin auto
expect "else they are not pinned, and that is said" 0 "not pinned" \
	xml --format qemu --gpu 01:00.0 --vcpus 4
bad "CPUs that are not here" 1 "CPU 8" --pin 8-9
expect "qemu: where vCPUs belong is said" 0 "to host CPUs 5,6" \
	xml --format qemu --gpu 01:00.0
mkdir "$tmp/host/var"
# qcow2 FILE BACKING: an image's header that names this file, or none.
qcow2() {
	python3 - "$1" "$2" <<-'END'
	import struct, sys
	name = sys.argv[2].encode()
	head = bytearray(3 << 16)
	head[:104] = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3,
	                         512 if name else 0, len(name), 16, 1 << 20, 0, 1,
	                         2 << 16, 1 << 16, 1, 0, 0, 0, 0, 0, 4, 104)
	head[512:512 + len(name)] = name
	open(sys.argv[1], "wb").write(head)
	END
}
qcow2 "$tmp/host/var/t.img" /etc/shadow
expect "an image is what it is called: qcow2" 0 '"driver":"qcow2"' \
	xml --format qemu
printed "and nothing lies under it" '"backing":null'
bad "what a guest has written into a raw disk is refused" 1 --disk-format \
	--disk /var/t.img
bad "also where QEMU is not asked for" 1 --disk-format --disk /var/t.img \
	--format cloud-hypervisor
expect "a raw disk is one by its user's word" 0 '"driver":"raw"' \
	xml --format qemu --disk /var/t.img --disk-format raw
expect "and by that of Cloud Hypervisor" 0 "image_type=raw" \
	xml --format cloud-hypervisor --disk /var/t.img --disk-format raw
bad "a file under an image is refused" 1 "the backing file /etc/shadow" \
	--disk /var/t.img --disk-format qcow2
bad "and so is another than the header's" 1 "no other one" \
	--disk /var/t.img --disk-format qcow2 --disk-backing /var/base.img
qcow2 "$tmp/host/var/over.qcow2" base.img
expect "unless it is named" 0 '"filename":"/var/base.img"' xml --format qemu \
	--disk /var/over.qcow2 --disk-backing /var/base.img
qcow2 "$tmp/host/var/base.img" /etc/shadow
bad "and that is checked in turn" 1 "/var/base.img is called" \
	--disk /var/over.qcow2 --disk-backing /var/base.img
bad "a format is one of two" 2 vmdk --disk /var/t.img --disk-format vmdk
mkfifo "$tmp/host/var/fifo.qcow2"
bad "what cannot be looked at is refused" 1 "/var/fifo.qcow2" \
	--disk /var/fifo.qcow2
# QEMU itself: it starts, and so has not looked for what the header names.
if command -v qemu-system-x86_64 >/dev/null; then
	qcow2 "$tmp/real.qcow2" "$tmp/nowhere.img"
	xml --format qemu --disk "$tmp/real.qcow2" >"$tmp/line" 2>/dev/null
	blockdev=$(sed -n "s/.*-blockdev '\\([^']*\\)'.*/\\1/p" "$tmp/line")
	# shellcheck disable=SC2016 # $1 is the inner shell's
	check "QEMU follows no header" sh -c 'echo quit |
		timeout 60 qemu-system-x86_64 -machine none -nodefaults \
			-display none -monitor stdio -blockdev "$1"' sh "$blockdev"
fi
rm "$tmp/host/dev/vhost-vsock"
expect "a host without vhost_vsock is told" 0 "modprobe vhost_vsock" \
	xml --format qemu
: >"$tmp/host/dev/vhost-vsock"
bad "a CID of the host" 2 "2" --cid 2
expect "a group of this host has to exist" 2 'no group "penstock-none"' \
	"$penstock" vm xml t --memory 64M --vcpus 1 --disk /d --hugepages no \
	--firmware bios --emulated --format qemu --group penstock-none
bad "a firmware that is none" 2 "--firmware" --firmware x
refuse "nothing to boot from" 2 "--disk" "$penstock" vm xml t --memory 4G \
	--vcpus 2 --format qemu --root "$tmp/host"
bad "a kernel's words without a kernel" 2 "--kernel" --append quiet

"$penstock" vm xml titan --memory 4G --vcpus 2 --disk /d \
	--root "$tmp/host" >"$tmp/stdout" 2>"$tmp/stderr"
if grep -q "was built without" "$tmp/stderr"; then
	echo "# built without libxml2: the XML was not tried"
	finish
fi
expect "libvirt: the card's functions are passed" 0 'bus="0x01" slot="0x00" function="0x1"' \
	xml --gpu 01:00.0 --cid 7 --rom '/r<o>m&"' --hide-kvm
printed "libvirt: OVMF and a copy of its variables" \
	'<nvram template="/usr/share/OVMF/OVMF_VARS_4M.fd">/var/lib/libvirt/qemu/nvram/titan_VARS.fd</nvram>'
printed "libvirt: with OVMF the region is an nvdimm" \
	'<path>/mnt/huge/penstock-titan</path>'
printed "libvirt: vCPUs are on the card's node" '<vcpupin vcpu="0" cpuset="5"/>'
printed "libvirt: QEMU's own threads too" '<emulatorpin cpuset="4,7"/>'
printed "libvirt: the limit is memory, region, BARs and 2 GiB" \
	'<hard_limit unit="KiB">10518528</hard_limit>'
printed "libvirt: KVM is hidden" '<hidden state="on"/>'
printed "libvirt: texts are escaped" '/r&lt;o&gt;m&amp;&quot;'
printed "libvirt: the region's group is kvm" 'group="kvm"'
grep -q "<interface" "$tmp/stdout"
check "libvirt: no network" [ $? -eq 1 ]
if command -v xmllint >/dev/null &&
	[ -r /usr/share/libvirt/schemas/domain.rng ]; then
	check "libvirt: another validator agrees" xmllint --noout \
		--relaxng /usr/share/libvirt/schemas/domain.rng "$tmp/stdout"
fi
cp "$tmp/stdout" "$tmp/titan.xml"
# patch ARGUMENT...: of that domain, which is ours.
# shellcheck disable=SC2317 # called through expect and refuse
patch() {
	"$penstock" vm patch titan --xml "$tmp/titan.xml" --root "$tmp/host" \
		"$@"
}
expect "patch: a domain of ours has all" 0 "nothing is missing" patch
expect "patch: nor does it miss the region that it has" 0 "nothing is missing" \
	patch --region 4G --region-path /mnt/huge/penstock-titan \
	--region-via nvdimm --group kvm
for other in "--region 8G" "--region-path /mnt/huge/other" \
	"--region-via ivshmem" "--group root"; do
	# shellcheck disable=SC2086 # two words
	refuse "patch: $other is not passed over" 1 \
		"${other%% *}: titan has a region already, which stays" \
		patch $other
done
sed 's/\(<hard_limit unit="KiB">\)[0-9]*/\14096/' "$tmp/titan.xml" >"$tmp/low.xml"
expect "patch: a limit that is too low is noted" 0 "hard_limit (4 MiB) is too low" \
	"$penstock" vm patch titan --xml "$tmp/low.xml" --root "$tmp/host"
# A domain of others, as its owner keeps it: tabs, CRLF, comments, a password.
mkdir "$tmp/others"
sed 's/^  *//; s/$/\r/' >"$tmp/others/win.xml" <<'EOF'
<!-- kept in git -->
<domain type="kvm">
	<name>win</name>
	<memory unit="GiB">8</memory>
	<os><type machine="q35">hvm</type></os>
	<devices>
		<emulator>/usr/bin/qemu-system-x86_64</emulator>
		<graphics type="vnc" passwd="hunter2"/>
	</devices>
</domain>
EOF
# shellcheck disable=SC2317 # called through expect and check
patch_win() {
	(cd "$tmp/others" && "$penstock" vm patch win --xml win.xml \
		--root "$tmp/host" "$@")
}
expect "patch: what is added looks like the rest" 0 '+		<vsock model="virtio">' \
	patch_win
cp "$tmp/stdout" "$tmp/others/diff"
check "patch: no password is shown" sh -c '! grep -q hunter2 "$1"' - \
	"$tmp/others/diff"
if command -v patch >/dev/null; then
	check "patch: patch(1) applies it" sh -c \
		'cd "$1" && patch -s -F0 -p1 <diff' - "$tmp/others"
	expect "patch: after which nothing is missing" 0 "nothing is missing" \
		patch_win
	check "patch: all lines end as they did" sh -c \
		'! grep -qv "$(printf "\r")\$" "$1"' - "$tmp/others/win.xml"
fi
(echo '<!DOCTYPE domain>' && cat "$tmp/others/win.xml") >"$tmp/others/type.xml"
sed -i '/<vsock/,/vsock>/d' "$tmp/others/type.xml"
(cd "$tmp/others" && "$penstock" vm patch win --xml type.xml --root \
	"$tmp/host" >/dev/null 2>"$tmp/stderr")
check "patch: the difference of a copy is said to be one" \
	grep -q "indented anew" "$tmp/stderr"
expect "libvirt: --json has the XML" 0 '"xml":"<domain ' xml --json
expect "libvirt: SeaBIOS and Intel take the BAR" 0 \
	'ivshmem-plain,id=penstock-shm' xml --firmware bios
sed -i s/GenuineIntel/AuthenticAMD/ "$tmp/host/proc/cpuinfo"
expect "libvirt: AMD takes the nvdimm" 0 'model="nvdimm"' xml --firmware bios
for i in 0 1 2 3 4 5 6 7; do
	echo $((i / 2 * 2))-$((i / 2 * 2 + 1)) \
		>"$tmp/host/sys/devices/system/cpu/cpu$i/topology/thread_siblings_list"
done
expect "libvirt: AMD's SMT siblings are shown as such" 0 'name="topoext"' \
	xml --gpu 01:00.0
printed "libvirt: a core is a core" 'cores="1" threads="2"'
expect "libvirt: libvirt's own shmem" 0 '<shmem name="penstock-titan">' \
	xml --region-via shmem
bad "libvirt: shmem elsewhere is refused" 2 "/dev/shm" \
	--region-via shmem --region-path /mnt/x
refuse "a libvirtd that is not there" 4 "cannot reach libvirt" \
	xml --uri "qemu:///system?socket=$tmp/none"
finish
