#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock host on settings that are programs, on what the initramfs really
# packs, on broken input, and on plans that would take from the host what it
# needs: what check says, what plan does about it, and that its result holds.
# shellcheck disable=SC2016 # programs for sh -c, and settings with variables
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/treelib.sh"

ids="10de:17c2,10de:0fb0"
wait_all="softdep nouveau pre: vfio-pci
softdep nvidia pre: vfio-pci
softdep snd_hda_intel pre: vfio-pci"

# next NAME: an Intel host whose IOMMU is on, with a card to give and one to
# keep.
next() {
	begin "$1" GenuineIntel
	put sys/firmware/acpi/tables/DMAR x
	put proc/cmdline 'root=/dev/x quiet intel_iommu=on iommu=pt'
	put etc/default/grub \
		'GRUB_CMDLINE_LINUX_DEFAULT="quiet intel_iommu=on iommu=pt"'
}

# arch NAME MKINITCPIO.CONF; tools NAME MODULES; dracut NAME DRACUT.CONF.D/V
arch() {
	next "$1"
	put usr/bin/mkinitcpio ""
	put etc/mkinitcpio.conf "$2"
}
tools() {
	next "$1"
	put usr/sbin/update-initramfs ""
	put etc/initramfs-tools/modules "$2"
}
dracut() {
	next "$1"
	put usr/bin/dracut ""
	put etc/dracut.conf ""
	put etc/dracut.conf.d/v.conf "$2"
}

# finds SENTENCE ID STATUS WORDS: that finding of the tree.
finds() {
	"$penstock" host check --root "$tree" --gpu 02:00.0 >"$tmp/stdout" \
		2>"$tmp/stderr"
	check "$1" sh -c 'grep "^$2 *$1 " "$4" | grep -qF -e "$3"' - \
		"$2" "$3" "$4" "$tmp/stdout"
}

# holds SENTENCE: apply reaches it, does it once, and undo brings back all.
holds() {
	rm -rf "$tree.before"
	cp -a "$tree" "$tree.before"
	expect "$1: apply" 0 "penstock host verify" \
		"$penstock" host apply --root "$tree" --gpu 02:00.0
	finds "$1: both functions are known" vfio.ids PASS 0000:02:00.0
	finds "$1: and vfio-pci comes first" vfio.early PASS ""
	expect "$1: then nothing is left" 0 "Nothing to change." \
		plan --gpu 02:00.0
	expect "$1: undo" 0 restored "$penstock" host undo --root "$tree"
	check "$1: every byte is back" diff -r --no-dereference "$tree" \
		"$tree.before"
}

# ---- Settings are programs ---------------------------------------------------
arch append 'MODULES+=(nvme dm_crypt)
HOOKS+=(encrypt)'
put etc/modprobe.d/vfio.conf "options vfio-pci ids=$ids"
expect "what is added to stays" 0 \
	"+MODULES+=(vfio_pci vfio vfio_iommu_type1 nvme dm_crypt)" \
	plan --gpu 02:00.0
holds "an array that is only added to"

arch reset 'MODULES=(vfio_pci vfio vfio_iommu_type1)
HOOKS=(base udev modconf)'
put etc/modprobe.d/vfio.conf "options vfio-pci ids=$ids"
finds "the main file is first" vfio.early PASS "loads vfio_pci early"
put etc/mkinitcpio.conf.d/nv.conf 'MODULES=(nouveau)'
finds "a drop-in that sets is the one that counts" vfio.early FAIL \
	"loads nouveau and not vfio_pci (etc/mkinitcpio.conf.d/nv.conf line 1)"
put etc/mkinitcpio.conf.d/nv.conf 'MODULES=(nouveau "${MODULES[@]}")'
finds "one that puts words before them does so" vfio.early FAIL \
	"loads nouveau before vfio_pci"
holds "a drop-in before ours"
put etc/mkinitcpio.conf.d/zzz.conf 'MODULES=(nouveau)'
refuse "a drop-in that comes after ours is told" 1 \
	"loads nouveau first, by etc/mkinitcpio.conf.d/zzz.conf line 1 of" \
	plan --gpu 02:00.0
put etc/mkinitcpio.d/linux.preset \
	"ALL_config='/etc/mkinitcpio.conf' # PRESETS"
