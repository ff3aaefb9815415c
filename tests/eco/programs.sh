#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016,SC2317 # sh -c gets words; check calls
# One script each of programs that call a BLAS: it offloads, and agrees.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/eco/lib.sh"
PENSTOCK_BLAS=force PENSTOCK_BLAS_MIN=64
export PENSTOCK_BLAS PENSTOCK_BLAS_MIN
python=/usr/bin/python3

# agrees NAME PACKAGE PROGRAM...: a program that prints "agrees" if its own check
# holds. Says how many products were offloaded: at least one.
agrees() {
	name=$1
	package=$2
	shift 2
	if ! command -v "$1" >/dev/null 2>&1; then
		echo "# SKIP $name: there is no $1 here (package $package)"
		return
	fi
	preloaded "$tmp/log" "$@" >"$tmp/out" 2>&1
	if grep -qi 'no module named' "$tmp/out"; then
		echo "# SKIP $name: not installed (package $package)"
		return
	fi
	n=$(offloaded "$tmp/log" 2>/dev/null)
	echo "  $name: ${n:-0} products"
	check "$name agrees with itself" grep -q agrees "$tmp/out"
	grep -q agrees "$tmp/out" || cat "$tmp/out"
	check "$name offloads" [ "${n:-0}" -ge 1 ]
}

agrees numpy python3-numpy $python -c '
import numpy as np
rng = np.random.default_rng(1)
for dtype in "f4", "f8":
    a, b = (rng.integers(-8, 8, (300, 300)).astype(dtype) for _ in range(2))
    assert np.array_equal(a @ b, np.einsum("ij,jk->ik", a.astype("i8"), b.astype("i8")))
    assert np.array_equal(a.T @ b[:, ::2], (a.astype("i8").T @ b.astype("i8"))[:, ::2])
print("agrees")'
agrees scipy python3-scipy $python -c '
import numpy as np
from scipy.linalg import blas
rng = np.random.default_rng(1)
a = np.asfortranarray(rng.integers(-8, 8, (200, 150)).astype("f8"))
b = np.asfortranarray(rng.integers(-8, 8, (200, 150)).astype("f8"))
t = np.triu(a[:150]) + 20 * np.eye(150)
assert np.array_equal(blas.dgemm(1, a, b, trans_a=True), (a.T @ b))
assert np.array_equal(np.triu(blas.dsyrk(1, a, trans=True)), np.triu(a.T @ a))
assert np.array_equal(np.triu(blas.dsyr2k(1, a, b, trans=True)), np.triu(a.T @ b + b.T @ a))
assert np.array_equal(blas.dtrmm(2, t, b[:150]), 2 * (t @ b[:150]))
x = blas.dtrsm(1, t, b[:150])
assert np.abs(t @ x - b[:150]).max() < 1e-9
print("agrees")'
agrees R r-base-core Rscript --vanilla -e '
set.seed(1); a <- matrix(sample(-8:8, 90000, TRUE), 300) + 0; b <- matrix(sample(-8:8, 90000, TRUE), 300) + 0
s <- 0; for (i in 1:300) s <- s + outer(a[, i], b[i, ])
stopifnot(all(a %*% b == s), all(crossprod(a, b) == t(a) %*% b)); cat("agrees\n")'
agrees octave octave octave-cli --norc --eval '
a = floor(17 * rand(300) - 8); b = floor(17 * rand(300) - 8); s = zeros(300);
for i = 1:300 s += a(:, i) .* b(i, :); end
assert(isequal(a * b, s)); disp("agrees")'
agrees scikit-learn python3-sklearn $python -c '
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.decomposition import PCA
rng = np.random.default_rng(1)
x = rng.standard_normal((2000, 300)); w = rng.standard_normal((300, 70))
r = Ridge(alpha=1e-9).fit(x, x @ w)
assert np.abs(r.coef_.T - w).max() < 1e-6
assert np.abs(PCA(3).fit_transform(x)).max() > 1
print("agrees")'
agrees torch python3-torch $python -c '
import torch
torch.manual_seed(1)
a, b = (torch.randint(-8, 8, (300, 300)).float() for _ in range(2))
assert torch.equal(a @ b, (a.long()[:, :, None] * b.long()[None]).sum(1).float())
print("agrees")'
finish
