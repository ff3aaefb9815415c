# SPDX-License-Identifier: MIT
"""Python's tensors and whole products against a private agent (spawn:)."""
import errno
import gc
import os
import re
import unittest

import numpy as np

from pythonlib import children, penstock

ENDPOINT = "spawn:?size=64M&threads=1"


def to_bf16(x):
    """The upper halves of float32, which cuts small integers nothing off."""
    return (np.asarray(x, "f4").view("u4") >> 16).astype("u2")


def from_bf16(x):
    return (np.asarray(x).astype("u4") << 16).view("f4")


class WithConnection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.c = penstock.open(ENDPOINT)

    @classmethod
    def tearDownClass(cls):
        cls.c.close()

    def setUp(self):
        self.random = np.random.default_rng(7)

    def integers(self, *shape, dtype="f4", low=-4, high=5):
        return self.random.integers(low, high, shape).astype(dtype)

    def tensor_bytes(self):
        return self.c.stats()["tensor_bytes"]


class Tensors(WithConnection):
    def test_contents_go_up_and_come_down(self):
        for dtype in ("f4", "f8", "f2", "i1", "i4"):
            for shape in ((3, 5), (7,), (2, 3, 4), (), (0, 4)):
                with self.subTest(dtype=dtype, shape=shape):
                    x = self.integers(*shape, dtype=dtype)
                    t = self.c.tensor(x)
                    self.assertEqual(t.shape, x.shape)
                    self.assertEqual(t.dtype, x.dtype)
                    self.assertEqual(t.nbytes, x.nbytes)
                    self.assertEqual(t.ndim, x.ndim)
                    got = t.download()
                    self.assertEqual(got.tolist(), x.tolist())

    def test_a_shape_makes_zeros_and_lists_are_taken(self):
        t = self.c.tensor(shape=(3, 4))
        self.assertEqual(t.dtype, np.float64)
        self.assertFalse(t.download().any())
        t = self.c.tensor([[1, 2], [3, 4]], dtype="f4")
        self.assertEqual(self.c.download(t).tolist(), [[1, 2], [3, 4]])
        self.c.upload(t, [[5, 6], [7, 8]])
        out = np.zeros((2, 2), "f4")
        self.assertIs(t.download(out), out)
        self.assertEqual(out[1, 0], 7)

    def test_arrays_of_any_strides_and_places_are_taken(self):
        x = self.c.asarray(self.integers(20, 30))
        for view in (x, x.T, x[::-2, ::3], x[3:5, 7:9]):
            self.assertEqual(self.c.tensor(view).download().tolist(),
                             view.tolist())

    def test_bf16_is_said_by_name(self):
        x = self.integers(4, 4)
        for name in "bf16", "bfloat16":
            t = self.c.tensor(to_bf16(x), dtype=name)
            self.assertIn("bf16", repr(t))
            self.assertEqual(from_bf16(t.download()).tolist(), x.tolist())
        with self.assertRaisesRegex(TypeError, "bf16"):
            self.c.tensor(to_bf16(x))

    def test_memory_is_given_back_when_a_tensor_dies_or_is_freed(self):
        before = self.tensor_bytes()
        t = self.c.tensor(shape=1 << 20, dtype="f4")
        self.assertEqual(self.tensor_bytes(), before + (4 << 20))
        del t
        gc.collect()
        self.assertEqual(self.tensor_bytes(), before)
        t = self.c.tensor(shape=100, dtype="f4")
        t.free()
        t.free()
        self.assertIn("freed", repr(t))
        self.assertEqual(self.tensor_bytes(), before)
        with self.assertRaises(penstock.Error) as caught:
            t.download()
        self.assertEqual(caught.exception.errno, errno.ENOENT)

    def test_a_tensor_may_outlive_its_connection(self):
        c = penstock.open(ENDPOINT)
        t = c.tensor(shape=10)
        c.close()
        with self.assertRaisesRegex(penstock.Error, "closed"):
            t.download()
        del t
        gc.collect()

    def test_too_much_is_refused_with_the_agents_sentence(self):
        with self.assertRaisesRegex(penstock.Error, "--max-tensor-bytes"):
            self.c.tensor(shape=1 << 50, dtype="i1")

    def test_a_tensor_of_a_killed_agent_is_stale(self):
        with penstock.open(ENDPOINT) as c:
            t = c.tensor(shape=(4, 4), dtype="f4")
            for pid in children():
                os.kill(pid, 9)
            with self.assertRaises(penstock.Error):
                for _ in range(100):
                    t.download()
            # A new session does not know it either.
            self.assertEqual(c.zeros(3).sum(), 0)
            for call in (t.download, lambda: c.gemm(t, t),
                         lambda: t.upload(np.zeros((4, 4), "f4"))):
                with self.assertRaises(penstock.StaleError):
                    call()
        # setUpClass's agent was among the children.
        type(self).c = penstock.open(ENDPOINT)