finds "a preset's configuration has no drop-ins" vfio.early PASS "early"
holds "a preset that names its configuration"
put etc/mkinitcpio.d/linux.preset '#ALL_config="/etc/mkinitcpio.conf"'
finds "a comment is no preset" vfio.early FAIL "loads nouveau"

dracut drop 'force_drivers+=" vfio_pci vfio vfio_iommu_type1 "'
put etc/modprobe.d/vfio.conf "options vfio-pci ids=$ids"
finds "dracut's list" vfio.early PASS "dracut loads vfio_pci early"
put usr/lib/dracut/dracut.conf.d/w.conf 'force_drivers="nouveau"'
finds "a later file of the distribution's" vfio.early FAIL "loads nouveau"
put etc/dracut.conf.d/w.conf ''
finds "is hidden by one of its name in etc" vfio.early PASS "early"
put etc/dracut.conf.d/w.conf 'force_drivers+="nouveau"'
finds "+= puts no blank between" vfio.early PASS "early"

next both
put etc/mkinitcpio.conf 'MODULES=(vfio_pci)'
put proc/cmdline "root=/dev/x vfio-pci.ids=10de:17c2"
put etc/modprobe.d/vfio.conf "options vfio-pci ids=$ids"
finds "of two lists the command line's counts" vfio.ids WARN \
	"0000:02:00.1: nothing; ids in modprobe.d do not count"
next two
put etc/modprobe.d/a.conf "options vfio-pci ids=$ids"
put etc/modprobe.d/b.conf "options vfio_pci ids=10de:17c2"
finds "of two lines the last counts" vfio.ids WARN "0000:02:00.1: nothing"
holds "two lists of ids"
put usr/lib/modprobe.d/c.conf "options vfio-pci ids=1:2"
put etc/modprobe.d/c.conf "# nothing"
holds "a file that another of its name hides"
next patterns
put etc/modprobe.d/v.conf "options vfio-pci ids=$ids
softdep n*v* pre: vfio_pci
	softdep snd-hda-intel \\
 pre: vfio-pci"
finds "patterns, tabs and continued lines" vfio.early PASS "softdep"
next first
put etc/modprobe.d/v.conf "options vfio-pci ids=$ids
$wait_all"
put etc/modprobe.d/a.conf "softdep nouveau post: x"
finds "of two softdeps the first counts" vfio.early WARN "nouveau may load"
holds "somebody's softdep before ours"

# ---- What the initramfs packs ------------------------------------------------
arch modconf 'MODULES=(vfio_pci vfio vfio_iommu_type1)
HOOKS=(base udev autodetect block)'
put etc/modprobe.d/vfio.conf "options vfio-pci ids=$ids"
finds "ids that the image lacks are lost" vfio.ids WARN \
	"which is not in the initramfs that loads vfio-pci without it"
expect "plan puts the file in" 0 "+FILES=(" plan --gpu 02:00.0
check "by its name" grep -q "^+FILES=.*/etc/modprobe.d/vfio.conf" "$tmp/stdout"
holds "an image without modconf"
put etc/mkinitcpio.conf 'MODULES=(vfio_pci)
FILES=(/etc/modprobe.d/vfio.conf)
HOOKS=(base udev block)'
finds "a file by its name is in" vfio.ids PASS "ids in modprobe.d"

arch systemd 'MODULES=(vfio_pci vfio vfio_iommu_type1)
HOOKS=(systemd autodetect modconf kms block)'
put etc/modprobe.d/vfio.conf "options vfio-pci ids=$ids"
finds "systemd's udev is as early as MODULES" vfio.early WARN \
	"nouveau may load before vfio-pci, which udev finds"
holds "systemd and kms in one image"
arch udev 'MODULES=(vfio_pci vfio vfio_iommu_type1)
HOOKS=(base udev autodetect modconf kms block)'
put etc/modprobe.d/vfio.conf "options vfio-pci ids=$ids"
finds "the udev hook comes after MODULES" vfio.early PASS "early"
arch kms 'MODULES=()
HOOKS=(base udev modconf kms)'
put etc/modprobe.d/vfio.conf "options vfio-pci ids=$ids
$wait_all"
finds "a softdep on what is not packed is none" vfio.early WARN "kms hook packs"
holds "kms and a softdep"

tools inline "vfio_pci ids=$ids"
finds "initramfs-tools gives words to modprobe" vfio.ids PASS \
	"ids in initramfs-tools' list"
