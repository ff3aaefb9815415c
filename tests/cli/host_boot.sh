#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock host on hosts that boot in different ways: which file survives, which
# command makes what boots, and what a command would lose.
# shellcheck disable=SC2016,SC2119,SC2317 # GRUB's $kernelopts; "round" takes no
# arguments; it calls look()
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
bls kernelopts "quiet" ""
put boot/loader/entries/a.conf 'linux /vmlinuz
options $kernelopts $tuned_params'
put boot/grub2/grubenv "# GRUB Environment Block
kernelopts=root=/dev/x ro quiet rd.luks.uuid=1"
says "what RHEL 8 keeps in grubenv is not lost" "have: rd.luks.uuid=1."
check "its entries are edited" grep -qF \
	'+options $kernelopts $tuned_params intel_iommu=on' "$tmp/stdout"
check "and nothing sets kernelopts anew" sh -c "! grep -q \
	'^    grub2-mkconfig' '$tmp/stdout'"

# ---- Programs that write entries from settings of their own ------------------
next cachyos
put etc/mkinitcpio.conf "MODULES=()"
put etc/sdboot-manage.conf 'LINUX_OPTIONS="quiet"'
put boot/loader/loader.conf ""
put boot/loader/entries/a.conf "linux /vmlinuz
options root=/dev/x"
says "sdboot-manage's options are edited" \
	'+LINUX_OPTIONS="quiet intel_iommu=on iommu=pt"'
check "and it writes the entries" grep -qx "    sdboot-manage gen" "$tmp/stdout"
check "so that nobody else does" sh -c "! grep -q '^+options root' '$tmp/stdout'"
advises "check says the same" "run sdboot-manage gen"
put etc/sdboot-manage.conf 'LINUX_OPTIONS="quiet"
REMOVE_EXISTING="no"'
says "entries that it leaves alone are edited" "+options root=/dev/x intel_iommu"
check "which it need not be run for" sh -c \
	"! grep -q sdboot-manage.gen '$tmp/stdout'"
put etc/sdboot-manage.conf 'DEFAULT_ENTRY="latest"'
says "options that it does not have are asked for" \
	"nothing sets LINUX_OPTIONS in /etc/sdboot-manage.conf"

next limine
put etc/mkinitcpio.conf "MODULES=()"
put etc/default/limine 'KERNEL_CMDLINE[default]="root=/dev/x"
KERNEL_CMDLINE[default]+=" quiet"'
put usr/bin/limine-mkinitcpio ""
says "the last of Limine's lines gets them" \
	'+KERNEL_CMDLINE[default]+=" quiet intel_iommu=on iommu=pt"'
check "and what makes its images is run" grep -qx "    limine-mkinitcpio" \
	"$tmp/stdout"
check "once" [ "$(grep -c '^    limine' "$tmp/stdout")" -eq 1 ]
check "alone" sh -c "! grep -qx '    mkinitcpio -P' '$tmp/stdout'"
advises "check says the same" "KERNEL_CMDLINE[default] in /etc/default/limine"
put etc/default/limine 'KERNEL_CMDLINE[default]="root=/dev/x intel_iommu=off"
KERNEL_CMDLINE["linux-zen"]="root=/dev/x"'
says "a kernel with a line of its own is named" \
	'/etc/default/limine has KERNEL_CMDLINE["linux-zen"], which'
check "what contradicts is corrected" grep -qxF \
	'+KERNEL_CMDLINE[default]="root=/dev/x intel_iommu=on iommu=pt"' \
	"$tmp/stdout"
put etc/default/limine 'ESP_PATH="/boot"'
says "a root is not taken away by a first line" \
	"to all words of /proc/cmdline that the machine needs"
check "so no line is added" sh -c "! grep -q '^+KERNEL_CMD' '$tmp/stdout'"
put etc/limine-entry-tool.d/a.conf 'KERNEL_CMDLINE[default]+=" quiet"'
says "its folder counts, too" '+++ b/etc/limine-entry-tool.d/a.conf'
next limine-twice
for f in boot/limine.conf boot/EFI/arch-limine/limine.conf; do
	put $f "/Linux
    protocol: linux
    cmdline: root=/dev/x rw"
done
says "where two limine.conf are, Limine's version says which is read" \
	"+++ b/boot/limine.conf"
