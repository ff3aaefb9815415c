#!/bin/sh
# SPDX-License-Identifier: MIT
# The walls of the source: which folder may include what.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
cd "$PST_TOP_SRCDIR" || exit 99
git ls-files >/dev/null 2>&1 || {
	echo "the source is no checkout: its files cannot be listed"
	exit 77
}

# A line: FOLDER: PREFIX...; the longest FOLDER that holds a file counts.
cat >"$tmp/walls" <<'END'
transport: transport/
guest-agent: transport/ guest-agent/
host-client: transport/ host-client/ kernel-params/ libvirt-xml/ bench/
kernel-params: transport/base/error.h transport/base/util.h kernel-params/
libvirt-xml: transport/base/error.h transport/base/util.h transport/wire.h kernel-params/ libvirt-xml/
bench: host-client/penstock.h bench/ worker.grpc.pb.h
END

# includes: all of the tree, as lines FILE INCLUDED.
includes() {
	git ls-files '*.[ch]' '*.cu' '*.cc' | grep -v '^tests/' |
		xargs grep -Hn '^#[[:space:]]*include "' |
		sed 's/:[0-9]*:#[[:space:]]*include "\([^"]*\)".*/ \1/'
}

# breaches: what of the includes on stdin a wall forbids.
breaches() {
	awk -v walls="$tmp/walls" '
		BEGIN {
			while ((getline line < walls) > 0) {
				split(line, q, ":")
				may[q[1]] = q[2]
			}
		}
		{
			d = $1
			while (sub(/\/[^\/]*$/, "", d))
				if (d in may)
					break
			if (!(d in may)) {
				print $1 ": lies behind no wall"
				next
			}
			m = split(may[d], p, " ")
			ok = $2 == "config.h"
			for (i = 1; i <= m; i++)
				if (index($2, p[i]) == 1)
					ok = 1
			if (!ok)
				print $1 ": must not include " $2
		}'
}

includes >"$tmp/includes"
check "the sources include each other" [ "$(wc -l <"$tmp/includes")" -gt 500 ]
breaches <"$tmp/includes" >"$tmp/breaches"
check "no file includes what its folder must not know" [ ! -s "$tmp/breaches" ]
cat "$tmp/breaches"
check "a forbidden include is found" [ "$(
	echo "transport/ring.c guest-agent/serve/agent.h" | breaches
)" = "transport/ring.c: must not include guest-agent/serve/agent.h" ]

finish
