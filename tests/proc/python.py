# SPDX-License-Identifier: MIT
"""The Python package against a private agent (spawn:)."""
import errno
import gc
import math
import os
import re
import threading
import unittest

import numpy as np

from pythonlib import children, penstock
from penstock import _layout, _library, _memory, connection

ENDPOINT = "spawn:?size=64M&threads=1"
TYPES = ("f4", "f8")


def close_to(got, want):
    eps = np.finfo(want.dtype).eps
    return np.allclose(got, want, rtol=200 * eps, atol=2000 * eps)


class WithConnection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.c = penstock.open(ENDPOINT)

    @classmethod
    def tearDownClass(cls):
        cls.c.close()

    def setUp(self):
        self.random = np.random.default_rng(7)

    def matrix(self, rows, cols, dtype="f4"):
        return self.random.standard_normal((rows, cols)).astype(dtype)

    def assert_product(self, got, a, b):
        want = np.asarray(a) @ np.asarray(b)
        self.assertEqual(got.shape, want.shape)
        self.assertEqual(got.dtype, want.dtype)
        self.assertTrue(close_to(got, want))

    def multiply_in_place(self, a, b, out):
        """A product that may not copy anything."""
        def copies(*args):
            raise AssertionError("an operand in the region was copied")
        saved, _memory.new_array = _memory.new_array, copies
        try:
            return self.c.matmul(a, b, out=out)
        finally:
            _memory.new_array = saved

    def in_region(self, array):
        return _memory.lies_in(self.c._handle, array)


class Layouts(unittest.TestCase):
    """Which arrays BLAS reads in place; no agent needed."""

    def test_c_and_fortran_order_are_read_in_place(self):
        a = np.zeros((4, 6))
        self.assertEqual(_layout.describe(a), (False, 6))
        self.assertEqual(_layout.describe(a.T), (True, 6))
        self.assertEqual(_layout.describe(np.asfortranarray(a)), (True, 4))

    def test_slices_are_read_with_a_leading_dimension(self):
        a = np.zeros((10, 20))
        self.assertEqual(_layout.describe(a[2:5, 3:9]), (False, 20))
        self.assertEqual(_layout.describe(a[::2, 3:9]), (False, 40))
        self.assertEqual(_layout.describe(a.T[3:9, ::3]), (True, 60))
        self.assertEqual(_layout.describe(a[:, 4:5]), (False, 20))
        self.assertEqual(_layout.describe(a[4:5, ::2]), (True, 2))
        self.assertEqual(_layout.describe(a[4:5, 4:5]), (False, 1))

    def test_other_strides_are_not(self):
        a = np.zeros((10, 20))
        for view in (a[:, ::2], a[::-1], a[:, ::-1],
                     np.broadcast_to(a[:1], (10, 20)),
                     np.broadcast_to(a[:, :1], (10, 20)),
                     np.lib.stride_tricks.as_strided(a, (3, 4), (16, 8))):
            self.assertIsNone(_layout.describe(view), view.strides)
        raw = np.zeros(8 * 16 + 4, "u1")
        shifted = raw[4:].view("f8").reshape(4, 4)
        if not shifted.flags.aligned:
            self.assertIsNone(_layout.describe(shifted))
        odd = np.zeros((4, 4), [("x", "f4"), ("pad", "u1")])["x"]
        self.assertIsNone(_layout.describe(odd))

    def test_empty_matrices_have_a_leading_dimension_too(self):
        self.assertEqual(_layout.describe(np.zeros((0, 5))), (False, 5))
        self.assertEqual(_layout.describe(np.zeros((5, 0))), (False, 1))

    def test_a_span_covers_negative_strides(self):
        a = np.zeros((3, 4), "f4")
        self.assertEqual(_layout.span(a), (0, 48))
        self.assertEqual(_layout.span(a[::-1]), (-32, 48))
        self.assertEqual(_layout.span(a[::-1, 1:2]), (-32, 36))
        self.assertEqual(_layout.span(a[:0]), (0, 0))


