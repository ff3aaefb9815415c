#!/bin/sh
# SPDX-License-Identifier: MIT
# What penstock host writes, given to the distributions' own tools: two Debian 13
# roots, one with initramfs-tools and one with dracut, get the hosts of
# tests/cli/hostlib.sh; the plan's commands run there by chroot(8) in namespaces of
# their own, and what they made is looked into.
#
# host_tools.sh FOLDER: the roots are made there by debootstrap and apt, and used
# again. Needs root, and a Debian archive in this machine's apt. PST_TOP_SRCDIR and
# PST_TOP_BUILDDIR as for the tests of the command.
# shellcheck disable=SC2016,SC2154,SC2317 # programs for sh -c; hostlib's; look()
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/treelib.sh"
. "$PST_TOP_SRCDIR/tests/cli/hostlib.sh"
. "$PST_TOP_SRCDIR/tests/long/rootlib.sh"
LC_ALL=C
DEBIAN_FRONTEND=noninteractive
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL DEBIAN_FRONTEND PATH
roots=$(realpath "$1") || exit 99
exec 9>"$roots/lock"
flock -n 9 || { echo "another run has the roots in $roots"; exit 99; }

# root_of NAME PACKAGE...: the root of that name, with the kernel of Debian 13.
root_of() {
	name=$1
	shift
	[ ! -e "$roots/$name.done" ] || return 0
	debian_at "$roots/$name" trixie &&
		inside "$roots/$name" "apt-get install -y --no-install-recommends \
			linux-image-amd64 kmod zstd cpio binutils systemd udev \
			systemd-ukify systemd-boot-efi grub-common \
			grub-pc-bin grub2-common $*" &&
		touch "$roots/$name.done"
}

