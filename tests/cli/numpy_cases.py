# SPDX-License-Identifier: MIT
"""penstock gemm against numpy: types, byte orders, storage orders, factors."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np

penstock, endpoint, work = sys.argv[1:]
failed = False
rng = np.random.default_rng(7)


def path(name):
    return os.path.join(work, name)


def report(name, good, why=""):
    global failed
    print(("ok - " if good else "not ok - ") + name)
    if not good:
        print("  " + why)
        failed = True


def run(*args):
    return subprocess.run([penstock, "-e", endpoint, "gemm", *args],
                          capture_output=True, text=True, timeout=120,
                          check=False)


def close(got, want, k, dtype):
    """Entries are of size 1: the errors of k sums stay far below this."""
    eps = np.finfo(dtype).eps
    return np.allclose(got, want, rtol=0, atol=(k + 8) * eps * 4)


def save(name, array, fortran, big, version=(1, 0)):
    array = np.array(array, dtype=array.dtype.newbyteorder(
        ">" if big else "<"), order="F" if fortran else "C")
    with open(path(name), "wb") as f:
        np.lib.format.write_array(f, array, version)


def product(name, dtype, m, n, k, fa=False, fb=False, ta=False, tb=False,
            big=False, version=(1, 0), alpha=1.0, beta=None, fc=False,
            verify=True):
    a = rng.random((k, m) if ta else (m, k)).astype(dtype) - dtype(0.5)
    b = rng.random((n, k) if tb else (k, n)).astype(dtype) - dtype(0.5)
    save("a.npy", a, fa, big, version)
    save("b.npy", b, fb, big, version)
    args = [path("a.npy"), path("b.npy"), "-o", path("c.npy"), "--json"]
    want = alpha * ((a.T if ta else a).astype(np.float64)
                    @ (b.T if tb else b).astype(np.float64))
    if ta:
        args.append("--transa")
    if tb:
        args.append("--transb")
    if alpha != 1.0:
        args.append(f"--alpha={alpha}")
    if beta is not None:
        c0 = rng.random((m, n)).astype(dtype)
        save("c0.npy", c0, fc, big, version)
        args += ["-c", path("c0.npy"), "--beta", str(beta)]
        want = want + beta * c0.astype(np.float64)
    if verify:
        args.append("--verify")
    if os.path.exists(path("c.npy")):
        os.unlink(path("c.npy"))
    r = run(*args)
    if r.returncode != 0:
        report(name, False, f"exit {r.returncode}: {r.stdout}{r.stderr}")
        return
    c = np.load(path("c.npy"))
    said = json.loads(r.stdout.splitlines()[-1])
    why = []
    if c.dtype != np.dtype(dtype).newbyteorder("<") or c.shape != (m, n):
        why.append(f"{c.dtype} {c.shape}")
    elif not close(c, want, k, dtype):
        why.append(f"off by {abs(c - want).max()}")
    if fc and min(m, n) > 1 and not np.isfortran(c):
        why.append("not in C0's order")
    if (said["m"], said["n"], said["k"]) != (m, n, k):
        why.append(f"it says {said}")
    if said["verified"] is not (True if verify else None):
        why.append(f"verified is {said['verified']}")
    report(name, not why, "; ".join(why))


ORDERS = {False: "C", True: "Fortran"}
for ta, tb, fa, fb in itertools.product((False, True), repeat=4):
    product(f"{'A^T' if ta else 'A'} in {ORDERS[fa]} order by "
            f"{'B^T' if tb else 'B'} in {ORDERS[fb]} order",
            np.float32, 13, 7, 29, fa, fb, ta, tb)
for dtype, big, version in itertools.product(
        (np.float32, np.float64), (False, True), ((1, 0), (2, 0), (3, 0))):
    product(f"{dtype.__name__}, {'big' if big else 'little'}-endian, "
            f"version {version[0]}", dtype, 5, 11, 6, fb=True, big=big,
            version=version)
for fc, fa in itertools.product((False, True), repeat=2):
    product(f"beta times C0 in {ORDERS[fc]} order, A in {ORDERS[fa]} order",
            np.float64, 9, 17, 12, fa=fa, tb=True, alpha=-2.5, beta=0.5,
            fc=fc, big=fc)
product("alpha alone", np.float32, 8, 8, 8, alpha=3.25)
product("beta of 0 with a C0", np.float32, 8, 9, 10, beta=0)
product("one element", np.float64, 1, 1, 1)
product("a row by a column", np.float32, 1, 1, 3000)
product("a column by a row", np.float32, 300, 200, 1)
product("a matrix by a column", np.float64, 301, 1, 203, fa=True)
product("k of 0 gives zeros", np.float32, 4, 5, 0)
product("k of 0 keeps beta C0", np.float32, 4, 5, 0, beta=2)
product("no rows", np.float32, 0, 5, 3)
product("no columns", np.float64, 4, 0, 3, fb=True)
product("without the check", np.float32, 20, 20, 20, verify=False)
product("larger than a page and no multiple of it", np.float32, 517, 233, 301,
        fa=True)

def other(name, dtype, m, n, k, *args, act=None, bias=False, big=False):
    """Types and epilogues; the check is the command's own, and numpy's."""
    if dtype is np.int8:
        out = np.int32
        a, b, v = (rng.integers(-128, 127, s).astype(t) for s, t in (
            ((m, k), dtype), ((k, n), dtype), ((1, n), out)))
    else:
        out = dtype
        a, b, v = ((rng.random(s) - 0.5).astype(dtype)
                   for s in ((m, k), (k, n), (1, n)))
    save("a.npy", a, False, big)
    save("b.npy", b, True, False)
    save("bias.npy", v, False, big)
    want = a.astype(np.float64) @ b.astype(np.float64)
    args = list(args)
    if bias:
        want = want + v
        args += ["--bias", path("bias.npy")]
    if act:
        args += ["--act", act]
    if act == "relu":
        want = np.maximum(want, 0)
    r = run(path("a.npy"), path("b.npy"), "-o", path("c.npy"), "--verify",
            *args)
    if r.returncode != 0:
        report(name, False, f"exit {r.returncode}: {r.stdout}{r.stderr}")
        return
    c = np.load(path("c.npy"))
    good = c.dtype == out and c.shape == (m, n)
    if act in (None, "relu"):
        good = good and (np.array_equal(c, want) if out is np.int32 else
                         np.allclose(c, want, rtol=4e-3, atol=4e-3))
    report(name, good, f"{c.dtype} {c.shape}, off by {abs(c - want).max()}")


other("float16", np.float16, 33, 20, 70)
other("float16, big-endian, with bias and relu", np.float16, 33, 20, 70,
      bias=True, act="relu", big=True)
other("int8 to int32, exactly", np.int8, 40, 30, 2000, bias=True)
other("float32 with gelu by tanh", np.float32, 20, 30, 40, bias=True,
      act="gelu-tanh")
other("float64 with gelu by erf", np.float64, 20, 30, 40, act="gelu-erf")
other("float32 in tf32 mode", np.float32, 64, 64, 64, "--compute", "tf32")
other("float32 in fast-f16 mode", np.float32, 64, 64, 64, "--compute",
      "fast-f16")

# Data that is not aligned to its elements, as other writers may make it.
A = rng.random((6, 4))
B = rng.random((4, 3))
with open(path("odd.npy"), "wb") as f:
    head = b"{'descr':'<f8','fortran_order':False,'shape':(6,4)}"
    head += b" " * (3 - (10 + len(head)) % 8 + 8)
    f.write(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    assert f.tell() % 8 == 3
    f.write(A.tobytes())
np.save(path("b.npy"), B)
result = run(path("odd.npy"), path("b.npy"), "-o", path("c.npy"), "--verify")
report("data that is not aligned", result.returncode == 0 and
       close(np.load(path("c.npy")), A @ B, 4, np.float64),
       result.stdout + result.stderr)

# The names of a type that numpy reads as the machine's own.
for descr in ("=f8", "f8", "|f8", "float64", "d"):
    with open(path("named.npy"), "wb") as f:
        head = ("{'shape': (6, 4), 'descr': '%s', 'fortran_order': False}\n"
                % descr).encode()
        f.write(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
        f.write(A.tobytes())
    assert np.array_equal(np.load(path("named.npy")), A)
    result = run(path("named.npy"), path("b.npy"), "-o", path("c.npy"))
    report(f"a file that calls its type {descr}", result.returncode == 0 and
           close(np.load(path("c.npy")), A @ B, 4, np.float64),
           result.stdout + result.stderr)

# NaN and infinity go through as they are.
A[2, 1] = np.nan
A[3, 2] = np.inf
np.save(path("a.npy"), A)
result = run(path("a.npy"), path("b.npy"), "-o", path("c.npy"), "--verify")
with np.errstate(invalid="ignore"):
    report("NaN and infinity", result.returncode == 0 and np.allclose(
        np.load(path("c.npy")), A @ B, equal_nan=True),
        result.stdout + result.stderr)

# The output may be an input: it is replaced only when all is done.
np.save(path("a.npy"), B)
result = run(path("a.npy"), path("a.npy"), "--transa", "-o", path("a.npy"))
report("the output may be an input", result.returncode == 0 and
       close(np.load(path("a.npy")), B.T @ B, 4, np.float64),
       result.stdout + result.stderr)

sys.exit(failed)
