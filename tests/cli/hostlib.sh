# SPDX-License-Identifier: MIT
# Hosts that people have today, each with a card to give and one to keep, laid out
# as their distributions do; to be sourced behind treelib.sh. host_NAME makes the
# tree NAME; $hosts lists them in the order of the manual's table.
# shellcheck shell=sh
# shellcheck disable=SC2034 # for who sources it
hosts='fedora fedora_sdboot bazzite ubuntu_2404 ubuntu_2510 debian_13 debian_13_sdboot
proxmox_8 proxmox_9 popos arch_uki arch_limine arch_refind cachyos cachyos_limine
endeavouros tumbleweed tumbleweed_grub nixos two_sockets laptop equal_cards'

# title NAME: how the manual calls the host.
title() {
	case $1 in
	fedora) echo 'Fedora 42 (GRUB)' ;;
	fedora_sdboot) echo 'Fedora 42 (systemd-boot)' ;;
	bazzite) echo 'Bazzite, Silverblue' ;;
	ubuntu_2404) echo 'Ubuntu 24.04' ;;
	ubuntu_2510) echo 'Ubuntu 25.10 (dracut)' ;;
	debian_13) echo 'Debian 13' ;;
	debian_13_sdboot) echo 'Debian 13 (systemd-boot)' ;;
	proxmox_8) echo 'Proxmox 8 on ZFS' ;;
	proxmox_9) echo 'Proxmox 9 on ZFS' ;;
	popos) echo 'Pop!\_OS' ;;
	arch_uki) echo 'Arch (unified kernel)' ;;
	arch_limine) echo 'Arch (Limine)' ;;
	arch_refind) echo 'Arch (rEFInd)' ;;
	cachyos) echo 'CachyOS (systemd-boot)' ;;
	cachyos_limine) echo 'CachyOS (Limine)' ;;
	endeavouros) echo 'EndeavourOS' ;;
	tumbleweed) echo 'Tumbleweed (BLS)' ;;
	tumbleweed_grub) echo 'Tumbleweed (GRUB)' ;;
	nixos) echo 'NixOS (flake)' ;;
	two_sockets) echo 'Two sockets (Ubuntu)' ;;
	laptop) echo 'Laptop (Debian)' ;;
	equal_cards) echo 'Equal cards (Fedora)' ;;
	esac
}

# desk NAME ID RELEASE: a desktop, its screen on the processor's GPU at 00:02.0, a
# GeForce at 01:00 with its sound, and the kernel RELEASE of the system ID.
desk() {
	tree=$tmp/$1
	mkdir "$tree"
	put etc/os-release "ID=$2"
	put proc/cpuinfo "processor	: 0
vendor_id	: GenuineIntel
flags		: vmx
address sizes	: 46 bits physical, 48 bits virtual"
	put proc/meminfo 'MemTotal:       67108864 kB
Hugepagesize:       2048 kB'
	put proc/cmdline "BOOT_IMAGE=/vmlinuz root=UUID=1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed ro quiet"
	put proc/sys/kernel/osrelease "$3"
	put proc/mounts 'hugetlbfs /dev/hugepages hugetlbfs rw,pagesize=2M 0 0'
	put sys/devices/system/cpu/online 0-15
	put sys/devices/system/node/online 0
	put sys/firmware/acpi/tables/DMAR x
	put "lib/modules/$3/modules.dep" "kernel/drivers/vfio/pci/vfio-pci.ko:
kernel/drivers/vfio/vfio_iommu_type1.ko:"
	device 0000:00:02.0 8086 4680 030000 0 i915 1
	device 0000:01:00.0 10de 2684 030000 1 nouveau 0
	device 0000:01:00.1 10de 22ba 040300 1 snd_hda_intel
}

kernel_words='root=UUID=1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed ro quiet'

# entry FILE: a loader entry of the BLS.
entry() {
	put "$1" "title Linux
linux /vmlinuz
initrd /initrd
options $kernel_words"
}

grub_debian() {
	put etc/default/grub 'GRUB_DEFAULT=0
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX=""'
	put usr/sbin/grub-mkconfig '. ${sysconfdir}/default/grub.d'
	put usr/sbin/update-grub 'exec grub-mkconfig -o /boot/grub/grub.cfg'
	put boot/grub/grub.cfg ''
	mkdir -p "$tree/etc/default/grub.d"
}

initramfs_tools() {
	put etc/initramfs-tools/modules '# one a line'
	put usr/sbin/update-initramfs '# initramfs-tools'
	put usr/sbin/mkinitramfs ''
}

