# SPDX-License-Identifier: MIT
"""Models: the exporter, and what it writes through a private agent (spawn:).

The networks of tests/data were trained by scikit-learn, whose answers lie
beside them. torch cannot be had everywhere: its modules are stood in for by
classes of the same names and attributes, whose outputs are computed here.
"""
import errno
import json
import math
import os
import struct
import tempfile
import types
import unittest

import numpy as np

from pythonlib import children, data, penstock
import penstock_export

ENDPOINT = "spawn:?size=64M&threads=1"


def read_file(path):
    """(header, data) of a safetensors file."""
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        return json.loads(f.read(n)), f.read()


# ---- Stand-ins for torch.nn ----------------------------------------------

class Parameter:
    """What a torch tensor offers on its way to numpy."""

    def __init__(self, array):
        self.array = np.asarray(array)

    def detach(self):
        return self

    def cpu(self):
        return self

    def double(self):
        return Parameter(self.array.astype("f8"))

    def numpy(self):
        return self.array


class Module:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Sequential:
    """Modules, or one dict of them. named_children() gives no module twice,
    as torch's does not."""

    def __init__(self, *modules):
        self._modules = modules[0] if isinstance(modules[0], dict) else {
            str(i): m for i, m in enumerate(modules)}
        self.modules = list(self._modules.values())

    def named_children(self):
        return {id(m): (n, m) for n, m in self._modules.items()}.values()

    def __call__(self, x):
        for module in self.modules:
            x = module(x)
        return x


def module(name, forward, **attributes):
    """An object of a class of that name."""
    return type(name, (Module,), {"__call__": lambda self, x: forward(x)})(
        **attributes)


def linear(random, n_in, n_out, bias=True):
    w = random.standard_normal((n_out, n_in)).astype("f4") / math.sqrt(n_in)
    b = random.standard_normal(n_out).astype("f4") if bias else None
    return module("Linear", lambda x: x @ w.T + (b if bias else 0),
                  weight=Parameter(w), bias=Parameter(b) if bias else None)


def layernorm(random, n, affine=True):
    w = random.standard_normal(n).astype("f4")
    b = random.standard_normal(n).astype("f4")

    def forward(x):
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(
            x.var(1, keepdims=True) + 1e-3)
        return x * w + b if affine else x
    return module("LayerNorm", forward, normalized_shape=(n,), eps=1e-3,
                  weight=Parameter(w) if affine else None,
                  bias=Parameter(b) if affine else None)


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


erf = np.vectorize(math.erf)


def gelu(x):
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) *
                                  (x + 0.044715 * x ** 3)))


class WithConnection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.c = penstock.open(ENDPOINT)

    @classmethod
    def tearDownClass(cls):
        cls.c.close()

    def setUp(self):
        self.random = np.random.default_rng(11)
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def tearDown(self):
        for model in self.c.models():
            self.c.unload_model(model["name"])

    def path(self, name="m.safetensors"):
        return os.path.join(self.dir.name, name)

    def load(self, name="digits"):
        return self.c.load_model(name, data("digits.safetensors"))

    def assert_fails(self, code, words, call, *args):
        with self.assertRaises(penstock.Error) as caught:
            call(*args)
        self.assertEqual(caught.exception.errno, code, caught.exception)
        self.assertIn(words, str(caught.exception))


class Trained(WithConnection):
    """Against scikit-learn's own answers, on rows it was not trained on."""

    def run_fixture(self, name, rows):
        m = self.c.load_model(name, data(name + ".safetensors"))
        x = np.load(data(rows + "-x.npy"))
        y = np.load(data(name + "-y.npy"))
        got = m.infer(x)
        self.assertEqual(got.shape, y.shape)
        self.assertEqual(got.dtype, np.float32)
        return got, y

    def test_digits_are_told_as_scikit_learn_tells_them(self):
        got, y = self.run_fixture("digits", "digits")
        self.assertEqual(len(y), 360)
        np.testing.assert_array_equal(got.argmax(1), y.argmax(1))
        np.testing.assert_allclose(got, y, atol=1e-5)

    def test_and_with_weights_of_16_bits(self):
        got, y = self.run_fixture("digits-f16", "digits")
        np.testing.assert_array_equal(got.argmax(1), y.argmax(1))
        np.testing.assert_allclose(got, y, atol=5e-3)

    def test_a_logistic_output_is_the_second_classs_probability(self):
        got, y = self.run_fixture("cancer", "cancer")
        np.testing.assert_array_equal(got > 0.5, y > 0.5)
        np.testing.assert_allclose(got, y, atol=1e-5)

    def test_a_regressor_gives_what_predict_gives(self):
        got, y = self.run_fixture("diabetes", "diabetes")
        np.testing.assert_allclose(got, y, rtol=1e-5)


