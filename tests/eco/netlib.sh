#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016,SC2317 # sh -c gets words; check calls
# netlib's testers of level 3, with every product offloaded, down to 1 x 1, and
# blocks of 3: by preloading, with 32- and 64-bit integers, and as libblas.so.3.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/eco/lib.sh"
cd "$tmp" || exit 99
need "$libdir/blas/xblat3s" libblas-test
PENSTOCK_BLAS=force PENSTOCK_BLAS_MIN=1 PENSTOCK_BLAS_BLOCK=3
export PENSTOCK_BLAS PENSTOCK_BLAS_MIN PENSTOCK_BLAS_BLOCK

# verdict FILE N: N routines passed, and nothing else was said of any.
verdict() {
	[ "$(grep -c PASSED "$1")" -eq "$2" ] &&
		! grep -iE 'fail|suspect|inconsistent|\*\*\*\*' "$1"
}

# fortran DIR TYPE LOG: the tester of Fortran's names. 17,126 calls.
fortran() {
	rm -f ./*.out
	preloaded "$3" "$1/xblat3$2" <"$1/${2}blat3.in" >/dev/null &&
		verdict "${2}blat3.out" 12
}

# cblas DIR TYPE LOG. The reference library has what the testers count on.
cblas() {
	LD_LIBRARY_PATH=$1 preloaded "$3" "$1/x${2}cblat3" <"$1/${2}in3" \
		>out && verdict out 18
}

# many LOG: thousands of products were offloaded.
many() {
	n=$(offloaded "$1")
	echo "  $n products"
	case $n in failed*) return 1 ;; esac
	[ "$n" -gt 5000 ]
}

for type in s d; do
	check "xblat3$type passes" fortran "$libdir/blas" $type log
	check "xblat3$type offloads" many log
	check "x${type}cblat3 passes" cblas "$libdir/blas" $type log
	check "x${type}cblat3 offloads" many log
done
if [ -e "$libdir/blas64/xblat3s" ]; then
	for type in s d; do
		check "xblat3$type with 64-bit integers passes" \
			fortran "$libdir/blas64" $type log
		check "xblat3$type with 64-bit integers offloads" many log
	done
fi
if [ -e "$libdir/blas64/libblas64.so.3" ]; then
	for type in s d; do
		check "x${type}cblat3 with 64-bit integers passes" \
			cblas "$libdir/blas64" $type log
		check "x${type}cblat3 with 64-bit integers offloads" many log
	done
fi
if [ -e "$alternative" ]; then
	mkdir lib
	ln -s "$alternative" lib/libblas.so.3
	rm -f ./*.out log
	check "xblat3d passes with libblas.so.3 of ours" env \
		LD_LIBRARY_PATH="$tmp/lib" PENSTOCK_BLAS_LOG="$tmp/log" sh -c \
		'"$1/xblat3d" <"$1/dblat3.in" >/dev/null' - "$libdir/blas"
	check "its verdict is the same" verdict dblat3.out 12
	check "it offloads" many log
	rm -f ./*.out
	check "both in one process: it passes" env LD_LIBRARY_PATH="$tmp/lib" \
		LD_PRELOAD="$interposer" PENSTOCK_BLAS_LOG="$tmp/log" sh -c \
		'"$1/xblat3s" <"$1/sblat3.in" >/dev/null' - "$libdir/blas"
	check "their verdict is the same" verdict sblat3.out 12
fi
finish