holds "ids in initramfs-tools' list"
tools audio ""
put etc/modprobe.d/v.conf "options vfio-pci ids=$ids
softdep nouveau pre: vfio-pci
softdep nvidia pre: vfio-pci"
finds "the card's sound counts by itself" vfio.early WARN \
	"snd_hda_intel may load before"
holds "a sound driver that does not wait"
put etc/modprobe.d/v.conf "options vfio-pci ids=$ids
$wait_all"
device 0000:02:00.2 10de 1ad8 0c0330 2 xhci_hcd
finds "and so does its USB" vfio.early WARN "xhci_pci may load before"
put lib/modules/6.12.1/modules.builtin "kernel/drivers/usb/host/xhci-pci.ko"
finds "of which a driver that is built in is told" vfio.early WARN \
	"xhci_pci is built in, and takes 0000:02:00.2"
expect "also by plan, which cannot mend it" 0 \
	"still open after this: xhci_pci is built in" plan --gpu 02:00.0

dracut pre 'add_drivers+=" vfio vfio_pci vfio_iommu_type1 "'
put proc/cmdline "root=/dev/x intel_iommu=on iommu=pt rd.driver.pre=vfio-pci"
put etc/modprobe.d/v.conf "options vfio-pci ids=$ids"
finds "rd.driver.pre loads what is packed" vfio.early PASS "rd.driver.pre"
put etc/dracut.conf.d/w.conf 'omit_drivers+=" vfio_pci "'
finds "and not what is left out" vfio.early WARN "may load before"
put etc/dracut.conf.d/w.conf 'force_drivers+=" nouveau "'
finds "a list comes before the command line" vfio.early FAIL "loads nouveau"
dracut generic 'hostonly="no"
force_drivers+=" vfio_pci "'
put etc/modprobe.d/v.conf "options vfio-pci ids=$ids"
finds "an image for any host has no etc/modprobe.d" vfio.ids WARN \
	"not in the initramfs"
holds "dracut for any host"
dracut virqfd 'add_drivers+=" vfio_pci vfio_virqfd "'
finds "a module that is gone" vfio.early WARN "gone since Linux 6.2"
expect "plan says so, too" 0 "take vfio_virqfd out of etc/dracut.conf.d/v.conf" \
	plan --gpu 02:00.0

next drm
put etc/modprobe.d/v.conf "options vfio-pci ids=$ids
softdep drm pre: vfio-pci
softdep snd_hda_intel pre: vfio-pci"
put proc/modules "nouveau 1 0 - Live 0x0"
finds "a softdep of what is built in" vfio.early WARN \
	"softdep drm has no effect: drm is built in"
put lib/modules/6.12.1/modules.dep "a/nouveau.ko.zst: b/drm_kms_helper.ko.zst b/drm.ko.zst
a/nvidia.ko: b/drm.ko"
finds "and of a module that others need" vfio.early PASS "softdep"

arch rule 'MODULES=(vfio_pci vfio vfio_iommu_type1)
HOOKS=(base udev modconf kms block)'
r=etc/udev/rules.d/10-vfio.rules
put $r 'KERNEL=="0000:02:00.0", ATTR{driver_override}="vfio-pci"
KERNEL=="0000:02:00.1", ATTR{driver_override}="vfio-pci"'
finds "a rule that the image lacks comes too late there" vfio.ids WARN \
	"0000:02:00.0: its address, in a rule of udev that the initramfs lacks"
put etc/mkinitcpio.conf "MODULES=(vfio_pci)
FILES=(/$r)
HOOKS=(base udev modconf kms block)"
finds "one that it has does not" vfio.ids PASS "0000:02:00.0: its address,"
mv "$tree/$r" "$tree/${r%rules}conf"
finds "udev reads no file of another name" vfio.ids WARN "0000:02:00.0: nothing"
put $r '# not for vfio-pci
KERNEL=="0000:02:00.0", ATTR{d3cold_allowed}="0"'
finds "a rule about something else gives nothing" vfio.ids WARN \
	"0000:02:00.0: nothing"