class Rows(WithConnection):
    def setUp(self):
        super().setUp()
        self.m = self.load()
        self.x = np.load(data("digits-x.npy"))
        self.y = self.m.infer(self.x)

    def same(self, got, want=None):
        np.testing.assert_allclose(got, self.y if want is None else want,
                                   atol=1e-6)

    def test_rows_may_lie_anywhere(self):
        x = self.c.asarray(self.x)
        out = self.c.empty(self.y.shape, "f4")
        self.assertIs(self.m.infer(x, out), out)
        self.same(out)
        self.same(self.m.infer(x))
        out[...] = 0
        self.m.infer(self.x, out)
        self.same(out)
        wide = self.c.zeros((len(x), 100), "f4")
        wide[:, 20:84] = x
        self.same(self.m.infer(wide[:, 20:84]))
        self.same(self.m.infer(wide[::2, 20:84]), self.y[::2])

    def test_gaps_between_rows_stay(self):
        for new in (np.zeros, lambda shape, t: self.c.zeros(shape, t)):
            out = new((len(self.x), 13), "f4")
            out[...] = 7
            self.m.infer(self.x, out[:, 2:12])
            self.same(out[:, 2:12])
            self.assertTrue((out[:, :2] == 7).all())
            self.assertTrue((out[:, 12:] == 7).all())

    def test_other_types_and_orders_are_converted(self):
        for x in (self.x.astype("f8"), self.x.astype("u1"),
                  np.asfortranarray(self.x), self.x[::-1][::-1],
                  self.x.astype(">f4")):
            self.same(self.m.infer(x))

    def test_one_row_is_a_vector(self):
        got = self.m.infer(self.x[5])
        self.assertEqual(got.shape, (10,))
        self.same(got, self.y[5])
        self.assertEqual(self.m.infer(self.x[:0]).shape, (0, 10))

    def test_more_rows_than_go_at_once(self):
        x = np.tile(self.x, (250, 1))
        self.assertGreater(len(x), self.m.max_batch)
        self.same(self.m.infer(x)[-360:])
        self.same(self.m.infer(self.c.asarray(x))[-360:])

    def test_shapes_that_do_not_fit_are_refused(self):
        for x in (self.x[:, :63], np.zeros(63), np.zeros((2, 2, 64))):
            with self.assertRaises(ValueError):
                self.m.infer(x)
        with self.assertRaises(ValueError):
            self.m.infer(self.x, np.zeros((3, 10), "f4"))
        with self.assertRaises(TypeError):
            self.m.infer(self.x, np.zeros(self.y.shape))
        for x in (self.x + 1j, self.x.astype("U"), self.x.astype("M8[s]")):
            with self.assertRaises(TypeError):
                self.m.infer(x)
        # 2^32 rows, all of them the same.
        with self.assertRaisesRegex(ValueError, "too large"):
            self.m.infer(np.broadcast_to(self.x[:1], (1 << 32, 64)))

    def test_a_model_is_used_on_its_own_connection(self):
        with penstock.open(ENDPOINT) as other:
            with self.assertRaisesRegex(ValueError, "another connection's"):
                other.infer(self.m, self.x)

    def test_a_timeout_may_be_infinite(self):
        self.same(self.m.infer(self.x, timeout=math.inf))
        with self.assertRaises(ValueError):
            self.m.infer(self.x, timeout=math.nan)

    def test_a_name_ends_where_it_ends(self):
        for call in (self.c.open_model, self.c.unload_model, self.c.infer):
            with self.assertRaisesRegex(ValueError, "NUL"):
                call("digits\0x", *[self.x] * (call == self.c.infer))
        self.assertEqual(len(self.c.models()), 1)

    def test_a_name_serves_every_connection(self):
        # A private agent has one client: the name alone is tried here.
        self.same(self.c.infer("digits", self.x))
        other = self.c.open_model("digits")
        self.assertEqual((other.inputs, other.outputs), (64, 10))
        self.same(other.infer(self.x))


