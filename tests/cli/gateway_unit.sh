#!/bin/sh
# SPDX-License-Identifier: MIT
# The gateway's systemd units and its user, and those of metrics: what systemd
# itself thinks of them.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

gateway=$PST_TOP_SRCDIR/host-client/gateway
if ! systemd-analyze security --help >/dev/null 2>&1; then
	echo "skipped: no systemd-analyze"
	exit 77
fi
if [ ! -e "$PST_TOP_BUILDDIR/host-client/penstock-gateway.service" ]; then
	echo "skipped: built without the gateway (libmicrohttpd)"
	exit 77
fi

# quiet COMMAND...: its output is shown when it fails only.
# shellcheck disable=SC2317 # check calls it
quiet() {
	"$@" >"$tmp/out" 2>&1 || {
		cat "$tmp/out"
		return 1
	}
}

# The installed programs need not be there yet; a template needs a name.
for unit in penstock-gateway penstock-metrics@; do
	check "every path is filled in in $unit" \
		[ "$(grep -c '@[a-z]*dir@' \
			"$PST_TOP_BUILDDIR/host-client/$unit.service")" -eq 0 ]
	sed 's,^ExecStart=[^ ]*,ExecStart=/bin/true,' \
		"$PST_TOP_BUILDDIR/host-client/$unit.service" \
		>"$tmp/$unit.service" || exit 1
done
mv "$tmp/penstock-metrics@.service" "$tmp/penstock-metrics@titan.service" &&
	cp "$gateway/penstock-gateway.socket" "$tmp" &&
	cp "$PST_TOP_SRCDIR/host-client/metrics/penstock-metrics@.timer" \
		"$tmp/penstock-metrics@titan.timer" || exit 1
for unit in penstock-gateway.service penstock-gateway.socket \
	penstock-metrics@titan.service penstock-metrics@titan.timer; do
	check "systemd finds nothing wrong with $unit" quiet \
		systemd-analyze verify --man=no "$tmp/$unit"
	check "and warns of nothing" [ "$(grep -c penstock "$tmp/out")" -eq 0 ]
done
for unit in penstock-gateway penstock-metrics@titan; do
	check "exposure of $unit is 2.0 at most" quiet \
		systemd-analyze security --offline=yes --threshold=20 \
		"$tmp/$unit.service"
done

if ! command -v systemd-sysusers >/dev/null; then
	ok "the user is made # SKIP no systemd-sysusers"
	finish
fi
mkdir -p "$tmp/root/etc" &&
	check "the user is made" quiet systemd-sysusers --root="$tmp/root" \
		"$gateway/penstock-gateway.conf"
for group in penstock kvm; do
	check "in the group $group" \
		grep -q "^$group:.*penstock-gateway" "$tmp/root/etc/group"
done
check "that cannot log in" \
	grep -q '^penstock-gateway:.*nologin' "$tmp/root/etc/passwd"
# The agent's user has the group's name: both on one machine is no conflict.
check "and the agent's beside it" quiet systemd-sysusers --root="$tmp/root" \
	"$PST_TOP_SRCDIR/guest-agent/service/penstock.conf"
finish
