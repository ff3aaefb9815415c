# SPDX-License-Identifier: MIT
"""libpenstock through ctypes, raw: the tests want pointers and tags, and to
see errno values rather than exceptions."""
import ctypes
import json
import os

import numpy

FOREVER = 2**64 - 1
S = 10**9
F32, F64 = 1, 2
ROW, COL = 0, 1
DTYPES = {F32: numpy.float32, F64: numpy.float64}


class Sized(ctypes.Structure):
    def __init__(self, **members):
        super().__init__(size=ctypes.sizeof(self), **members)


class Options(Sized):
    _fields_ = [("size", ctypes.c_size_t), ("timeout_ns", ctypes.c_uint64),
                ("dead_ns", ctypes.c_uint64), ("spin_ns", ctypes.c_uint64),
                ("flags", ctypes.c_uint32), ("queues", ctypes.c_uint32),
                ("name", ctypes.c_char_p)]


class Info(Sized):
    _fields_ = [("size", ctypes.c_size_t), ("epoch", ctypes.c_uint64),
                ("session", ctypes.c_uint64), ("arena_size", ctypes.c_uint64),
                ("region_size", ctypes.c_uint64),
                ("max_elems", ctypes.c_uint64),
                ("max_lease", ctypes.c_uint64), ("max_dim", ctypes.c_uint32),
                ("n_slots", ctypes.c_uint32), ("emulated", ctypes.c_uint32),
                ("page_size", ctypes.c_uint32),
                ("vm_uuid", ctypes.c_char * 37),
                ("region_uuid", ctypes.c_char * 37),
                ("boot_id", ctypes.c_char * 37),
                ("agent_version", ctypes.c_char * 33),
                ("provider", ctypes.c_char * 17),
                ("backend", ctypes.c_char * 65),
                ("driver", ctypes.c_char * 33), ("cuda", ctypes.c_char * 33),
                ("cublas", ctypes.c_char * 33),
                ("region_path", ctypes.c_char * 256)]


class Gemm(Sized):
    _fields_ = [("size", ctypes.c_size_t)] + [
                (name, ctypes.c_uint32) for name in
                ("dtype", "order", "transa", "transb", "m", "n", "k", "lda",
                 "ldb", "ldc")] + [
                ("alpha", ctypes.c_double), ("beta", ctypes.c_double),
                ("a", ctypes.c_void_p), ("b", ctypes.c_void_p),
                ("c", ctypes.c_void_p)] + [
                (name, ctypes.c_uint32) for name in
                ("dtype_c", "compute", "act", "batch")] + [
                (name, ctypes.c_uint64) for name in
                ("stride_a", "stride_b", "stride_c", "bias", "a_tensor",
                 "b_tensor", "c_tensor", "bias_tensor")]


class Completion(ctypes.Structure):
    _fields_ = [("tag", ctypes.c_uint64), ("user_data", ctypes.c_uint64),
                ("status", ctypes.c_int32), ("reserved0", ctypes.c_uint32),
                ("compute_ns", ctypes.c_uint64),
                ("queue_ns", ctypes.c_uint64), ("result", ctypes.c_uint64),
                ("reserved", ctypes.c_uint64 * 2)]


def load(path):
    lib = ctypes.CDLL(path)
    ptr, u64 = ctypes.c_void_p, ctypes.c_uint64
    signatures = {
        "pst_open": [ctypes.c_char_p, ctypes.POINTER(Options),
                     ctypes.POINTER(ptr), ctypes.c_char_p, ctypes.c_size_t],
        "pst_close": [ptr],
        "pst_last_error": [ptr, ctypes.c_char_p, ctypes.c_size_t],
        "pst_get_info": [ptr, ctypes.POINTER(Info)],
        "pst_query": [ptr, ctypes.c_int, ctypes.POINTER(ptr)],
        "pst_ping": [ptr, ctypes.POINTER(u64)],
        "pst_alloc": [ptr, ctypes.c_size_t, ctypes.POINTER(ptr)],
        "pst_free": [ptr, ptr],
        "pst_nop": [ptr, u64, ctypes.POINTER(Completion)],
        "pst_gemm": [ptr, ctypes.POINTER(Gemm), u64,
                     ctypes.POINTER(Completion)],
        "pst_submit_gemm": [ptr, ctypes.POINTER(Gemm), u64,
                            ctypes.POINTER(u64)],
        "pst_poll": [ptr, ctypes.POINTER(Completion), ctypes.c_int],
        "pst_wait": [ptr, u64, u64, ctypes.POINTER(Completion)],
    }
    for name, args in signatures.items():
        function = getattr(lib, name)
        function.argtypes = args
        function.restype = ctypes.c_int
    lib.pst_close.restype = None
    lib.pst_last_error.restype = None
    return lib