class Failures(WithConnection):
    def write(self, layers, tensors=None, dtype="float32", name=None):
        path = self.path(name or "m.safetensors")
        penstock_export.write(path, layers, tensors or {
            "w": self.random.standard_normal((4, 8))}, dtype)
        return path

    def test_an_unloaded_model_is_told_by_a_sentence(self):
        m = self.load()
        x = np.load(data("digits-x.npy"))
        self.c.unload_model("digits")
        self.assert_fails(errno.ENOENT, "no model", m.infer, x)
        self.assert_fails(errno.ENOENT, "no model named digits",
                          self.c.open_model, "digits")
        # The same name anew is another model, and the old handle none of it.
        again = self.load()
        self.assert_fails(errno.ENOENT, "no model", m.infer, x)
        again.infer(x)

    def test_a_model_of_an_agent_that_is_gone_is_stale(self):
        with penstock.open(ENDPOINT) as c:
            m = c.load_model("digits", data("digits.safetensors"))
            x = np.load(data("digits-x.npy"))
            os.kill(max(children()), 9)
            with self.assertRaises(penstock.Error):
                for _ in range(2):
                    m.infer(x)
            # The next session is another agent's.
            c.zeros(4)
            with self.assertRaises(penstock.StaleError) as caught:
                m.infer(x)
            self.assertIn("load or open it again", str(caught.exception))
            self.assertEqual(c.models(), [])
            c.load_model("digits", data("digits.safetensors")).infer(x)

    def test_every_cut_of_a_model_file_is_refused(self):
        with open(data("diabetes.safetensors"), "rb") as f:
            whole = f.read()
        header = 8 + struct.unpack("<Q", whole[:8])[0]
        for n in (0, 1, 7, 8, 9, 100, header - 1, header, header + 1,
                  len(whole) - 4, len(whole) - 1):
            with self.subTest(n=n):
                with open(self.path(), "wb") as f:
                    f.write(whole[:n])
                with self.assertRaises(penstock.Error) as caught:
                    self.c.load_model("m", self.path())
                self.assertIn(caught.exception.errno,
                              (errno.ENODATA, errno.EINVAL))
        with open(self.path(), "wb") as f:
            f.write(whole + b"1234")
        self.assert_fails(errno.EINVAL, "belong to no tensor",
                          self.c.load_model, "m", self.path())
        # Nothing is left of all that, and the connection is well.
        stats = self.c.stats()
        self.assertEqual((stats["tensors"], stats["model_bytes"]), (0, 0))
        self.c.load_model("m", data("diabetes.safetensors"))

    def test_layers_that_do_not_fit_are_named(self):
        two = [{"type": "linear", "weight": "w", "name": "fc0"},
               {"type": "linear", "weight": "w", "name": "fc1"}]
        self.assert_fails(
            errno.EINVAL, 'layer 1 (linear "fc1"): weight is 4 x 8, its input '
            "has 4 elements", self.c.load_model, "m", self.write(two))
        self.assert_fails(
            errno.EINVAL, "layer 0 (conv)", self.c.load_model, "m",
            self.write([{"type": "conv"}]))

    def test_weights_above_the_memory_are_refused(self):
        with penstock.open("spawn:?size=16M&threads=1") as c:
            limit = c.info()["limits"]["max_tensor_bytes"]
            # A file with holes: 2 TiB that nobody has to write.
            shape = [1 << 19, 1 << 20]
            size = shape[0] * shape[1] * 4
            self.assertGreater(size, limit)
            text = json.dumps({
                "__metadata__": {"penstock.layers": json.dumps(
                    [{"type": "linear", "weight": "w"}])},
                "w": {"dtype": "F32", "shape": shape,
                      "data_offsets": [0, size]}}).encode()
            with open(self.path(), "wb") as f:
                f.write(struct.pack("<Q", len(text)) + text)
                f.truncate(8 + len(text) + size)
            with self.assertRaises(penstock.Error) as caught:
                c.load_model("m", self.path())
            self.assertIn(caught.exception.errno,
                          (errno.EMSGSIZE, errno.ENOMEM))
            c.ping()
            self.assertEqual(c.stats()["tensors"], 0)

    def test_other_files_are_no_models(self):
        self.assert_fails(errno.ENOENT, "none", self.c.load_model, "m",
                          self.path("none"))
        self.assert_fails(errno.EINVAL, "not a regular file",
                          self.c.load_model, "m", self.dir.name)
        os.mkfifo(self.path("fifo"))
        self.assert_fails(errno.EINVAL, "not a regular file",
                          self.c.load_model, "m", self.path("fifo"))
        self.assert_fails(errno.EINVAL, "no safetensors file",
                          self.c.load_model, "m", data("digits-x.npy"))
        self.assert_fails(errno.EINVAL, "cannot be a model's name",
                          self.c.load_model, "../m",
                          data("digits.safetensors"))
        self.load("m")
        self.assert_fails(errno.EBUSY, "already loaded", self.load, "m")


