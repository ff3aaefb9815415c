# SPDX-License-Identifier: MIT
"""Python's arrays and calls when the agent is gone."""
import errno
import os
import time
import unittest

import numpy as np

from pythonlib import children, data, penstock

ENDPOINT = "spawn:?size=64M&threads=1"
DIABETES = data("diabetes.safetensors")
# A quiet run sees the loss within milliseconds.
PATIENCE = 30


class Lost(unittest.TestCase):
    """Each test opens agents of its own and kills them."""

    def open(self):
        before = children()
        c = penstock.open(ENDPOINT)
        self.addCleanup(c.close)
        (c.agent,) = children() - before
        return c

    def kill(self, c):
        self.assertFalse(c.lost)
        os.kill(c.agent, 9)
        until = time.monotonic() + PATIENCE
        while not c.lost:
            self.assertLess(time.monotonic(), until, "the loss is not seen")
            time.sleep(0.001)

    def ones(self, c, *shape, dtype="f4"):
        a = c.empty(shape, dtype)
        a[...] = 1
        return a

    def assert_stale(self, call):
        with self.assertRaises(penstock.StaleError) as caught:
            call()
        self.assertEqual(caught.exception.errno, errno.ESTALE)
        self.assertTrue(caught.exception.strerror)

    def views(self, a):
        """Those that are used in place, and those that have to be copied."""
        n = a.shape[0]
        return (a, a.T, a[:n], a[:, ::-1], a[::-1], a[:, :], a.view(),
                np.broadcast_to(a[:1], a.shape), a.reshape(a.shape),
                np.asarray(memoryview(a)))

    def each_call(self, c, a):
        """All calls that take arrays, with a or its views in each place."""
        p = np.ones((8, 8), "f4")
        t = c.tensor(p)
        for i, v in enumerate(self.views(a)):
            calls = [
                lambda: c.asarray(v), lambda: c.take(v),
                lambda: c.asarray(v, "f8"), lambda: c.tensor(v),
                lambda: c.tensor(v, dtype="f8"), lambda: t.upload(v),
                lambda: c.matmul(v, p), lambda: c.matmul(p, v),
                lambda: c.matmul(v[0], p), lambda: c.matmul(p, v[:, 0]),
                lambda: c.gemm(v, p), lambda: c.gemm(p, v),
                lambda: c.gemm(v, t), lambda: c.gemm(t, v),
                lambda: c.gemm(np.stack([p, p]), v),
                lambda: c.gemm(p, p, bias=v[0]),
                lambda: c.gemm(p, p, bias=v[:, 0])]
            if v.flags.writeable:
                calls += [lambda: c.matmul(p, p, out=v),
                          lambda: c.gemm(p, p, v),
                          lambda: c.gemm(p, p, v, beta=1),
                          lambda: c.gemm(t, p, v)]
            if v.flags.writeable and v.flags.c_contiguous:
                calls.append(lambda: t.download(v))
            for j, call in enumerate(calls):
                with self.subTest(view=i, call=j):
                    self.assert_stale(call)

    def test_calls_with_arrays_of_a_killed_agent_are_refused(self):
        c = self.open()
        a = self.ones(c, 8, 8)
        self.kill(c)
        self.assert_stale(lambda: c.asarray(a))
        self.assert_stale(lambda: c.take(a))
        self.assert_stale(lambda: c.matmul(a, a))
        self.assertTrue(c.lost, "a refused call opened a session")

    def test_they_stay_refused_in_the_next_session(self):
        c = self.open()
        a = self.ones(c, 8, 8)
        self.kill(c)
        p = np.ones((8, 8), "f4")
        self.assertEqual(c.matmul(p, p).tolist(), (p @ p).tolist())
        self.assertFalse(c.lost)
        self.each_call(c, a)
        self.assertEqual(c.asarray(p).tolist(), p.tolist())

    def test_rows_of_a_killed_agent_are_refused(self):
        c = self.open()
        width = c.load_model("m", DIABETES).inputs
        rows = {t: self.ones(c, 4, width, dtype=t) for t in ("f4", "f2")}
        out = self.ones(c, 4, 1)
        private = np.ones((4, width), "f4")
        self.kill(c)
        c.empty(1)
        m = c.load_model("m", DIABETES)
        for x in (rows["f4"], rows["f4"][::-1], rows["f4"][:, ::-1],
                  rows["f2"], rows["f4"][0], rows["f2"][0]):
            self.assert_stale(lambda: m.infer(x))
        self.assert_stale(lambda: m.infer(private, out))
        self.assertEqual(m.infer(private).shape, (4, 1))

    def test_arrays_of_another_connection_are_refused_as_well(self):
        lost, c = self.open(), self.open()
        a = self.ones(lost, 8, 8)
        want = [[8.0] * 8] * 8
        self.assertEqual(c.matmul(a, a).tolist(), want)
        self.kill(lost)
        self.each_call(c, a)

    def test_private_results_outlive_the_agent(self):
        c = self.open()
        a = self.ones(c, 8, 8)
        v = c.tensor(a)
        results = (c.matmul(a, a), c.gemm(a, a), c.gemm(v, a), c.gemm(v, v),
                   c.matmul(a, a[0]))
        self.kill(c)
        for r in results:
            self.assertEqual(r.tolist(), np.full(r.shape, 8.0).tolist())
            self.assertEqual(c.take(r).tolist(), r.tolist())

    def test_lost_is_told_after_close_as_long_as_arrays_live(self):
        c = self.open()
        a = self.ones(c, 8, 8)
        c.close()
        self.assertFalse(c.lost)
        self.kill(c)
        with self.assertRaises(penstock.StaleError):
            with penstock.open(ENDPOINT) as other:
                other.matmul(a, a)
        del a
        self.assertTrue(c.lost)


if __name__ == "__main__":
    unittest.main()
