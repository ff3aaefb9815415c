#!/bin/sh
# SPDX-License-Identifier: MIT
# The four guards of penstock host plan on hosts that make it hard: what a host has
# its root file system, its network, its display and its boot entry from is never
# given away, whatever lies between.
# shellcheck disable=SC2016 # settings with variables
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/treelib.sh"

# next NAME: a host with an NVMe disk at 04:00.0 and a network card at 05:00.0,
# that nothing uses, a screen at 01:00.0 and a card to give at 02:00.0.
next() {
	begin "$1" GenuineIntel
	put sys/firmware/acpi/tables/DMAR x
	put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
	device 0000:04:00.0 144d a80a 010802 4 nvme
	device 0000:05:00.0 8086 1533 020000 5 igb
	block 0000:04:00.0/nvme/nvme0/nvme0n1 nvme0n1
	block 0000:04:00.0/nvme/nvme0/nvme0n1/nvme0n1p2 nvme0n1p2
	mkdir -p "$tree/sys/bus/pci/devices/0000:05:00.0/net/eth0" "$tree/sys/class/net"
	ln -s ../../bus/pci/devices/0000:05:00.0/net/eth0 "$tree/sys/class/net/eth0"
	put sys/class/net/eth0/operstate up
	put proc/net/route 'Iface	Destination	Gateway	Flags'
}

# block PATH NAME: a block device below a function; made NAME DISK...: one that is
# made of others.
block() {
	mkdir -p "$tree/sys/class/block" "$tree/sys/bus/pci/devices/$1"
	ln -s "../../bus/pci/devices/$1" "$tree/sys/class/block/$2"
}
made() {
	mkdir -p "$tree/sys/devices/virtual/block/$1/slaves" "$tree/sys/class/block"
	ln -s "../../devices/virtual/block/$1" "$tree/sys/class/block/$1"
	of=$1
	shift
	for part; do
		mkdir "$tree/sys/devices/virtual/block/$of/slaves/$part"
	done
}

# mounted SOURCE TYPE: the root is that.
mounted() {
	put proc/mounts "$1 / $2 rw 0 0"
	put proc/self/mounts "$1 / $2 rw 0 0"
}

# takes ID: a line of somebody's gives it to vfio-pci.
takes() {
	put etc/modprobe.d/v.conf "options vfio-pci ids=$1"
}

# kept SENTENCE WORDS: the plan refuses with them.
kept() {
	refuse "$1" 1 "$2" plan --gpu 02:00.0
}
disk="would take 0000:04:00.0 (144d:a80a) to vfio-pci, which is a disk"
net="would take 0000:05:00.0 (8086:1533) to vfio-pci, which is the network"

next free
takes 144d:a80a
expect "a disk that nothing uses may go" 0 "for vfio-pci" plan --gpu 02:00.0

# ---- The root file system, whatever it is made of ------------------------------
next luks
takes 144d:a80a
made dm-0 nvme0n1p2
put sys/devices/virtual/block/dm-0/dm/name cryptroot
mounted /dev/mapper/cryptroot ext4
kept "the root in LUKS" "$disk"
next lvm
takes 144d:a80a
made dm-0 nvme0n1p2
made dm-1 dm-0
put sys/devices/virtual/block/dm-1/dm/name vg-root
mounted /dev/mapper/vg-root xfs
kept "the root in LVM in LUKS" "$disk"
next raid
takes 144d:a80a
block 0000:06:00.0/ata1/sda sda
made md127 sda nvme0n1p2
mounted /dev/md127 ext4
kept "half of a mirror is a disk of the root" "$disk"
next zfs
takes 144d:a80a
mounted rpool/ROOT/pve-1 zfs
kept "any disk may be one of a ZFS pool" "$disk"
next btrfs
takes 144d:a80a
mounted /dev/sda2 btrfs
mkdir -p "$tree/sys/fs/btrfs/0123/devices/nvme0n1p2" "$tree/sys/fs/btrfs/0123/devices/sda2"
kept "the second disk of a btrfs" "$disk"
next bcachefs
takes 144d:a80a
mounted /dev/sda2:/dev/nvme0n1p2 bcachefs
kept "the second disk of a bcachefs" "$disk"
next swap
takes 144d:a80a
put proc/swaps 'Filename Type Size Used Priority
/dev/nvme0n1p2 partition 8388604 0 -2'
kept "swap is as good as a file system" "$disk"
next nfs
takes 8086:1533
mounted server:/root nfs4
kept "the network of a root on NFS, without a default route" "$net"
put sys/class/net/eth0/operstate down
expect "but not what is not plugged in" 0 "for vfio-pci" plan --gpu 02:00.0
next iscsi
takes 8086:1533
mkdir -p "$tree/sys/devices/platform/host2/session1/target2:0:0/2:0:0:1/block/sdb" \
	"$tree/sys/class/block"
