#!/bin/sh
# SPDX-License-Identifier: MIT
# fetch-vhost-vsock with an apt that only pretends: which lists it believes.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
fetch=$PST_TOP_SRCDIR/guest-agent/image/fetch-vhost-vsock

# The mirror's lists are of $tmp/theirs and have expired, the system's of $tmp/own.
mkdir "$tmp/bin" "$tmp/lists"
cat >"$tmp/bin/apt-get" <<'END'
#!/bin/sh
case "$*" in
indextargets*) echo http://mirror.invalid/debian ;;
*update)
	conf=$2
	grep -q 'Check-Valid-Until "false"' "$conf" || [ -e "$TREE/fresh" ] || exit 100
	state=$(sed -n 's/^Dir::State "\(.*\)";$/\1/p' "$conf")
	echo "Date: $(cat "$TREE/theirs")" >"$state/lists/mirror_InRelease"
	;;
*download*) : >vhost-device-vsock_1_amd64.deb ;;
esac
END
cat >"$tmp/bin/dpkg" <<'END'
#!/bin/sh
[ "$1" = -x ] || { echo amd64; exit; }
mkdir -p "$3/usr/bin"
printf '#!/bin/sh\n' >"$3/usr/bin/vhost-device-vsock"
chmod +x "$3/usr/bin/vhost-device-vsock"
END
cat >"$tmp/bin/apt-config" <<'END'
#!/bin/sh
echo "d='$TREE/lists/'"
END
chmod +x "$tmp/bin"/*

# get: fetches anew.
# shellcheck disable=SC2317 # called through expect
get() {
	rm -rf "$tmp/out"
	env TREE="$tmp" PATH="$tmp/bin:$PATH" "$@" "$fetch" "$tmp/out"
}

echo "Date: Sat, 28 Nov 2026 02:53:00 UTC" >"$tmp/lists/a_InRelease"
echo "Sat, 01 Aug 2026 00:00:00 UTC" >"$tmp/theirs"
expect "expired lists older than the system's are refused" 1 \
	"PENSTOCK_EXPIRED_LISTS=yes" get
check "and nothing is there" [ ! -e "$tmp/out/vhost-device-vsock" ]
expect "unless that is asked for by name" 0 "have expired" \
	get PENSTOCK_EXPIRED_LISTS=yes
check "which is there then" \
	[ -x "$tmp/out/vhost-device-vsock/usr/bin/vhost-device-vsock" ]
expect "any other word does not" 1 "expired" get PENSTOCK_EXPIRED_LISTS=no
echo "Sun, 15 Nov 2026 00:00:00 UTC" >"$tmp/theirs"
expect "those of a mirror that stands as still as the system's are taken" 0 \
	"have expired" get
rm "$tmp/lists/a_InRelease"
expect "a system without lists has nothing to compare with" 1 "expired" get
: >"$tmp/fresh"
check "fresh ones need no comparison" get 2>"$tmp/stderr"
check "and no warning" [ ! -s "$tmp/stderr" ]
check "no other script of the guest's takes expired lists" \
	[ -z "$(grep -rn 'Check-Valid-Until "*\(false\|no\|0\)' \
		"$PST_TOP_SRCDIR/guest-agent")" ]
finish
