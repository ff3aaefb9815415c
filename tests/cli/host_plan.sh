#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock host plan, apply, verify and undo on trees of several machines, and
# what the programs that read the files make of them.
# shellcheck disable=SC2016,SC2317 # programs for sh -c; round() calls look()
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/treelib.sh"
PATH=$PATH:/sbin:/usr/sbin
grub_line='GRUB_CMDLINE_LINUX_DEFAULT="quiet splash" # mine'

modprobe_words() {
	modprobe -C "$tree/etc/modprobe.d" -c 2>"$tmp/modprobe"
}

# ---- Arch with GRUB and mkinitcpio, Intel, one node --------------------------
begin arch GenuineIntel
put sys/firmware/acpi/tables/DMAR x
put etc/default/grub "GRUB_TIMEOUT=5
$grub_line"
put etc/mkinitcpio.conf 'MODULES=(btrfs nvidia) # two
HOOKS=(base udev modconf kms block)'
look() {
	check "GRUB's settings are sourced" [ "$(grub_words)" = \
		" quiet splash intel_iommu=on iommu=pt hugepagesz=2M hugepages=10240" ]
	has etc/default/grub "# mine"
	check "bash sources mkinitcpio.conf" [ "$(bash -euc \
		'. "$1"; echo "${MODULES[*]}"' - "$tree/etc/mkinitcpio.conf")" = \
		"vfio_pci vfio vfio_iommu_type1 btrfs nvidia" ]
	check "modprobe reads the ids" sh -c "modprobe -C '$tree/etc/modprobe.d' \
		-c | grep -qx 'options vfio_pci ids=10de:17c2,10de:0fb0'"
	for m in nvidia nvidia_drm nvidia_modeset nvidia_uvm nouveau nvidiafb \
		snd_hda_intel; do
		check "modprobe loads vfio-pci before $m" sh -c "modprobe -C \
			'$tree/etc/modprobe.d' -c |
			grep -qx 'softdep $m pre: vfio-pci'"
	done
	modprobe_words >/dev/null
	check "modprobe has no complaint" [ ! -s "$tmp/modprobe" ]
	expect "the commands are Arch's" 0 "mkinitcpio -P" \
		plan --for mkinitcpio,grub --region 8G
}
round --region 4G --vm-memory 16G
expect "a conflict is corrected in place" 0 '+GRUB_CMDLINE_LINUX="iommu=pt' \
	sh -c 'echo "GRUB_CMDLINE_LINUX=\"iommu=soft\"" >>"$1/etc/default/grub"
	"$2" host plan --root "$1"' - "$tree" "$penstock"
put etc/default/grub 'if true; then
	GRUB_CMDLINE_LINUX_DEFAULT=quiet
fi'
refuse "a condition is not edited" 1 "line 2" plan
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet \
splash"'
refuse "nor is a continued line" 1 "by hand" plan
put etc/default/grub "$grub_line"
mkdir "$tree/etc/mkinitcpio.conf.d"
look() {
	check "bash sources main file and drop-in" [ "$(bash -euc \
		'. "$1"; . "$2"; echo "${MODULES[*]}"' - \
		"$tree/etc/mkinitcpio.conf" \
		"$tree/etc/mkinitcpio.conf.d/zz-penstock.conf")" = \
		"vfio_pci vfio vfio_iommu_type1 btrfs nvidia" ]
	has_not etc/mkinitcpio.conf vfio
}
rm -rf "$tree".*
same=$part
round --for mkinitcpio
same="Nothing to change."

# ---- Arch with unified kernels ------------------------------------------------
begin unified AuthenticAMD
put sys/firmware/acpi/tables/IVRS x
put etc/mkinitcpio.conf 'MODULES=()'
put etc/cmdline.d/root.conf '# mine
root=/dev/x iommu=pt'
put etc/cmdline.d/quiet.conf quiet
put efi/EFI/Linux/arch.efi x
look() {
	check "the snippet has what is missing" [ "$(grep -v '^#' \
		"$tree/etc/cmdline.d/zz-penstock.conf")" = \
		"hugepagesz=2M hugepages=512" ]
}
round --region 1G
put etc/cmdline.d/quiet.conf 'amd_iommu=off'
refuse "what contradicts is not corrected there" 1 "by hand" plan

