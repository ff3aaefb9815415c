#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock host check and plan on machines that are unlike each other, each
# made here with what was once judged wrongly of it.
# shellcheck disable=SC2016,SC2119,SC2317 # sh -c; "round"; it calls look()
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/cli/treelib.sh"

# ---- Fedora: GRUB makes the loader entries of its own settings ----------------
begin fedora GenuineIntel
put sys/firmware/acpi/tables/DMAR x
put etc/default/grub 'GRUB_CMDLINE_LINUX="rhgb quiet"
GRUB_ENABLE_BLSCFG=true'
put etc/kernel/cmdline 'root=/dev/x ro rhgb quiet'
put boot/loader/entries/a.conf 'linux /vmlinuz
options root=/dev/x ro rhgb quiet'
mkdir "$tree/boot/grub2" "$tree/etc/dracut.conf.d"
put usr/sbin/grub2-mkconfig '# --update-bls-cmdline'
look() {
	has etc/kernel/cmdline intel_iommu=on
	has_not boot/loader/entries/a.conf intel_iommu=on
	# What grub2-mkconfig does when it is run as told.
	put boot/loader/entries/a.conf 'linux /vmlinuz
options root=/dev/x ro rhgb quiet intel_iommu=on'
	expect "what GRUB wrote is no hindrance to undo" 0 "restored" \
		"$penstock" host undo --root "$tree"
	put boot/loader/entries/a.conf 'linux /vmlinuz
options root=/dev/x ro rhgb quiet'
	"$penstock" host apply --root "$tree" >/dev/null
}
round
expect "grub2-mkconfig is told to" 0 "grub.cfg --update-bls-cmdline" plan
check "and kernel-install is not" sh -c '! grep -q kernel-install "$1"' - \
	"$tmp/stdout"
put usr/sbin/grub2-mkconfig '# of RHEL 9.0'
plan >"$tmp/stdout"
check "unless it does not know the option" sh -c \
	'grep -q "grub2-mkconfig.*grub.cfg$" "$1"' - "$tmp/stdout"
expect "asked for, entries are edited" 0 "+++ b/boot/loader/entries/a.conf" \
	plan --for systemd-boot
finish
