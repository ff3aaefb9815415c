# SPDX-License-Identifier: MIT
# What the tests with other people's programs share; to be sourced after
# tests/cli/lib.sh. Everything goes to an agent of its own, of PENSTOCK_ENDPOINT.
# shellcheck shell=sh
unset PENSTOCK_BLAS PENSTOCK_BLAS_MIN PENSTOCK_BLAS_BLOCK PENSTOCK_BLAS_NEXT
interposer=$PST_TOP_BUILDDIR/host-client/blas/.libs/libpenstock-blas.so
alternative=$PST_TOP_BUILDDIR/host-client/blas/.libs/libblas.so.3
triplet=$(${PST_CC:-cc} -print-multiarch 2>/dev/null)
libdir=/usr/lib/${triplet:-.}
PENSTOCK_AGENT=$agent
PENSTOCK_ENDPOINT=spawn:
PENSTOCK_LIBRARY=$PST_TOP_BUILDDIR/host-client/.libs/libpenstock.so.0
PENSTOCK_BLAS_STATS=1
export PENSTOCK_AGENT PENSTOCK_ENDPOINT PENSTOCK_LIBRARY PENSTOCK_BLAS_STATS

# need FILE PACKAGE: skips the test where a file is missing.
need() {
	[ -e "$1" ] || {
		echo "SKIP: there is no $1 here (package $2)"
		exit 77
	}
}

# offloaded LOG: how many products a program with PENSTOCK_BLAS_LOG=LOG has
# offloaded, all processes of it together; and that none failed.
offloaded() {
	awk '/ calls, / { n += $4; failed += $(NF - 4) }
		END { print failed ? "failed:" failed : n + 0 }' "$1"
}

# preloaded LOG PROGRAM...: runs it with the interposer.
preloaded() {
	log=$1
	shift
	rm -f "$log"
	PENSTOCK_BLAS_LOG=$log LD_PRELOAD=$interposer "$@"
}
