#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock host gpu reset and rom on trees: what would be done, what is refused,
# what is said of a ROM.
# shellcheck disable=SC2317 # functions that expect calls
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/treelib.sh"

# below PORT ADDRESS...: moves functions to where sysfs has them.
below() {
	port=$1
	shift
	for a; do
		mkdir -p "$tree/sys/devices/pci0000:00/$port"
		mv "$tree/sys/bus/pci/devices/$a" \
			"$tree/sys/devices/pci0000:00/$port/$a"
		ln -s "../../../devices/pci0000:00/$port/$a" \
			"$tree/sys/bus/pci/devices/$a"
	done
}

# card_tree NAME: a card of two functions on vfio-pci below a root port.
card_tree() {
	tree=$tmp/$1
	mkdir "$tree"
	put proc/mounts 'none / tmpfs rw 0 0'
	device 0000:01:00.0 10de 2204 030000 1 vfio-pci
	device 0000:01:00.1 10de 1aef 040300 1 vfio-pci
	mkdir -p "$tree/sys/bus/pci/devices"
	for a in 0000:01:00.0 0000:01:00.1; do
		put "sys/bus/pci/devices/$a/reset_method" "flr bus"
		put "sys/bus/pci/devices/$a/reset" ""
		rm "$tree/sys/bus/pci/devices/$a/driver"
		put "sys/bus/pci/devices/$a/driver" \
			../../../../bus/pci/drivers/vfio-pci
	done
	below 0000:00:01.0 0000:01:00.0 0000:01:00.1
	port=sys/devices/pci0000:00/0000:00:01.0
	put $port/vendor 0x8086
	put $port/device 0x460d
	put $port/class 0x060400
	ln -s ../../../devices/pci0000:00/0000:00:01.0 \
		"$tree/sys/bus/pci/devices/0000:00:01.0"
}

reset() {
	"$penstock" host gpu reset --root "$tree" 01:00.0 "$@"
}

card_tree free
expect "a free card: what would be done" 0 "Nothing is done yet" reset
check "in this order" sh -c "grep -o '^[0-9]\\. [a-z]*' '$tmp/stdout' |
	tr '\\n' ' ' | grep -qx '1. function 2. bus 3. rescan '"
expect "as JSON" 0 '"methods":["function","bus","rescan"]' reset --json
expect "one way" 0 "1. rescan" reset --method rescan
check "and no other" sh -c "! grep -q '^2' '$tmp/stdout'"
expect "what a copy cannot do is no way" 0 "not suspend: this machine cannot" \
	reset --suspend

put "$port/0000:01:00.0/device" 0x2bb1
expect "a GB202 is not reset by flr" 0 "not function: 0000:01:00.0 would be" reset
put "$port/0000:01:00.0/reset_method" ""
expect "and without a method by that of its sound" 0 "1. function" reset

card_tree used
put "$port/0000:01:00.1/driver" ../../../../bus/pci/drivers/snd_hda_intel
expect "a driver of the host is in the way" 1 "" reset
check "and is named" grep -qF \
	"0000:01:00.1 is in use: snd_hda_intel of the host drives it" "$tmp/stderr"
expect "in JSON, too" 1 '"blockers":[{"addr":"0000:01:00.1"' reset --json

card_tree disk
device 0000:01:00.2 144d a80a 010802 2 nvme
below 0000:00:01.0 0000:01:00.2
put "$port/0000:01:00.2/block/nvme0n1/size" 8
mkdir -p "$tree/sys/class/block"
ln -s "../../../$port/0000:01:00.2/block/nvme0n1" \
	"$tree/sys/class/block/nvme0n1"
put proc/mounts '/dev/nvme0n1 / ext4 rw 0 0'
expect "a mounted disk is in the way" 1 "" reset
check "and what is mounted is said" grep -qF "/ on nvme0n1" "$tmp/stderr"

card_tree guest
mkdir -p "$tree/proc/42/fd"
put proc/42/comm qemu-system-x86
ln -s /dev/vfio/1 "$tree/proc/42/fd/9"
expect "a virtual machine is in the way" 1 "" reset
check "and is named" grep -qF "process 42 (qemu-system-x86) has it open" \
	"$tmp/stderr"

# The rules that plan writes, and what verify says after the reboot.
rules=etc/udev/rules.d/60-penstock-card.rules
begin gb202 GenuineIntel
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
put sys/bus/pci/devices/0000:02:00.0/device 0x2bb1
put sys/bus/pci/devices/0000:02:00.0/reset_method "flr bus"
put sys/bus/pci/devices/0000:02:00.0/d3cold_allowed 1
put sys/bus/pci/devices/0000:02:00.1/d3cold_allowed 1
look() {
	has $rules 'ATTR{device}=="0x2bb1", RUN+="/bin/sh -c '"'echo >/sys%p/"
	has $rules 'ATTR{device}=="0x2bb1", ATTR{d3cold_allowed}="0"'
	has $rules 'ATTR{device}=="0x0fb0", ATTR{d3cold_allowed}="0"'
}
round --gpu 02:00.0
expect "without a target for it there is no rule" 0 "" plan --gpu 02:00.0 --for grub
check "indeed" sh -c "! grep -q card.rules '$tmp/stdout'"
"$penstock" host apply --root "$tree" --gpu 02:00.0 >/dev/null
expect "verify sees that it is not in effect" 3 \
	"FAIL  power      0000:02:00.0 may go to D3cold" \
	"$penstock" host verify --root "$tree"
