#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock host report: one file, from which check tells what it told on the host,
# and in which nothing tells whose host it was.
# shellcheck disable=SC2016 # programs for sh -c
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/treelib.sh"

# unpack NAME: the report of the tree, unpacked into $tmp/of-NAME.
unpack() {
	rm -rf "$tmp/of-$1" "$tmp/$1.tar"
	expect "$1: a report is written" 0 "what was read of" "$penstock" \
		host report --root "$tree" -o "$tmp/$1.tar"
	mkdir "$tmp/of-$1"
	check "$1: tar unpacks it" tar -xf "$tmp/$1.tar" -C "$tmp/of-$1"
}

# same NAME ARGUMENT...: check finds in the unpacked report what it finds in the
# tree, and plan changes the same files by the same commands.
same() {
	name=$1
	shift
	for what in check plan; do
		for of in "$tree" "$tmp/of-$name"; do
			"$penstock" host $what --root "$of" "$@" 2>&1 |
				grep -E '^(FAIL|WARN|PASS|[+]{3}|    [a-z]|penst)' |
				sed 's/^\([FWP]...  [^ ]*\) .*/\1/' \
				>"$tmp/$what.${of##*/}"
		done
		check "$name: $what sees the same, $*" sh -c \
			'[ -s "$1" ] && cmp "$1" "$2"' - \
			"$tmp/$what.${tree##*/}" "$tmp/$what.of-$name"
	done
}

# ---- A host with names --------------------------------------------------------
begin named GenuineIntel
put sys/firmware/acpi/tables/DMAR x
put etc/hostname darkstar.example.org
put etc/passwd 'root:x:0:0::/root:/bin/sh
alice:x:1000:1000::/home/alice:/bin/sh'
put proc/version 'Linux version 6.12.1 (builder@darkstar) (gcc) Debian 6.12.1-1'
put proc/cmdline 'root=UUID=1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed ro intel_iommu=on
 resume=/dev/disk/by-id/nvme-Acme_S4X9NF0M iscsi=iqn.2001-04.org.example:x
 ip=192.168.17.4::192.168.17.1 rd.md.uuid=0a1b2c3d:4e5f6071:8293a4b5:c6d7e8f9
 systemd.machine_id=0123456789abcdef0123456789abcdef ifname=lan:a0:36:9f:01:02:03
 esp=UUID=AB12-CD34 systemd.hostname=darkstar rd.lvm.lv=vg_darkstar-root
 home=LABEL=carolsdisk nameserver=[2001:4860:4860::8844] ntp="10.9.8.7"
 ip=::::bobspc:eth0 mp=/dev/mapper/naa.5000c500a1b2c3d4 e=aa-36-9f-01-02-03
 w=0x5000c500a1b2c3d5 boot=PARTUUID=1a2b3c4d-02 admin=dave@example.com
 dm=luks-1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed x=/dev/disk/by-label/erinsdisk'
put etc/default/grub '# for Frank of the third floor
GRUB_CMDLINE_LINUX="UUID=1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"'
put etc/security/limits.d/a.conf 'alice hard memlock unlimited'
put etc/libvirt/qemu/gracebox.xml "<domain><name>gracebox</name><title>heidi</title>
<!-- ivan --><memory unit='GiB'>4</memory><devices><disk><source file='/vm/judy.img'/></disk>
<hostdev><alias name='ua-mallory'/><source><address domain='0' bus='9' slot='0' function='0'/></source></hostdev>
<graphics type='vnc' passwd='hunter1'/></devices></domain>"
put etc/libvirt/qemu/autostart/gracebox.xml ""
put etc/pve/qemu-server/100.conf '#niaj
name: olivia
onboot: 1
memory: 2048
cipassword: $6$hunter2/x
sshkeys: ssh-rsa%20hunter3
args: -object secret,id=a,data=x -vnc 0.0.0.0:1,password=hunter4'
put boot/loader/entries/0123456789abcdef0123456789abcdef-6.12.conf "linux /vmlinuz
options root=UUID=1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
put proc/driver/nvidia/gpus/0000:01:00.0/information 'DMA Size: 47 bits
GPU UUID: GPU-1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bee
Serial Number: 0324118123456'
put var/lib/dpkg/status "Package: alices-diary
Version: 1

Package: qemu-system-x86
Status: install ok installed
Version: 1:8.2.2+dfsg-1
"
put usr/bin/qemu-system-x86_64 ""
mkdir -p "$tree/dev/shm"
truncate -s 8G "$tree/dev/shm/penstock-a"
chmod 666 "$tree/dev/shm/penstock-a"
mkfifo "$tree/dev/kvm"
unpack named
same named
same named --gpu 02:00.0
same named --gpu 01:00.0 --region 4G
check "a region's file takes no room" [ "$(stat -c %s "$tmp/named.tar")" -lt 500000 ]
expect "but is judged by size and mode" 3 "penstock-a: 8 GiB, mode 0666" "$penstock" host check \
	--root "$tmp/of-named"
