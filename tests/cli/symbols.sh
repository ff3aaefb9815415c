#!/bin/sh
# SPDX-License-Identifier: MIT
# The shipped library exports exactly what its symbol map names, and that is
# what penstock.h declares.
set -eu

lib=$PST_TOP_BUILDDIR/host-client/.libs/libpenstock.so
map=$PST_TOP_SRCDIR/host-client/libpenstock.map
header=$PST_TOP_SRCDIR/host-client/penstock.h
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

"${NM:-nm}" -D --defined-only "$lib" | sed -n 's/^[0-9a-f]* T //p' |
	sort >"$tmp/exported"
# No data: a variable could not change its size any more.
if "${NM:-nm}" -D --defined-only "$lib" | grep -q ' [BDRVW] '; then
	echo "the library exports data or weak symbols"
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