dracut() {
	put usr/bin/dracut ''
	mkdir -p "$tree/etc/dracut.conf.d" "$tree/usr/lib/dracut/dracut.conf.d"
}

mkinitcpio() {
	put etc/mkinitcpio.conf 'MODULES=()
HOOKS=(base systemd autodetect microcode modconf kms block filesystems)'
	put usr/bin/mkinitcpio ''
}

host_fedora() {
	desk fedora fedora 6.14.9-300.fc42.x86_64
	put etc/default/grub 'GRUB_DEFAULT=saved
GRUB_CMDLINE_LINUX="quiet"
GRUB_ENABLE_BLSCFG=true'
	put etc/kernel/cmdline "$kernel_words"
	put usr/sbin/grub2-mkconfig '# --update-bls-cmdline'
	put usr/sbin/grubby ''
	put boot/grub2/grub.cfg ''
	entry boot/loader/entries/0123456789abcdef0123456789abcdef-6.14.9.conf
	dracut
}

host_fedora_sdboot() {
	desk fedora_sdboot fedora 6.14.9-300.fc42.x86_64
	put etc/kernel/cmdline "$kernel_words"
	put usr/bin/sdubby ''
	put boot/efi/loader/loader.conf ''
	entry boot/efi/loader/entries/0123456789abcdef0123456789abcdef-6.14.9.conf
	dracut
}

host_bazzite() {
	desk bazzite bazzite 6.14.6-109.bazzite.fc42.x86_64
	put etc/os-release "ID=bazzite
ID_LIKE=fedora
OSTREE_VERSION='42.20250601'"
	put proc/cmdline "BOOT_IMAGE=(hd0,gpt2)/ostree/a/vmlinuz $kernel_words ostree=/ostree/boot.1/default/a/0"
	put etc/default/grub 'GRUB_CMDLINE_LINUX="quiet"
GRUB_ENABLE_BLSCFG=true'
	put usr/bin/rpm-ostree ''
	entry boot/loader/entries/ostree-1.conf
	mkdir -p "$tree/ostree"
	dracut
}

host_ubuntu_2404() {
	desk ubuntu_2404 ubuntu 6.8.0-60-generic
	grub_debian
	put etc/default/grub.d/init-select.cfg 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX"'
	initramfs_tools
}

host_ubuntu_2510() {
	desk ubuntu_2510 ubuntu 6.17.0-5-generic
	grub_debian
	put usr/sbin/update-initramfs '# dracut'
	mkdir -p "$tree/etc/initramfs-tools"
	dracut
}

host_debian_13() {
	desk debian_13 debian 6.12.38+deb13-amd64
	put var/lib/dpkg/status ''
	grub_debian
	initramfs_tools
}

host_debian_13_sdboot() {
	desk debian_13_sdboot debian 6.12.38+deb13-amd64
	put var/lib/dpkg/status ''
	put etc/kernel/postinst.d/zz-systemd-boot ''
	put proc/cmdline "initrd=\\deb\\6.12.38\\initrd.img $kernel_words"
	entry boot/efi/loader/entries/deb-6.12.38+deb13-amd64.conf
	initramfs_tools
}

proxmox() {
	desk "$1" debian "$2"
	put proc/cmdline "initrd=\\EFI\\proxmox\\$2\\initrd.img-$2 root=ZFS=rpool/ROOT/pve-1 boot=zfs"
	put etc/kernel/cmdline 'root=ZFS=rpool/ROOT/pve-1 boot=zfs'
	put etc/kernel/proxmox-boot-uuids 'AB12-CD34'
	put usr/sbin/proxmox-boot-tool ''
	grub_debian
	initramfs_tools
}

host_proxmox_8() {
	proxmox proxmox_8 6.8.12-10-pve
}

host_proxmox_9() {
	proxmox proxmox_9 6.14.8-2-pve
}

host_popos() {
	desk popos pop 6.9.3-76060903-generic
	put etc/kernelstub/configuration '{"user": {"kernel_options": ["quiet"]}}'
	put boot/efi/loader/loader.conf ''
	entry boot/efi/loader/entries/Pop_OS-current.conf
	initramfs_tools
}

host_arch_uki() {
	desk arch_uki arch 6.15.2-arch1-1
	mkinitcpio
	put etc/mkinitcpio.d/linux.preset 'ALL_kver="/boot/vmlinuz-linux"
PRESETS=("default")
default_uki="/boot/EFI/Linux/arch-linux.efi"'
	put etc/kernel/cmdline "$kernel_words"
	put boot/EFI/Linux/arch-linux.efi ''
	put boot/loader/loader.conf ''
}

