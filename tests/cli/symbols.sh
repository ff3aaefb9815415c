#!/bin/sh
# SPDX-License-Identifier: MIT
# The shipped library exports exactly what its symbol map names, and that is
# what penstock.h declares, with the header that it includes. The header and penstock(3) say of each function since
# which version it exists: that of its section in the map.
set -eu

lib=$PST_TOP_BUILDDIR/host-client/.libs/libpenstock.so
map=$PST_TOP_SRCDIR/host-client/libpenstock.map
manual=$PST_TOP_SRCDIR/host-client/penstock.3.scd
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
header=$tmp/header
cat "$PST_TOP_SRCDIR/host-client/penstock.h" \
	"$PST_TOP_SRCDIR/host-client/penstock_run.h" >"$header"

"${NM:-nm}" -D --defined-only "$lib" | sed -n 's/^[0-9a-f]* T //p' |
	sort >"$tmp/exported"
# No data: a variable could not change its size any more.
if "${NM:-nm}" -D --defined-only "$lib" | grep -q ' [BDRVW] '; then
	echo "the library exports data or weak symbols"
	exit 1
fi
# A client maps and spins: what the agent needs is no burden of every program.
if readelf -d "$lib" | grep NEEDED | grep -v -e 'lib[acu-z]*san\.' -e 'libc\.' \
	-e 'ld-linux' -e 'libpthread\.' -e 'libgcc_s\.' -e 'librt\.' -e 'libm\.'; then
	echo "the library needs another one at run time"
	exit 1
fi
# Each name carries its section of the map.
sed -n '/^PENSTOCK_/{s/ .*//;h};/^\tpst_/{s/^\t\(.*\);$/\1/;G;s/\n/@@/;p}' \
	"$map" | sort >"$tmp/map"
test -s "$tmp/map"
diff -u "$tmp/map" "$tmp/exported"

sed 's/@@.*//' "$tmp/map" >"$tmp/names"
tr '\n' ' ' <"$header" | sed 's|/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/||g' |
	grep -o 'pst_[a-z_]*(' | tr -d '(' | sort -u >"$tmp/declared"
diff -u "$tmp/names" "$tmp/declared"

# The comment in front of a declaration holds "Since: VERSION", if that is not 1.0.
# The paragraphs behind a function's line in the manual hold it always.
awk '/^\/\*$/ { since = "1.0" }
	/^ \* Since: / { since = $3 }
	/^[a-z].*pst_[a-z_]*\(/ && since {
		match($0, /pst_[a-z_]*\(/)
		print substr($0, RSTART, RLENGTH - 1) "@@PENSTOCK_" since
		since = ""
	}' "$header" | sort >"$tmp/since"
diff -u "$tmp/map" "$tmp/since"
awk '/^[*#]/ { name = "" }
	/^\*pst_[a-z_]*\*\(/ { name = $0; sub(/\*\(.*/, "", name) }
	/^\tSince: / && name {
		print substr(name, 2) "@@PENSTOCK_" $2
		name = ""
	}' "$manual" | sort >"$tmp/since"
diff -u "$tmp/map" "$tmp/since"
