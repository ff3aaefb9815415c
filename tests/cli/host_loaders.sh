#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock host on hosts that other loaders boot, or other settings of GRUB's: which
# file survives, what a command would lose, what no file can tell.
#
# Relatives of kind K1 (who regenerates what from what):
#   menu-edited     words that somebody put into grub.cfg, which its command takes out
#   u-boot-menu     extlinux.conf is made of settings, and of other files than one thinks
#   firmware-entry  the firmware starts the kernel, and has its command line itself
#   zfsbootmenu     the command line is a property of a file system
#   menu-on-esp     the menu that is read is not the one that is written by habit
#   vendor-cmdline  the next kernel's entry is made of /usr/lib/kernel/cmdline
# shellcheck disable=SC2016,SC2119,SC2317 # settings with variables; "round" takes
# no arguments; it calls look()
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/treelib.sh"

wanted="intel_iommu=on iommu=pt"

# next NAME: an Intel host of that name whose IOMMU is off.
next() {
	begin "$1" GenuineIntel
	put sys/firmware/acpi/tables/DMAR x
}

# says SENTENCE WORDS: the plan does; adds WORDS: as a line of a file. says_not: it
# does not, by the output of the last plan.
says() {
	expect "$1" 0 "$2" plan
}
adds() {
	says "$1" "+$2"
}
says_not() {
	check "$1" sh -c '! grep -qF -e "$1" "$2"' - "$2" "$tmp/stdout"
}

# advises SENTENCE WORDS: the check's remedy for the IOMMU's mode does.
advises() {
	"$penstock" host check --root "$tree" >"$tmp/stdout" 2>"$tmp/stderr"
	check "$1" sh -c "grep '^....  iommu.mode' '$tmp/stdout' |
		grep -qF -e \"$2\""
}

# utf16 TEXT: as the firmware has it.
utf16() {
	printf '%s' "$1" | sed 's/./&\x0/g'
}

# ---- menu-edited: words that somebody put into grub.cfg -----------------------
# menu NAME SETTINGS WORDS: settings, and a menu that was not made of them.
menu() {
	next "$1"
	put etc/default/grub "$2"
	put usr/bin/grub-mkconfig '. ${sysconfdir}/default/grub.d'
	put boot/grub/grub.cfg "### BEGIN /etc/grub.d/00_header ###
set timeout=5
### END /etc/grub.d/00_header ###
### BEGIN /etc/grub.d/10_linux ###
menuentry 'Arch' {
	linux	/vmlinuz-linux root=UUID=1 rw $3
	initrd	/initramfs-linux.img
}
menuentry 'Rescue' {
	linux	/vmlinuz-linux root=UUID=1 rw single nomodeset
}
### END /etc/grub.d/10_linux ###
### BEGIN /etc/grub.d/30_os-prober ###
menuentry 'Other' {
	linux	/vmlinuz root=UUID=2 cryptdevice=UUID=3:b
}"
}
quiet='GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
menu menu-edited "$quiet" "quiet acpi_osi=!"
says "what a command takes out of the menu is told" \
	"take out of /boot/grub/grub.cfg what GRUB's settings do not have: acpi_osi=!."
says_not "and rescue, or another system, is not meant" nomodeset
menu menu-vital "$quiet" "cryptdevice=UUID=1:a quiet"
refuse "the way to the root is not lost" 1 \
	"cryptdevice=UUID=1:a. The root file system may be behind it" plan
expect "unless somebody knows better" 0 "will take out of" plan --i-know
menu menu-drop-in "$quiet" "quiet rd.luks.uuid=1 crashkernel=1G"
put etc/default/grub.d/kdump.cfg \
	'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=1G"'
put etc/default/grub.d/luks.cfg 'GRUB_CMDLINE_LINUX="rd.luks.uuid=1"'
says "what drop-ins have is not lost" "+++ b/etc/default/grub.d/zz-penstock.cfg"
says_not "and not told" "take out of"
put usr/bin/grub-mkconfig ''
refuse "but where nobody reads them it is" 1 "rd.luks.uuid=1 crashkernel=1G. The" plan
menu menu-program 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX="$(cat /etc/words)"' "quiet rd.luks.uuid=1"
says "what only a shell knows is not guessed at" "+++ b/etc/default/grub"
says_not "nor refused" "take out of"
menu menu-reached "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet $wanted\"" "quiet $wanted x=1"
put proc/cmdline "BOOT_IMAGE=/vmlinuz root=/dev/x $wanted"
says "a menu that is not made anew loses nothing" "+++ b/etc/modprobe.d/"
says_not "so nothing is told" "take out of"