for secret in darkstar alice builder 1b9d6bcd 0123456789abcdef a0:36:9f Acme \
	hunter S4X9 AB12 iqn.2001 192.168 0a1b2c3d 0324118 diary carol 2001:4860 \
	10.9.8 bobspc c500a1b2 aa-36 1a2b3c4d dave erin frank grace heidi ivan judy \
	mallory niaj olivia; do
	check "nothing says $secret" sh -c \
		'[ -s "$2" ] && ! grep -aqi -e "$1" "$2"' - "$secret" \
		"$tmp/named.tar"
done
check "the same UUID has the same stand-in" [ "$(grep -rhoE \
	'00000000-0000-4000-8000-[0-9]{12}' "$tmp/of-named/proc/cmdline" \
	"$tmp/of-named/etc/default/grub" | sort -u | wc -l)" -eq 1 ]
put etc/hostname nouveau
mkdir -p "$tree/sys/module/nouveau"
unpack plain
check "a name that settings use is kept, and said" grep -q \
	"the name nouveau is not masked" "$tmp/stderr"
same plain

# ---- Hosts of other kinds ------------------------------------------------------
for kind in titan-x-ready titan-x-iommu titan-x-off; do
	from=$PST_TOP_SRCDIR/../shared/fixtures/hosts/$kind
	[ -d "$from" ] || continue
	tree=$from
	unpack "$kind"
	same "$kind"
done

# ---- What is refused -------------------------------------------------------------
refuse "a file is needed" 2 "-o FILE" "$penstock" host report
refuse "a file that is there is not replaced" 1 "File exists" "$penstock" host \
	report --root "$tree" -o "$tmp/named.tar"
mkdir "$tmp/empty"
refuse "what is no host has no report" 1 "neither proc nor sys" "$penstock" host \
	report --root "$tmp/empty" -o "$tmp/none.tar"
check "and no file is left" [ ! -e "$tmp/none.tar" ]
if [ -w /dev/full ]; then
	ln -s /dev/full "$tmp/full"
	refuse "a link is not followed" 1 "File exists" "$penstock" host report \
		--root "$tmp/of-named" -o "$tmp/full"
fi

# ---- A report that nobody vouches for -----------------------------------------------
# Links out of it, devices, a FIFO and "..": none is followed, opened or waited for.
begin hostile GenuineIntel
put sys/firmware/acpi/tables/DMAR x
secret=$tmp/secret
echo 'GRUB_CMDLINE_LINUX="top-secret"' >"$secret"
mkdir -p "$tree/etc/default" "$tree/etc/modprobe.d" "$tree/boot/loader" \
	"$tree/penstock-report" "$tree/etc/dracut.conf.d"
ln -s "$secret" "$tree/etc/default/grub"
ln -s "../../../../../../../../..$secret" "$tree/etc/modprobe.d/a.conf"
ln -s / "$tree/boot/loader/entries"
mkfifo "$tree/etc/modprobe.d/fifo.conf" "$tree/etc/os-release"
ln -s loop "$tree/etc/dracut.conf.d/loop"
mknod "$tree/dev" c 1 5 2>/dev/null || ln -s /dev/zero "$tree/dev"
mkfifo "$tree/penstock-report/regions"
(cd "$tree" && tar -cf "$tmp/hostile.tar" .)
# A member that would leave the folder, as an attacker writes it.
(cd "$tree" && echo out >"$tmp/out" && tar -rPf "$tmp/hostile.tar" \
	--transform 's|.*|../escaped|' "$tmp/out" 2>/dev/null)
mkdir "$tmp/un"
tar -xf "$tmp/hostile.tar" -C "$tmp/un" 2>/dev/null
check "tar leaves nothing outside" [ ! -e "$tmp/escaped" ]
for what in check plan report; do
	out=
	[ $what != report ] || out="-o $tmp/again.tar"
	# shellcheck disable=SC2086 # words
	timeout 60 "$penstock" host $what --root "$tmp/un" $out \
		>"$tmp/stdout" 2>"$tmp/stderr"
	got=$?
	check "$what ends" [ "$got" -lt 124 ]
	check "$what tells nothing of what is outside" sh -c \
		'! grep -aq top-secret "$@"' - "$tmp/stdout" "$tmp/stderr"
done
check "nor does a report of it" sh -c '[ -s "$1" ] && ! grep -aq top-secret "$1"' - \
	"$tmp/again.tar"
finish