class Products(WithConnection):
    def places(self, x, dtype=None):
        """The same operand everywhere it can lie."""
        yield x
        yield self.c.asarray(x)
        yield self.c.tensor(x, dtype=dtype)

    def test_arrays_and_tensors_go_together(self):
        a, b = self.integers(6, 9), self.integers(9, 4)
        for x in self.places(a):
            for y in self.places(b):
                for out in (None, self.c.tensor(shape=(6, 4), dtype="f4"),
                            self.c.zeros((6, 4), "f4", "F")):
                    got = self.c.gemm(x, y, out)
                    if isinstance(got, penstock.Tensor):
                        self.assertIs(got, out)
                        got = got.download()
                    self.assertEqual(got.tolist(), (a @ b).tolist())

    def test_tensors_go_with_arrays_larger_than_the_region(self):
        a = self.random.standard_normal((500000, 40)).astype("f4")
        b = self.random.standard_normal((40, 30)).astype("f4")
        self.assertGreater(a.nbytes, 64 << 20)
        out = np.empty((500000, 30), "f4")
        self.c.gemm(a, self.c.tensor(b), out)
        self.assertTrue(np.allclose(out, a @ b, atol=1e-3))

    def test_transposes(self):
        a, b = self.integers(9, 6), self.integers(4, 9)
        for x in (*self.places(a), self.c.asarray(a).T.copy().T):
            for y in self.places(b):
                got = self.c.gemm(x, y, transa=True, transb=True)
                self.assertEqual(got.tolist(), (a.T @ b.T).tolist())
        got = self.c.gemm(self.c.asarray(a).T, self.c.asarray(b).T)
        self.assertEqual(got.tolist(), (a.T @ b.T).tolist())

    def test_types(self):
        a, b = self.integers(6, 9), self.integers(9, 4)
        want = (a @ b).tolist()
        for dtype, result in (("f4", "f4"), ("f8", "f8"), ("f2", "f2"),
                              ("i1", "i4")):
            for x in self.places(a.astype(dtype)):
                got = self.c.gemm(x, b.astype(dtype))
                self.assertEqual(got.dtype, np.dtype(result))
                self.assertEqual(got.tolist(), want)
        got = self.c.gemm(a.astype("f2"), b.astype("f2"), out_dtype="f4")
        self.assertEqual((got.dtype, got.tolist()), (np.float32, want))
        got = self.c.matmul(a.astype("i1"), b.astype("i1"))
        self.assertEqual((got.dtype, got.tolist()), (np.int32, want))

    def test_bf16(self):
        a, b = self.integers(6, 9), self.integers(9, 4)
        want = (a @ b).tolist()
        for x in self.places(to_bf16(a), "bf16"):
            got = self.c.gemm(x, to_bf16(b), dtype="bf16")
            self.assertEqual(from_bf16(got).tolist(), want)
            got = self.c.gemm(x, to_bf16(b), dtype="bf16", out_dtype="f4")
            self.assertEqual(got.tolist(), want)
        # A tensor knows what its neighbour's uint16 means.
        t = self.c.tensor(to_bf16(a), dtype="bf16")
        self.assertEqual(from_bf16(self.c.gemm(t, to_bf16(b))).tolist(), want)

    def test_alpha_beta_bias_and_activation(self):
        a, b = self.integers(6, 9), self.integers(9, 4)
        bias = self.integers(4)
        start = self.integers(6, 4)
        want = np.maximum(2 * (a @ b) - 3 * start + bias, 0)
        for order in "CF":
            for v in self.places(bias):
                out = self.c.empty((6, 4), "f4", order)
                out[...] = start
                got = self.c.gemm(a, b, out, alpha=2, beta=-3, bias=v,
                                  act="relu")
                self.assertEqual(got.tolist(), want.tolist())
        t = self.c.tensor(start)
        self.c.gemm(a, b, t, alpha=2, beta=-3, bias=bias, act="relu")
        self.assertEqual(t.download().tolist(), want.tolist())

    def test_batches(self):
        a, b = self.integers(5, 6, 9), self.integers(5, 9, 4)
        for x in self.places(a):
            for y in (*self.places(b), *self.places(b[0])):
                got = self.c.gemm(x, y)
                second = b if y.ndim == 3 else b[0]
                self.assertEqual(got.tolist(), (a @ second).tolist())
        out = self.c.tensor(shape=(5, 6, 4), dtype="f4")
        self.c.gemm(self.c.tensor(a), b[0], out)
        self.assertEqual(out.download().tolist(), (a @ b[0]).tolist())
        # Views that skip matrices, and one that is many times the same.
        big = self.c.asarray(self.integers(10, 6, 9))
        self.assertEqual(self.c.gemm(big[::2], b).tolist(),
                         (np.array(big[::2]) @ b).tolist())
        same = np.broadcast_to(self.c.asarray(a[0]), a.shape)
        self.assertEqual(self.c.gemm(same, b).tolist(), (a[0] @ b).tolist())
        out = self.c.zeros((10, 6, 4), "f4")
        self.c.gemm(a, b, out[::-2])
        self.assertEqual(out[::-2].tolist(), (a @ b).tolist())
        self.assertFalse(out[::2].any())

    def test_out_may_share_memory_with_operands(self):
        x = self.c.asarray(self.integers(3, 8, 8))
        want = np.array(x) @ np.array(x)
        self.c.gemm(x, x, x)
        self.assertEqual(x.tolist(), want.tolist())

    def test_empty_products(self):
        self.assertEqual(self.c.gemm(np.zeros((0, 3)),
                                     np.zeros((3, 2))).shape, (0, 2))
        self.assertEqual(self.c.gemm(self.c.tensor(shape=(2, 0)),
                                     self.c.tensor(shape=(0, 3))).tolist(),
                         [[0, 0, 0], [0, 0, 0]])

    def test_compute_modes(self):
        a, b = self.integers(6, 9), self.integers(9, 4)
        for mode in ("default", "tf32", "fast_f16"):
            got = self.c.gemm(a, b, compute=mode)
            self.assertEqual(got.tolist(), (a @ b).tolist())

    def test_a_tensor_of_another_connection_is_no_operand(self):
        with penstock.open(ENDPOINT) as other:
            eye = np.eye(4, dtype="f4")
            # Both are their connection's first.
            x, y = self.c.tensor(eye * 2), other.tensor(eye * 3)
            for kw in ({"b": y}, {"b": x, "out": y}):
                with self.assertRaisesRegex(ValueError,
                                            "another connection's"):
                    self.c.gemm(eye, **kw)

    def test_sizes_that_c_cannot_say_are_refused(self):
        for shape in ((1 << 62, 8), (1 << 61, 8, 1 << 10), (1 << 64,)):
            with self.assertRaisesRegex(ValueError, "too many"):
                self.c.empty(shape)
            with self.assertRaisesRegex(ValueError, "too many"):
                self.c.tensor(shape=shape)

    def test_what_does_not_fit_is_refused_with_a_sentence(self):
        c, f4 = self.c, np.zeros((3, 3), "f4")
        t = c.tensor(f4)
        for words, error, call in (
                ("do not match", ValueError,
                 lambda: c.gemm(f4, np.zeros((4, 3), "f4"))),
                ("batches", ValueError,
                 lambda: c.gemm(np.zeros((2, 3, 3)), np.zeros((4, 3, 3)))),
                ("b is float64", TypeError,
                 lambda: c.gemm(f4, np.zeros((3, 3)))),
                ("a is float32", TypeError,
                 lambda: c.gemm(t, np.zeros((3, 3)), dtype="f8")),
                ("int32", TypeError, lambda: c.gemm(f4.astype("i4"),
                                                    f4.astype("i4"))),
                ("uint16", TypeError, lambda: c.gemm(f4.astype("u2"),
                                                     f4.astype("u2"))),
                ("1 dimensions", ValueError, lambda: c.gemm(f4[0], f4)),
                ("beta needs out", ValueError, lambda: c.gemm(f4, f4, beta=1)),
                ("out has shape", ValueError,
                 lambda: c.gemm(f4, f4, np.zeros((2, 3), "f4"))),
                ("out is float64", TypeError,
                 lambda: c.gemm(f4, f4, np.zeros((3, 3)), out_dtype="f4")),
                ("bias is no vector", ValueError,
                 lambda: c.gemm(f4, f4, bias=np.zeros(2, "f4"))),
                ("act 'tanh'", ValueError,
                 lambda: c.gemm(f4, f4, act="tanh")),
                ("compute 'f8'", ValueError,
                 lambda: c.gemm(f4, f4, compute="f8")),
                ("an array or of a shape", ValueError, lambda: c.tensor()),
                ("array has shape", ValueError,
                 lambda: t.upload(np.zeros((3, 4), "f4"))),
                ("contiguous", ValueError,
                 lambda: t.download(np.zeros((3, 3), "f8")))):
            with self.subTest(words=words):
                with self.assertRaisesRegex(error, re.escape(words)):
                    call()
        with self.assertRaises(penstock.Error) as caught:
            c.gemm(f4.astype("i1"), f4.astype("i1"), act="gelu_erf")
        self.assertEqual(caught.exception.errno, errno.EOPNOTSUPP)
        self.assertIn("cpu backend", caught.exception.strerror)


if __name__ == "__main__":
    unittest.main()