# ---- Debian, AMD, two nodes, drop-ins ----------------------------------------
node=1
begin debian AuthenticAMD
put sys/firmware/acpi/tables/IVRS x
put sys/devices/system/node/online 0-1
put sys/devices/system/node/node1/meminfo 'Node 1 MemTotal: 33554432 kB'
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet \
splash amd_iommu=off"
GRUB_CMDLINE_LINUX="amd_iommu=off"'
put etc/default/grub.d/50-x.cfg 'GRUB_CMDLINE_LINUX_DEFAULT="console=ttyS0"'
put usr/sbin/update-grub ""
put etc/initramfs-tools/modules '# a list
nouveau'
put usr/sbin/update-initramfs ""
put etc/modprobe.d/vfio.conf 'options vfio-pci ids=1af4:1110 disable_vga=1'
look() {
	words="iommu=pt isolcpus=2-5 nohz_full=2-5 rcu_nocbs=2-5"
	check "the drop-in adds to what is there" [ "$(grub_words)" = \
		" console=ttyS0 $words hugepagesz=2M hugepages=1:512" ]
	has_not etc/default/grub.d/zz-penstock.cfg amd_iommu=on
	has etc/modprobe.d/vfio.conf \
		"ids=1af4:1110,10de:17c2,10de:0fb0 disable_vga=1"
	has_not etc/modprobe.d/00-penstock.conf "options"
	check "vfio comes before nouveau" [ "$(tr '\n' ' ' \
		<"$tree/etc/initramfs-tools/modules")" = \
		"# a list vfio_pci vfio vfio_iommu_type1 nouveau " ]
	expect "the commands are Debian's" 0 "update-grub" \
		"$penstock" host undo --root "$tree" --json
	check "and the initramfs is made anew" grep -q update-initramfs \
		"$tmp/stdout"
	"$penstock" host apply --root "$tree" --region 1G --isolate-cpus 2-5 \
		>/dev/null
}
round --region 1G --isolate-cpus 2-5
refuse "a pool too large for the node is refused" 1 "NUMA node 1" \
	plan --vm-memory 30G
refuse "a CPU that is not there" 1 "no CPU 8" plan --isolate-cpus 7-8
refuse "sysctl knows no nodes" 1 "--for tmpfiles" \
	plan --for sysctl --region 1G
expect "tmpfiles does" 0 "node1/hugepages/hugepages-2048kB" \
	plan --for tmpfiles --region 1G
put proc/sys/kernel/osrelease 5.10.0
expect "as with a kernel that knows no hugepages=NODE:N" 0 \
	"node1/hugepages/hugepages-2048kB/nr_hugepages - - - - 512" \
	plan --region 1G
check "whose command line gets none" [ "$(grep -c hugepages= "$tmp/stdout")" -eq 0 ]
rm "$tree/proc/sys/kernel/osrelease"
put proc/version 'Linux version 5.10.0 (x@y) (gcc 10)'
expect "also where only proc/version tells which it is" 0 \
	"node1/hugepages/hugepages-2048kB/nr_hugepages - - - - 512" \
	plan --region 1G
put etc/modprobe.d/no.conf 'blacklist vfio-pci'
refuse "a vfio-pci that is never loaded" 1 "blacklist" plan
node=

