#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock host check and plan on machines that are unlike each other, each
# made here with what was once judged wrongly of it.
# shellcheck disable=SC2016,SC2119,SC2317 # sh -c; "round"; it calls look()
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/treelib.sh"

# ---- Fedora: GRUB makes the loader entries of its own settings ----------------
begin fedora GenuineIntel
put sys/firmware/acpi/tables/DMAR x
put etc/default/grub 'GRUB_CMDLINE_LINUX="rhgb quiet"
GRUB_ENABLE_BLSCFG=true'
put etc/kernel/cmdline 'root=/dev/x ro rhgb quiet'
put boot/loader/entries/a.conf 'linux /vmlinuz
options root=/dev/x ro rhgb quiet'
mkdir "$tree/boot/grub2" "$tree/etc/dracut.conf.d"
put usr/sbin/grub2-mkconfig '# --update-bls-cmdline'
look() {
	has etc/kernel/cmdline intel_iommu=on
	has_not boot/loader/entries/a.conf intel_iommu=on
	# shellcheck disable=SC3013 # grub2-mkconfig asks so, too
	check "GRUB leaves /etc/kernel/cmdline as it is" \
		[ ! "$tree/etc/kernel/cmdline" -ot "$tree/etc/default/grub" ]
	# What grub2-mkconfig does when it is run as told.
	put boot/loader/entries/a.conf 'linux /vmlinuz
options root=/dev/x ro rhgb quiet intel_iommu=on'
	expect "what GRUB wrote is no hindrance to undo" 0 "restored" \
		"$penstock" host undo --root "$tree"
	put boot/loader/entries/a.conf 'linux /vmlinuz
options root=/dev/x ro rhgb quiet'
	"$penstock" host apply --root "$tree" >/dev/null
}
round
expect "grub2-mkconfig is told to" 0 "grub.cfg --update-bls-cmdline" plan
check "and kernel-install is not" sh -c '! grep -q kernel-install "$1"' - \
	"$tmp/stdout"
put usr/sbin/grub2-mkconfig '# of RHEL 9.0'
plan >"$tmp/stdout"
check "unless it does not know the option" sh -c \
	'grep -q "grub2-mkconfig.*grub.cfg$" "$1"' - "$tmp/stdout"
expect "asked for, entries are edited" 0 "+++ b/boot/loader/entries/a.conf" \
	plan --for systemd-boot

# ---- The only card, given away knowingly, of a settings file in Latin-1 --------
begin headless AuthenticAMD
put sys/firmware/acpi/tables/IVRS x
rm -r "$tree/sys/bus/pci/devices/0000:02:00."*
put etc/default/grub "$(printf '# Gr\374\337e \303\274\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"')"
refuse "the host's only display" 1 "--i-know" plan
expect "bytes that are no UTF-8 become U+FFFD" 0 \
	'# Gr\uFFFD\uFFFDe \u00FC\nGRUB' plan --i-know --json
look() {
	expect "an apply without options knows too" 0 "Nothing to change" \
		"$penstock" host apply --root "$tree"
	check "the other bytes are as they were" grep -qF \
		"$(printf '# Gr\374\337e')" "$tree/etc/default/grub"
}
round --i-know
put proc/iomem 'd0000000-dfffffff : 0000:01:00.0
  d0000000-d07e8fff : BOOTFB'
put sys/bus/pci/devices/0000:01:00.0/resource '0xd0000000 0xdfffffff 0x14220c'
expect "a framebuffer in its memory is told of" 0 "sysfb_init" plan --i-know

# ---- Pop!_OS: kernelstub owns the entries ---------------------------------------
begin popos AuthenticAMD
put sys/firmware/acpi/tables/IVRS x
put etc/kernelstub/configuration '{}'
put boot/efi/loader/entries/Pop_OS-current.conf 'linux /vmlinuz
options root=/dev/x'
expect "kernelstub's parameters are given" 0 \
	'kernelstub --add-options "iommu=pt hugepagesz=2M hugepages=512"' \
	plan --region 1G
rm "$tree/boot/efi/loader/entries/"*
echo 'linux /vmlinuz
options root=/dev/x' >"$tree/boot/efi/loader/entries/a.conf"
"$penstock" host apply --root "$tree" >/dev/null
rm "$tree/boot/efi/loader/entries/a.conf"
expect "an entry that an update removed hinders undo" 1 "--keep-edited" \
	"$penstock" host undo --root "$tree"
expect "unless that is meant" 0 \
	"kept      /boot/efi/loader/entries/a.conf" \
	"$penstock" host undo --keep-edited --root "$tree"
check "and the others are undone" [ ! -e "$tree/etc/modprobe.d" ]