host_arch_limine() {
	desk arch_limine arch 6.15.2-arch1-1
	mkinitcpio
	put boot/limine/limine.conf "timeout: 5
/Arch Linux
    protocol: linux
    path: boot():/vmlinuz-linux
    cmdline: $kernel_words
    module_path: boot():/initramfs-linux.img"
}

host_arch_refind() {
	desk arch_refind arch 6.15.2-arch1-1
	mkinitcpio
	put boot/refind_linux.conf "\"Boot\"  \"$kernel_words initrd=boot\\initramfs-linux.img\""
}

host_cachyos() {
	desk cachyos cachyos 6.15.2-2-cachyos
	mkinitcpio
	put etc/sdboot-manage.conf 'LINUX_OPTIONS="zswap.enabled=0 nowatchdog quiet"
LINUX_FALLBACK_OPTIONS="quiet"
REMOVE_EXISTING="yes"'
	put usr/bin/sdboot-manage ''
	put boot/loader/loader.conf ''
	entry boot/loader/entries/linux-cachyos.conf
}

host_cachyos_limine() {
	desk cachyos_limine cachyos 6.15.2-2-cachyos
	mkinitcpio
	put etc/default/limine "ESP_PATH=\"/boot\"
KERNEL_CMDLINE[default]+=\" $kernel_words\""
	put usr/bin/limine-mkinitcpio ''
	put usr/bin/limine-entry-tool ''
	put boot/limine.conf "/Linux
  cmdline: $kernel_words"
}

host_endeavouros() {
	desk endeavouros endeavouros 6.15.2-arch1-1
	dracut
	put usr/bin/reinstall-kernels ''
	put etc/kernel/cmdline "$kernel_words"
	put efi/loader/loader.conf ''
	entry efi/loader/entries/0123456789abcdef0123456789abcdef-6.15.2-arch1-1.conf
}

host_tumbleweed() {
	desk tumbleweed opensuse-tumbleweed 6.15.2-1-default
	dracut
	put etc/sysconfig/bootloader 'LOADER_TYPE="grub2-bls"'
	put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
	put etc/kernel/cmdline "$kernel_words"
	put usr/bin/sdbootutil ''
	entry boot/efi/loader/entries/opensuse-tumbleweed-6.15.2-1-default-1.conf
}

host_tumbleweed_grub() {
	desk tumbleweed_grub opensuse-tumbleweed 6.15.2-1-default
	dracut
	put etc/sysconfig/bootloader 'LOADER_TYPE="grub2-efi"'
	put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
	put boot/grub2/grub.cfg ''
	put usr/sbin/grub2-mkconfig '# openSUSE'
}

host_nixos() {
	desk nixos nixos 6.12.30
	put etc/NIXOS ''
	put etc/nixos/flake.nix '{ outputs = { nixpkgs, ... }: { }; }'
	put etc/nixos/configuration.nix '{ }'
}

# A board of two sockets, its screen on the board's controller, the card on the
# second one.
host_two_sockets() {
	desk two_sockets ubuntu 6.8.0-60-generic
	put proc/meminfo 'MemTotal:      268435456 kB
Hugepagesize:       2048 kB'
	put sys/devices/system/node/online 0-1
	for node in 0 1; do
		put "sys/devices/system/node/node$node/meminfo" \
			"Node $node MemTotal:      134217728 kB"
	done
	rm -r "$tree/sys/bus/pci/devices/0000:"*
	node=0
	device 0000:03:00.0 1a03 2000 030000 3 ast 1
	node=1
	device 0000:81:00.0 10de 2330 030200 81 nvidia
	node=
	grub_debian
	initramfs_tools
}

# The screen is the processor's GPU's; the other has none, and no VGA.
host_laptop() {
	desk laptop debian 6.12.38+deb13-amd64
	put var/lib/dpkg/status ''
	rm -r "$tree/sys/bus/pci/devices/0000:01:00.0"
	device 0000:01:00.0 10de 25a2 030200 1 nvidia
	grub_debian
	initramfs_tools
}

host_equal_cards() {
	desk equal_cards fedora 6.14.9-300.fc42.x86_64
	rm -r "$tree/sys/bus/pci/devices/0000:00:02.0"
	device 0000:02:00.0 10de 2684 030000 2 nvidia 1
	device 0000:02:00.1 10de 22ba 040300 2 snd_hda_intel
	put etc/default/grub 'GRUB_CMDLINE_LINUX="quiet"
GRUB_ENABLE_BLSCFG=true'
	put etc/kernel/cmdline "$kernel_words"
	put usr/sbin/grub2-mkconfig '# --update-bls-cmdline'
	put boot/grub2/grub.cfg ''
	entry boot/loader/entries/a.conf
	dracut
}
