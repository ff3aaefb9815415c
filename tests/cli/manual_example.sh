#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in penstock(3) compiles as it stands there, runs, and is right.
set -eu

top=$PST_TOP_BUILDDIR
src=$PST_TOP_SRCDIR/host-client
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The first fenced block behind the heading; scdoc doubles backslashes.
awk '/^# EXAMPLES/ { on = 1; next }
	on && /^```/ { if (inside) exit; inside = 1; next }
	inside { gsub(/\\\\/, "\\"); print }' \
	"$src/penstock.3.scd" >"$tmp/example.c"
grep -q 'int main' "$tmp/example.c"
# shellcheck disable=SC2086 # a compiler may be named with options
${PST_CC:-cc} -Wall -Werror -I"$src" "$tmp/example.c" -o "$tmp/example" \
	-L"$top/host-client/.libs" -lpenstock \
	-Wl,-rpath,"$top/host-client/.libs"
got=$(PENSTOCK_AGENT=$top/guest-agent/penstock-agent "$tmp/example")
if [ "$got" != 11 ]; then
	echo "the example printed \"$got\", not 11"
	exit 1
fi
