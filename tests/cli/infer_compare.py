#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""infer_compare.py GOT.npy WANT.npy TOLERANCE: whether the values are as near,
and every row has its largest value (of one: above a half) at the same place.
infer_compare.py --convert IN.npy OUT.npy HOW: the same rows, kept otherwise."""
import sys

import numpy as np


def convert(source, target, how):
    x = np.load(source)
    if how == "fortran":
        x = np.asfortranarray(x)
    elif how == "big":
        x = x.astype(">f4")
    else:
        x = x.astype(how)
    np.save(target, x)


def labels(y):
    return y.argmax(1) if y.shape[1] > 1 else y[:, 0] > 0.5


def main():
    if sys.argv[1] == "--convert":
        convert(*sys.argv[2:])
        return
    got, want = np.load(sys.argv[1]), np.load(sys.argv[2])
    assert got.shape == want.shape, (got.shape, want.shape)
    assert got.dtype == np.float32, got.dtype
    worst = np.abs(got - want).max()
    assert worst <= float(sys.argv[3]), worst
    differ = (labels(got) != labels(want)).sum()
    assert differ == 0, f"{differ} of {len(want)} predictions differ"


main()
