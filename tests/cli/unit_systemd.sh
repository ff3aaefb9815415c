#!/bin/bash
# SPDX-License-Identifier: MIT
# The agent's units and the gateway's under a real systemd, which is PID 1 of
# namespaces of its own: user, sandbox, credential, journal, watchdog, socket, a
# wrong setting.
#
# The same file is the test, the first program in the namespaces ("inner") and
# what systemd starts there ("checks").
set -u
[ -n "${BASH_VERSION:-}" ] || exec bash "$0"

# The gateway before the agent that runs, started by its first client.
gateway_checks() {
	local pid socket=/run/penstock-gateway/gateway.sock
	ask() { curl -s -m 20 "$@"; }
	prop() { systemctl show -p "$1" --value penstock-gateway; }
	systemctl start penstock-gateway.socket
	say gw-socket "$(stat -c '%U %G %a' $socket)"
	say gw-live "$(ask --unix-socket $socket http://localhost/health/live)"
	for _ in $(seq 200); do
		ask --unix-socket $socket http://localhost/health >/run/pst/health
		grep -q '"healthy":true' /run/pst/health && break
		sleep 0.1
	done
	say gw-health "$(head -c 40 /run/pst/health)"
	pid=$(prop MainPID)
	say gw-user "$(ps -o user:20= -p "$pid")"
	say gw-status "$(grep -E \
		'^(CapEff|CapBnd|Seccomp|NoNewPrivs|Seccomp_filters):' \
		"/proc/$pid/status" | tr -s '\t\n' '  ')"
	say gw-tcp "$(ask -o /run/pst/401 -w '%{http_code}' \
		http://127.0.0.1:9811/health/live)" \
		"$(ask -H "Authorization: Bearer $token" \
			http://127.0.0.1:9811/health/live)"
	systemctl stop penstock-gateway penstock-gateway.socket
	say gw-stopped "$(prop Result) $(prop ExecMainStatus)" \
		"$([ -e $socket ] || echo gone)"
}

# What systemd runs: looks at the agent, a line "NAME WORDS" for each thing.
checks() {
	local pid uri=unix:///run/penstock/agent.sock
	say() { echo "$@" >>"$work/out"; }
	show() { systemctl show -p "$1" --value penstock-agent; }
	log() { journalctl --sync; journalctl -u penstock-agent --no-pager -o "$1" 2>/dev/null; }
	client() { timeout 20 "$bin/penstock" -e "$@"; }
	fields() {
		grep -oE '"(PRIORITY|_TRANSPORT|PENSTOCK_CLIENT)" *: *"[^"]*"' |
			sort | tr -d ' \n'
	}
	say begun
	pid=$(show MainPID)
	say active "$(systemctl is-active penstock-agent)"
	say user "$(ps -o user= -p "$pid")"
	say status "$(grep -E '^(CapEff|CapBnd|Seccomp|NoNewPrivs):' \
		"/proc/$pid/status" | tr -s '\t\n' '  ')"
	say groups "$(ps -o supgrp= -p "$pid")"
	say mounts "$(awk '$5 == "/sys" || $5 == "/sys/devices" ||
		$5 == "/usr" || $5 == "/" { print $5 "=" substr($6, 1, 2) }' \
		"/proc/$pid/mountinfo" | tr '\n' ' ')"
	say writable "$(nsenter -t "$pid" -m setpriv --reuid=penstock \
		--regid=penstock --clear-groups find /sys -xdev \
		-path /sys/devices -prune -o -type f -writable -print |
		head -n 3 | tr '\n' ' ')"
	say uuid "$(client $uri info -v | grep 'agent.vm_uuid')"
	say loop "$(client $uri info -v | grep 'agent.loop')"
	say grant "$(log cat | grep 'given to group penstock')"
	say line "$(log json | grep 'listens on' | fields)"
	say entry "$(log json | grep 'session [0-9]* ended' | tail -n 1 |
		fields)"
	say cache "$(tr '\0' '\n' <"/proc/$pid/environ" |
		grep CUDA_CACHE_PATH) $(stat -c '%U %a' /var/cache/penstock)"
	say socketmode "$(stat -c %a /run/penstock/agent.sock)"
	[ ! -x "$bin/penstock-gateway" ] || gateway_checks
	kill -STOP "$pid"
	for _ in $(seq 300); do
		[ "$(show NRestarts)" = 0 ] || break
		sleep 0.1
	done
	say watchdog "$(show NRestarts)"
	until [ "$(systemctl is-active penstock-agent)" = active ]; do
		sleep 0.1
	done
	systemctl stop penstock-agent
	say stopped "$(show Result) $(show ExecMainStatus)"
	echo '[agent]
	region = memfd:64M' >/etc/penstock/agent.conf
	systemctl start penstock-agent.socket
	say idle "$(systemctl is-active penstock-agent)"
	say passed "$(client unix:///run/act.sock health | grep healthy)"
	say listens "$(log cat | grep -o 'listens on[^;]*' | tail -n 1)"
	systemctl stop penstock-agent.socket penstock-agent
	echo 'threads = 0' >>/etc/penstock/agent.conf
	systemctl start penstock-agent
	sleep 1
	say wrong "$(show ActiveState) $(show ExecMainStatus)" \
		"$(show NRestarts)"
	say sentence "$(log cat | grep 'agent.conf:')"
	say "done"
}

