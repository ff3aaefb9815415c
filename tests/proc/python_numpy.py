# SPDX-License-Identifier: MIT
"""Products of the Python package beside numpy's own: every stride, order and
type, and what numpy's users try."""
import os
import unittest

import numpy as np

from pythonlib import penstock
from penstock import _memory

ENDPOINT = "spawn:?size=64M&threads=1"
CASES = int(os.environ.get("PST_PYTHON_CASES", "5000"))
SEED = 20261130
FLOATS = ("f2", "f4", "f8")


class Numpy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.c = penstock.open(ENDPOINT)

    @classmethod
    def tearDownClass(cls):
        cls.c.close()

    def assert_same(self, got, want, k, wide=None):
        want = np.asarray(want)
        self.assertEqual(np.shape(got), want.shape)
        if want.dtype.kind != "f":
            self.assertEqual(np.asarray(got).tolist(), want.tolist())
            return
        self.assertEqual(np.asarray(got).dtype, want.dtype)
        eps = np.finfo(want.dtype).eps
        want = want.astype("f8") if wide is None else wide
        worst = np.abs(np.asarray(got, "f8") - want).max(initial=0)
        # Elements are below 4.
        self.assertLessEqual(worst, eps * 16 * (k + 1) * 4)


class Random(Numpy):
    """What each case is made of is drawn from one sequence."""

    def array(self, r, shape, dtype):
        """An array of a shape, strides and place that the sequence says."""
        kind = r.integers(0, 9)
        full = [n * 2 + 1 for n in shape] if kind == 1 else list(shape)
        place = self.c.empty if r.integers(0, 2) else np.empty
        if kind == 2 and shape and min(shape) > 0:
            i = int(r.integers(0, len(shape)))
            full[i] = 1
        order = "F" if kind == 3 else "C"
        if np.dtype(dtype).byteorder == ">":
            place = np.empty
        x = place(tuple(full), dtype, order=order)
        x[...] = r.integers(-3, 4, full) if np.dtype(dtype).kind == "i" \
            else r.uniform(-3, 3, full)
        if kind == 1:
            x = x[tuple(slice(1, None, 2) for _ in shape)]
        if kind == 2:
            x = np.broadcast_to(x, shape)
        if kind == 4 and x.ndim >= 2:
            y = place((*shape[:-2], shape[-1], shape[-2]), dtype)
            y[...] = np.swapaxes(x, -1, -2)
            x = np.swapaxes(y, -1, -2)
        if kind == 5:
            # As many negative strides as there are dimensions.
            x = x[tuple(slice(None, None, -1) for _ in shape)]
        if kind == 6 and x.ndim >= 2:
            y = place((*shape[:-1], shape[-1] + 3), dtype)
            y[..., 1:shape[-1] + 1] = x
            x = y[..., 1:shape[-1] + 1]
        if kind == 7 and np.dtype(dtype).itemsize > 1:
            raw = np.empty(x.nbytes + 1, "u1")[1:]
            y = raw[:x.nbytes].view(dtype).reshape(shape)
            y[...] = x
            x = y
        self.assertEqual(x.shape, tuple(shape))
        return x

    def shapes(self, r):
        m, k, n = (int(d) for d in r.integers(0 if r.random() < 0.1 else 1,
                                              40 if r.random() < 0.1 else 6,
                                              3))
        stack = [int(d) for d in r.integers(1, 4, r.integers(0, 3))]
        a = [*(d if r.random() < 0.7 else 1 for d in stack), m, k]
        b = [*(d if r.random() < 0.7 else 1 for d in stack), k, n]
        if stack and r.random() < 0.3:
            b = b[int(r.integers(1, len(stack) + 1)):]
        if r.random() < 0.1:
            a = a[-1:]
        if r.random() < 0.1:
            b = b[-2:-1]
        return tuple(a), tuple(b), k

    def types(self, r):
        if r.random() < 0.15:
            return "i1", "i1"
        if r.random() < 0.2:
            return tuple(r.choice([*FLOATS, ">f4", ">f8", "i1", "i4", "?"], 2))
        return (str(r.choice(FLOATS)),) * 2

    def case(self, r):
        sa, sb, k = self.shapes(r)
        ta, tb = self.types(r)
        a, b = self.array(r, sa, ta), self.array(r, sb, tb)
        if not any(x.dtype.kind == "f" for x in (a, b)) and not (
                a.dtype == b.dtype == np.int8):
            with self.assertRaises(TypeError):
                self.c.matmul(a, b)
            return
        if a.dtype == b.dtype == np.int8:
            want = np.matmul(a, b, dtype="i4")
        else:
            want = np.matmul(a, b)
        wide = np.matmul(a, b, dtype="f8")
        how = r.integers(0, 4)
        if how == 0 and want.ndim:
            out = self.array(r, want.shape, want.dtype.str)
            if not out.flags.writeable:
                out = np.array(out)
            alpha, beta = 1.0, 0.0
            if want.dtype.kind == "f" and r.random() < 0.5:
                alpha, beta = 2.0, -0.5
            wide = alpha * wide + beta * out.astype("f8")
            self.assertIs(self.c.matmul(a, b, alpha, beta, out=out), out)
            if want.dtype.kind == "f":
                self.assert_same(out, np.empty(want.shape, want.dtype), k,
                                 wide)
            else:
                self.assert_same(out, want, k)
        else:
            got = self.c.matmul(a, b, region=how == 1)
            self.assert_same(got, want, k,
                             wide if want.dtype.kind == "f" else None)

    def test_products_of_drawn_operands_are_numpys(self):
        for i in range(CASES):
            try:
                self.case(np.random.default_rng((SEED, i)))
            except BaseException as e:
                raise AssertionError(f"case {i} of seed {SEED}: {e}") from e


