#!/bin/sh
# SPDX-License-Identifier: MIT
# The test suites of numpy.linalg and scipy.linalg with every product offloaded:
# the same counts as without. For "make long".
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/eco/lib.sh"
PENSTOCK_BLAS=force PENSTOCK_BLAS_MIN=1 PENSTOCK_BLAS_BLOCK=8
export PENSTOCK_BLAS PENSTOCK_BLAS_MIN PENSTOCK_BLAS_BLOCK
python=/usr/bin/python3
$python -c 'import numpy, scipy, pytest, hypothesis' 2>/dev/null || {
	echo "SKIP: python3-scipy, python3-pytest or python3-hypothesis is missing"
	exit 77
}

# counts FILE: pytest's last line, without the time.
counts() {
	tail -n 1 "$1" | sed 's/=//g; s/ in .*//'
}

for suite in ${PST_ECO_SUITES:-numpy.linalg scipy.linalg}; do
	cd "$tmp" || exit 99
	$python -m pytest -q -p no:cacheprovider --pyargs "$suite" >plain 2>&1
	preloaded "$tmp/log" $python -m pytest -q -p no:cacheprovider --pyargs \
		"$suite" >ours 2>&1
	echo "  $suite: $(counts ours); $(offloaded "$tmp/log") products"
	check "$suite passes as without" [ "$(counts ours)" = "$(counts plain)" ]
	check "$suite offloads" [ "$(offloaded "$tmp/log")" -gt 100 ]
	diff plain ours | grep '^[<>] FAILED'
done
finish