next rules
r='KERNEL=="0000:02:00.[01]", ATTR{driver_override}='
put usr/lib/udev/rules.d/50-a.rules "$r\"vfio-pci\""
finds "a package may have rules" vfio.ids PASS "0000:02:00.0: its address,"
put etc/udev/rules.d/50-a.rules ""
finds "which one of its name hides" vfio.ids WARN "0000:02:00.0: nothing"
put etc/udev/rules.d/50-a.rules "$r\"vfio-pci\""
put usr/lib/udev/rules.d/60-b.rules "$r\"nouveau\""
finds "and a later one revokes" vfio.ids WARN "0000:02:00.0: nothing"
rm "$tree/usr/lib/udev/rules.d/60-b.rules"
put usr/lib/udev/rules.d/40-b.rules "$r\"nouveau\""
finds "but not one before it" vfio.ids PASS "0000:02:00.0: its address,"

next booster
put usr/bin/booster ""
put etc/modprobe.d/v.conf "options vfio-pci ids=$ids
$wait_all"
finds "what another maker packs is not known" vfio.early WARN \
	"booster makes the initramfs, and what it packs is not known"
expect "so plan is not content either" 0 "still open after this" \
	plan --gpu 02:00.0

# ---- Broken input ------------------------------------------------------------
# wrong NAME FILE TEXT CAUSE: check names the file, the line and the cause.
wrong() {
	next "$1"
	put etc/modprobe.d/fine.conf "# fine"
	put "$2" "$3"
	finds "$1" vfio.ids WARN "$4"
	holds "$1"
}
m=etc/modprobe.d/vfio.conf
wrong "the command line's form" $m "options vfio-pci.ids=$ids" \
	"$m line 1: \"vfio-pci.ids="
wrong "a file without .conf" etc/modprobe.d/vfio "options vfio-pci ids=$ids" \
	"etc/modprobe.d/vfio lacks .conf"
wrong "a blank in the list" $m "options vfio-pci ids=10de:17c2, 10de:0fb0 disable_vga=1" \
	"$m line 1: a blank stands in the list of ids"
next blank
put $m "options vfio-pci ids=10de:17c2, 10de:0fb0 disable_vga=1"
expect "which plan puts together" 0 \
	"+options vfio-pci ids=10de:17c2,10de:0fb0 disable_vga=1" \
	plan --gpu 02:00.0
# covered NAME IDS: ids that cover the card in another way get no others.
covered() {
	next "$1"
	put $m "options vfio-pci ids=$2"
	holds "$1"
	check "$1: they stay as they are" \
		sh -c '! grep -q vfio.conf "$1"' - "$tmp/stdout"
}
covered "ids with a class" \
	10de:17c2:ffffffff:ffffffff:030000:ffff00,10de:0fb0:ffffffff:ffffffff
covered "ids in large letters" 10DE:17C2,10DE:0FB0
next narrow
put $m "options vfio-pci ids=10de:17c2:ffffffff:ffffffff:030000:ffff00"
expect "of two functions the one that is missing comes in" 0 \
	"+options vfio-pci ids=10de:17c2:ffffffff:ffffffff:030000:ffff00,10de:0fb0" \
	plan --gpu 02:00.0
holds "one of two functions is missing"
next quoted
put $m "options vfio-pci ids=\"$ids\""
holds "ids in quotes, which need no edit"
check "and get none" sh -c '! grep -q vfio.conf "$1"' - "$tmp/stdout"
wrong "a word that is none" $m "# x
option vfio-pci ids=$ids" "$m line 2: no line of modprobe.d begins so"
wrong "a parameter that is none" $m "options vfio-pci id=$ids" \
	"$m line 1: vfio-pci has no parameter \"id\""
wrong "addresses for ids" $m "options vfio-pci ids=02:00.0,02:00.1" \
	"$m line 1: \"02:00.0\" is an address"
wrong "alias off" $m "alias nouveau off" \
	"$m line 1: \"alias nouveau off\" keeps nothing"
next crlf
printf 'options vfio-pci ids=%s\r\nsoftdep nouveau pre: vfio-pci\r\n' "$ids" \
	>"$tree/etc/x"
mkdir -p "$tree/etc/modprobe.d"
mv "$tree/etc/x" "$tree/$m"
finds "lines of DOS" vfio.ids PASS "$m line 2: it ends in CR LF"
finds "in which a softdep is none" vfio.early WARN "may load before"
holds "lines of DOS"
arch quotes 'MODULES=(“vfio_pci” vfio)
HOOKS=(base udev modconf)'
finds "typographic quotes of another file" vfio.early WARN \
	"etc/mkinitcpio.conf line 1: it has typographic quotes"