ln -s ../../devices/platform/host2/session1/target2:0:0/2:0:0:1/block/sdb \
	"$tree/sys/class/block/sdb"
mounted /dev/sdb ext4
kept "the network of a root on iSCSI" "$net"
next bond
takes 8086:1533
mkdir -p "$tree/sys/devices/virtual/net/bond0/lower_eth0" \
	"$tree/sys/devices/virtual/net/br0/lower_bond0"
ln -s ../../devices/virtual/net/bond0 "$tree/sys/class/net/bond0"
ln -s ../../devices/virtual/net/br0 "$tree/sys/class/net/br0"
put proc/net/route 'Iface	Destination	Gateway	Flags	RefCnt	Use	Metric	Mask
br0	00000000	0100A8C0	0003	0	0	100	00000000'
kept "a default route by a bridge of a bond" "$net"

# ---- What lies in the card itself, or beside it ----------------------------------
next usb
device 0000:02:00.2 10de 1ad6 0c0330 2 xhci_hcd
block 0000:02:00.2/usb3/3-1/host7/block/sdc sdc
mounted /dev/sdc ext4
kept "a root on the card's own USB socket" "on sdc"
next beside
device 0000:06:00.0 144d a808 010802 2 nvme
block 0000:06:00.0/nvme/nvme1/nvme1n1 nvme1n1
mounted /dev/nvme1n1 ext4
kept "a root in the card's IOMMU group" "0000:06:00.0"
expect "which --i-know does not take either" 1 "0000:06:00.0" \
	plan --gpu 02:00.0 --i-know
next sibling
device 0000:06:00.0 10de 0fb0 040300 6 snd_hda_intel
expect "a twin of the card's sound is told by its address" 0 \
	'driver_override' plan --gpu 02:00.0
check "and no id is written" sh -c '! grep -q "^+options vfio-pci ids" "$1"' - \
	"$tmp/stdout"
next twins
rm -r "$tree/sys/bus/pci/devices/0000:02:00."* "$tree/sys/kernel/iommu_groups/2"
device 0000:02:00.0 10de 2684 030000 2 nvidia 0
takes 10de:2684
kept "ids that take both of two equal cards" "10de:2684"
rm "$tree/etc/modprobe.d/v.conf"
put proc/cmdline "root=/dev/x vfio-pci.ids=10de:2684"
kept "also on the command line" "10de:2684"
put proc/cmdline "root=/dev/x"
put etc/initramfs-tools/modules "vfio_pci ids=10de:2684"
put usr/sbin/update-initramfs ""
kept "also in the initramfs's list" "10de:2684"

# ---- The display -------------------------------------------------------------------
next single
rm -r "$tree/sys/bus/pci/devices/0000:01:00.0"
put sys/bus/pci/devices/0000:02:00.0/boot_vga 1
kept "the only card of a host" "--i-know"
expect "unless somebody knows better" 0 "for vfio-pci" plan --gpu 02:00.0 --i-know
next other-taken
takes 10de:2684
kept "a display that somebody's ids take, too" "0000:01:00.0"
next blocked
put etc/modprobe.d/n.conf 'install nvidia /bin/false'
kept "one whose driver is kept out" "keeps nvidia from being loaded"
next hvc
rm -r "$tree/sys/bus/pci/devices/0000:01:00.0"
put proc/cmdline "root=/dev/x console=hvc0"
put etc/default/grub "GRUB_CMDLINE_LINUX=\"intel_iommu=on iommu=pt console=hvc0\""
expect "but a console elsewhere is enough" 0 "for vfio-pci" plan --gpu 02:00.0

# ---- The boot entry ------------------------------------------------------------------
next no-root
put proc/cmdline 'root=/dev/x initrd=\initrd'
rm "$tree/etc/default/grub"
put etc/mkinitcpio.conf "MODULES=()"
put etc/mkinitcpio.d/linux.preset 'default_uki="/efi/EFI/Linux/a.efi"'
put etc/kernel/cmdline "quiet"
kept "a unified kernel without a root" "has no root=, and the kernel"
next entries-lost
put etc/default/grub 'GRUB_CMDLINE_LINUX="quiet"
GRUB_ENABLE_BLSCFG=true'
put boot/loader/entries/a.conf 'linux /vmlinuz
options root=/dev/x rd.luks.uuid=1'
refuse "entries that a command would write anew without it" 1 \
	"would take out of /boot/loader/entries" plan --gpu 02:00.0 --for grub
finish
