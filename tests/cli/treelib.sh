# SPDX-License-Identifier: MIT
# Trees of machines for the tests of penstock host; to be sourced behind lib.sh.
# shellcheck shell=sh
# shellcheck disable=SC2016,SC2034,SC2154 # programs for sh -c; variables of
# lib.sh and of those who source this

# put FILE TEXT: a file in the tree, with the folders it needs.
put() {
	mkdir -p "$tree/${1%/*}"
	printf '%s\n' "$2" >"$tree/$1"
}

# device ADDRESS VENDOR DEVICE CLASS GROUP DRIVER [BOOT_VGA]
device() {
	d=sys/bus/pci/devices/$1
	put "$d/vendor" "0x$2"
	put "$d/device" "0x$3"
	put "$d/class" "0x$4"
	put "$d/numa_node" "${node:--1}"
	mkdir -p "$tree/sys/kernel/iommu_groups/$5/devices" \
		"$tree/sys/bus/pci/drivers/$6"
	ln -s "../../../../kernel/iommu_groups/$5" "$tree/$d/iommu_group"
	ln -s "../../../../bus/pci/devices/$1" \
		"$tree/sys/kernel/iommu_groups/$5/devices/$1"
	[ "$6" = - ] || ln -s "../../../../bus/pci/drivers/$6" "$tree/$d/driver"
	[ -z "${7-}" ] || put "$d/boot_vga" "$7"
}

# begin NAME VENDOR: a machine with 8 CPUs, 64 GiB and a card for the guest.
begin() {
	tree=$tmp/$1
	mkdir "$tree"
	put proc/cpuinfo "processor	: 0
vendor_id	: $2"
	put proc/meminfo 'MemTotal:       67108864 kB
Hugepagesize:       2048 kB'
	put proc/cmdline 'root=/dev/x quiet'
	put proc/sys/kernel/osrelease 6.12.1
	put sys/devices/system/cpu/online 0-7
	put sys/devices/system/node/online 0
	device 0000:00:00.0 8086 1234 060000 0 -
	device 0000:01:00.0 10de 2684 030000 1 nvidia 1
	device 0000:02:00.0 10de 17c2 030000 2 nouveau 0
	device 0000:02:00.1 10de 0fb0 040300 2 snd_hda_intel
}

plan() {
	"$penstock" host plan --root "$tree" "$@"
}

# has FILE WORDS: the file of the tree has them.
has() {
	check "$tree: $1 has $2" grep -qF -e "$2" "$tree/$1"
}

has_not() {
	check "$tree: $1 has no $2" sh -c '! grep -qF -e "$1" "$2"' - "$2" \
		"$tree/$1"
}

# What a shell makes of the tree's GRUB settings.
grub_words() {
	(
		for f in "$tree/etc/default/grub" \
			"$tree"/etc/default/grub.d/*.cfg; do
			if [ -e "$f" ]; then
				sh -n "$f" || exit 1
				# shellcheck disable=SC1090 # that is the test
				. "$f"
			fi
		done
		# shellcheck disable=SC2154
		echo "${GRUB_CMDLINE_LINUX-} $GRUB_CMDLINE_LINUX_DEFAULT"
	)
}

# What a repetition says; a part of a plan (--for) leaves the boot open.
same="Nothing to change."
part="No file has to change, but"

# round ARGUMENT...: apply, once more, and undo bring back the same tree. The
# tree in between is looked at by the function `look`.
round() {
	cp -a "$tree" "$tree.before"
	expect "$tree: plan changes nothing" 0 "" plan "$@"
	check "$tree: nothing has changed" diff -r --no-dereference "$tree" "$tree.before"
	check "$tree: patch takes the plan" sh -c '
		cp -a "$1" "$1.patched" && grep -av "^note" "$2" |
		patch -s -p1 -d "$1.patched" && rm -rf "$1.patched/var"' - \
		"$tree" "$tmp/stdout"
	expect "$tree: apply" 0 "penstock host verify" \
		"$penstock" host apply --root "$tree" "$@"
	cp -a "$tree" "$tree.applied"
	rm -rf "$tree.applied/var"
	check "$tree: patch made the same files" \
		diff -r --no-dereference "$tree.applied" "$tree.patched"
	look
	expect "$tree: a second apply does nothing" 0 "$same" \
		"$penstock" host apply --root "$tree" "$@"
	expect "$tree: verify sees the files" 3 "as it was written" \
		"$penstock" host verify --root "$tree"
	expect "$tree: undo" 0 "restored" "$penstock" host undo --root "$tree"
	check "$tree: every byte is back" diff -r --no-dereference "$tree" "$tree.before"
}