arch open 'MODULES=(vfio_pci
HOOKS=(base'
finds "a bracket without its end" vfio.early WARN "opened and not closed"
arch commas 'MODULES=(vfio_pci, vfio,
	vfio_iommu_type1)
HOOKS=(base udev modconf)'
finds "commas between words" vfio.early WARN \
	"etc/mkinitcpio.conf line 1: a comma stands behind a word"
expect "which plan leaves, and says" 0 "line 1: a comma stands behind a word" \
	plan --gpu 02:00.0
next blocked
put etc/modprobe.d/no.conf "# mine
install vfio_pci /bin/false"
finds "vfio-pci itself is blocked" vfio.early FAIL \
	"etc/modprobe.d/no.conf line 2 keeps vfio-pci"
refuse "plan says the same" 1 "etc/modprobe.d/no.conf line 2 keeps" \
	plan --gpu 02:00.0
next fb
put proc/cmdline "root=/dev/x initcall_blacklist=sysfb_init"
put proc/fb '0 EFI VGA'
put proc/iomem '00000000-00000000 : System RAM'
rm -r "$tree/sys/bus/pci/devices/0000:01:00.0"
put sys/bus/pci/devices/0000:02:00.0/boot_vga 1
"$penstock" host check --root "$tree" --gpu 02:00.0 >"$tmp/stdout" 2>&1
check "what was done already is not advised" sh -c \
	'grep gpu.framebuffer "$1" | grep -q "did not help here: boot on another"' \
	- "$tmp/stdout"

next written
put proc/cmdline "root=/dev/x quiet"
finds "what is written already is only to be built from" iommu.mode WARN \
	"/etc/default/grub has"
check "by its command" grep -q "already: run .* and reboot; if that was done" \
	"$tmp/stdout"
put etc/default/grub '#GRUB_CMDLINE_LINUX="intel_iommu=on iommu=pt"'
finds "a comment is no setting" iommu.mode WARN "add "
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMD_LINUX_DEFAULT="intel_iommu=on iommu=pt"'
finds "nor is a variable of another name" iommu.mode WARN "add "
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet intel_iommu=on iommu=pt
GRUB_CMDLINE_LINUX=""'
finds "a quote that is not closed is named" iommu.mode WARN \
	"but see to /etc/default/grub line 2: a quote is opened and not closed"
put proc/cmdline "root=/dev/x"
refuse "also by plan" 1 "its quote is not closed on that line" \
	plan --gpu 02:00.0
next mark
put proc/cmdline "root=/dev/x"
put etc/default/grub "$(printf '\357\273\277')GRUB_CMDLINE_LINUX=\"intel_iommu=on iommu=pt\""
finds "a byte order mark is named" iommu.mode WARN \
	"but see to /etc/default/grub line 1: it begins with a byte order mark"
next later
put usr/lib/sysctl.d/10-db.conf "vm.nr_hugepages = 100"
refuse "a package's sysctl comes after the command line" 1 \
	"/usr/lib/sysctl.d/10-db.conf: vm.nr_hugepages = 100 gives the pool" \
	plan --gpu 02:00.0 --region 1G
put etc/sysctl.d/10-db.conf "# not here"
expect "unless one of its name hides it" 0 "hugepages=512" \
	plan --gpu 02:00.0 --region 1G
put run/sysctl.d/20-db.conf "vm.nr_hugepages = 100"
put etc/sysctl.d/30-db.conf.bak "vm.nr_hugepages = 900"
refuse "so does one of this boot, and no copy of another name" 1 \
	"/run/sysctl.d/20-db.conf: vm.nr_hugepages = 100" \
	plan --gpu 02:00.0 --region 1G
next applied
expect "settings are written" 0 "host verify" "$penstock" host apply \
	--root "$tree" --gpu 02:00.0
finds "and only the boot is left" gpu.functions FAIL \
	"are in place: make the initramfs anew"

