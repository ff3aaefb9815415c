#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""infer_compare.py GOT.npy WANT.npy TOLERANCE: whether the values are as near,
and every row has its largest value (of one: above a half) at the same place.
infer_compare.py --convert IN.npy OUT.npy HOW: the same rows, kept otherwise.
infer_compare.py --repeat IN.npy N HOW: the same rows N times, to stdout.
infer_compare.py --peak MB COMMAND...: runs it; fails if it took more memory."""
import resource
import subprocess
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


def repeat(source, n, how):
    x = np.load(source).astype(how)
    header = {"descr": x.dtype.str, "fortran_order": False,
              "shape": (len(x) * int(n), x.shape[1])}
    np.lib.format.write_array_header_1_0(sys.stdout.buffer, header)
    for _ in range(int(n)):
        sys.stdout.buffer.write(x.tobytes())


def peak(limit, *command):
    code = subprocess.run(command, check=False).returncode
    mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    if mb > int(limit):
        sys.exit(f"it took {mb:.0f} MB")
    sys.exit(code)


def labels(y):
    return y.argmax(1) if y.shape[1] > 1 else y[:, 0] > 0.5


def main():
    other = {"--convert": convert, "--repeat": repeat, "--peak": peak}
    if sys.argv[1] in other:
        other[sys.argv[1]](*sys.argv[2:])
        return
    got, want = np.load(sys.argv[1]), np.load(sys.argv[2])
    assert got.shape == want.shape, (got.shape, want.shape)
    assert got.dtype == np.float32, got.dtype
    worst = np.abs(got - want).max()
    assert worst <= float(sys.argv[3]), worst
    differ = (labels(got) != labels(want)).sum()
    assert differ == 0, f"{differ} of {len(want)} predictions differ"


main()