# ---- Fedora-like: dracut, systemd-boot, two equal cards ----------------------
begin twins GenuineIntel
put sys/firmware/acpi/tables/DMAR x
device 0000:03:00.0 10de 17c2 030000 3 nvidia 0
put etc/dracut.conf ''
mkdir "$tree/etc/dracut.conf.d"
put etc/kernel/cmdline 'root=/dev/x quiet'
put boot/loader/entries/a.conf 'title Linux
linux /vmlinuz
options root=/dev/x quiet'
put boot/loader/entries/windows.conf 'title Windows
efi /bootmgfw.efi'
look() {
	has etc/kernel/cmdline "root=/dev/x quiet intel_iommu=on iommu=pt rd.driver.pre=vfio-pci"
	has boot/loader/entries/a.conf "options root=/dev/x quiet intel_iommu=on"
	has_not boot/loader/entries/windows.conf iommu
	has etc/dracut.conf.d/penstock.conf " /etc/modprobe.d/00-penstock.conf "
	has etc/udev/rules.d/10-penstock-vfio.rules \
		'KERNEL=="0000:02:00.0", ATTR{driver_override}="vfio-pci"'
	has_not etc/udev/rules.d/10-penstock-vfio.rules 0000:03
	has_not etc/modprobe.d/00-penstock.conf "ids="
	if command -v udevadm >/dev/null && udevadm verify --help >/dev/null 2>&1
	then
		check "udev reads the rule" udevadm verify \
			"$tree/etc/udev/rules.d/10-penstock-vfio.rules"
	fi
	if command -v dracut >/dev/null; then
		bash -x "$(command -v dracut)" -c "$tree/etc/dracut.conf" \
			--confdir "$tree/etc/dracut.conf.d" --print-cmdline \
			>"$tmp/dracut" 2>&1
		check "dracut reads the drivers" grep -qF \
			"force_drivers+=' vfio_pci vfio vfio_iommu_type1 '" \
			"$tmp/dracut"
		check "dracut takes the rule along" grep -qF \
			"/etc/udev/rules.d/10-penstock-vfio.rules '" \
			"$tmp/dracut"
		check "dracut has no complaint" sh -c \
			'! grep "WARNING.*values" "$1" | grep -v "^+"' - \
			"$tmp/dracut"
	else
		echo "no dracut: its reader is not tried"
	fi
}
round --gpu 02:00.0
put proc/cmdline 'root=/dev/x vfio_pci.ids=10de:17c2'
expect "ids of the running kernel take both cards, however they are spelled" 0 \
	"note: the running kernel has vfio-pci.ids= with 10de:17c2" \
	plan --gpu 02:00.0
put proc/cmdline 'root=/dev/x quiet'
refuse "two cards are not told apart by ids" 1 "0000:03:00.0" plan
expect "an image is not to take a file that nobody writes" 0 \
	'force_drivers' plan --gpu 02:00.0 --for dracut
check "which would be modprobe's" sh -c '! grep -q install_items "$1"' - \
	"$tmp/stdout"

mkdir -p "$tree/ostree"
expect "ostree is told, not edited" 0 \
	"rpm-ostree kargs --append-if-missing=intel_iommu=on --append" \
	plan --gpu 02:00.0
check "and makes its initramfs itself" grep -qx \
	"    rpm-ostree initramfs --enable" "$tmp/stdout"
rmdir "$tree/ostree"
put etc/mkinitcpio.conf 'MODULES=(nvidia)'
expect "a driver that comes before the rule is named" 0 \
	"before udev's rules" plan --gpu 02:00.0

rm "$tree/etc/mkinitcpio.conf"
mkdir -p "$tree/etc/initramfs-tools"
"$penstock" host apply --root "$tree" --gpu 02:00.0 --for initramfs-tools,udev \
	>/dev/null
hook=$tree/etc/initramfs-tools/hooks/penstock-vfio
check "the hook is a program" [ -x "$hook" ]
check "that a shell reads" sh -n "$hook"
check "and that has no prerequisites" [ -z "$(sh "$hook" prereqs)" ]
expect "undo takes it and its folder away" 0 "update-initramfs" \
	"$penstock" host undo --root "$tree"
check "wholly" [ ! -e "$tree/etc/initramfs-tools/hooks" ]

# ---- No boot loader known, hugepages of 1 GiB by default -----------------------
begin plain AuthenticAMD
put sys/firmware/acpi/tables/IVRS x
put proc/meminfo 'MemTotal:       67108864 kB
Hugepagesize:    1048576 kB'
look() {
	has etc/sysctl.d/90-penstock.conf "vm.nr_hugepages = 2048"
	unit=etc/systemd/system/dev-hugepages2M.mount
	has "$unit" "Options=pagesize=2M"
	if command -v systemd-analyze >/dev/null; then
		check "systemd reads the mount unit" sh -c '
			systemd-analyze verify --man=no --recursive-errors=no \
				"$1" 2>"$2"' - "$tree/$unit" "$tmp/analyze"
		check "without a remark" sh -c '! grep -F "$1" "$2"' - \
			dev-hugepages2M "$tmp/analyze"
	fi
	has etc/modules-load.d/penstock.conf vhost_vsock
	expect "what is to be added by hand is said" 0 \
		"add to the kernel's command line: iommu=pt hugepagesz=2M" \
		plan --region 4G
}
round --region 4G
expect "the mount is enabled" 0 "systemctl enable --now dev-hugepages2M" \
	plan --region 4G
