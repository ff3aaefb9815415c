#!/bin/sh
# SPDX-License-Identifier: MIT
# The agent's systemd units and its user: what systemd itself thinks of them.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

unit=$PST_TOP_BUILDDIR/guest-agent/penstock-agent.service
socket=$PST_TOP_SRCDIR/guest-agent/service/penstock-agent.socket
sysusers=$PST_TOP_SRCDIR/guest-agent/service/penstock.conf
if ! systemd-analyze security --help >/dev/null 2>&1; then
	echo "skipped: no systemd-analyze"
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

# The installed program need not be there yet.
sed -E 's,^(ExecStart|ExecStartPre)=[-+]*[^ ]*,\1=/bin/true,' "$unit" \
	>"$tmp/penstock-agent.service" || exit 1
cp "$socket" "$tmp/penstock-agent.socket" || exit 1
check "every path is filled in" [ "$(grep -c '@[a-z]*dir@' "$unit")" -eq 0 ]
for file in penstock-agent.service penstock-agent.socket; do
	check "systemd finds nothing wrong with $file" quiet \
		systemd-analyze verify --man=no "$tmp/$file"
	check "and warns of nothing" \
		[ "$(grep -c penstock-agent "$tmp/out")" -eq 0 ]
done
check "exposure is 2.0 at most" quiet \
	systemd-analyze security --offline=yes --threshold=20 \
	"$tmp/penstock-agent.service"

# $1: a key of the unit. Prints what it is set to, in microseconds, which
# systemd writes with a Greek letter in some locales only.
usec() {
	systemd-analyze timespan "$(sed -n "s/^$1=//p" "$unit")" |
		sed -n 's/.*s: //p'
}

# 10 s of draining and 1 s of sockets, penstock-agent(8), and some to spare.
check "it has the time to drain" [ "$(usec TimeoutStopSec)" -ge 13000000 ]
burst=$(sed -n 's/^StartLimitBurst=//p' "$unit")
check "it is started again for about a minute" \
	[ $((burst * ($(usec RestartSec) + 200000))) -ge 60000000 ]
check "and not forever, though each start takes its time" \
	[ $((burst * ($(usec RestartSec) + 500000))) -lt \
	"$(usec StartLimitIntervalSec)" ]
check "the watchdog is later than a full stop" \
	[ "$(usec WatchdogSec)" -gt "$(usec TimeoutStopSec)" ]

if ! command -v systemd-sysusers >/dev/null; then
	ok "the user is made # SKIP no systemd-sysusers"
	finish
fi
mkdir -p "$tmp/root/etc" &&
	check "the user is made" quiet systemd-sysusers --root="$tmp/root" \
		"$sysusers"
check "with a group of its own" grep -q '^penstock:' "$tmp/root/etc/group"
for group in video render; do
	check "in the group $group" \
		grep -q "^$group:.*penstock" "$tmp/root/etc/group"
done
check "that cannot log in" grep -q '^penstock:.*nologin' "$tmp/root/etc/passwd"
finish