class Products(WithConnection):
    def test_shapes(self):
        for dtype in TYPES:
            for m, k, n in ((1, 1, 1), (64, 64, 64), (1, 100, 3),
                            (200, 1, 5), (5, 300, 1), (33, 17, 65)):
                with self.subTest(dtype=dtype, shape=(m, k, n)):
                    a, b = self.matrix(m, k, dtype), self.matrix(k, n, dtype)
                    self.assert_product(self.c.matmul(a, b), a, b)

    def test_arrays_in_the_region_in_all_orders_and_transposed(self):
        for dtype in TYPES:
            for oa in "CF":
                for ob in "CF":
                    for oc in "CF":
                        with self.subTest(orders=(dtype, oa, ob, oc)):
                            self.product_in_orders(dtype, oa, ob, oc)

    def product_in_orders(self, dtype, oa, ob, oc):
        c = self.c
        a = c.empty((20, 30), dtype, oa)
        b = c.empty((30, 40), dtype, ob)
        out = c.empty((20, 40), dtype, oc)
        a[...], b[...] = self.matrix(20, 30), self.matrix(30, 40)
        self.assertIs(self.multiply_in_place(a, b, out), out)
        self.assert_product(out, a, b)
        at = c.asarray(self.matrix(30, 20, dtype)).T
        bt = c.asarray(self.matrix(40, 30, dtype)).T
        out_t = c.empty((40, 20), dtype, oc).T
        self.multiply_in_place(at, bt, out_t)
        self.assert_product(out_t, at, bt)

    def test_slices_in_the_region_are_used_in_place(self):
        big = self.c.asarray(self.matrix(100, 120))
        out = self.c.zeros((50, 70), "f4")
        a, b = big[10:30, 5:45], big[20:60, 60:90]
        self.multiply_in_place(a, b, out[3:23, 7:37])
        self.assert_product(out[3:23, 7:37], a, b)
        out[3:23, 7:37] = 0
        self.assertFalse(out.any(), "written beside the slice")

    def test_strides_that_blas_does_not_know_are_copied(self):
        big = self.c.asarray(self.matrix(100, 120))
        for a, b in ((big[:40:2, :60:2], big[:60:2, ::3][:30]),
                     (big[::-1][:20, :30], big[:30, ::-1][:, :25]),
                     (np.broadcast_to(big[:1, :30], (20, 30)),
                      big[10:40, 1:2])):
            self.assert_product(self.c.matmul(a, b), a, b)
        out = self.c.zeros((40, 60), "f4")
        a, b = self.matrix(20, 10), self.matrix(10, 30)
        self.c.matmul(a, b, out=out[::2, ::2])
        self.assert_product(out[::2, ::2], a, b)
        self.assertFalse(out[1::2].any() or out[:, 1::2].any())

    def test_arrays_outside_the_region_are_copied_both_ways(self):
        a, b = self.matrix(20, 30, "f8"), self.matrix(30, 10, "f8")
        out = np.full((20, 10), np.nan)
        self.c.matmul(a, b, out=out)
        self.assert_product(out, a, b)
        self.c.matmul(a.tolist(), b.tolist(), out=out)
        self.assert_product(out, a, b)

    def test_arrays_larger_than_the_region_are_multiplied(self):
        k = 450000
        a, b = self.matrix(40, k), self.matrix(k, 40)
        self.assertGreater(a.nbytes, 64 << 20)
        want = a.astype("f8") @ b.astype("f8")
        out = self.matrix(40, 40)
        self.assertIs(self.c.matmul(a, b, out=out), out)
        for got in (out, self.c.matmul(a, b)):
            self.assertTrue(np.allclose(got, want, rtol=1e-3, atol=1))

    def test_sides_beyond_the_agents_limit_are_cut(self):
        limit = self.c.info()["limits"]["max_dim"]
        for m, n, k in ((limit + 9, 2, 3), (2, limit + 9, 3),
                        (2, 3, limit + 9)):
            a, b = self.matrix(m, k, "f8"), self.matrix(k, n, "f8")
            out = self.c.matmul(a, b, out=np.empty((m, n)))
            self.assertTrue(np.allclose(out, a @ b, atol=1e-6))

    def test_alpha_and_beta(self):
        a, b = self.matrix(20, 30, "f8"), self.matrix(30, 10, "f8")
        for out in (self.c.asarray(self.matrix(20, 10, "f8")),
                    self.matrix(20, 10, "f8"),
                    self.c.zeros((20, 20), "f8")[:, ::2]):
            want = 2.5 * (a @ b) - 0.5 * out
            self.c.matmul(a, b, alpha=2.5, beta=-0.5, out=out)
            self.assertTrue(close_to(out, want))
        with self.assertRaises(ValueError):
            self.c.matmul(a, b, beta=1)

    def test_beta_0_does_not_read_out(self):
        a, b = self.matrix(4, 4), self.matrix(4, 4)
        out = self.c.empty((4, 4), "f4")
        out[...] = np.nan
        self.c.matmul(a, b, out=out)
        self.assert_product(out, a, b)

    def test_empty_sums_and_empty_results(self):
        for dtype in TYPES:
            got = self.c.matmul(np.zeros((3, 0), dtype), np.zeros((0, 4),
                                                                  dtype))
            self.assertEqual(got.tolist(), np.zeros((3, 4)).tolist())
            out = self.c.asarray(np.ones((3, 4), dtype))
            self.c.matmul(np.zeros((3, 0), dtype), np.zeros((0, 4), dtype),
                          beta=2, out=out)
            self.assertTrue((out == 2).all())
            out = self.c.empty((3, 4), dtype, "F")
            self.c.matmul(np.zeros((3, 0), dtype), np.zeros((0, 4), dtype),
                          out=out)
            self.assertFalse(out.any())
            self.assertEqual(self.c.matmul(np.zeros((0, 5), dtype),
                                           np.zeros((5, 4), dtype)).shape,
                             (0, 4))

    def test_vectors_are_rows_and_columns_as_in_numpy(self):
        a, v = self.matrix(20, 30), self.matrix(1, 30)[0]
        w = self.matrix(1, 20)[0]
        self.assert_product(self.c.matmul(a, v), a, v)
        self.assert_product(self.c.matmul(w, a), w, a)
        self.assertTrue(close_to(self.c.matmul(v, v), v @ v))
        out = self.c.empty(20, "f4")
        self.c.matmul(a, v, out=out)
        self.assert_product(out, a, v)

    def test_out_that_shares_memory_with_an_operand_is_right(self):
        for take in (lambda x: x, np.array):
            x = take(self.c.asarray(self.matrix(30, 30)))
            y = self.matrix(30, 30)
            want = np.array(x) @ y
            self.c.matmul(x, y, out=x)
            self.assertTrue(close_to(x, want))
            both = take(self.c.asarray(self.matrix(10, 20)))
            want = np.array(both[:, :10]) @ y[:10, :10]
            self.c.matmul(both[:, :10], y[:10, :10], out=both[:, 10:])
            self.assertTrue(close_to(both[:, 10:], want))

    def test_a_result_is_private_unless_it_is_asked_for_in_the_region(self):
        private = self.matrix(8, 9), self.matrix(9, 7)
        for a, b in (private, [self.c.asarray(x) for x in private]):
            for call in (self.c.matmul, self.c.gemm):
                for region in (False, True):
                    got = call(a, b, region=region)
                    self.assertEqual(self.in_region(got), region)
                    self.assert_product(got, a, b)
                    got[0, 0] = 5
                    self.assertEqual(got[0, 0], 5)
            vector = self.c.matmul(a, b[:, 0], region=True)
            self.assertTrue(self.in_region(vector))
            self.assert_product(vector, a, b[:, 0])

    def test_take_copies_every_kind_of_view(self):
        x = self.c.asarray(self.matrix(12, 15))
        for view in (x, x.T, x[2:5, 3:9], x[::-2, ::3], x[:, 4], x[:0],
                     x[3, 3:3], x[7, 7:8]):
            got = self.c.take(view)
            self.assertFalse(self.in_region(got))
            self.assertEqual(got.tolist(), view.tolist())
            self.assertFalse(np.may_share_memory(got, x))

    def test_wrong_types_and_shapes_are_refused_with_a_sentence(self):
        c, f4, f8 = self.c, np.zeros((3, 3), "f4"), np.zeros((3, 3), "f8")
        readonly = np.zeros((3, 3), "f4")
        readonly.flags.writeable = False
        for words, error, call in (
                ("int64", TypeError,
                 lambda: c.matmul(f4.astype("i1"), [[1] * 3] * 3)),
                ("int64", TypeError, lambda: c.matmul([[1]], [[2]])),
                ("complex", TypeError, lambda: c.matmul(f4.astype("c8"), f4)),
                ("object", TypeError,
                 lambda: c.matmul(f4.astype(object), f4)),
                ("do not match", ValueError,
                 lambda: c.matmul(f4, np.zeros((4, 3), "f4"))),
                ("dimensions", ValueError,
                 lambda: c.matmul(np.float32(3), f4)),
                ("broadcast", ValueError,
                 lambda: c.matmul(np.zeros((2, 3, 3), "f4"),
                                  np.zeros((4, 3, 3), "f4"))),
                ("out must be", TypeError, lambda: c.matmul(f4, f4, out=f8)),
                ("out has shape", ValueError,
                 lambda: c.matmul(f4, f4, out=np.zeros((2, 3), "f4"))),
                ("cannot be written", ValueError,
                 lambda: c.matmul(f4, f4, out=readonly)),
                ("timeout", ValueError,
                 lambda: c.matmul(f4, f4, timeout=-1)),
                ("too large", ValueError,
                 lambda: c.matmul(np.broadcast_to(f4[:1, :1], (2**32, 1)),
                                  f4[:1, :1])),
                ("objects", TypeError, lambda: c.empty(3, object)),
                ("negative", ValueError, lambda: c.empty((3, -1))),
                ("order", ValueError, lambda: c.empty(3, order="K"))):
            with self.subTest(words=words):
                with self.assertRaisesRegex(error, re.escape(words)):
                    call()

    def test_two_threads_share_a_connection(self):
        errors = []

        def work(seed):
            random = np.random.default_rng(seed)
            try:
                for _ in range(50):
                    m, k, n = random.integers(1, 40, 3)
                    a = self.c.empty((m, k), "f8")
                    a[...] = random.standard_normal((m, k))
                    b = random.standard_normal((k, n))
                    if not close_to(self.c.matmul(a, b), np.array(a) @ b):
                        raise AssertionError("wrong product")
            except BaseException as e:
                errors.append(e)

        threads = [threading.Thread(target=work, args=(i,)) for i in (1, 2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(errors, [])


class Arrays(WithConnection):
    def test_empty_and_zeros_are_writable_numpy_arrays_in_the_region(self):
        for shape in (5, (), (3, 4), (2, 3, 4), (0, 7)):
            for dtype in ("f4", "f8", "i2", "c16", [("x", "f4"), ("y", "i1")]):
                for order in "CF":
                    a = self.c.zeros(shape, dtype, order)
                    self.assertTrue(self.in_region(a))
                    self.assertEqual(a.shape, np.zeros(shape).shape)
                    self.assertEqual(a.dtype, np.dtype(dtype))
                    self.assertEqual(a.flags.f_contiguous, np.zeros(
                        shape, order=order).flags.f_contiguous)
                    self.assertEqual(a.tolist(),
                                     np.zeros(shape, dtype).tolist())
                    a[...] = a

    def test_asarray_copies_once_and_keeps_the_order(self):
        x = np.asfortranarray(np.arange(12.0).reshape(3, 4))
        a = self.c.asarray(x)
        self.assertTrue(self.in_region(a))
        self.assertTrue(a.flags.f_contiguous)
        self.assertEqual(a.tolist(), x.tolist())
        self.assertIs(self.c.asarray(a), a)
        self.assertIs(self.c.asarray(a[1:]).base, a[1:].base)
        self.assertEqual(self.c.asarray([1, 2], "f4").dtype, np.float32)

    def test_memory_is_given_back_when_the_last_view_dies(self):
        rounds = 12
        for _ in range(rounds):
            # More than half of the region: two at once do not fit.
            a = self.c.empty(36 << 20, "u1")
            a[-1] = 1
            view = a[10:20][::2]
            a = None
            gc.collect()
            with self.assertRaises(penstock.Error) as caught:
                self.c.empty(36 << 20, "u1")
            self.assertIn(caught.exception.errno,
                          (errno.ENOSPC, errno.EMSGSIZE))
            view[...] = 3
            view = None
            gc.collect()

    def test_an_array_larger_than_the_region_is_refused(self):
        with self.assertRaises(penstock.Error) as caught:
            self.c.empty(1 << 40, "u1")
        self.assertIn(caught.exception.errno, (errno.ENOSPC, errno.EMSGSIZE))
        self.assertTrue(caught.exception.strerror)


class Connections(unittest.TestCase):
    def test_times_to_spin_and_to_wait_for_a_sign_of_life_are_passed_on(self):
        seen = []

        def look(library, endpoint, options):
            seen.append((options.spin_ns, options.dead_ns, options.flags))
            return connect(library, endpoint, options)

        connect = connection._connect
        connection._connect = look
        try:
            for kw in ({}, {"spin": 0}, {"spin": 20e-6, "dead": 0.5},
                       {"spin": 1e-12, "dead": math.inf},
                       {"spin": math.inf, "control_only": True}):
                with penstock.open(ENDPOINT, **kw) as c:
                    self.assertGreater(c.ping(), 0)
        finally:
            connection._connect = connect
        forever = 2**64 - 1
        self.assertEqual(seen, [(0, 0, 0), (0, 0, 2), (20000, 5 * 10**8, 0),
                                (1, forever, 0), (forever, 0, 1)])
        for kw in ({"spin": -1}, {"dead": -1}, {"dead": 0},
                   {"spin": math.nan}):
            with self.assertRaises(ValueError):
                penstock.open(ENDPOINT, **kw)

    def test_ping_info_health_and_stats_answer(self):
        with penstock.open(ENDPOINT, name="t\u00e9st") as c:
            self.assertGreater(c.ping(), 0)
            self.assertIsInstance(c.info(), dict)
            self.assertIs(c.health()["healthy"], True)
            self.assertIsInstance(c.stats(), dict)
            self.assertIn("open", repr(c))
        self.assertIn("closed", repr(c))

    def test_endpoints_that_lead_nowhere_are_told(self):
        for endpoint, number in (("nosuch://x", errno.EINVAL),
                                 ("unix:///nonexistent/sock", errno.ENOENT),
                                 ("spawn:?agent=/nonexistent", errno.ENOENT)):
            with self.subTest(endpoint=endpoint):
                with self.assertRaises(penstock.Error) as caught:
                    penstock.open(endpoint)
                self.assertEqual(caught.exception.errno, number)
                self.assertTrue(caught.exception.strerror)

    def test_without_an_endpoint_the_variable_is_named(self):
        saved = os.environ.pop("PENSTOCK_ENDPOINT", None)
        try:
            with self.assertRaisesRegex(penstock.Error, "PENSTOCK_ENDPOINT"):
                penstock.open()
        finally:
            if saved is not None:
                os.environ["PENSTOCK_ENDPOINT"] = saved

    def test_a_closed_connection_refuses_calls_and_keeps_arrays(self):
        c = penstock.open(ENDPOINT)
        a = c.zeros((100, 100), "f4")
        handle = c._handle
        c.close()
        c.close()
        self.assertTrue(c.closed)
        for call in (c.ping, c.info, lambda: c.empty(1),
                     lambda: c.matmul(a, a)):
            with self.assertRaisesRegex(penstock.Error, "closed"):
                call()
        a[...] = 4
        self.assertEqual(a.sum(), 40000)
        self.assertIsNotNone(handle.gate.pointer)
        view = a[50:]
        del a
        gc.collect()
        self.assertIsNotNone(handle.gate.pointer)
        del view
        gc.collect()
        self.assertIsNone(handle.gate.pointer, "the session outlived its arrays")

    def test_a_forgotten_connection_ends_with_its_last_array(self):
        c = penstock.open(ENDPOINT)
        handle, a = c._handle, c.zeros(4)
        del c
        gc.collect()
        self.assertIsNotNone(handle.gate.pointer)
        del a
        gc.collect()
        self.assertIsNone(handle.gate.pointer)

    def test_a_forked_child_is_refused_and_harms_nothing(self):
        with penstock.open(ENDPOINT) as c:
            a = c.zeros((4, 4))
            pid = os.fork()
            if pid == 0:
                try:
                    c.ping()
                    os._exit(1)
                except penstock.Error:
                    del a
                    c.close()
                    gc.collect()
                    os._exit(0)
            self.assertEqual(os.waitpid(pid, 0)[1], 0)
            self.assertGreater(c.ping(), 0)
            a += 1
            self.assertEqual(c.matmul(a, a)[0, 0], 4)

    def test_a_control_only_connection_has_no_arrays(self):
        with penstock.open(ENDPOINT, control_only=True) as c:
            self.assertIs(c.health()["healthy"], True)
            with self.assertRaises(penstock.Error):
                c.empty(4)

    def test_arrays_of_a_killed_agent_are_stale(self):
        with penstock.open(ENDPOINT) as c:
            a = c.zeros((4, 4))
            for pid in children():
                os.kill(pid, 9)
            with self.assertRaises(penstock.Error):
                for _ in range(2):
                    c.matmul(a, a)
            a[...] = 1
            with self.assertRaises(penstock.StaleError) as caught:
                c.matmul(a, a)
            self.assertEqual(caught.exception.errno, errno.ESTALE)
            self.assertIsInstance(caught.exception, OSError)
            with self.assertRaises(penstock.StaleError):
                c.take(a)

    def test_the_package_has_the_library_s_version(self):
        library = _library.load().pst_version().decode()
        self.assertEqual(penstock.__version__, library)


if __name__ == "__main__":
    unittest.main()