# ---- Entries of GRUB that somebody wrote ---------------------------------------
menu own "$quiet" quiet
put etc/grub.d/10_linux 'linux ${rel}/${basename} root=${device} ro ${args}'
put etc/grub.d/40_custom '#!/bin/sh
exec tail -n +3 $0
menuentry "Mine" {
	linux /boot/vmlinuz-mine root=/dev/x ro'
says "an entry of one's own has words of its own" \
	"/etc/grub.d/40_custom line 4 boots a kernel with words of its own"
put boot/xen-4.17.gz ''
says "Xen beside it is told" "boot the entry without Xen"
rm "$tree/etc/grub.d/40_custom"
put boot/grub/custom.cfg '  linux (hd0,gpt2)/vmlinuz root=/dev/x'
says "custom.cfg is one, too" "/boot/grub/custom.cfg line 1 boots"

# ---- menu-on-esp: where the menu is that is read -------------------------------
menu menu-on-esp "$quiet" quiet
mkdir -p "$tree/sys/firmware/efi" "$tree/boot/efi/EFI/redhat" "$tree/boot/grub2"
cp "$tree/boot/grub/grub.cfg" "$tree/boot/grub2"
mv "$tree/boot/grub/grub.cfg" "$tree/boot/efi/EFI/redhat"
says "RHEL 8's menu is on the ESP" \
	"    grub2-mkconfig -o /boot/efi/EFI/redhat/grub.cfg"
put boot/efi/EFI/redhat/grub.cfg 'configfile $prefix/grub.cfg'
says "where a few lines lead to another, that is it" \
	"    grub2-mkconfig -o /boot/grub2/grub.cfg"
rm -r "$tree/boot/grub2" "$tree/boot/efi"
mkdir -p "$tree/efi/grub"
put efi/grub/grub.cfg ''
says "Arch with GRUB on the ESP" "    grub-mkconfig -o /efi/grub/grub.cfg"
ln -s ../../efi/grub/grub.cfg "$tree/boot/grub/grub.cfg"
says "a menu that is a link is written where that leads" \
	"    grub-mkconfig -o /boot/grub/../../efi/grub/grub.cfg"
ln -sf '/efi/grub/$(id).cfg' "$tree/boot/grub/grub.cfg"
says_not "and what a shell would run is not pasted" '$(id)'

# ---- Cloud images ---------------------------------------------------------------
next cloud
put etc/default/grub "$quiet"
put etc/default/grub.d/50-cloudimg-settings.cfg '# Cloud Image specific
GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0"
GRUB_TIMEOUT=0'
put etc/default/grub.d/kdump-tools.cfg \
	'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=1G"'
look() {
	check "$tree: a shell reads all of it" [ "$(grub_words)" = \
		" console=tty1 console=ttyS0 crashkernel=1G $wanted" ]
}
round

# ---- u-boot-menu and the other children of syslinux ----------------------------
next u-boot-menu
put usr/sbin/u-boot-update ''
put etc/default/u-boot '#U_BOOT_PARAMETERS="ro quiet"
U_BOOT_PARAMETERS="ro splash"'
put boot/extlinux/extlinux.conf 'append root=/dev/x ro splash'
adds "Debian's menu of U-Boot is made of settings" \
	"U_BOOT_PARAMETERS=\"ro splash $wanted\""
says "by its command" "    u-boot-update"
says_not "the menu itself is left to it" "+append"
put etc/u-boot-menu/conf.d/a.conf 'U_BOOT_PARAMETERS="ro debug"'
adds "what comes after them counts" "U_BOOT_PARAMETERS=\"ro debug $wanted\""
advises "check says the same" "U_BOOT_PARAMETERS in /etc/default/u-boot, run u-boot"
put etc/default/u-boot ''
rm -r "$tree/etc/u-boot-menu"
says "what nobody has set is not begun" \
	"nothing sets U_BOOT_PARAMETERS in /etc/default/u-boot"
put etc/kernel/cmdline "root=/dev/x ro"
adds "then it takes another file" "root=/dev/x ro $wanted"
says "by the same command" "    u-boot-update"
next alpine
put sbin/update-extlinux ''
put etc/update-extlinux.conf 'overwrite=1
default_kernel_opts="quiet rootfstype=ext4"'
put boot/extlinux.conf '  APPEND root=UUID=1 quiet rootfstype=ext4'
adds "Alpine's is made of settings, too" \
	"default_kernel_opts=\"quiet rootfstype=ext4 $wanted\""
says "and by its command" "    update-extlinux"
next syslinux
put boot/syslinux/syslinux.cfg 'DEFAULT arch
LABEL arch
    LINUX ../vmlinuz-linux
    APPEND root=/dev/x rw
LABEL hdt
    COM32 hdt.c32
    APPEND modules_pcimap=x
LABEL old
    append initrd=../old.img root=/dev/x ro intel_iommu=off'
look() {
	has boot/syslinux/syslinux.cfg "    APPEND root=/dev/x rw $wanted"
	has boot/syslinux/syslinux.cfg "=../old.img root=/dev/x ro $wanted"
	check "$tree: what is no kernel keeps its words" grep -qx \
		"    APPEND modules_pcimap=x" "$tree/boot/syslinux/syslinux.cfg"
}
round
advises "check names the file" "to the lines append in /boot/syslinux/syslinux.cfg"
put boot/syslinux/syslinux.cfg 'DEFAULT vesamenu.c32'
says "a file without a kernel is named" 'no line "append" with a root='

# ---- firmware-entry: the firmware starts the kernel itself ----------------------
guid=8be4df61-93ca-11d2-aa0d-00e098032b8c
next firmware-entry
vars=sys/firmware/efi/efivars
put proc/cmdline 'root=/dev/x initrd=\initrd quiet'
mkdir -p "$tree/$vars"
printf '\007\000\000\000\003\000' >"$tree/$vars/BootCurrent-$guid"
# A partition (the second) and a file in the path, then the words.
{
	printf '\007\000\000\000\001\000\000\000\114\000'
	utf16 "My Linux"
	printf '\000\000\004\001\052\000\002\000\000\000'
	printf 'SERIAL-OF-A-DISK-0123456789ABCDEFxxx' | head -c 34
	printf '\004\004\036\000'
	utf16 '\vmlinuz-arch'
	printf '\177\377\004\000'
	utf16 'root=/dev/x initrd=\initrd quiet'
} >"$tree/$vars/Boot0003-$guid"
says "the firmware's entry is found" \
	"its entry Boot0003 (My Linux) has the command line"
says "one more of it is what helps" "--create --disk DISK --part 2 --label"
says "with its words and ours" \
	"--loader '\\vmlinuz-arch' --unicode 'root=/dev/x initrd=\\initrd quiet $wanted'"
says_not "and nothing else is guessed" "no settings of GRUB"
advises "check says the same" "words of the firmware's entry Boot0003"
"$penstock" host report --root "$tree" -o "$tmp/r.tar" >"$tmp/stdout" 2>&1
mkdir "$tmp/r"
tar -xf "$tmp/r.tar" -C "$tmp/r"
check "a report has no serial number of it" sh -c '! grep -rqa SERIAL "$1"' - "$tmp/r"
tree=$tmp/r
says "and all that the plan needs" "--loader '\\vmlinuz-arch' --unicode 'root=/dev/x"
tree=$tmp/firmware-entry
for size in 4 11 20 40 80 100; do
	head -c "$size" "$tree/$vars/Boot0003-$guid" >"$tmp/cut"
	cp "$tmp/cut" "$tree/$vars/Boot0003-$guid.x"
	mv "$tree/$vars/Boot0003-$guid" "$tmp/whole"
	mv "$tree/$vars/Boot0003-$guid.x" "$tree/$vars/Boot0003-$guid"
	says "an entry cut off at $size bytes is none" "no settings of GRUB"
	mv "$tmp/whole" "$tree/$vars/Boot0003-$guid"
done
put proc/cmdline "root=/dev/x initrd=\\initrd quiet $wanted"
says "what the kernel has already is not asked for" "+++ b/etc/modprobe.d/"
says_not "by the firmware" "efibootmgr"
rm -r "${tree:?}/$vars"
put proc/cmdline 'root=/dev/x initrd=\initrd quiet'
put etc/default/grub "$quiet"
says "without it, settings of a loader that has not booted are no proof" \
	"the kernel's own stub (initrd=\\...) has booted this host, whose"

# ---- zfsbootmenu -----------------------------------------------------------------
next zfsbootmenu
put proc/cmdline 'root=zfs:zroot/ROOT/void spl_hostid=1 quiet'
put etc/zfsbootmenu/config.yaml 'Kernel:
  CommandLine: ro quiet loglevel=0'
mkdir -p "$tree/etc/dracut.conf.d"
put usr/bin/dracut ''
says "the property is named, and how it is changed" \
	"zbm-kcl -a intel_iommu=on -a iommu=pt -a rd.driver.pre=vfio-pci zroot/ROOT/void"
says_not "ZFSBootMenu's own words are left" "+++ b/etc/zfsbootmenu"
advises "check says the same" "property org.zfsbootmenu:commandline"
put proc/cmdline 'root=zfs:zroot/ROOT/void intel_iommu=off vfio-pci.ids=10de:1234'
says "what another card has is kept, and what contradicts goes" \
	"-a vfio-pci.ids=10de:1234,10de:17c2,10de:0fb0 -a iommu=pt -a rd.driver.pre=vfio-pci -r intel_iommu=off -r vfio-pci.ids=10de:1234 zroot"
put proc/cmdline 'root=zfs:a;reboot quiet'
says "what a shell would run is not pasted" "rd.driver.pre=vfio-pci DATASET (or"

# ---- rEFInd's stanzas ------------------------------------------------------------
next refind-stanza
put boot/efi/EFI/refind/refind.conf 'timeout 20
menuentry "Arch" {
    loader  /vmlinuz-linux
    options "root=/dev/x rw"
    submenuentry "Terminal" {
        add_options "systemd.unit=multi-user.target"
    }
}
menuentry "Sample" {
    options "root=/dev/y ro"
    submenuentry "S" {
        options "root=/dev/y single"
    }
    disabled
}'
look() {
	has boot/efi/EFI/refind/refind.conf "    options \"root=/dev/x rw $wanted\""
	has boot/efi/EFI/refind/refind.conf '    options "root=/dev/y ro"'
}
round
advises "check names the file" "options in /boot/efi/EFI/refind/refind.conf"
put boot/efi/EFI/refind/refind.conf 'timeout 20'
says "without one there is a way to get a file" "mkrlconf writes a"
put efi/EFI/arch/refind_linux.conf '"Boot" "root=/dev/x"'
adds "a file beside the kernel on the ESP" '"Boot" "root=/dev/x intel_iommu'

# ---- vendor-cmdline ----------------------------------------------------------------
next vendor-cmdline
put usr/lib/kernel/cmdline "root=/dev/x vendor"
put boot/efi/loader/entries/a.conf "linux /linux
options root=/dev/x vendor"
adds "the next kernel's entry does not lose the words" "root=/dev/x vendor $wanted"
says "since a file of the host's own is made of the vendor's" \
	"/etc/kernel/cmdline of the words of /usr/lib/kernel/cmdline"
adds "the entry that is there gets them, too" "options root=/dev/x vendor $wanted"
put etc/kernel/cmdline "root=/dev/x mine"
adds "one's own file comes before it" "root=/dev/x mine $wanted"
check "and is the only one" [ "$(grep -c '^+root=' "$tmp/stdout")" -eq 1 ]

# ---- Files that an entry boots ---------------------------------------------------
next missing
put boot/efi/loader/entries/a.conf "linux /linux-1
initrd /initrd-1
options root=/dev/x"
says "a copy without kernels tells nothing of them" "+options root=/dev/x"
says_not "so nothing is said" "which is not there"
put boot/efi/linux-1 ''
says "what an entry lacks is told" \
	"/boot/efi/loader/entries/a.conf names /initrd-1, which is not there"
put boot/initrd-1 ''
says "it may lie in /boot" "+options root=/dev/x"
says_not "and is there" "which is not there"
put boot/efi/loader/entries/b.conf "linux /gone/linux
options root=/dev/x"
says "an entry of a kernel that is gone" "names /gone/linux, which is not there"

# ---- Secure Boot ------------------------------------------------------------------
next secure
put proc/cmdline "root=/dev/x quiet"
put etc/mkinitcpio.conf "MODULES=()"
put etc/mkinitcpio.d/linux.preset 'default_uki="/efi/EFI/Linux/arch.efi"'
put etc/kernel/cmdline "root=/dev/x"
mkdir -p "$tree/$vars"
printf '\006\000\000\000\001' >"$tree/$vars/SecureBoot-$guid"
says "who signs a new unified kernel is asked" \
	"Secure Boot is on, and nothing seen here signs a new unified kernel"
put usr/bin/sbctl ''
says "where somebody does" "    mkinitcpio -P"
says_not "nobody is asked" "Secure Boot is on"

# ---- Xen ---------------------------------------------------------------------------
next dom0
put etc/default/grub "$quiet"
put sys/hypervisor/type xen
put sys/hypervisor/uuid 00000000-0000-0000-0000-000000000000
refuse "below Xen there is no VFIO" 1 "runs as Xen's dom0" plan
"$penstock" host check --root "$tree" >"$tmp/stdout" 2>&1
check "check says so" grep -q "^FAIL  iommu.enabled .*Xen's dom0" "$tmp/stdout"
put sys/hypervisor/uuid 01234567-0000-0000-0000-000000000000
says "a guest of Xen is no dom0" "+++ b/etc/default/grub"
put proc/xen/capabilities control_d
refuse "which says so of itself" 1 "boot the entry without Xen" plan
finish