# The first program: a world for systemd, then systemd.
inner() {
	set -e
	mount --make-rprivate /
	mount -t proc proc /proc
	mount --bind /proc/sys /proc/sys
	mount -o remount,ro,bind /proc/sys
	for each in /run /var/cache /var/log; do
		mount -t tmpfs tmpfs $each
	done
	umount -l /sys/fs/cgroup
	mount -t cgroup2 none /sys/fs/cgroup
	units=/run/pst/units
	mkdir -p /run/pst/etc /run/pst/etc.work "$bin" \
		"$units/penstock-agent.service.d" \
		"$units/penstock-agent.socket.d"
	mount -t overlay -o \
		lowerdir=/etc,upperdir=/run/pst/etc,workdir=/run/pst/etc.work \
		overlay /etc
	mkdir -p /etc/penstock
	cp "$PST_TOP_BUILDDIR/guest-agent/penstock-agent" \
		"$PST_TOP_BUILDDIR/host-client/penstock" "$bin"
	systemd-sysusers "$PST_TOP_SRCDIR/guest-agent/service/penstock.conf"
	printf '%s\n' '[agent]' 'region = memfd:64M' \
		'listen = unix:/run/penstock/agent.sock' \
		'log-level = debug' \
		>/etc/penstock/agent.conf
	sed -E "s,^(ExecStart|ExecStartPre)=([-+]*)[^ ]*,\\1=\\2$bin/penstock-agent," \
		"$PST_TOP_BUILDDIR/guest-agent/penstock-agent.service" \
		>$units/penstock-agent.service
	cp "$PST_TOP_SRCDIR/guest-agent/service/penstock-agent.socket" $units
	install -m 400 /dev/stdin /run/pst/uuid <<<"$uuid"
	gateway=host-client/gateway
	if [ -x "$PST_TOP_BUILDDIR/$gateway/penstock-gateway" ] &&
		command -v curl >/dev/null; then
		cp "$PST_TOP_BUILDDIR/$gateway/penstock-gateway" "$bin"
		systemd-sysusers \
			"$PST_TOP_SRCDIR/$gateway/penstock-gateway.conf"
		mkdir -m 700 /etc/penstock/gateway
		install -m 400 /dev/stdin /etc/penstock/gateway/tokens \
			<<<"$token"
		printf '%s%s\n' 'ARGS=--endpoint unix:///run/penstock/agent.sock' \
			' --listen 127.0.0.1:9811 --token-file credential:tokens' \
			>/etc/penstock/gateway.conf
		sed "s,^ExecStart=[^ ]*,ExecStart=$bin/penstock-gateway," \
			"$PST_TOP_BUILDDIR/host-client/penstock-gateway.service" \
			>$units/penstock-gateway.service
		cp "$PST_TOP_SRCDIR/$gateway/penstock-gateway.socket" $units
		for each in service socket; do
			mkdir $units/penstock-gateway.$each.d
			printf '[Unit]\nDefaultDependencies=no\n' \
				>$units/penstock-gateway.$each.d/test.conf
		done
	fi
	# Nothing of the machine's own is started beside it.
	printf '[Unit]\nDefaultDependencies=no\n%s\n' "[Service]
LoadCredential=vm-uuid:/run/pst/uuid
WatchdogSec=5s" >$units/penstock-agent.service.d/test.conf
	printf '[Unit]\nDefaultDependencies=no\n%s\n' "[Socket]
ListenStream=
ListenStream=/run/act.sock" >$units/penstock-agent.socket.d/test.conf
	for each in sysinit basic shutdown; do
		printf '[Unit]\nDefaultDependencies=no\n' >$units/$each.target
	done
	lib=/lib/systemd/system
	cp $lib/systemd-journald.socket $units
	sed '/dev-log/d; /audit/d' $lib/systemd-journald.service \
		>$units/systemd-journald.service
	echo "[Unit]
DefaultDependencies=no
After=penstock-agent.service
[Service]
Type=oneshot
Environment=PST_INNER=checks PST_WORK=$work
ExecStart=/bin/bash $self" >$units/checks.service
	echo "[Unit]
DefaultDependencies=no
Wants=systemd-journald.socket systemd-journald.service
Wants=penstock-agent.service checks.service" >$units/checks.target
	mount --make-rshared /
	exec env -i container=other PATH="$PATH" SYSTEMD_UNIT_PATH=$units \
		"$systemd" --system --unit=checks.target --log-target=console \
		--show-status=no
}