check "so both get them" grep -q "^+++ b/boot/EFI/arch-limine/limine.conf" \
	"$tmp/stdout"
next ukify
put usr/bin/mkinitcpio ''
put etc/mkinitcpio.conf 'MODULES=()'
put etc/kernel/cmdline 'root=/dev/x rw'
put etc/kernel/install.conf 'layout=uki
uki_generator=ukify'
says "no preset makes kernel-install's kernels" "    kernel-install add-all"
check "so none is asked to" sh -c "! grep -q 'mkinitcpio -P' '$tmp/stdout'"
next limine-by-hand
put boot/limine.conf 'timeout: 5
/Linux
    protocol: linux
    cmdline: root=/dev/x rw
/Memtest
    protocol: efi
    cmdline: fast
/Rescue
    kernel_cmdline: root=/dev/x single'
look() {
	has boot/limine.conf "    cmdline: root=/dev/x rw intel_iommu=on iommu=pt"
	has boot/limine.conf "x single intel_iommu=on iommu=pt"
	check "$tree: what is no kernel keeps its words" grep -qx \
		"    cmdline: fast" "$tree/boot/limine.conf"
}
round

next refind
put boot/refind_linux.conf '# "Old" "root=/dev/y"
"Boot"  "root=/dev/x ro initrd=boot\initramfs-linux.img"
"Single ""user"""	"root=/dev/x single"'
look() {
	has boot/refind_linux.conf '# "Old" "root=/dev/y"'
	has boot/refind_linux.conf 'initramfs-linux.img intel_iommu=on iommu=pt"'
	has boot/refind_linux.conf 'root=/dev/x single intel_iommu=on iommu=pt"'
}
round
advises "check names rEFInd's file" "/boot/refind_linux.conf"
put boot/refind_linux.conf 'nothing in quotes'
says "a file without options is named" "no line of /boot/refind_linux.conf has"

# ---- What is made of /etc/kernel/cmdline --------------------------------------
next tumbleweed
put etc/kernel/cmdline "root=/dev/x quiet"
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
put etc/sysconfig/bootloader 'LOADER_TYPE="grub2-bls"'
put boot/efi/loader/entries/a.conf "linux /linux
options root=/dev/x quiet"
put usr/bin/sdbootutil ""
put usr/bin/dracut ""
mkdir -p "$tree/etc/dracut.conf.d"
says "sdbootutil makes the entries" "    sdbootutil update-all-entries"
check "and the image on the ESP" grep -qx "    sdbootutil mkinitrd" "$tmp/stdout"
check "of one file" grep -q '^+++ b/etc/kernel/cmdline' "$tmp/stdout"
check "GRUB having none, and the entries none" sh -c "! grep -q \
	'^+++ b/etc/default\|^+++ b/boot' '$tmp/stdout'"
advises "check says the same" "run sdbootutil update-all-entries"
put etc/sysconfig/bootloader 'LOADER_TYPE="grub2-efi"'
says "unless GRUB has settings" "+++ b/etc/default/grub"
next debian
put etc/kernel/postinst.d/zz-systemd-boot ""
put boot/efi/loader/entries/a.conf "linux /linux
options root=/dev/x quiet"
mkdir -p "$tree/etc/initramfs-tools"
put usr/sbin/update-initramfs ""
put proc/cmdline 'initrd=\deb\initrd.img root=/dev/x quiet'
says "what the initramfs's hook would take from /proc/cmdline is written" \
	"+root=/dev/x quiet intel_iommu=on iommu=pt"
check "as /etc/kernel/cmdline, and said" grep -q \
	"^note: update-initramfs -u -k all makes what boots with the running" \
	"$tmp/stdout"
check "by one command" [ "$(grep -c '^    update-initramfs' "$tmp/stdout")" \
	-eq 1 ]
put proc/cmdline 'quiet'
says "without a root nothing is written" "no root= on the command line"
check "so that nothing is lost" sh -c "! grep -q 'b/etc/kernel' '$tmp/stdout'"
next uki
put etc/kernel/cmdline "root=/dev/x quiet"
put etc/kernel/install.conf layout=uki
mkdir -p "$tree/etc/dracut.conf.d"
put usr/bin/dracut ""
says "kernel-install makes unified kernels" "    kernel-install add-all"
check "once, initramfs and all" [ "$(grep -c '^    kernel-install\|^    dracut' \
	"$tmp/stdout")" -eq 1 ]