check "and that the initramfs is not known" grep -q \
	"^note: no settings of mkinitcpio, dracut or initramfs-tools" \
	"$tmp/stdout"

# ---- NixOS ------------------------------------------------------------------
begin nixos GenuineIntel
put etc/NIXOS ""
put etc/nixos/configuration.nix '{ }'
look() {
	has etc/nixos/penstock.nix 'hugepages=512'
	if ! command -v nix-instantiate >/dev/null; then
		echo "no nix-instantiate: the module is not evaluated"
		return
	fi
	check "nix parses the module" env HOME="$tmp" \
		NIX_STATE_DIR="$tmp/nix" NIX_STORE_DIR="$tmp/store" sh -c \
		'nix-instantiate --parse "$1" >/dev/null 2>&1' - \
		"$tree/etc/nixos/penstock.nix"
	expect "nix evaluates the module" 0 '"vfio_pci"' env HOME="$tmp" \
		NIX_STATE_DIR="$tmp/nix" NIX_STORE_DIR="$tmp/store" \
		nix-instantiate --option build-users-group "" \
		--eval --strict --json --expr "
		import $tree/etc/nixos/penstock.nix {
			lib = { mkBefore = x: x; mkDefault = x: x; };
		}"
	check "with kernel parameters as words" grep -qF \
		'"kernelParams":["intel_iommu=on","iommu=pt","hugepagesz=2M","hugepages=512"]' \
		"$tmp/stdout"
	check "and blacklists nothing that stays" sh -c \
		'! grep -q blacklistedKernelModules "$1"' - "$tmp/stdout"
	check "and gives vfio to group kvm" grep -qF 'GROUP=\"kvm\"' \
		"$tmp/stdout"
}
round --region 1G
check "undo tells of the import" grep -q "penstock.nix out of the imports" \
	"$tmp/stdout"
rm -r "$tree/sys/bus/pci/devices/0000:01:00.0"
put "sys/bus/pci/devices/0000:02:00.0/boot_vga" 0
refuse "the last display is not given away by mistake" 1 \
	"last display of this host" plan --gpu 02:00.0
expect "but on purpose" 0 "vfio_pci" plan --gpu 02:00.0 --i-know
put proc/cmdline 'root=/dev/x console=ttyS0,115200'
expect "without another card its drivers are blacklisted" 0 \
	'blacklistedKernelModules = [ "nvidia"' plan --gpu 02:00.0

put proc/fb '0 EFI VGA'
put proc/iomem '00000000-00000000 : System RAM'
expect "a framebuffer that may lie in the only card is told of" 0 \
	"framebuffer may lie in the memory of 0000:02:00.0" plan --gpu 02:00.0
mv "$tree/etc/nixos" "$tree/home"
expect "a configuration kept elsewhere gets a text to paste" 1 \
	"boot.kernelParams" "$penstock" host apply --root "$tree" --gpu 02:00.0
check "and nothing is written" [ ! -e "$tree/etc/nixos" ]

# ---- What others take of the memory -------------------------------------------
begin budget GenuineIntel
put sys/firmware/acpi/tables/DMAR x
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet hugepagesz=1G hugepages=40"'
refuse "pages of two sizes have to fit together" 1 \
	"20480 MiB of hugepages are wanted, beside what others take (40 pages of 1 GiB: 40960 MiB), but this host has 65536 MiB" \
	plan --region 4G --vm-memory 16G