self=$(readlink -f "$0")
bin=/run/pst/bin
uuid=8d3e2c66-1111-4222-8333-944455556666
token=0123456789-abcdef-xyz
systemd=/lib/systemd/systemd
work=${PST_WORK:-}
case ${PST_INNER:-} in
checks)
	checks
	exit
	;;
inner)
	inner
	exit 1
	;;
esac

. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

skip() {
	echo "skipped: $1"
	exit 77
}

[ "$(id -u)" = 0 ] || skip "not root"
for tool in $systemd systemctl journalctl systemd-sysusers unshare ps; do
	command -v "$tool" >/dev/null || skip "no $tool"
done
mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -n "$mount" ] || skip "no cgroup2"
cgroup=$mount$(sed -n 's/^0:://p' /proc/self/cgroup)/penstock-test-$$
mkdir "$cgroup" 2>/dev/null || skip "no cgroup of one's own"
# shellcheck disable=SC2317 # the trap calls it
remove_cgroup() {
	for pid in $pids; do
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	# The kernel takes the namespaces apart in the background.
	for _ in $(seq 50); do
		find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
		[ -e "$cgroup" ] || break
		sleep 0.1
	done
	[ ! -e "$cgroup" ] || echo "# left behind: $cgroup"
	cleanup
}
trap remove_cgroup EXIT
chmod 755 "$tmp"
: >"$tmp/out"
(
	echo $BASHPID >"$cgroup/cgroup.procs" &&
		PST_INNER=inner PST_WORK=$tmp exec timeout -k 2 300 unshare --pid \
			--fork --kill-child --mount --uts --ipc --net --cgroup \
			/bin/bash "$self"
) >"$tmp/console" 2>&1 &
pids=$!
tries=0
until grep -qx "done" "$tmp/out"; do
	tries=$((tries + 1))
	if [ $tries -ge 2400 ] || ! kill -0 $pids 2>/dev/null; then
		break
	fi
	sleep 0.1
done
{
	kill $pids
	wait $pids
} 2>/dev/null
pids=
if [ ! -s "$tmp/out" ]; then
	tail -n 20 "$tmp/console"
	skip "systemd does not run in namespaces here"
fi

# is SENTENCE NAME PATTERN: the line NAME is like that, as a whole.
is() {
	if grep -qE "^$2 $3\$" "$tmp/out"; then
		ok "$1"
	else
		not_ok "$1" "$(grep "^$2" "$tmp/out" || echo "no $2")"
	fi
}

is "the agent is ready" active active
is "as its own user" user penstock
is "with the GPU's groups" groups '.*video.*render.*'
is "without a capability, filtered" status \
	'CapEff: 0+ CapBnd: 0+ NoNewPrivs: 1 Seccomp: 2 ?'
# systemd 257 leaves /sys itself writable here, whatever the unit asks for.
is "it can write to nothing but devices, by its mounts" mounts \
	'(/=ro |/usr=ro )*/sys=r[ow] (/=ro |/usr=ro )*/sys/devices=rw .*'
is "nor, by permission, to anything else in /sys" writable ''
is "root's step before it ran" grant '0 devices of region memfd:64M.*'
is "the credential is the UUID" uuid "agent.vm_uuid +$uuid"
is "io_uring works in the sandbox" loop 'agent.loop +io_uring'
is "the journal knows a message's priority" line \
	'"PRIORITY":"6""_TRANSPORT":"stdout"'
is "and of which client it is" entry \
	'"PENSTOCK_CLIENT":"[^"]+""PRIORITY":"7""_TRANSPORT":"journal"'
is "it has a place for what CUDA compiles" cache \
	'CUDA_CACHE_PATH=/var/cache/penstock penstock 755'
is "its socket is for its group" socketmode 660
if grep -q '^gw-' "$tmp/out"; then
	is "the gateway's socket is for its group" gw-socket 'root penstock 660'
	is "the first client starts the gateway" gw-live '.*"live":true.*'
	is "which finds the agent well" gw-health '.*"healthy":true.*'
	is "as its own user" gw-user penstock-gateway
	# The unit's filters, and one more that it has set itself.
	is "without a capability, filtered twice" gw-status \
		'CapEff: 0+ CapBnd: 0+ NoNewPrivs: 1 Seccomp: 2 Seccomp_filters: .*'
	is "TCP wants a token of a file that it cannot read" gw-tcp \
		'401 .*"live":true.*'
	is "and it ends well, and its socket goes" gw-stopped 'success 0 gone'
else
	ok "the gateway under systemd # SKIP it was not built, or no curl"
fi
is "a process that hangs is started anew" watchdog 1
is "it ends well when told" stopped 'success 0'
is "a socket waits without an agent" idle inactive
is "a client starts the agent" passed 'healthy +yes'
is "which has that socket and no other" listens 'listens on unix:/run/act.sock'
is "a wrong setting is not tried again" wrong 'failed 2 0'
is "and named with its line" sentence \
	'.*agent.conf:3: threads = 0: expected a number from 1 to 1024'
if [ "$failed" -ne 0 ]; then
	tail -n 20 "$tmp/console"
fi
finish