put var/lib/dpkg/status ""
says "but on Debian it does not find them" \
	"    dpkg-reconfigure linux-image-\$(uname -r)"
next dracut-uefi
put etc/dracut.conf.d/a.conf 'uefi="yes"
kernel_cmdline="root=/dev/x"'
put usr/bin/dracut ""
says "dracut's own command line is edited" \
	'+kernel_cmdline="root=/dev/x intel_iommu=on iommu=pt rd.driver.pre='
put etc/dracut.conf.d/a.conf "uefi='yes' # one file
kernel_cmdline='root=/dev/x'"
says "however it is written" "+kernel_cmdline='root=/dev/x intel_iommu=on"
put etc/dracut.conf.d/b.conf 'uefi=no'
says "and not where a later file turns it off" \
	"no settings of GRUB or systemd-boot"
rm "$tree/etc/dracut.conf.d/b.conf"
put etc/dracut.conf.d/a.conf 'uefi="yes"'
says "but not begun" "dracut makes unified kernels, and nothing sets their"
next preset
put etc/mkinitcpio.conf "MODULES=()"
put etc/mkinitcpio.d/linux.preset 'default_uki="/efi/EFI/Linux/arch.efi"'
put etc/kernel/cmdline "root=/dev/x"
says "a preset's unified kernel has /etc/kernel/cmdline" \
	"+root=/dev/x intel_iommu=on iommu=pt"
check "and one maker" [ "$(grep -c '^    mkinitcpio -P' "$tmp/stdout")" -eq 1 ]
put etc/mkinitcpio.d/lts.preset 'default_uki="/efi/EFI/Linux/lts.efi"
default_options="--cmdline /etc/kernel/cmdline-lts"'
says "a preset's own file is named where it is not there" \
	"with --cmdline, /etc/kernel/cmdline-lts, which is not there: add there"
put etc/kernel/cmdline-lts "root=/dev/lts"
says "and edited where it is" "+root=/dev/lts intel_iommu=on iommu=pt"
next drop-in-behind
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
put etc/default/grub.d/zzz.cfg 'GRUB_CMDLINE_LINUX_DEFAULT="splash"'
says "a drop-in that is read behind Penstock's is edited itself" \
	'+GRUB_CMDLINE_LINUX_DEFAULT="splash intel_iommu=on iommu=pt"'
next foreign-uki
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
put boot/efi/EFI/Linux/vendor.efi ""
says "what nobody knows the maker of is told of" \
	"a unified kernel is on the ESP, and what makes it is not known here"

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
put proc/cmdline "root=/dev/x ostree=/ostree/a/0 intel_iommu=off vfio_pci.ids=10de:1234"
says "what another card has is kept, and what contradicts goes" \
	"=vfio_pci.ids=10de:1234,10de:17c2,10de:0fb0 --append-if-missing=iommu=pt --delete-if-present=intel_iommu=off --delete-if-present=vfio_pci.ids=10de:1234"
put proc/cmdline 'root=/dev/x ostree=/ostree/a/0 iommu=soft,x;reboot'
refuse "what a shell would run is not pasted" 1 "no command can be given" plan
put proc/cmdline "root=/dev/x ostree=/ostree/a/0 intel_iommu=on iommu=pt"
says "what was told to it already is seen" "+++ b/etc/modprobe.d/"
check "and not asked for again" sh -c "! grep -q rpm-ostree.kargs '$tmp/stdout'"
next proxmox
put etc/default/grub "GRUB_CMDLINE_LINUX_DEFAULT=quiet"
put etc/kernel/cmdline "root=ZFS=rpool boot=zfs"
put etc/kernel/proxmox-boot-uuids 1234
advises "GRUB's settings count where GRUB booted" "/etc/default/grub"
put proc/cmdline 'initrd=\EFI\proxmox\6.14.8-2-pve\initrd.img root=ZFS=rpool'
advises "and not where the kernel's stub did" \
	"/etc/kernel/cmdline, run proxmox-boot-tool refresh and reboot"

put etc/kernel/proxmox-boot-uuids 1234
rm "$tree/etc/kernel/cmdline"
says "proxmox-boot-tool writes GRUB's menu, too" "    proxmox-boot-tool refresh"
check "and update-grub a file that nobody reads" sh -c \
	"! grep -q 'update-grub\|mkconfig' '$tmp/stdout'"

