#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock vm with libvirt's driver that only pretends: files, refusals, views.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/vm_tree.sh"

"$penstock" vm list --uri test:///default >/dev/null 2>"$tmp/stderr"
if grep -q "was built without" "$tmp/stderr"; then
	echo "SKIP: built without libvirt"
	exit 77
fi
make_tree "$tmp/host"
conf=$tmp/conf/penstock

# define NAME ARGUMENT...
# shellcheck disable=SC2317 # called through expect
define() {
	name=$1
	shift
	# shellcheck disable=SC2046 # an option and its value
	"$penstock" vm define "$name" --memory 4G --vcpus 2 \
		--disk /var/t.qcow2 --root "$tmp/host" \
		$(unless --uri test:///default "$@") \
		$(unless --conf-dir "$conf" "$@") "$@"
}

mkdir "$tmp/conf"
expect "a domain is defined" 0 "titan is defined: CID 9" define titan --cid 9
check "the endpoint is the agent's" grep -qx \
	"endpoint = vsock://9:7070?region=/mnt/huge/penstock-titan" \
	"$conf/endpoints.d/titan.conf"
for line in SIZE=4096M NODE=any GROUP=kvm "ARGS=--path /mnt/huge"; do
	check "the region's settings have $line" grep -qxF -e "$line" \
		"$conf/regions.d/titan.conf"
done
check "both can be read by all" [ "$(stat -c %a "$conf"/*/titan.conf |
	sort -u)" = 644 ]
check "the AppArmor line is printed" grep -qF \
	'"/mnt/huge/penstock-titan" rw,' "$tmp/stderr"
check "the unit's command is said" grep -qF \
	"systemctl enable penstock-region@titan" "$tmp/stderr"
check "a place that the unit may not write to is said" grep -qF \
	"ReadWritePaths=/mnt/huge" "$tmp/stderr"
expect "the name is an endpoint" 4 "" env XDG_CONFIG_HOME="$tmp/conf" \
	"$penstock" -e titan health
expect "and again" 0 "is defined" define titan --cid 9
expect "what changed is written" 0 "is defined" define titan --cid 10
check "in place of the old" grep -q "vsock://10:" \
	"$conf/endpoints.d/titan.conf"
expect "--json prints an object" 0 '"complete":true' define titan --json

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null &&
	command -v flock >/dev/null; then
	as_user="setpriv --reuid=65534 --regid=65534 --clear-groups"
	$as_user flock /run sleep 120 &
	pids="$pids $!"
	expect "a user who locks /run holds nobody up" 0 "is defined" \
		define titan --cid 9
	check "nor is it said" sh -c "! grep lock '$tmp/stderr'"
	check "a user cannot take the lock" sh -c "! $as_user \
		flock -n /run/penstock-vm.lock true 2>/dev/null"
else
	echo "# not root, no setpriv or no flock: the lock was not tried"
fi

mv "$tmp/host/usr/share/OVMF" "$tmp/host/usr/share/away"
expect "without OVMF nothing is defined, and its package is named" 1 \
	"the package ovmf (Debian" define noboot
check "nor left behind" [ ! -e "$conf/endpoints.d/noboot.conf" ]
expect "a guest that boots by BIOS is" 0 "is defined" define old \
	--firmware bios
expect "so is one whose firmware is named" 0 "is defined" define named \
	--firmware /a/CODE.fd:/a/VARS.fd
mv "$tmp/host/usr/share/away" "$tmp/host/usr/share/OVMF"

echo "endpoint = spawn:" >"$conf/endpoints.d/mine.conf"
expect "an endpoint of others stays, and its text is shown" 1 \
	"endpoint = vsock://3:7070?region=/mnt/huge/penstock-mine" define mine
check "as it was" grep -qx "endpoint = spawn:" "$conf/endpoints.d/mine.conf"
: >"$tmp/file"
expect "where nothing can be written, it says what to paste" 1 \
	"SIZE=4096M" define titan --conf-dir "$tmp/file"
expect "a region of another name has no unit" 0 "vm start makes it" \
	define odd --region-path /mnt/huge/other
check "and no settings" [ ! -e "$conf/regions.d/odd.conf" ]
expect "nor has a domain that had one" 0 "vm start makes it" \
	define titan --region-path /mnt/huge/other
check "any more" [ ! -e "$conf/regions.d/titan.conf" ]
expect "and with its old name it has again" 0 "is defined" define titan
expect "undefine cleans up after virsh undefine" 0 '"domain":false' \
	"$penstock" vm undefine titan --conf-dir "$conf" --json \
	--uri test:///default
check "the endpoint" [ ! -e "$conf/endpoints.d/titan.conf" ]
check "and the unit's settings" [ ! -e "$conf/regions.d/titan.conf" ]
refuse "once" 1 'no domain "titan"' \
	"$penstock" vm undefine titan --conf-dir "$conf" --uri test:///default
rm -rf "$tmp/host/sys/kernel/iommu_groups" \
	"$tmp"/host/sys/devices/pci0000:00/*/iommu_group
expect "without IOMMU groups a card is not defined" 1 "IOMMU" \
	define t --gpu 01:00.0
check "and nothing written" [ ! -e "$conf/endpoints.d/t.conf" ]
expect "a domain of others is left" 1 "not Penstock's" define test
check "without files" [ ! -e "$conf/endpoints.d/test.conf" ]

# The driver's own domain is of others, and runs.
expect "status of a domain of others" 0 '"ours":false' \
	"$penstock" vm status test --json --uri test:///default
expect "list shows it with --all only" 0 "test" \
	"$penstock" vm list --all --uri test:///default
check "under a header" sh -c "head -n 1 '$tmp/stdout' |
	grep -qx 'NAME  *STATE  *CID  *AUTOSTART'"
check "list alone shows none" [ "$("$penstock" vm list \
	--uri test:///default | wc -l)" -eq 1 ]
expect "stop asks, waits and says how" 0 "ACPI" \
	"$penstock" vm stop test --uri test:///default
expect "stop --json says how" 0 '"how":"acpi"' \
	"$penstock" vm stop test --json --uri test:///default
expect "autostart is off" 0 "autostart off" \
	"$penstock" vm autostart test --uri test:///default
expect "patch shows what it lacks" 0 "+    <vsock model='virtio'>" \
	"$penstock" vm patch test --root "$tmp/host" --uri test:///default
expect "and so in JSON" 0 '"name":"test","autostart":false}' \
	"$penstock" vm autostart test --json --uri test:///default
refuse "start refuses a domain of others" 1 "not Penstock's" \
	"$penstock" vm start test --uri test:///default
refuse "undefine too" 1 "not Penstock's" \
	"$penstock" vm undefine test --conf-dir "$conf" --uri test:///default
for verb in start undefine; do
	refuse "$verb on another machine would miss the region" 2 "run penstock there" \
		"$penstock" vm "$verb" test --uri qemu+ssh://host.invalid/system
done
refuse "define too" 2 "run penstock there" \
	define far --uri qemu+ssh://host.invalid/system
refuse "and by an alias, which may be of one" 2 "name the URI itself" \
	define far --uri hail
refuse "stop --force of no domain says so once" 1 'no domain "none"' \
	"$penstock" vm stop none --force --uri test:///default
refuse "autostart is on or off" 2 "maybe" "$penstock" vm autostart test maybe
for verb in status start stop undefine autostart console; do
	refuse "$verb of no domain" 1 'no domain "none"' \
		"$penstock" vm "$verb" none --uri test:///default
done

# The unit, with an /etc and a systemctl of the test's own.
mkdir -p "$tmp/etc/penstock" "$tmp/bin"
cp /etc/passwd /etc/group "$tmp/etc"
cat >"$tmp/bin/systemctl" <<-END
	#!/bin/sh
	echo "\$*" >>"$tmp/units"
	[ ! -e "$tmp/broken" ]
END
chmod +x "$tmp/bin/systemctl"
cat >"$tmp/with-etc" <<-'END'
	mount --bind "$1/etc" /etc && mount -t tmpfs none /run || exit 99
	mkdir -p /run/systemd/system
	PATH=$1/bin:$PATH
	shift
	exec "$@"
END
# with_etc VERB ARGUMENT...: penstock vm with those.
# shellcheck disable=SC2317 # called through expect
with_etc() {
	verb=$1
	shift
	unshare -m sh "$tmp/with-etc" "$tmp" "$penstock" vm "$verb" titan \
		--uri test:///default "$@"
}
# define_unit ARGUMENT...
# shellcheck disable=SC2317 # called through expect
define_unit() {
	with_etc define --memory 4G --vcpus 2 --disk /var/t.qcow2 \
		--root "$tmp/host" "$@"
}
unit=$tmp/etc/penstock/regions.d/titan.conf
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	expect "the unit is enabled" 0 "is defined" define_unit
	check "by systemctl" grep -qx -e \
		"--quiet enable penstock-region@titan.service" "$tmp/units"
	: >"$tmp/broken"
	expect "a unit that cannot be disabled is an error" 1 "failed" \
		define_unit --region-path /mnt/huge/other
	check "which leaves its settings, to try again" [ -e "$unit" ]
	expect "also of undefine" 1 "failed" with_etc undefine
	check "which leaves them too" [ -e "$unit" ]
	rm "$tmp/broken"
	expect "and the next one removes them" 0 "files are removed" \
		with_etc undefine
	check "with the unit" [ "$(tail -n 1 "$tmp/units")" = \
		"--quiet disable penstock-region@titan.service --now" ]
	check "and nothing is left" [ ! -e "$unit" ]
else
	echo "# no mount namespace: the unit was not tried"
fi

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	copy_for_all
	mkdir -m 700 "$tmp/shut"
	refuse "who may not is told who may" 4 "members of the group libvirt" \
		setpriv --reuid=65534 --clear-groups "$for_all" vm list \
		--uri "qemu:///system?socket=$tmp/shut/none"
	chmod 600 "$tmp/all/libvirt-xml/.libs/penstock-vm.so"
	refuse "a module that may not be read is named" 1 \
		"penstock-vm.so: Permission denied" \
		setpriv --reuid=65534 --clear-groups "$for_all" vm list
	chmod 700 "$tmp/all/libvirt-xml"
	refuse "also where its folder may not be entered" 1 \
		".libs/penstock-vm.so: Permission denied" \
		setpriv --reuid=65534 --clear-groups "$for_all" vm list
	chmod 755 "$tmp/all/libvirt-xml"
	echo "no module" >"$tmp/all/libvirt-xml/.libs/penstock-vm.so"
	refuse "one that cannot be loaded, with what it needs" 1 \
		"libvirt0 and libxml2" "$for_all" vm list
else
	echo "# not root, or no setpriv: permissions were not tried"
fi
refuse "a libvirtd that is not there" 4 "cannot reach libvirt" \
	"$penstock" vm list --uri "qemu:///system?socket=$tmp/none"
finish