class Habits(Numpy):
    def test_an_array_multiplies_on_the_agent_by_its_operator(self):
        c = self.c
        x = np.arange(12.0).reshape(3, 4)
        a, b = c.array(x), c.array(x.T)
        self.assertIsInstance(a, penstock.Array)
        before = c.stats()["ops"]
        got = [a @ b, a @ x.T, x @ b, np.matmul(a, b), np.dot(a, b), a.dot(b),
               np.dot(x, b), (a * 1) @ b, a.T.T @ b, a.copy() @ b]
        for y in got:
            self.assertIsInstance(y, penstock.Array)
            self.assertEqual(y.tolist(), (x @ x.T).tolist())
        self.assertEqual(c.stats()["ops"] - before, len(got))
        given = []

        class Rows:
            def __array__(self, dtype=None, copy=None):
                given.append(self)
                return x.T
        self.assertEqual((a @ Rows()).tolist(), (x @ x.T).tolist())
        self.assertEqual(len(given), 1)
        self.assertEqual(float((a[0] @ b)[1]), float((x[0] @ x.T)[1]))
        self.assertEqual(((a @ b) @ a).tolist(), (x @ x.T @ x).tolist())
        out = c.array(np.zeros((3, 3)))
        self.assertIs(np.matmul(a, b, out=out), out)
        self.assertEqual(out.tolist(), (x @ x.T).tolist())
        self.assertEqual(np.matmul(a, b, dtype="f8").tolist(),
                         (x @ x.T).tolist())

    def test_all_else_of_an_array_is_numpys(self):
        x = np.arange(6).reshape(2, 3)
        a = self.c.array(x)
        self.assertEqual((a @ a.T).tolist(), (x @ x.T).tolist())
        self.assertEqual((a + 1).tolist(), (x + 1).tolist())
        self.assertIsInstance(a + 1, penstock.Array)
        self.assertEqual(a.sum(), 15)
        a += 1
        self.assertEqual(a.tolist(), (x + 1).tolist())
        self.assertEqual([y.tolist() for y in np.divmod(a, 2)],
                         [y.tolist() for y in np.divmod(x + 1, 2)])
        with self.assertRaises(ValueError):
            a @ a

    def test_tensors_are_operands_and_arrays(self):
        c = self.c
        x, y = np.arange(12.0).reshape(3, 4), np.arange(8.0).reshape(4, 2)
        t, u = c.tensor(x), c.tensor(y)
        for got in (t @ u, t @ y, x @ u, c.matmul(t, u), c.matmul(x, u),
                    c.array(x) @ u, np.asarray(t) @ np.asarray(u)):
            self.assertIsInstance(got, np.ndarray)
            self.assertEqual(got.tolist(), (x @ y).tolist())
        self.assertEqual((t @ y[:, 0]).tolist(), (x @ y[:, 0]).tolist())
        self.assertEqual((c.tensor(x[0]) @ u).tolist(), (x[0] @ y).tolist())
        stack = np.arange(24.0).reshape(2, 3, 4)
        s = c.tensor(stack)
        self.assertEqual((s @ y).tolist(), (stack @ y).tolist())
        self.assertEqual((s @ u).tolist(), (stack @ y).tolist())
        self.assertEqual((s.reshape((6, 4)) @ u).tolist(),
                         (stack.reshape(6, 4) @ y).tolist())
        self.assertEqual((stack[:, None] @ c.tensor(stack.reshape(2, 4, 3))
                          ).tolist(),
                         (stack[:, None] @ stack.reshape(2, 4, 3)).tolist())
        out = c.tensor(shape=(3, 2))
        self.assertIs(c.matmul(t, y, out=out), out)
        self.assertEqual(out.download().tolist(), (x @ y).tolist())
        with self.assertRaises(TypeError):
            t @ c.tensor(y.astype("f4"))
        with self.assertRaises(TypeError):
            c.tensor(x.astype("f4")) @ y
        with self.assertRaises(ValueError):
            np.array(t, copy=False) if np.__version__ > "2" \
                else t.__array__(copy=False)
        with self.assertRaises(ValueError):
            t.reshape((5, 5))

    def test_odd_operands_are_refused_as_by_numpy(self):
        c, f4 = self.c, np.ones((3, 3), "f4")
        record = np.zeros((3, 3), [("x", "f4")])
        for error, a, b in (
                (ValueError, 3.0, f4), (ValueError, f4, np.float32(1)),
                (TypeError, record, f4), (TypeError, f4.astype(object), f4),
                (TypeError, f4.astype("c8"), f4),
                (TypeError, f4.astype("S4"), f4),
                (TypeError, f4.astype("g"), f4),
                (TypeError, f4 > 0, f4 > 0), (ValueError, f4, f4[:2]),
                (ValueError, np.ones((2, 3, 3)), np.ones((3, 3, 3)))):
            with self.subTest(a=np.asarray(a).dtype, b=np.shape(b)):
                with self.assertRaises(error):
                    c.matmul(a, b)
        self.assertEqual(c.matmul(f4 > 0, f4).tolist(), (f4 @ f4).tolist())
        self.assertEqual(c.matmul(np.asmatrix(f4), f4).tolist(),
                         (f4 @ f4).tolist())
        self.assertEqual(c.matmul(np.ma.array(f4), f4).tolist(),
                         (f4 @ f4).tolist())
        self.assertEqual(c.matmul(record["x"], f4).tolist(), [[0] * 3] * 3)
        self.assertEqual(c.matmul(f4[:0], f4).shape, (0, 3))
        self.assertEqual(c.matmul(f4, f4[:, :0]).shape, (3, 0))
        self.assertEqual(c.matmul(f4[:, :0], f4[:0]).tolist(), [[0] * 3] * 3)

    def test_an_out_that_overlaps_or_cannot_be_written(self):
        c = self.c
        for new in (np.array, c.asarray):
            x = new(np.arange(16.0).reshape(4, 4))
            want = np.array(x) @ np.array(x)
            self.assertIs(c.matmul(x, x, out=x), x)
            self.assertEqual(x.tolist(), want.tolist())
            x = new(np.arange(16.0).reshape(4, 4))
            c.matmul(x, x, out=x.T)
            self.assertEqual(x.T.tolist(), want.tolist())
            x = new(np.arange(20.0).reshape(5, 4))
            want = np.array(x[:4]) @ np.array(x[:4])
            c.matmul(x[:4], x[:4], out=x[1:])
            self.assertEqual(x[1:].tolist(), want.tolist())
        x = np.ones((4, 4))
        for out, error in ((np.broadcast_to(np.zeros(1), (4, 4)), ValueError),
                           (np.zeros((4, 4), "f4"), TypeError),
                           ([[0.0] * 4] * 4, TypeError),
                           (np.zeros((4, 5)), ValueError),
                           (np.zeros((1, 4, 4)), ValueError)):
            with self.assertRaises(error):
                c.matmul(x, x, out=out)

    def test_names_of_types(self):
        c = self.c
        for name, want in (("f32", "f4"), ("float32", "f4"), ("f64", "f8"),
                           ("half", "f2"), (float, "f8"), ("bf16", "u2"),
                           ("bfloat16", "u2"), (np.float16, "f2")):
            self.assertEqual(c.empty(2, name).dtype, np.dtype(want))
            self.assertEqual(c.tensor(shape=(2,), dtype=name).dtype,
                             np.dtype(want))
        with self.assertRaisesRegex(TypeError, "float128|longdouble"):
            c.tensor(shape=(2,), dtype="g")
        with self.assertRaises(TypeError):
            c.empty(2, "f33")


class Both(unittest.TestCase):
    def test_the_compiled_module_is_used_where_it_is(self):
        built = os.path.exists(os.path.join(
            os.environ["PST_TOP_BUILDDIR"], "host-client", "python", ".libs",
            "_fast.abi3.so"))
        wanted = built and not os.environ.get("PENSTOCK_CTYPES")
        self.assertEqual(_memory.calls().__name__,
                         "penstock._fast" if wanted else "penstock._gate")


if __name__ == "__main__":
    unittest.main()