next popos
put boot/efi/loader/entries/a.conf "linux /linux
options root=/dev/x"
put etc/kernelstub/configuration '{
  "default": {
    "kernel_options": [
      "splash"
    ]
  },
  "user": {
    "kernel_options": [
      "quiet",
      "video=a,b"
    ],
    "config_rev": 3
  }
}'
says "what kernelstub writes entries of is edited" \
	'+      "video=a,b",'
check "the user's options, and as it writes them" grep -qx \
	'+      "intel_iommu=on",' "$tmp/stdout"
check "so that nothing is to be told to it" sh -c \
	"! grep -q 'kernelstub --add' '$tmp/stdout'"
look() {
	check "$tree: it is JSON" sh -c 'python3 -c "import json, sys
a = json.load(sys.stdin)
assert a[\"default\"][\"kernel_options\"] == [\"splash\"]
assert a[\"user\"][\"kernel_options\"][2:] == [\"intel_iommu=on\", \"iommu=pt\"]
" <"$1/etc/kernelstub/configuration"' - "$tree"
	advises "what is told to it already is seen" \
		"/etc/kernelstub/configuration has iommu=pt already: run kernelstub"
}
round
for odd in '{"user": {"kernel_options": []}}' \
	'{ "user": { "kernel_options": [ "quiet" ] } }'; do
	put etc/kernelstub/configuration "$odd"
	says "whatever the blanks: $odd" '"intel_iommu=on'
done
put etc/kernelstub/configuration '{"default": {"kernel_options": ["a"]},
 "user": {"x": 1}, "more": {"kernel_options": ["b"]}}'
says "where they are not found, the command is given" \
	'kernelstub --add-options "intel_iommu=on iommu=pt"'

# Two loaders: what has booted is what check names, and plan writes both.
next two
put etc/default/grub "GRUB_CMDLINE_LINUX_DEFAULT=quiet"
put boot/efi/loader/entries/a.conf "linux /linux
options root=/dev/x"
put boot/refind_linux.conf '"Boot" "root=/dev/x"'
put proc/cmdline 'BOOT_IMAGE=/vmlinuz root=/dev/x'
advises "GRUB has booted" "/etc/default/grub, run"
info=sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f
mkdir -p "$tree/${info%/*}"
printf '\006\000\000\000s\000y\000s\000t\000e\000m\000d\000-\000' >"$tree/$info"
rm "$tree/boot/refind_linux.conf"
advises "the firmware's word counts more" "/boot/efi/loader/entries"
printf '\006\000\000\000G\000R\000U\000B\000 \0002\000' >"$tree/$info"
put proc/cmdline 'initrd=\initrd.img root=/dev/x'
advises "for GRUB, too" "/etc/default/grub, run"
rm "$tree/$info"
advises "and without it the kernel's line" "/boot/efi/loader/entries"
says "plan writes the one" "+++ b/etc/default/grub"
check "and the other" grep -q "^+options root=/dev/x intel_iommu" "$tmp/stdout"

# ---- Two makers of initramfs ---------------------------------------------------
next ubuntu
put etc/default/grub "GRUB_CMDLINE_LINUX_DEFAULT=quiet"
mkdir -p "$tree/etc/dracut.conf.d" "$tree/etc/initramfs-tools"
put usr/bin/dracut ""
put usr/sbin/update-initramfs "exec dracut --force"
says "dracut's program of another's name makes no other's image" \
	"    dracut -f --regenerate-all"
check "and gets none of its settings" sh -c \
	"! grep -q initramfs-tools '$tmp/stdout'"

# ---- NixOS --------------------------------------------------------------------
next nixos
put etc/NIXOS ""
mkdir -p "$tree/etc/nixos"
says "NixOS has its module imported" "have configuration.nix import"
put etc/nixos/flake.nix "{ }"
says "a flake has to see it, too" "git add penstock.nix"
rm -r "$tree/etc/nixos/flake.nix"
put sys/devices/system/node/online 0-1
put sys/bus/pci/devices/0000:02:00.0/numa_node 1
put proc/sys/kernel/osrelease 5.15.1
expect "an old kernel's pool of one node is written as it boots" 0 \
	'node1/hugepages/hugepages-2048kB/nr_hugepages - - - - 512" ];' \
	plan --gpu 02:00.0 --region 1G
finish