# ---- The four guards ---------------------------------------------------------
# A disk and a network card that the host needs.
needy() {
	next "$1"
	device 0000:04:00.0 144d a80a 010802 4 nvme
	device 0000:05:00.0 8086 1533 020000 5 igb
	mkdir -p "$tree/sys/class/block" "$tree/sys/class/net" \
		"$tree/sys/bus/pci/devices/0000:04:00.0/nvme/nvme0n1/nvme0n1p2" \
		"$tree/sys/bus/pci/devices/0000:05:00.0/net/eth0"
	put sys/bus/pci/devices/0000:04:00.0/nvme/nvme0n1/nvme0n1p2/partition 2
	put sys/bus/pci/devices/0000:04:00.0/nvme/nvme0n1/dev 259:0
	put sys/bus/pci/devices/0000:04:00.0/nvme/nvme0n1/nvme0n1p2/dev 259:2
	ln -s ../../bus/pci/devices/0000:04:00.0/nvme/nvme0n1/nvme0n1p2 \
		"$tree/sys/class/block/nvme0n1p2"
	ln -s ../../bus/pci/devices/0000:04:00.0/nvme/nvme0n1 \
		"$tree/sys/class/block/nvme0n1"
	ln -s ../../bus/pci/devices/0000:05:00.0/net/eth0 \
		"$tree/sys/class/net/eth0"
	put proc/self/mounts "/dev/nvme0n1p2 / ext4 rw 0 0"
	put proc/mounts "/dev/nvme0n1p2 / ext4 rw 0 0"
	put proc/net/route "Iface	Destination	Gateway	Flags	RefCnt	Use	Metric	Mask
eth0	00000000	0100A8C0	0003	0	0	100	00000000"
}
needy fine
expect "a host that keeps what it needs" 0 "for vfio-pci" plan --gpu 02:00.0
put etc/modprobe.d/v.conf "options vfio-pci ids=144d:a80a"
refuse "ids that take the disk of the root file system" 1 \
	"would take 0000:04:00.0 (144d:a80a) to vfio-pci, which is a disk" \
	plan --gpu 02:00.0
expect "unless that is meant" 0 "for vfio-pci" plan --gpu 02:00.0 --i-know
needy all
put etc/modprobe.d/v.conf "options vfio-pci \
ids=10de:ffffffff:ffffffff:ffffffff:00030000:ffff00ff"
refuse "ids that stand for all cards of a vendor" 1 \
	"0000:01:00.0 (10de:2684) to vfio-pci, which is the display" \
	plan --gpu 02:00.0
needy line
put proc/cmdline "root=/dev/x vfio-pci.ids=8086:1533"
refuse "ids that take the network" 1 "which is the network of this host" \
	plan --gpu 02:00.0
needy out
put etc/modprobe.d/no.conf "blacklist nvme"
refuse "a driver that the new initramfs would lack" 1 \
	"etc/modprobe.d/no.conf line 1 keeps nvme from being loaded" \
	plan --gpu 02:00.0
needy net
put etc/modprobe.d/no.conf "install igb /bin/true"
refuse "one of the network" 1 "no.conf line 1 keeps igb" plan --gpu 02:00.0
needy listed
put usr/bin/mkinitcpio ""
put etc/mkinitcpio.conf 'MODULES=(nvme)'
put etc/modprobe.d/no.conf "blacklist nvme"
expect "but not one that is loaded by its name" 0 "for vfio-pci" \
	plan --gpu 02:00.0
next display
rm -r "$tree/sys/bus/pci/devices/0000:01:00.0"
refuse "the last display" 1 "is the last display of this host" \
	plan --gpu 02:00.0
serial="console=tty0 console=ttyS0,115200n8"
put proc/cmdline "root=/dev/x $serial"
refuse "a serial line for this boot alone" 1 "is the last display of this host" \
	plan --gpu 02:00.0
put etc/default/grub "GRUB_CMDLINE_LINUX=\"intel_iommu=on iommu=pt $serial\""
expect "but with a serial line" 0 "for vfio-pci" plan --gpu 02:00.0
next kept
put etc/modprobe.d/no.conf "blacklist nvidia"
refuse "the last one with a driver" 1 "keeps nvidia from being loaded, which" \
	plan --gpu 02:00.0
next entry
rm "$tree/etc/default/grub"
put etc/kernel/cmdline "quiet splash"
put etc/kernel/install.conf "layout=bls"
refuse "entries without a root file system" 1 "has no root=, and the kernel" \
	plan --gpu 02:00.0
expect "on purpose" 0 "+quiet splash" plan --gpu 02:00.0 --i-know
finish