# on NAME HOST: the tree $tree is a root with that host's hardware and settings.
on() {
	"host_$2"
	made=$tree
	tree=$roots/$1
	kernel=$(ls "$tree/lib/modules")
	rm -rf "${roots:?}/etc" "${tree:?}/proc" "${tree:?}/sys" "$tree/var/lib/penstock"
	mkdir "$tree/proc" "$tree/sys"
	cp -a "$tree/etc" "$roots/etc"
	cp -a "$made/proc/." "$tree/proc"
	cp -a "$made/sys/." "$tree/sys"
	rm -rf "$made"
	echo "$kernel" >"$tree/proc/sys/kernel/osrelease"
	# The command names the kernel that runs.
	put usr/local/bin/uname "#!/bin/sh
[ \"\$1\" = -r ] && echo $kernel && exit
exec /usr/bin/uname \"\$@\""
	chmod 755 "$tree/usr/local/bin/uname"
}

# done_with WHAT: penstock undoes, and the root gets its own settings back.
done_with() {
	"$penstock" host undo --root "$tree" >"$tmp/stdout" 2>&1
	grep -q restored "$tmp/stdout" || cat "$tmp/stdout"
	check "$1: undo restores every byte" diff -r --no-dereference \
		"$tree/etc" "$tmp/before"
	rm -rf "${tree:?}/etc" "$tmp/before"
	mv "$roots/etc" "$tree/etc"
}

# applied WHAT: plan, apply, and the commands that apply names, but no reboot.
applied() {
	cp -a "$tree/etc" "$tmp/before"
	"$penstock" host apply --root "$tree" --gpu 01:00.0 >"$tmp/stdout" 2>&1
	check "$1: apply" [ $? -eq 0 ]
	sed -n 's/^    \([a-z]\)/\1/p' "$tmp/stdout" | grep -vx reboot >"$tmp/run"
	cat "$tmp/run"
	while read -r command; do
		check "$1: $command" inside "$tree" "$command" \
			</dev/null >"$tmp/log" 2>&1 || tail -n 5 "$tmp/log"
		tail -n 1 "$tmp/log"
	done <"$tmp/run"
	"$penstock" host verify --root "$tree" >"$tmp/verify" 2>&1
	check "$1: verify sees the files" grep -q 'as it was written' "$tmp/verify"
}

# image WHAT LISTER: what the initramfs has.
image() {
	inside "$tree" "$2 /boot/initrd.img-$kernel" >"$tmp/list" 2>&1
	check "$1: vfio-pci is in the image" grep -q 'vfio-pci.ko' "$tmp/list"
	check "$1: vfio_iommu_type1 too" grep -q 'vfio_iommu_type1.ko' "$tmp/list"
	check "$1: and the settings" grep -q 'modprobe.d/00-penstock.conf' \
		"$tmp/list"
}

# cmdline WHAT FILE: the command line of the unified kernel.
cmdline() {
	objcopy -O binary --only-section=.cmdline "$2" "$tmp/cmdline"
	check "$1: the unified kernel has the parameters" grep -aq \
		'root=UUID=.* intel_iommu=on iommu=pt' "$tmp/cmdline"
}

root_of tools initramfs-tools || exit 99
root_of dracut dracut || exit 99

# ---- initramfs-tools and GRUB ------------------------------------------------------
on tools debian_13
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
mkdir -p "$tree/boot/grub"
applied tools
check "grub.cfg has the parameters" grep -q \
	'linux.*/vmlinuz.* quiet intel_iommu=on iommu=pt' "$tree/boot/grub/grub.cfg"
image tools lsinitramfs
rm -rf "$tree/tmp/image"
inside "$tree" "unmkinitramfs /boot/initrd.img-$kernel /tmp/image" >/dev/null 2>&1
check "the image's modprobe.d has the ids" grep -rq \
	'^options vfio-pci ids=10de:2684,10de:22ba' "$tree/tmp/image"
check "its first module is vfio-pci" sh -c '
	find "$1" -path "*conf/modules" -exec cat {} + | grep -m 1 . |
		grep -q "^vfio_pci *$"' - "$tree/tmp/image"
done_with tools

# ---- Equal cards: a rule of udev in the image -------------------------------------
on tools debian_13
device 0000:02:00.0 10de 2684 030000 2 nouveau 0
applied equal
rm -rf "$tree/tmp/image"
inside "$tree" "unmkinitramfs /boot/initrd.img-$kernel /tmp/image" >/dev/null 2>&1
check "the image has the rule" sh -c '
	find "$1" -name 10-penstock-vfio.rules | grep -q .' - "$tree/tmp/image"
done_with equal

# ---- kernel-install with ukify ------------------------------------------------------
on tools debian_13
rm -f "$tree/etc/default/grub"
put etc/kernel/install.conf layout=uki
put etc/kernel/cmdline "$kernel_words"
put etc/machine-id 0123456789abcdef0123456789abcdef
mkdir -p "$tree/boot/EFI/Linux" "$tree/boot/0123456789abcdef0123456789abcdef"
rm -f "$tree/boot/EFI/Linux/"*
applied uki
for f in "$tree/boot/EFI/Linux/"*.efi; do
	cmdline uki "$f"
	objcopy -O binary --only-section=.initrd "$f" "$tree/tmp/initrd"
done
inside "$tree" "lsinitramfs /tmp/initrd" >"$tmp/list" 2>&1
check "and vfio-pci in its image" grep -q vfio-pci.ko "$tmp/list"
done_with uki

# ---- kernel-install with entries ------------------------------------------------------
on tools debian_13
rm -f "$tree/etc/default/grub"
put etc/kernel/install.conf layout=bls
put etc/kernel/cmdline "$kernel_words"
put etc/machine-id 0123456789abcdef0123456789abcdef
mkdir -p "$tree/boot/loader/entries" "$tree/boot/0123456789abcdef0123456789abcdef"
rm -f "$tree/boot/loader/entries/"*
applied entries
check "the entry has the parameters" grep -rq \
	'^options .*root=UUID=.* intel_iommu=on iommu=pt' "$tree/boot/loader/entries"
done_with entries
rm -rf "$tree/boot/loader" "$tree/boot/0123456789abcdef0123456789abcdef"

# ---- dracut --------------------------------------------------------------------------
on dracut ubuntu_2510
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
mkdir -p "$tree/boot/grub"
applied dracut
image dracut lsinitrd
inside "$tree" "lsinitrd -f etc/modprobe.d/00-penstock.conf /boot/initrd.img-$kernel" \
	>"$tmp/list" 2>&1
check "the image's modprobe.d has the ids" grep -q \
	'^options vfio-pci ids=10de:2684,10de:22ba' "$tmp/list"
check "grub.cfg has dracut's parameter, too" grep -q \
	'linux.*iommu=pt rd.driver.pre=vfio-pci' "$tree/boot/grub/grub.cfg"
done_with dracut

# ---- dracut's unified kernels --------------------------------------------------------
on dracut ubuntu_2510
rm -f "$tree/etc/default/grub"
put etc/dracut.conf.d/uki.conf "uefi=\"yes\"
kernel_cmdline=\"$kernel_words\""
put etc/machine-id 0123456789abcdef0123456789abcdef
mkdir -p "$tree/boot/efi/EFI/Linux"
rm -f "$tree/boot/efi/EFI/Linux/"*
applied dracut-uefi
check "one unified kernel is made" [ "$(find "$tree/boot" -name '*.efi' | wc -l)" -eq 1 ]
cmdline dracut-uefi "$(find "$tree/boot" -name '*.efi')"
done_with dracut-uefi
rm -rf "$tree/boot/efi"
finish
