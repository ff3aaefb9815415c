# SPDX-License-Identifier: MIT
"""torch beside the Python package: layers with gradients, bfloat16, memory by
DLPack."""
import sys
import unittest

import numpy as np

from pythonlib import penstock

try:
    import torch
except ImportError:
    print("no torch (Debian: python3-torch)")
    sys.exit(77)

from penstock.torch import Linear, linear, matmul  # noqa: E402

ENDPOINT = "spawn:?size=64M&threads=1"
F64 = torch.float64


class Torch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.c = penstock.open(ENDPOINT)

    @classmethod
    def tearDownClass(cls):
        cls.c.close()

    def setUp(self):
        torch.manual_seed(7)

    def test_gradients_of_first_and_second_order_are_right(self):
        c = self.c
        a = torch.randn(4, 3, dtype=F64, requires_grad=True)
        b = torch.randn(3, 5, dtype=F64, requires_grad=True)
        self.assertTrue(torch.autograd.gradcheck(
            lambda x, y: matmul(c, x, y), (a, b)))
        self.assertTrue(torch.autograd.gradgradcheck(
            lambda x, y: matmul(c, x, y), (a, b)))
        layer = linear(c, 3, 5, dtype=F64)
        x = torch.randn(2, 4, 3, dtype=F64, requires_grad=True)
        for mode in (True, False):
            layer.train(mode)
            self.assertTrue(torch.autograd.gradcheck(layer, (x,)))
        with self.assertRaises(ValueError):
            matmul(c, a, a)
        with self.assertRaises(TypeError):
            matmul(c, a, b.float())

    def test_a_layer_learns_as_torchs_own(self):
        want = torch.nn.Linear(6, 4, dtype=F64)
        got = linear(self.c, 6, 4, dtype=F64)
        got.load_state_dict(want.state_dict())
        data = torch.randn(5, 6, dtype=F64)
        steps = [torch.optim.SGD(m.parameters(), 0.1, momentum=0.5)
                 for m in (want, got)]
        for _ in range(10):
            for m, step in zip((want, got), steps):
                step.zero_grad()
                (m(data) ** 2).mean().backward()
                step.step()
        for (_, x), (_, y) in zip(want.named_parameters(),
                                  got.named_parameters()):
            self.assertTrue(torch.allclose(x, y))
        shared = linear(self.c, want)
        self.assertIs(shared.weight, want.weight)
        self.assertTrue(torch.allclose(shared(data), want(data)))

    def test_a_weight_stays_with_the_agent_after_eval(self):
        layer = linear(self.c, 6, 4, dtype=F64)
        x = torch.randn(5, 6, dtype=F64)

        def check():
            want = torch.nn.functional.linear(x, layer.weight, layer.bias)
            self.assertTrue(torch.allclose(layer(x), want))
            return layer._resident
        self.assertIsNone(check())
        layer.eval()
        first = check()
        self.assertIs(check(), first)
        with torch.no_grad():
            layer.weight.add_(1)
        second = check()
        self.assertIsNot(second, first)
        layer.weight.data.add_(1)
        layer.train()
        self.assertIsNone(check())
        layer.eval()
        check()
        layer.double()
        check()
        layer.weight = torch.nn.Parameter(torch.zeros(4, 6, dtype=F64))
        check()

    def test_shapes_types_and_what_cannot_be_done(self):
        c = self.c
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            layer = linear(c, 16, 8, dtype=dtype)
            for shape in ((16,), (3, 16), (2, 3, 16), (0, 16)):
                x = torch.randn(shape).to(dtype).requires_grad_()
                y = layer(x)
                self.assertEqual((y.dtype, y.shape), (dtype,
                                                      (*shape[:-1], 8)))
                want = torch.nn.functional.linear(
                    x.float(), layer.weight.float(), layer.bias.float())
                self.assertTrue(torch.allclose(y.float(), want, atol=0.1))
                y.float().sum().backward()
                self.assertEqual(x.grad.shape, shape)
        for x, error in ((torch.randn(3, 15).bfloat16(), ValueError),
                         (torch.randn(3, 16), TypeError)):
            with self.assertRaises(error):
                layer(x)
        self.assertIsInstance(layer, Linear)
        self.assertEqual(list(layer.state_dict()), ["weight", "bias"])
        self.assertIsNone(linear(c, 3, 2, bias=False).bias)

    def test_bfloat16_goes_in_and_comes_out(self):
        c = self.c
        a = torch.randn(5, 7).bfloat16()
        want = a.float() @ a.float().T
        t = c.tensor(a)
        out = torch.empty(5, 5, dtype=torch.bfloat16)
        self.assertIs(c.matmul(a, a.T, out=out), out)
        for got in (out, c.matmul(a, a.T), c.gemm(a, a, transb=True),
                    c.matmul(t, a.T)):
            self.assertEqual(got.dtype, torch.bfloat16)
            self.assertTrue(torch.allclose(got.float(), want, atol=0.1))
        wide = c.gemm(a, a, transb=True, out_dtype=torch.float32)
        self.assertTrue(np.allclose(wide, want, atol=1e-5))
        back = torch.from_dlpack(t)
        self.assertEqual(back.dtype, torch.bfloat16)
        self.assertTrue(bool((back == a).all()))
        shared = c.from_dlpack(a)
        self.assertTrue(np.allclose(c.gemm(shared, shared, transb=True,
                                           out_dtype="f4"), want, atol=1e-5))
        with self.assertRaises(TypeError):
            c.matmul(a, a.float().T)

    def test_memory_is_shared_with_torch(self):
        c = self.c
        x = torch.arange(6.0).reshape(2, 3)
        got = c.from_dlpack(x)
        got[0, 0] = 50
        self.assertEqual(float(x[0, 0]), 50)
        region = c.asarray(x)
        view = torch.from_numpy(region)
        # Found by its address, whoever made the array.
        again = view.numpy()
        self.assertIs(c.asarray(again), again)
        out = torch.zeros(2, 2)
        self.assertIs(c.matmul(x, x.T, out=out), out)
        self.assertTrue(torch.allclose(out, x @ x.T))
        self.assertTrue(torch.equal(torch.from_dlpack(c.tensor(x)), x))


if __name__ == "__main__":
    unittest.main()
