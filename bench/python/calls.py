# SPDX-License-Identifier: MIT
"""What a call from Python costs beyond the library's own.

calls.py --model FILE [--rounds N] [--endpoint URI] [--gate]

Both sides spin and have a CPU each. Each row is the median of one call, less
that of an empty one, on arrays of 16x16 or one row in the region. PYTHONPATH
names the package, if it is not installed: host-client/python of a clone, which
finds its build/. --gate: exit 1 where a bar is missed.
"""
import argparse
import ctypes
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import penstock
from penstock import _library, _memory

# Microseconds over the library's call.
BARS = {"c.matmul(a, b, out=o)": 2.0, "model.infer(row, y)": 3.0,
        "model.infer(row)": 3.0, "plan()": 0.6, "model plan()": 0.6}


def median(call, rounds):
    times = []
    clock = time.perf_counter_ns
    for _ in range(rounds // 10):
        call()
    for _ in range(rounds):
        begin = clock()
        call()
        times.append(clock() - begin)
    return statistics.median(times) / 1e3


def nothing():
    pass


def library_calls(c, gemm, infer, rounds):
    """Medians of pst_gemm() and pst_infer() themselves."""
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "measure.so")
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC",
                        "-I", os.path.join(here, "..", ".."),
                        os.path.join(here, "measure.c"), "-o", path],
                       check=True)
        measure = ctypes.CDLL(path).measure
    measure.restype = ctypes.c_double
    measure.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p,
                        ctypes.c_size_t]
    library, results = c._handle.library, []
    with c._handle.using() as pointer:
        for function, args in ((library.pst_gemm, gemm),
                               (library.pst_infer, infer)):
            results.append(measure(ctypes.cast(function, ctypes.c_void_p),
                                   pointer, ctypes.addressof(args), rounds))
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20000)
    parser.add_argument("--endpoint", default="spawn:?size=64M&threads=1")
    parser.add_argument("--model", required=True,
                        help="a model file, such as diabetes.safetensors")
    parser.add_argument("--gate", action="store_true")
    args = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cpus[1:])
    c = penstock.open(args.endpoint, spin=math.inf)
    os.sched_setaffinity(0, cpus[:1])
    a, b, o = (c.zeros((16, 16), "f4") for _ in range(3))
    model = c.load_model(f"bench-{os.getpid()}", args.model)
    row, y = c.zeros(model.inputs, "f4"), c.zeros(model.outputs, "f4")
    gemm = _library.Gemm(dtype=_library.F32, m=16, n=16, k=16, lda=16, ldb=16,
                         ldc=16, alpha=1, a=a.ctypes.data, b=b.ctypes.data,
                         c=o.ctypes.data)
    infer = model._prepared(row[np.newaxis], model.inputs, y[np.newaxis],
                            model.outputs)
    plan, model_plan = c.plan(a, b, o), model.plan(row, y)
    clock = median(nothing, args.rounds)
    c_gemm, c_infer = library_calls(c, gemm, infer, args.rounds)
    rows = [("c.matmul(a, b, out=o)", c_gemm, lambda: c.matmul(a, b, out=o)),
            ("c.matmul(a, b)", c_gemm, lambda: c.matmul(a, b)),
            ("plan()", c_gemm, plan),
            ("model.infer(row, y)", c_infer, lambda: model.infer(row, y)),
            ("model.infer(row)", c_infer, lambda: model.infer(row)),
            ("model plan()", c_infer, model_plan)]
    print(f"calls through {_memory.calls().__name__}; pst_gemm() "
          f"{c_gemm:.2f} us, pst_infer() {c_infer:.2f} us")
    missed = False
    for name, base, call in rows:
        whole = median(call, args.rounds) - clock
        bar = BARS.get(name)
        over = whole - base
        bad = bar is not None and over > bar
        missed = missed or bad
        print(f"{name:24}{whole:8.2f} us, {over:6.2f} over the library's"
              + (f", bar {bar}{' MISSED' if bad else ''}" if bar else ""))
    c.unload_model(model.name)
    c.close()
    return 1 if missed and args.gate else 0


if __name__ == "__main__":
    sys.exit(main())
