#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock host on hosts that boot in different ways: which file survives, which
# command makes what boots, and what a command would lose.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/treelib.sh"

# next NAME: an Intel host of that name whose IOMMU is off.
next() {
	begin "$1" GenuineIntel
	put sys/firmware/acpi/tables/DMAR x
}

# says SENTENCE WORDS: the plan does.
says() {
	expect "$1" 0 "$2" plan
}

# advises SENTENCE WORDS: the check's remedy for the IOMMU's mode does.
advises() {
	"$penstock" host check --root "$tree" >"$tmp/stdout" 2>"$tmp/stderr"
	check "$1" sh -c "grep '^....  iommu.mode' '$tmp/stdout' |
		grep -qF -e '$2'"
}

# ---- BLS: entries with words that /etc/default/grub does not have ------------
bls() {
	next "$1"
	put etc/default/grub "GRUB_CMDLINE_LINUX=\"$2\"
GRUB_ENABLE_BLSCFG=true"
	put boot/loader/entries/a.conf "title A
linux /vmlinuz
options root=/dev/x ro rootflags=subvol=r \$tuned_params quiet $3"
	put usr/sbin/grub2-mkconfig "--update-bls-cmdline"
	mkdir -p "$tree/boot/grub2" "$tree/etc/dracut.conf.d"
	put usr/bin/dracut ""
}
bls same "quiet rd.luks.uuid=1" "rd.luks.uuid=1"
says "entries that lose nothing are made from GRUB's settings" \
	"grub2-mkconfig -o /boot/grub2/grub.cfg --update-bls-cmdline"
advises "check says the same" "--update-bls-cmdline and reboot"
bls luks quiet "rd.luks.uuid=1 rd.lvm.lv=r/s"
says "words that would be lost are named" "have: rd.luks.uuid=1 rd.lvm.lv=r/s."
check "nothing makes the entries again" sh -c "! grep grub2-mkconfig.-o \
	'$tmp/stdout'"
check "they are edited" grep -q \
	"^+options .* rd.lvm.lv=r/s intel_iommu=on iommu=pt" "$tmp/stdout"
refuse "nor on request" 1 "rd.luks.uuid=1 rd.lvm.lv=r/s. Add it there first" \
	plan --for grub
advises "nor does check lose them" 'grubby --update-kernel=ALL --args="'
bls part "rd.luks.uuid=12" "rd.luks.uuid=1"
says "a part of a word is another word" "have: quiet rd.luks.uuid=1."
bls reset "quiet rd.luks.uuid=1" "rd.luks.uuid=1"
put etc/default/grub 'GRUB_CMDLINE_LINUX="quiet rd.luks.uuid=1"
GRUB_CMDLINE_LINUX="quiet"
GRUB_CMDLINE_LINUX_DEFAULT+=" splash"
GRUB_ENABLE_BLSCFG=true'
says "the last assignment is the one that counts" "have: rd.luks.uuid=1."

# ---- Programs that write entries from settings of their own ------------------
next cachyos
put etc/mkinitcpio.conf "MODULES=()"
put etc/sdboot-manage.conf 'LINUX_OPTIONS="quiet"'
put boot/loader/loader.conf ""
put boot/loader/entries/a.conf "linux /vmlinuz
options root=/dev/x"
says "sdboot-manage is to be told" \
	"to LINUX_OPTIONS in /etc/sdboot-manage.conf, too: intel_iommu=on iommu=pt"
check "its entries are edited as well" grep -q "^+options .*iommu=pt" \
	"$tmp/stdout"
next limine
put etc/mkinitcpio.conf "MODULES=()"
put etc/default/limine 'KERNEL_CMDLINE[default]="quiet"'
put usr/bin/limine-mkinitcpio ""
says "Limine's settings are named" "KERNEL_CMDLINE[default] of"
check "and what makes its images" grep -qx "    limine-mkinitcpio" "$tmp/stdout"
check "alone" sh -c "! grep -qx '    mkinitcpio -P' '$tmp/stdout'"
next refind
put boot/refind_linux.conf '"Boot"  "root=/dev/x"'
says "rEFInd's are" "the options of /boot/refind_linux.conf"
next unknown
says "where nothing is known, that is said" "no settings of GRUB or systemd-boot"

# ---- Programs that make the initramfs under the name that boots --------------
for maker in dracut-rebuild reinstall-kernels; do
	next "$maker"
	put etc/default/grub "GRUB_CMDLINE_LINUX_DEFAULT=quiet"
	mkdir -p "$tree/etc/dracut.conf.d"
	put usr/bin/dracut ""
	put "usr/bin/$maker" ""
	says "$maker makes the image that boots" "    $maker"
	check "and dracut none" sh -c "! grep -q regenerate-all '$tmp/stdout'"
done

# ---- What has booted, where a copy does not have all -------------------------
for how in "etc/os-release ID=fedora
OSTREE_VERSION='42.1'" "usr/lib/os-release OSTREE_VERSION=1" \
	"proc/cmdline root=/dev/x ostree=/ostree/boot.1/a/b/0"; do
	rm -rf "$tmp/ostree"
	next ostree
	put etc/default/grub "GRUB_CMDLINE_LINUX_DEFAULT=quiet"
	put "${how%% *}" "${how#* }"
	says "ostree is known by ${how%% *}" \
		"rpm-ostree kargs --append-if-missing=intel_iommu=on"
	advises "also to check" "rpm-ostree kargs"
	check "and GRUB's settings are not edited" sh -c \
		"! grep -q '^+++ b/etc/default/grub' '$tmp/stdout'"
done
next proxmox
put etc/default/grub "GRUB_CMDLINE_LINUX_DEFAULT=quiet"
put etc/kernel/cmdline "root=ZFS=rpool boot=zfs"
put etc/kernel/proxmox-boot-uuids 1234
advises "GRUB's settings count where GRUB booted" "/etc/default/grub"
put proc/cmdline 'initrd=\EFI\proxmox\6.14.8-2-pve\initrd.img root=ZFS=rpool'
advises "and not where the kernel's stub did" \
	"/etc/kernel/cmdline, run proxmox-boot-tool refresh and reboot"

# ---- NixOS --------------------------------------------------------------------
next nixos
put etc/NIXOS ""
mkdir -p "$tree/etc/nixos"
says "NixOS has its module imported" "have configuration.nix import"
put etc/nixos/flake.nix "{ }"
says "a flake has to see it, too" "git add penstock.nix"
finish
