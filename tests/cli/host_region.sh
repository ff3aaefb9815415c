#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock host region create: what it makes, what it refuses, its unit.
set -u
penstock=$PST_TOP_BUILDDIR/host-client/penstock
unit=$PST_TOP_BUILDDIR/host-client/penstock-region@.service
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
dir=$tmp/dir
mkdir "$dir"
failed=0

fail() {
	echo "FAIL: $*"
	failed=1
}

# expect CODE WORDS ARGUMENT...: exit code, and words in what it prints.
expect() {
	code=$1
	words=$2
	shift 2
	"$penstock" host region create "$@" >"$tmp/out" 2>&1
	got=$?
	[ "$got" -eq "$code" ] || fail "create $*: exit $got, not $code"
	grep -qF -- "$words" "$tmp/out" ||
		fail "create $*: no \"$words\" in: $(cat "$tmp/out")"
}

expect 0 "$dir/penstock-a" a --size 8M --path "$dir"
[ "$(stat -c '%s %a' "$dir/penstock-a")" = "8388608 660" ] ||
	fail "size and mode are $(stat -c '%s %a' "$dir/penstock-a")"
inode=$(stat -c %i "$dir/penstock-a")

expect 1 "exists already" a --size 8M --path "$dir"
expect 0 "was there" a --size 8M --path "$dir" --if-missing
expect 1 "8 MiB already" a --size 16M --path "$dir" --if-missing
[ "$(stat -c %i "$dir/penstock-a")" = "$inode" ] || fail "a was replaced"
expect 0 '"created":true' a --size 16M --path "$dir" --replace --json
[ "$(stat -c %s "$dir/penstock-a")" = 16777216 ] || fail "a was not replaced"
expect 0 "$dir/penstock-g" g --size 8M --path "$dir" --group "$(id -gn)" \
	--mode 0640
[ "$(stat -c '%a %g' "$dir/penstock-g")" = "640 $(id -g)" ] ||
	fail "mode and group are $(stat -c '%a %g' "$dir/penstock-g")"
expect 0 "power of two" odd --size 6M --path "$dir"
rm "$dir"/penstock-*

expect 2 "multiple of 2 MiB" b --size 9M --path "$dir"
# Killed in its work, it leaves nothing: hugepages would be lost for long.
for delay in 0.05 0.1 0.2; do
	"$penstock" host region create k$$ --size 1G --path /dev/shm \
		>/dev/null 2>&1 &
	pid=$!
	sleep "$delay"
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	rm -f "/dev/shm/penstock-k$$"
	for left in "/dev/shm/penstock-k$$"*; do
		[ ! -e "$left" ] || fail "killed, it left $left"
		rm -f "$left"
	done
done

expect 2 "6 MiB" b --size 4M --path "$dir"
expect 2 "--size is needed" b --path "$dir"
expect 2 "everybody" b --size 8M --path "$dir" --mode 0666
expect 2 "octal" b --size 8M --path "$dir" --mode 0689
expect 2 "no group" b --size 8M --path "$dir" --group no-such-group-here
expect 2 "no name" ../b --size 8M --path "$dir"
expect 2 "exclude" b --size 8M --path "$dir" --replace --if-missing
expect 2 "needs NAME" --size 8M
expect 1 "No such file" b --size 8M --path "$dir/no"
expect 1 "available" b --size 64T --path /dev/shm
[ -z "$(ls -A "$dir")" ] || fail "left behind: $(ls -A "$dir")"
[ ! -e /dev/shm/penstock-b ] || fail "left behind: /dev/shm/penstock-b"

# Hugepages, in a mount namespace of our own; that is root's.
cat >"$tmp/huge.sh" <<'END'
penstock=$1 dir=$2
for m in $(sed -n 's/^[^ ]* \([^ ]*\) hugetlbfs .*/\1/p' /proc/self/mounts); do
	umount "$m"
done
"$penstock" host region create h --size 8M
echo "without: $?"
mount -t hugetlbfs -o pagesize=2M none "$dir" || exit 77
"$penstock" host region create h --size 8M
echo "with: $?"
ls -A "$dir"
rm -f "$dir/penstock-h"
END
if unshare -m true 2>/dev/null; then
	unshare -m sh "$tmp/huge.sh" "$penstock" "$dir" >"$tmp/out" 2>&1
	{ grep -q "no hugetlbfs" "$tmp/out" &&
		grep -q "without: 1" "$tmp/out"; } ||
		fail "without a mount: $(cat "$tmp/out")"
	if grep -q "with: 0" "$tmp/out"; then
		grep -q "^$dir/penstock-h .*2048 KiB" "$tmp/out" ||
			fail "on hugepages: $(cat "$tmp/out")"
	else
		{ grep -q "4 hugepages of 2 MiB are wanted" "$tmp/out" &&
			! grep -q '^penstock-h' "$tmp/out"; } ||
			fail "no hugepages: $(cat "$tmp/out")"
	fi
else
	echo "not root: hugepages are not tried"
fi

if command -v systemd-analyze >/dev/null; then
	# The verifier wants the program at its place.
	sed "s,^ExecStart=[^ ]*,ExecStart=$penstock," "$unit" \
		>"$tmp/penstock-region@.service"
	grep -q "^ExecStart=/.*/penstock host region create %i " "$unit" ||
		fail "the unit has no path in ExecStart"
	SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no \
		--recursive-errors=no \
		"$tmp/penstock-region@demo.service" >"$tmp/out" 2>&1 ||
		fail "systemd-analyze verify: $(cat "$tmp/out")"
	grep "penstock-region" "$tmp/out" &&
		fail "systemd-analyze verify has remarks"
else
	echo "no systemd-analyze: the unit is not verified"
fi
exit $failed