# ---- A virtual function ----------------------------------------------------------
begin vf GenuineIntel
put sys/firmware/acpi/tables/DMAR x
device 0000:00:02.0 8086 4680 030000 40 i915 1
device 0000:00:02.1 8086 4680 030000 41 i915 0
ln -s ../0000:00:02.0 "$tree/sys/bus/pci/devices/0000:00:02.1/physfn"
expect "its physical function stays" 0 \
	"0000:00:02.1  8086:4680  VGA      for vfio-pci, now i915, by its address" \
	plan --gpu 00:02.1
check "without a rule" sh -c '! grep -q "0000:00:02\.0" "$1"' - "$tmp/stdout"

# ---- A group with what the host does without --------------------------------------
begin group GenuineIntel
put sys/firmware/acpi/tables/DMAR x
device 0000:00:1f.5 8086 a324 0c8000 2 -
device 0000:00:14.0 8086 a36d 0c0330 2 vfio-pci
expect "what vfio-pci has already is no hindrance" 0 "0000:00:14.0  8086:a36d" \
	plan --gpu 02:00.0
check "and what nobody has stays with nobody" sh -c \
	'! grep -q "0000:00:1f.5" "$1"' - "$tmp/stdout"
rm "$tree/sys/bus/pci/devices/0000:00:14.0/driver"
ln -s ../../../../bus/pci/drivers/xhci_vfio_pci \
	"$tree/sys/bus/pci/devices/0000:00:14.0/driver"
mkdir -p "$tree/sys/bus/pci/drivers/xhci_vfio_pci"
expect "nor what a variant of it has" 0 "0000:00:14.0  8086:a36d" \
	plan --gpu 02:00.0
rm "$tree/sys/bus/pci/devices/0000:00:14.0/driver"
ln -s ../../../../bus/pci/drivers/xhci_hcd \
	"$tree/sys/bus/pci/devices/0000:00:14.0/driver"
refuse "but what the host uses is" 1 "xhci_hcd), which the host needs" \
	plan --gpu 02:00.0

rm "$tree/sys/bus/pci/devices/0000:00:14.0/driver"
rm "$tree/sys/bus/pci/devices/0000:02:00.1/iommu_group" \
	"$tree/sys/kernel/iommu_groups/2/devices/0000:02:00.1"
expect "a function without a group is told of" 0 \
	"note: 0000:02:00.1 is in no IOMMU group" plan --gpu 02:00.0

# ---- Equal cards, whose ids somebody gave to vfio-pci -----------------------------
begin equal AuthenticAMD
put sys/firmware/acpi/tables/IVRS x
device 0000:03:00.0 10de 17c2 030000 3 nouveau 0
expect "equal cards are told apart by address" 0 "by its address" \
	plan --gpu 03:00.0
put etc/modprobe.d/vfio.conf '# mine
options vfio-pci ids=1af4:1110,10de:17c2'
refuse "ids that take the other card too are not left there" 1 \
	"etc/modprobe.d/vfio.conf line 2 gives vfio-pci the id 10de:17c2" \
	plan --gpu 03:00.0
rm "$tree/etc/modprobe.d/vfio.conf"
put proc/cmdline 'quiet vfio-pci.ids=10de:17c2'
expect "nor unsaid on the command line" 0 "take it off the command line" \
	plan --gpu 03:00.0

# ---- Several at a time -----------------------------------------------------------
begin many AuthenticAMD
put sys/firmware/acpi/tables/IVRS x
mkdir -p "$tree/var/lib"
cp -a "$tree" "$tree.before"
for _ in 1 2 3 4 5 6 7 8 9 10; do
	jobs=
	for what in apply undo "apply --region 2G" undo; do
		# shellcheck disable=SC2086 # words
		"$penstock" host $what --root "$tree" >/dev/null \
			2>>"$tmp/many" &
		jobs="$jobs $!"
	done
	# shellcheck disable=SC2086 # words
	wait $jobs
done
check "who comes second is told so, and nothing else" sh -c \
	'! grep -v "another penstock host changes the files" "$1"' - "$tmp/many"
"$penstock" host undo --root "$tree" >/dev/null
check "and undo leads back" diff -r --no-dereference "$tree" "$tree.before"

# ---- A restrictive umask -------------------------------------------------------
begin umask AuthenticAMD
put sys/firmware/acpi/tables/IVRS x
(
	umask 077
	"$penstock" host apply --root "$tree" >/dev/null
)
check "folders are for all to read" [ "$(stat -c %a "$tree/etc/modprobe.d")" \
	= 755 ]
check "so are files" [ "$(stat -c %a "$tree/etc/modprobe.d/"*)" = 644 ]
finish
