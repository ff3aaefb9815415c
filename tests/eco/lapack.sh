#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # check calls
# netlib's testers of LAPACK with every product offloaded: the verdicts are those
# of a run without. PST_ECO_LONG=1: all of them, else linear equations in double
# precision.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/eco/lib.sh"
cd "$tmp" || exit 99
need "$libdir/lapack/xlintstd" liblapack-test
PENSTOCK_BLAS=force PENSTOCK_BLAS_MIN=8 PENSTOCK_BLAS_BLOCK=16
export PENSTOCK_BLAS PENSTOCK_BLAS_MIN PENSTOCK_BLAS_BLOCK

# What a tester says of each path, without times and machine constants.
verdicts() {
	grep -E 'passed|failed|error' "$1" | sed 's/ *( *[0-9]* *tests run)//'
}

# same PROGRAM INPUT: the tester with and without.
same() {
	"$libdir/lapack/$1" <"$libdir/lapack/$2" >plain 2>/dev/null
	preloaded log "$libdir/lapack/$1" <"$libdir/lapack/$2" >ours 2>/dev/null
	verdicts plain >a
	verdicts ours >b
	echo "  $1 $2: $(wc -l <a) verdicts, $(offloaded log) products"
	[ -s a ] && [ "$(offloaded log)" -gt 100 ] && diff a b
}

tests='xlintstd dtest.in'
[ -z "${PST_ECO_LONG:-}" ] || tests="$tests
xlintsts stest.in
xeigtsts nep.in
xeigtstd nep.in
xeigtsts sep.in
xeigtstd sep.in
xeigtsts svd.in
xeigtstd svd.in"
echo "$tests" | while read -r program input; do
	check "$program has the same verdicts on $input" same "$program" "$input"
done >results
cat results
grep -q '^not ok' results && failed=1
finish