put etc/default/grub "$grub_line"
put proc/cmdline 'root=/dev/x default_hugepagesz=1G hugepages=40'
refuse "so have those of the running kernel" 1 "40 pages of 1 GiB: 40960 MiB" \
	plan --region 4G --vm-memory 16G
put proc/cmdline 'root=/dev/x quiet'
put etc/libvirt/qemu/web.xml "<domain type='kvm'><name>web</name>
<memory unit='GiB'>40</memory></domain>"
expect "a guest that is started by hand is none" 0 hugepages=10240 \
	plan --region 4G --vm-memory 16G
put etc/libvirt/qemu/autostart/web.xml ""
refuse "one that starts by itself counts" 1 "guest web: 40960 MiB" \
	plan --region 4G --vm-memory 16G
put etc/libvirt/qemu/web.xml "<domain type='kvm'><name>web</name>
<memory unit='GiB'>8</memory>
<memoryBacking><hugepages/></memoryBacking></domain>"
expect "what it takes of the pool makes the pool larger" 0 hugepages=14336 \
	plan --region 4G --vm-memory 16G
check "with a word" grep -q "^note: other guests .* 8192 MiB of the pool" \
	"$tmp/stdout"
rm -r "$tree/etc/libvirt"
put etc/sysctl.d/50-db.conf "vm.nr_hugepages = 512"
refuse "a later writer of the pool is named" 1 \
	"/etc/sysctl.d/50-db.conf: vm.nr_hugepages = 512 gives" plan --region 4G
expect "which our own comes after" 0 "vm.nr_hugepages = 2048" \
	plan --region 4G --for sysctl
put etc/sysctl.d/50-db.conf "vm.nr_hugepages = 4096"
expect "and one that gives enough stays" 0 hugepages=2048 plan --region 4G

# ---- What is refused --------------------------------------------------------
begin bad GenuineIntel
put etc/default/grub "$grub_line"
refuse "no such device" 1 "no PCI device" plan --gpu 77:00.0
refuse "not an address" 2 "PCI address" plan --gpu 7
refuse "a bridge" 1 "bridge" plan --gpu 00:00.0
refuse "the host's display" 1 "--i-know" plan --gpu 01:00.0
expect "which --i-know takes" 0 "0000:01:00.0" plan --gpu 01:00.0 --i-know
expect "a card whose firmware picture is over" 0 "for vfio-pci" \
	plan --gpu 02:00.0
device 0000:04:00.0 8086 1533 020000 2 igb
refuse "a group with the network card" 1 "igb), which the host needs" plan
rm -r "$tree/sys/bus/pci/devices/0000:04:00.0"
device 0000:04:00.0 1102 0012 040100 2 emu10k1
expect "a group with a sound card" 0 "the host loses it too" plan
refuse "half a page" 2 "multiple of 2 MiB" plan --region 3M
refuse "an unknown target" 2 "neither auto nor a list" plan --for lilo
refuse "no such root" 1 "cannot open" "$penstock" host plan --root "$tmp/none"
put etc/modprobe.d/00-penstock.conf 'options x y=1'
refuse "a file of our name that is not ours" 1 "not written by Penstock" plan
rm "$tree/etc/modprobe.d/00-penstock.conf"
mv "$tree/etc/default/grub" "$tree/etc/default/real"
ln -s real "$tree/etc/default/grub"
expect "a link is told of by the plan" 0 \
	"note: /etc/default/grub is a symbolic link" plan
expect "and is not replaced" 1 "symbolic link" \
	"$penstock" host apply --root "$tree"
check "and nothing is left" [ ! -e "$tree/var" ] &&
	[ ! -e "$tree/etc/modprobe.d/00-penstock.conf" ]
rm "$tree/etc/default/grub"
mv "$tree/etc/default/real" "$tree/etc/default/grub"
expect "an apply" 0 "changed" "$penstock" host apply --root "$tree"
sed -i 's/splash/nosplash/' "$tree/etc/default/grub"
expect "an edit since is shown" 1 "+$(grep nosplash "$tree/etc/default/grub")" \
	"$penstock" host undo --root "$tree"
expect "and its plan says so" 0 "edited since" plan
sed -i 's/nosplash/splash/' "$tree/etc/default/grub"
expect "without it undo works" 0 '"changed":3' \
	"$penstock" host undo --root "$tree" --json