class Exporter(WithConnection):
    def check(self, net, dtype="float32", atol=2e-5):
        penstock_export.export(net, self.path(), dtype)
        m = self.c.load_model("m", self.path())
        x = self.random.standard_normal((50, m.inputs)).astype("f4")
        want = net(x.astype("f8"))
        np.testing.assert_allclose(m.infer(x), want, atol=atol)
        self.c.unload_model("m")

    def test_a_torch_sequential_of_every_module(self):
        r = self.random
        self.check(Sequential(
            module("Flatten", lambda x: x, start_dim=1, end_dim=-1),
            linear(r, 30, 40), module("ReLU", lambda x: np.maximum(x, 0)),
            layernorm(r, 40),
            Sequential(linear(r, 40, 20, bias=False),
                       module("GELU", gelu, approximate="none")),
            module("Dropout", lambda x: x, p=0.5),
            linear(r, 20, 20),
            module("GELU", gelu_tanh, approximate="tanh"),
            layernorm(r, 20, affine=False),
            linear(r, 20, 25),
            module("SiLU", lambda x: x / (1 + np.exp(-x))),
            linear(r, 25, 10), module("Tanh", np.tanh),
            linear(r, 10, 7),
            module("Sigmoid", lambda x: 1 / (1 + np.exp(-x))),
            linear(r, 7, 5), module("Identity", lambda x: x),
            module("Softmax", softmax, dim=-1)))

    def test_a_module_may_be_there_twice(self):
        r = self.random
        act = module("Tanh", np.tanh)
        same = linear(r, 12, 12)
        self.check(Sequential(linear(r, 8, 12), act, same, act, same, act,
                              linear(r, 12, 3)))

    def test_a_module_may_have_any_name(self):
        r = self.random
        self.check(Sequential({
            "input": linear(r, 8, 6), "n" * 65: module("Tanh", np.tanh),
            "\u00e9" * 32: linear(r, 6, 4), "output": linear(r, 4, 3)}))
        header, _ = read_file(self.path())
        layers = json.loads(header["__metadata__"]["penstock.layers"])
        self.assertEqual([layer.get("name") for layer in layers],
                         [None, None, "\u00e9" * 32, "output"])

    def test_weights_of_16_bits_are_rounded(self):
        net = Sequential(linear(self.random, 30, 10))
        self.check(net, "float16", 5e-3)
        self.check(net, "bfloat16", 5e-2)
        penstock_export.export(net, self.path(), "bfloat16")
        header, raw = read_file(self.path())
        self.assertEqual(header["0.weight"]["dtype"], "BF16")
        bits = np.frombuffer(raw, "<u2", 300).astype("u4") << 16
        want = net.modules[0].weight.array.ravel()
        np.testing.assert_allclose(bits.view("f4"), want, rtol=2 ** -8)

    def test_bfloat16_rounds_to_nearest_even_and_keeps_nan(self):
        x = np.array([1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8 - 2 ** -20,
                      np.inf, np.nan], "f4")
        got = (penstock_export._bfloat16(x).astype("u4") << 16).view("f4")
        np.testing.assert_array_equal(
            got, np.array([1, 1, 1 + 2 ** -6, -1 - 2 ** -7, np.inf, np.nan],
                          "f4"))

    def test_what_has_no_layer_is_refused_by_name(self):
        cases = {
            "Conv2d": module("Conv2d", None),
            "has weights": module("ReLU", None),
            "approximate": module("GELU", None, approximate="fast"),
            "dimension 0": module("Softmax", None, dim=0),
            "several dimensions": module("LayerNorm", None,
                                         normalized_shape=(2, 3)),
        }
        for words, part in cases.items():
            with self.assertRaisesRegex(penstock_export.ExportError, words):
                penstock_export.export(Sequential(part), self.path())
        with self.assertRaises(penstock_export.ExportError):
            penstock_export.export(object(), self.path())
        with self.assertRaisesRegex(penstock_export.ExportError, "not torch's"):
            penstock_export.export(type("Sequential", (), {})(), self.path())
        for dtype, value in (("float16", 1e6), ("float32", -1e39),
                             ("bfloat16", 3.4e38)):
            with self.assertRaisesRegex(penstock_export.ExportError,
                                        "too large for " + dtype):
                penstock_export.write(self.path(), [], {"w": [value]}, dtype)
        self.assertEqual(os.listdir(self.dir.name), [])

    def mlp(self, activation, out):
        r = self.random
        shapes = [(6, 5), (5, 3)]
        return types.SimpleNamespace(
            coefs_=[r.standard_normal(s) for s in shapes],
            intercepts_=[r.standard_normal(s[1]) for s in shapes],
            activation=activation, out_activation_=out)

    def test_scalers_become_part_of_the_first_layer(self):
        r = self.random
        mlp = self.mlp("tanh", "identity")
        mean, scale = r.standard_normal(6), r.random(6) + 0.5
        factor, shift = r.random(6) + 0.5, r.standard_normal(6)
        scalers = {
            "StandardScaler": (dict(mean_=mean, scale_=scale, with_mean=True),
                               lambda x: (x - mean) / scale),
            "MinMaxScaler": (dict(scale_=factor, min_=shift, clip=False),
                             lambda x: x * factor + shift),
            "MaxAbsScaler": (dict(scale_=scale), lambda x: x / scale),
        }
        x = r.standard_normal((20, 6)).astype("f4")
        for name, (attributes, transform) in scalers.items():
            with self.subTest(scaler=name):
                scaler = module(name, None, **attributes)
                h = np.tanh(transform(x) @ mlp.coefs_[0] + mlp.intercepts_[0])
                want = h @ mlp.coefs_[1] + mlp.intercepts_[1]
                pipe = types.SimpleNamespace(
                    steps=[("scale", scaler), ("mlp", mlp)])
                for args in ((pipe, None), (mlp, scaler)):
                    penstock_export.export(args[0], self.path(),
                                           scaler=args[1])
                    m = self.c.load_model("m", self.path())
                    np.testing.assert_allclose(m.infer(x), want, atol=2e-5)
                    self.c.unload_model("m")
        with self.assertRaisesRegex(penstock_export.ExportError, "not fitted"):
            penstock_export.export(
                mlp, self.path(), scaler=module("StandardScaler", None))
        with self.assertRaisesRegex(penstock_export.ExportError, "PCA"):
            penstock_export.export(mlp, self.path(),
                                   scaler=module("PCA", None))

    def test_a_residual_written_by_hand(self):
        w = self.random.standard_normal((8, 8)) / 3
        penstock_export.write(self.path(), [
            {"type": "linear", "weight": "w", "name": "a"},
            {"type": "relu"},
            {"type": "add", "from": "a"},
            {"type": "add", "from": "input"}], {"w": w})
        m = self.c.load_model("m", self.path())
        x = self.random.standard_normal((9, 8)).astype("f4")
        a = x @ w.T
        np.testing.assert_allclose(m.infer(x), np.maximum(a, 0) + a + x,
                                   atol=1e-5)


if __name__ == "__main__":
    unittest.main()