class Error(Exception):
    def __init__(self, rc, text):
        super().__init__("%s: %s" % (os.strerror(-rc), text))
        self.errno = -rc
        self.text = text


class Connection:
    """A connection; calls return 0 or a negative errno, as in C."""

    def __init__(self, lib, endpoint, name="test", **options):
        self.lib = lib
        self.c = ctypes.c_void_p()
        o = Options(name=name.encode(),
                    **options)
        text = ctypes.create_string_buffer(384)
        rc = lib.pst_open(endpoint.encode(), ctypes.byref(o),
                          ctypes.byref(self.c), text, len(text))
        if rc:
            raise Error(rc, text.value.decode())

    def close(self):
        self.lib.pst_close(self.c)
        self.c = ctypes.c_void_p()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def last_error(self):
        text = ctypes.create_string_buffer(384)
        self.lib.pst_last_error(self.c, text, len(text))
        return text.value.decode()

    def check(self, rc):
        if rc < 0:
            raise Error(rc, self.last_error())
        return rc

    def info(self):
        info = Info()
        self.check(self.lib.pst_get_info(self.c, ctypes.byref(info)))
        return info

    def query(self, what):
        """0 INFO, 1 HEALTH, 2 STATS."""
        text = ctypes.c_void_p()
        self.check(self.lib.pst_query(self.c, what, ctypes.byref(text)))
        try:
            return json.loads(ctypes.string_at(text))
        finally:
            LIBC.free(text)

    def ping(self):
        ns = ctypes.c_uint64()
        self.check(self.lib.pst_ping(self.c, ctypes.byref(ns)))
        return ns.value

    def alloc(self, size):
        p = ctypes.c_void_p()
        self.check(self.lib.pst_alloc(self.c, size, ctypes.byref(p)))
        return p.value

    def free(self, p):
        return self.lib.pst_free(self.c, p)

    def put(self, array):
        """A copy of the array's elements, in their memory's order."""
        flat = array.ravel(order="K")
        p = self.alloc(max(flat.nbytes, 1))
        ctypes.memmove(p, flat.ctypes.data, flat.nbytes)
        return p

    def get(self, p, count, dtype):
        out = numpy.empty(count, dtype)
        ctypes.memmove(out.ctypes.data, p, out.nbytes)
        return out

    def gemm(self, g, timeout_ns=60 * S, done=None):
        return self.lib.pst_gemm(self.c, ctypes.byref(g), timeout_ns,
                                 ctypes.byref(done) if done else None)

    def submit(self, g):
        tag = ctypes.c_uint64()
        self.check(self.lib.pst_submit_gemm(self.c, ctypes.byref(g), 0,
                                            ctypes.byref(tag)))
        return tag.value

    def wait(self, tag, timeout_ns=60 * S, done=None):
        return self.lib.pst_wait(self.c, tag, timeout_ns,
                                 ctypes.byref(done) if done else None)

    def poll(self, count=16):
        done = (Completion * count)()
        n = self.check(self.lib.pst_poll(self.c, done, count))
        return list(done[:n])

    def square(self, n, dtype=F64, seed=1):
        """Buffers for an n x n product, filled; the Gemm and its arrays."""
        rng = numpy.random.default_rng(seed)
        a = rng.standard_normal((n, n)).astype(DTYPES[dtype])
        b = rng.standard_normal((n, n)).astype(DTYPES[dtype])
        g = Gemm(dtype=dtype, order=ROW, m=n, n=n, k=n, lda=n, ldb=n, ldc=n,
                 alpha=1, a=self.put(a), b=self.put(b),
                 c=self.alloc(a.nbytes))
        return g, a, b


LIBC = ctypes.CDLL(None)
LIBC.free.argtypes = [ctypes.c_void_p]