check "nor the method" grep -qF "FAIL  reset      0000:02:00.0 is reset by flr bus" \
	"$tmp/stdout"
put sys/bus/pci/devices/0000:02:00.0/reset_method ""
put sys/bus/pci/devices/0000:02:00.0/d3cold_allowed 0
put sys/bus/pci/devices/0000:02:00.1/d3cold_allowed 0
expect "and that it is" 3 "OK    power      0000:02:00.1 may not go" \
	"$penstock" host verify --root "$tree"
check "with the method" grep -qF \
	"OK    reset      0000:02:00.0 is reset by the bus of the whole card" \
	"$tmp/stdout"
expect "a plan then keeps the rule" 0 "Nothing to change" \
	"$penstock" host apply --root "$tree" --gpu 02:00.0

begin alone GenuineIntel
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
put sys/bus/pci/devices/0000:02:00.0/device 0x2bb5
put sys/bus/pci/devices/0000:02:00.0/reset_method "flr bus"
rm -r "$tree/sys/bus/pci/devices/0000:02:00.1" \
	"$tree/sys/kernel/iommu_groups/2/devices/0000:02:00.1"
look() {
	has $rules 'ATTR{device}=="0x2bb5", ATTR{reset_method}="bus"'
	has_not $rules d3cold
}
round --gpu 02:00.0

begin flr GenuineIntel
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
put sys/bus/pci/devices/0000:02:00.0/reset_method "flr bus"
put sys/bus/pci/devices/0000:02:00.0/d3cold_allowed 1
look() {
	check "a card with flr gets no rule" [ ! -e "$tree/$rules" ]
}
round --gpu 02:00.0

begin twins GenuineIntel
put etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
put sys/bus/pci/devices/0000:02:00.0/reset_method bus
put sys/bus/pci/devices/0000:02:00.0/d3cold_allowed 1
device 0000:03:00.0 10de 17c2 030000 3 nouveau
look() {
	has $rules 'KERNEL=="0000:02:00.0", ATTR{d3cold_allowed}="0"'
}
round --gpu 02:00.0
expect "NixOS has it in its module" 0 'ATTR{d3cold_allowed}="0"' \
	plan --gpu 02:00.0 --for nixos

# A ROM of one image that adds up to 0, for 10de:2204.
card_tree rom
rom=$tmp/good.rom
{
	printf '\125\252\001'
	head -c 21 /dev/zero
	printf '\034\000\000\000PCIR\336\020\004\042\000\000\030\000\000'
	printf '\000\000\003\001\000\000\000\000\200\000\000'
	head -c 459 /dev/zero
} >"$rom"
sum=$(od -An -v -tu1 "$rom" | tr -s ' ' '\n' | awk '{ s += $1 } END { print s % 256 }')
# shellcheck disable=SC2059 # the escape is the point
printf "\\$(printf '%03o' $(((256 - sum) % 256)))" >>"$rom"
check "the ROM has 512 bytes" [ "$(wc -c <"$rom")" -eq 512 ]
expect "a file is checked" 3 "PASS  rom.checksum" "$penstock" host rom --file "$rom"
check "and lacks UEFI's image" grep -q '^WARN  rom.efi' "$tmp/stdout"
cp "$rom" "$tree/$port/0000:01:00.0/rom"
expect "a card's is read, and written" 3 "PASS  rom.ids" \
	"$penstock" host rom 01:00.0 --root "$tree" -o "$tmp/out.rom"
check "byte for byte" cmp "$rom" "$tmp/out.rom"
expect "as JSON" 3 '"images":1' "$penstock" host rom --file "$rom" --json
put "$port/0000:01:00.0/device" 0x2206
expect "another card's is a FAIL" 3 "FAIL  rom.ids" \
	"$penstock" host rom 01:00.0 --root "$tree" --file "$rom"
put "$port/0000:01:00.0/resource" "0x0 0x0 0x0
0x0 0x0 0x0
0x0 0x0 0x0
0x0 0x0 0x0
0x0 0x0 0x0
0x0 0x0 0x0
0xc0000 0xdffff 0x212"
expect "a shadow is told" 3 "WARN  rom.shadow" \
	"$penstock" host rom 01:00.0 --root "$tree"
expect "what is no image is not written" 1 "FAIL  rom.signature" sh -c "
	head -c 512 /dev/zero >'$tree/$port/0000:01:00.0/rom'
	'$penstock' host rom 01:00.0 --root '$tree' -o '$tmp/none.rom'"
check "and nothing is there" [ ! -e "$tmp/none.rom" ]
expect "a card without one" 1 "" sh -c "
	rm '$tree/$port/0000:01:00.0/rom'
	'$penstock' host rom 01:00.0 --root '$tree'"
check "is told" grep -qF "has no ROM" "$tmp/stderr"

finish