expect "a second undo has nothing to do" 0 "Nothing is applied" \
	"$penstock" host undo --root "$tree"

# ---- A read-only /etc, in a mount namespace of our own -----------------------
if unshare -m true 2>/dev/null; then
	expect "a read-only etc gets a text to paste" 1 \
		"where this system's files are made" unshare -m sh -c '
		mount --bind "$1/etc" "$1/etc" &&
		mount -o remount,bind,ro "$1/etc" &&
		"$2" host apply --root "$1"' - "$tree" "$penstock"
	check "with the text" grep -q "^+options vfio-pci" "$tmp/stdout"
	expect "a full disk is said" 1 "No space left" unshare -m sh -c '
		mkdir -p "$1/etc" && cp -a "$1/etc" "$1/etc.copy" &&
		mount -t tmpfs -o size=16k none "$1/etc" &&
		cp -a "$1/etc.copy/." "$1/etc" &&
		dd if=/dev/zero of="$1/etc/filler" bs=4k 2>/dev/null
		"$2" host apply --root "$1"' - "$tree" "$penstock"
	rm -rf "$tree/etc.copy"
	expect "and nothing is applied" 0 "Nothing is applied" \
		"$penstock" host undo --root "$tree"
else
	echo "not root: a read-only /etc is not tried"
fi

# ---- The trees beside the source, where they are -----------------------------
for t in off iommu ready; do
	from=$PST_TOP_SRCDIR/../shared/fixtures/hosts/titan-x-$t
	[ -d "$from" ] || continue
	tree=$tmp/titan-$t
	cp -r "$from" "$tree"
	chmod -R u+w "$tree"
	look() {
		has etc/default/grub "hugepages=1:10240"
	}
	if [ $t = ready ]; then
		expect "$t: verify finds all as it should be" 0 "OK" \
			"$penstock" host verify --root "$tree" --gpu 99:00.0
	fi
	round --gpu 99:00.0 --region 4G --vm-memory 16G
	# What the host boots on, named by any of its functions.
	: >"$tree/d"
	for fn in 0 1 2 3; do
		refuse "$t: the display is refused as 18:00.$fn" 1 "--i-know" \
			plan --gpu 18:00.$fn
		refuse "$t: apply refuses it, too" 1 "--i-know" \
			"$penstock" host apply --root "$tree" --gpu 18:00.$fn
		refuse "$t: and vm xml" 1 "--i-know" "$penstock" vm xml t \
			--memory 4G --vcpus 2 --disk /d --hugepages no \
			--root "$tree" --gpu 18:00.$fn
		"$penstock" host check --root "$tree" --gpu 18:00.$fn \
			>"$tmp/stdout" 2>/dev/null
		check "$t: check warns of 18:00.$fn" grep -q \
			"^WARN *gpu.boot_display.*18:00.0" "$tmp/stdout"
	done
done

# ---- What is no graphics card ------------------------------------------------
begin other GenuineIntel
put sys/firmware/acpi/tables/DMAR x
device 0000:03:00.0 1af4 1001 010000 3 virtio-pci 0
device 0000:04:00.0 1af4 1000 020000 4 virtio-pci 0
refuse "a disk is no card to give away" 1 "--i-know" plan --gpu 03:00.0
expect "unless that is meant" 0 "0000:03:00.0" plan --gpu 03:00.0 --i-know
put proc/net/route 'Iface Destination Gateway Flags RefCnt Use Metric Mask
eth0 00000000 0101A8C0 0003 0 0 0 00000000 0 0 0'
mkdir -p "$tree/sys/bus/pci/devices/0000:04:00.0/net" "$tree/sys/class/net/eth0"
ln -s ../../../bus/pci/devices/0000:04:00.0 "$tree/sys/class/net/eth0/device"
refuse "nor is what the default route leads through" 1 "default route" \
	plan --gpu 04:00.0
"$penstock" host check --root "$tree" --gpu 04:00.0 >"$tmp/stdout" 2>/dev/null
check "check fails it" grep -q "^FAIL *gpu.host_use" "$tmp/stdout"
finish
