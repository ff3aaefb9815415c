#!/bin/sh
# SPDX-License-Identifier: MIT
# A region file that is not right: a sentence and an exit code.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

region=$tmp/penstock-r
"$penstock" host region create r --size 8M --path "$tmp" >/dev/null || exit 1
start_agent "unix://$tmp/sock?region=$region" --region "file:$region" \
	--backend cpu
npy "$tmp/a.npy" "'<f4'" False "(4, 4)" 64

expect "a region by its path works" 0 "written" "$penstock" gemm \
	-e "$endpoint" "$tmp/a.npy" "$tmp/a.npy" -o "$tmp/c.npy" --verify
refuse "an agent of a region file has to be told of it" 2 "?region=PATH" \
	"$penstock" ping -e "unix://$tmp/sock"
refuse "a region that is not there is told" 4 "$tmp/none" \
	"$penstock" ping -e "unix://$tmp/sock?region=$tmp/none"
check "it was not created" [ ! -e "$tmp/none" ]
head -c 8388608 /dev/zero >"$tmp/zeros"
refuse "a file that is no region is refused" 1 "$tmp/zeros" \
	"$penstock" ping -e "unix://$tmp/sock?region=$tmp/zeros"
cp --sparse=always "$region" "$tmp/short"
truncate -s 6M "$tmp/short"
refuse "a region file of the wrong size is refused" 1 "$tmp/short" \
	"$penstock" ping -e "unix://$tmp/sock?region=$tmp/short"
cp --sparse=always "$region" "$tmp/long"
truncate -s 16M "$tmp/long"
refuse "a region file that grew is refused" 1 "$tmp/long" \
	"$penstock" ping -e "unix://$tmp/sock?region=$tmp/long"
"$penstock" host region create other --size 8M --path "$tmp" >/dev/null
refuse "another agent's region is refused" 2 "not the one" \
	"$penstock" ping -e "unix://$tmp/sock?region=$tmp/penstock-other"
chmod 666 "$tmp/penstock-other"
refuse "a region that everybody can write is refused" 1 "everybody" \
	"$penstock" ping -e "unix://$tmp/sock?region=$tmp/penstock-other"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	chmod 660 "$tmp/penstock-other"
	chown 65534 "$tmp/penstock-other"
	refuse "a region of another user is refused" 1 "belongs to" \
		"$penstock" ping -e "unix://$tmp/sock?region=$tmp/penstock-other"
	refuse "by an agent too" 1 "belongs to" "$agent" --backend cpu \
		--listen "unix:$tmp/sock2" --region "file:$tmp/penstock-other"
	chmod 755 "$tmp"
	chmod 666 "$tmp/sock"
	refuse "no permission on the region is told" 1 "Permission denied" \
		setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$penstock" ping -e "$endpoint"
else
	echo "# not root, or no setpriv: permissions were not tried"
fi

kill "$agent_pid"
wait "$agent_pid" 2>/dev/null
refuse "an agent that is gone is unreachable" 4 "$tmp/sock" \
	"$penstock" ping -e "$endpoint"
expect "so says health" 4 '"reachable":false' \
	"$penstock" health --json -e "$endpoint"
finish
