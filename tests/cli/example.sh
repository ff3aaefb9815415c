#!/bin/sh
# SPDX-License-Identifier: MIT
# An installed Penstock is enough for a stranger: the example compiles with
# pkg-config and runs, and the Python package is imported from where it lies.
set -u
tmp=$(mktemp -d "$PST_TOP_BUILDDIR/example-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT

fail() {
	echo "FAIL: $*"
	exit 1
}

# A make of its own, not a part of the one that runs this test.
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -C "$PST_TOP_BUILDDIR" -s \
	install DESTDIR="$tmp/root" >"$tmp/install.log" 2>&1 ||
	fail "make install: $(tail -5 "$tmp/install.log")"

find_one() {
	find "$tmp/root" -name "$1" | head -1
}
pc=$(find_one penstock.pc)
[ -n "$pc" ] || fail "no penstock.pc was installed"
prefix=$(sed -n 's/^prefix=//p' "$pc")
PKG_CONFIG_PATH=${pc%/*}
export PKG_CONFIG_PATH
flags=$("${PST_PKG_CONFIG:-pkg-config}" "--define-variable=prefix=$tmp/root$prefix" \
	--cflags --libs penstock) || fail "pkg-config"

# The file alone, away from our headers.
mkdir "$tmp/src"
cp "$PST_TOP_SRCDIR/host-client/examples/gemm.c" "$tmp/src" || fail "copy"
# shellcheck disable=SC2086 # flags and compiler are lists of words
(cd "$tmp/src" && ${PST_CC:-cc} -Wall -Wextra -Werror gemm.c $flags -o gemm) ||
	fail "the example does not compile"

library=$(find_one libpenstock.so.0)
LD_LIBRARY_PATH=${library%/*}
PENSTOCK_AGENT=$(find_one penstock-agent)
PENSTOCK_ENDPOINT='spawn:?size=32M'
export LD_LIBRARY_PATH PENSTOCK_AGENT PENSTOCK_ENDPOINT
out=$("$tmp/src/gemm" 300) || fail "the example: $out"
echo "$out"
case $out in
"C[299][299] = 3608, expected 3608; "*) ;;
*) fail "unexpected output" ;;
esac
PENSTOCK_ENDPOINT=unix:///nonexistent "$tmp/src/gemm" 2>/dev/null &&
	fail "the example succeeds without an agent"

if [ -n "${PST_PYTHON:-}" ]; then
	module=$(find_one connection.py)
	[ -n "$module" ] || fail "no Python package was installed"
	module=${module%/penstock/connection.py}
	PYTHONPATH=$module PYTHONDONTWRITEBYTECODE=1 "$PST_PYTHON" -c '
import penstock
with penstock.open() as c:
    print(c.matmul([[1., 2.]], [[3.], [4.]])[0, 0])' >"$tmp/out" 2>&1
	[ "$(cat "$tmp/out")" = 11.0 ] || fail "python: $(cat "$tmp/out")"
fi
exit 0
