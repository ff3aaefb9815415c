# SPDX-License-Identifier: MIT
"""The runner of models, as the agent sees it: real models by a real ONNX
Runtime, and models that are out to harm.

PENSTOCK_ORT names the library; without it the loader looks for one.
"""
import errno
import glob
import os
import sys
import threading
import time
import unittest

import fakeort
from runner_client import IN_PLACE, TOO_SMALL, Runner, RunnerError

PROGRAM = os.path.join(os.environ["PST_TOP_BUILDDIR"],
                       "guest-agent/penstock-runner-ort")
LIBRARY = os.environ.get("PENSTOCK_ORT", "")
GOLDEN = "/usr/share/libonnx-testdata/data"
F32, I64 = 1, 7
AUTO, CPU, CUDA = 0, 1, 2


def skip(why):
    print("skipped:", why)
    sys.exit(77)


if not os.path.exists(PROGRAM):
    skip("built without libseccomp")
try:
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper
except ImportError:
    skip("python3-onnx is not installed")


def model(nodes, inputs, outputs, init=()):
    """A model's bytes; inputs and outputs: (name, type, dims)."""
    def infos(tensors):
        return [helper.make_tensor_value_info(*t) for t in tensors]
    graph = helper.make_graph(nodes, "g", infos(inputs), infos(outputs),
                              list(init))
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8).SerializeToString()


def add_one():
    return model([helper.make_node("Add", ["x", "one"], ["y"])],
                 [("x", F32, ["n"])], [("y", F32, ["n"])],
                 [helper.make_tensor("one", F32, [1], [1.0])])


def gather():
    """Rows of a table of 4096 floats by integers of any number."""
    table = numpy_helper.from_array(np.arange(4096, dtype="f4"), "table")
    return model([helper.make_node("Gather", ["table", "ids"], ["y"])],
                 [("ids", I64, ["n"])], [("y", F32, ["n"])], [table])


def endless():
    """A loop of 2^62 rounds."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]),
         helper.make_node("Add", ["v", "v"], ["w"])], "body",
        [helper.make_tensor_value_info("i", I64, []),
         helper.make_tensor_value_info("c", 9, []),
         helper.make_tensor_value_info("v", F32, [1])],
        [helper.make_tensor_value_info("d", 9, []),
         helper.make_tensor_value_info("w", F32, [1])])
    return model([helper.make_node("Loop", ["n", "go", "x"], ["y"],
                                   body=body)],
                 [("n", I64, []), ("x", F32, [1])], [("y", F32, [1])],
                 [helper.make_tensor("go", 9, [], [True])])


def f4(*values):
    return np.array(values, dtype="f4")


class Cuda(unittest.TestCase):
    """With a double of CUDA: what the runner asks of it, and when it gives up.
    """

    def start(self, card, **kw):
        if not fakeort.real():
            self.skipTest("PENSTOCK_ORT names no file, or tests/fakeort is "
                          "not built")
        self.fake = fakeort.FakeOrt(card)
        self.addCleanup(self.fake.close)
        self.runner = Runner(PROGRAM, self.fake.library, **kw)
        self.addCleanup(self.runner.close)

    def add(self, m, n=8192):
        x = np.arange(n, dtype="f4")
        out = self.runner.run(m, [(0, F32, x.shape, x.tobytes())],
                              [(0, x.nbytes)])[0]
        np.testing.assert_array_equal(np.frombuffer(out[2], "f4"), x + 1)

    def refused(self, words, provider):
        with self.assertRaises(RunnerError) as e:
            self.runner.load(add_one(), provider=provider)
        self.assertEqual(e.exception.errno, errno.ENOTSUP)
        self.assertIn(words, str(e.exception))

    def test_operands_of_a_run_by_cuda_lie_in_registered_memory(self):
        self.start("good")
        for wanted in (AUTO, CUDA):
            m = self.runner.load(add_one(), provider=wanted)
            self.assertEqual((m.provider, m.note), (CUDA, b""))
            self.add(m)
            self.assertEqual(self.fake.calls()[-1],
                             "run on cuda, 2 registered")
        self.assertIn("register %d bytes, flags 3" % (64 << 20),
                      self.fake.calls())
        self.assertIn("option cudnn_conv_algo_search=HEURISTIC",
                      self.fake.calls())
        m = self.runner.load(add_one(), provider=CPU)
        self.assertEqual((m.provider, m.note), (CPU, b""))
        self.add(m)
        self.assertEqual(self.fake.calls()[-1], "run on cpu, 2 registered")

    def test_the_card_and_its_memory_are_chosen(self):
        self.start("good", gpu=3, gpu_memory=7 << 30)
        m = self.runner.load(add_one(), provider=CUDA)
        self.assertEqual(m.provider, CUDA)
        for line in ("option device_id=3", "driver's card 3",
                     "option gpu_mem_limit=%d" % (7 << 30)):
            self.assertIn(line, self.fake.calls())

    def test_a_region_that_cannot_be_registered_is_said(self):
        self.start("unpinned")
        m = self.runner.load(add_one(), provider=CUDA)
        self.assertEqual(m.provider, CUDA)
        self.assertIn(b"staged", m.note)
        self.assertIn(b"cuMemHostRegister: CUDA_ERROR_INVALID_VALUE", m.note)
        # As a device's memory it was tried as well.
        self.assertIn("register %d bytes, flags 7" % (64 << 20),
                      self.fake.calls())
        self.add(m)

    def test_a_card_without_code_shows_at_the_first_run(self):
        self.start("old")
        m = self.runner.load(add_one())
        self.assertEqual(m.provider, CPU)
        self.assertIn(b"not computed by CUDA", m.note)
        self.assertIn(b"NoKernelImage", m.note)
        self.add(m)
        self.refused("NoKernelImage", CUDA)

    def test_without_a_card_the_runner_is_as_narrow_as_ever(self):
        self.start("none")
        m = self.runner.load(add_one())
        self.assertEqual((m.provider, m.note), (CPU, b""))
        self.refused("no CUDA-capable device", CUDA)
        self.assertFalse([c for c in self.fake.calls() if "register" in c and
                          "bytes" in c])

    def test_the_real_library_has_no_cuda_or_says_so(self):
        self.runner = Runner(PROGRAM, LIBRARY)
        self.addCleanup(self.runner.close)
        m = self.runner.load(add_one())
        if m.provider == CUDA:
            self.skipTest("this library has CUDA, and a card")
        self.refused("CUDA", CUDA)


class Run(unittest.TestCase):
    def setUp(self):
        self.runner = Runner(PROGRAM, LIBRARY)
        self.addCleanup(self.runner.close)

    def fails(self, code, words, call, *args):
        with self.assertRaises(RunnerError) as e:
            call(*args)
        self.assertEqual(e.exception.errno, code, str(e.exception))
        self.assertIn(words, str(e.exception))

    def run_add(self, m, x, room):
        return self.runner.run(m, [(0, F32, x.shape, x.tobytes())],
                               [(0, room)])[0]

    def test_a_float_output_of_known_shape_is_made_in_place(self):
        m = self.runner.load(add_one())
        self.assertEqual((m.n_in, m.n_out), (1, 1))
        self.assertEqual((m.io[0].name, m.io[0].dim[0]), (b"x", -1))
        self.assertEqual(m.symbol[m.io[0].symbol[0] - 1].value, b"n")
        self.assertGreater(m.first_ns, 0)
        x = np.arange(8192, dtype="f4")
        rank, dims, data, flags = self.run_add(m, x, x.nbytes)
        self.assertEqual((rank, dims, flags), (1, (8192,), IN_PLACE))
        np.testing.assert_array_equal(np.frombuffer(data, "f4"), x + 1)
        call = self.runner.box.call[self.runner.calls % 2]
        self.assertEqual(call.copied, 0)
        self.assertGreater(call.compute_ns, 0)

    def test_an_output_without_room_says_what_it_needs(self):
        m = self.runner.load(add_one())
        self.fails(errno.EMSGSIZE, "does not fit", self.run_add, m,
                   f4(1, 2, 3), 8)
        out = self.runner.box.call[self.runner.calls % 2].io[1]
        self.assertEqual((out.bytes, out.flags, out.rank, out.dim[0]),
                         (12, TOO_SMALL, 1, 3))

    def test_a_shape_that_depends_on_values_is_told(self):
        m = self.runner.load(model(
            [helper.make_node("NonZero", ["x"], ["y"])],
            [("x", F32, ["n"])], [("y", I64, [1, "k"])]))
        x = f4(0, 5, 0, 7)
        out = self.runner.run(m, [(0, F32, (4,), x.tobytes())], [(0, 64)])
        self.assertEqual(out[0][1], (1, 2))
        self.assertEqual(np.frombuffer(out[0][2], "i8").tolist(), [1, 3])

    def test_an_empty_tensor_is_one(self):
        m = self.runner.load(add_one())
        self.assertEqual(self.run_add(m, f4(), 0)[1], (0,))

    def test_a_shape_that_the_file_does_not_keep_is_found_out(self):
        # The output is said to have the input's length, and has twice it.
        m = self.runner.load(model(
            [helper.make_node("Concat", ["x", "x"], ["y"], axis=0)],
            [("x", F32, ["n"])], [("y", F32, ["n"])]))
        for _ in range(2):
            out = self.run_add(m, f4(1, 2), 64)
            self.assertEqual(out[1], (4,))
            self.assertEqual(np.frombuffer(out[2], "f4").tolist(),
                             [1, 2, 1, 2])

    def test_what_is_no_model_is_refused_with_its_reason(self):
        self.fails(errno.EINVAL, "no ONNX model", self.runner.load, b"\x07abc")
        self.fails(errno.EINVAL, "ONNX Runtime refuses", self.runner.load,
                   b"\x08\x08")
        self.fails(errno.ENOTSUP, "input x has elements of ONNX type 8",
                   self.runner.load,
                   model([helper.make_node("Identity", ["x"], ["y"])],
                         [("x", 8, [1])], [("y", 8, [1])]))
        self.fails(errno.EINVAL, "NoSuchOperator", self.runner.load,
                   model([helper.make_node("NoSuchOperator", ["x"], ["y"])],
                         [("x", F32, [1])], [("y", F32, [1])]))
        # The runner goes on.
        self.assertEqual(self.run_add(self.runner.load(add_one()), f4(1), 4)[2],
                         f4(2).tobytes())

    def test_models_come_and_go(self):
        a, b = self.runner.load(add_one()), self.runner.load(gather())
        self.runner.unload(a)
        self.fails(errno.ENOENT, "no such model", self.run_add, a, f4(1), 4)
        self.assertEqual(self.runner.load(add_one()).n_in, 1)
        with self.assertRaises(RunnerError):
            self.runner.unload(a)
        self.runner.unload(b)

    def test_a_wrong_call_is_refused(self):
        m = self.runner.load(add_one())
        x = f4(1)
        for io in [(1, F32, (1,), x.tobytes()), (0, F32, (2,), x.tobytes()),
                   (0, F32, (-1,), x.tobytes()), (0, 77, (1,), x.tobytes()),
                   (0, F32, (1 << 62, 4), x.tobytes())]:
            self.fails(errno.EINVAL, "malformed", self.runner.run, m, [io],
                       [(0, 4)])
        self.fails(errno.EINVAL, "Unexpected input data type", self.runner.run,
                   m, [(0, I64, (1,), b"\0" * 8)], [(0, 4)])
        self.fails(errno.EINVAL, "malformed", self.runner.run, m,
                   [(0, F32, (1,), x.tobytes())], [(0, 1 << 40)])

    def test_weights_come_from_a_file_that_was_given(self):
        if self.runner.ready.api < 18:
            self.skipTest("ONNX Runtime is older than 1.18")
        graph = self.external("weights.bin")
        data = np.arange(4, dtype="f4").tobytes()
        m = self.runner.load(graph, {"weights.bin": data})
        out = self.run_add(m, f4(1, 1, 1, 1), 16)
        self.assertEqual(np.frombuffer(out[2], "f4").tolist(), [1, 2, 3, 4])

    @staticmethod
    def external(location):
        t = onnx.TensorProto(name="one", data_type=F32, dims=[4],
                             data_location=onnx.TensorProto.EXTERNAL)
        for key, value in ("location", location), ("offset", "0"), (
                "length", "16"):
            t.external_data.add(key=key, value=value)
        return model([helper.make_node("Add", ["x", "one"], ["y"])],
                     [("x", F32, [4])], [("y", F32, [4])], [t])

    # ---- Harm --------------------------------------------------------------

    def test_a_model_reads_no_file_of_the_machine(self):
        for name in "/etc/passwd", "passwd", "../etc/passwd", ".":
            self.fails(errno.EPERM, "was not given with it", self.runner.load,
                       self.external(name))

    def test_the_runner_has_nothing_worth_taking(self):
        # Written once more after the limits took effect: whoever has the
        # process has these.
        self.runner.load(add_one())
        proc = f"/proc/{self.runner.process.pid}/"
        with open(proc + "status", encoding="ascii") as f:
            status = f.read()
        for line in "Seccomp:\t2", "NoNewPrivs:\t1":
            self.assertIn(line, status)
        files = [os.readlink(p) for p in glob.glob(proc + "fd/*")]
        self.assertFalse([f for f in files if "memfd" in f], files)
        for task in glob.glob(proc + "task/*/status"):
            with open(task, encoding="ascii") as f:
                self.assertIn("Seccomp:\t2", f.read(), task)

    def test_integers_that_change_during_a_run_are_harmless(self):
        m = self.runner.load(gather())
        n = 20000
        good = np.zeros(n, "i8").tobytes()
        bad = np.full(n, 1 << 40, "i8").tobytes()
        stop = threading.Event()

        def flip():
            while not stop.is_set():
                self.runner.arena[:len(bad)] = bad
                self.runner.arena[:len(good)] = good
        flipper = threading.Thread(target=flip)
        flipper.start()
        try:
            ended = {0: 0, errno.EINVAL: 0, errno.EIO: 0}
            for _ in range(300):
                call = self.runner.submit(m, [(0, I64, (n,), good)],
                                          [(0, 4 * n)])
                self.runner.wait()
                ended[-call.status] += 1
        finally:
            stop.set()
            flipper.join()
        self.assertIsNone(self.runner.process.poll())
        self.assertEqual(sum(ended.values()), 300)

    def test_an_endless_model_ends_when_cancelled(self):
        m = self.runner.load(endless())
        n = np.array(1 << 62, "i8")
        for _ in range(3):
            call = self.runner.submit(
                m, [(0, I64, (), n.tobytes()), (1, F32, (1,), f4(1).tobytes())],
                [(0, 4)])
            time.sleep(0.05)
            self.assertLess(self.runner.box.done.value, self.runner.calls)
            self.runner.cancel()
            self.runner.wait()
            self.assertEqual(call.status, -errno.ECANCELED)
        # The flag does not stay.
        out = self.runner.run(
            m, [(0, I64, (), np.array(2, "i8").tobytes()),
                (1, F32, (1,), f4(1).tobytes())], [(0, 4)])
        self.assertEqual(np.frombuffer(out[0][2], "f4").tolist(), [4])

    def test_a_huge_allocation_is_refused(self):
        m = self.runner.load(model(
            [helper.make_node("ConstantOfShape", ["n"], ["y"])],
            [("n", I64, [1])], [("y", F32, ["k"])]))
        n = np.array([1 << 40], "i8")
        with self.assertRaises(RunnerError):
            self.runner.run(m, [(0, I64, (1,), n.tobytes())], [(0, 64)])
        out = self.runner.run(m, [(0, I64, (1,), np.array([2], "i8").tobytes())],
                              [(0, 64)])
        self.assertEqual(out[0][1], (2,))

    def test_an_unload_waits_for_nobody(self):
        m, other = self.runner.load(endless()), self.runner.load(add_one())

        def submit():
            self.runner.submit(
                m, [(0, I64, (), np.array(1 << 62, "i8").tobytes()),
                    (1, F32, (1,), f4(1).tobytes())], [(0, 4)])
        submit()
        deadline = time.monotonic() + 20
        while True:
            try:
                self.runner.unload(m)
                # The call had not begun.
                self.runner.wait()
                m = self.runner.load(endless())
                submit()
            except RunnerError as e:
                if e.errno == errno.EBUSY:
                    break
            self.assertLess(time.monotonic(), deadline)
        self.runner.unload(other)
        self.runner.cancel()
        self.runner.wait()
        self.runner.unload(m)


class End(unittest.TestCase):
    def test_the_runner_ends_with_the_agent(self):
        runner = Runner(PROGRAM, LIBRARY)
        m = runner.load(endless())
        runner.submit(m, [(0, I64, (), np.array(1 << 62, "i8").tobytes()),
                          (1, F32, (1,), f4(1).tobytes())], [(0, 4)])
        runner.socket.close()
        self.assertEqual(runner.process.wait(20), 0)
        runner.close()

    def test_memory_has_a_bound(self):
        with Runner(PROGRAM, LIBRARY, max_memory=512 << 20) as runner:
            m = runner.load(model(
                [helper.make_node("ConstantOfShape", ["n"], ["y"])],
                [("n", I64, [1])], [("y", F32, ["k"])]))
            n = np.array([200 << 20], "i8")
            with self.assertRaises(RunnerError):
                runner.run(m, [(0, I64, (1,), n.tobytes())], [(0, 64)])
            self.assertIsNone(runner.process.poll())

    def test_no_library_is_said(self):
        for name, words in ("/nowhere/libonnxruntime.so", "/nowhere"), (
                "libc.so.6", "lacks OrtGetApiBase"):
            with self.assertRaises(RunnerError) as e:
                Runner(PROGRAM, name)
            self.assertIn(words, str(e.exception))


def tensors(pattern):
    for i in range(len(glob.glob(pattern.format("*")))):
        t = onnx.TensorProto()
        with open(pattern.format(i), "rb") as f:
            t.ParseFromString(f.read())
        yield t


@unittest.skipUnless(os.path.isdir(GOLDEN), "libonnx-testdata is not there")
class Golden(unittest.TestCase):
    """Debian's golden models: what runs gives the golden outputs."""

    # Random numbers; what onnx 1.12 has wrong in its data; and what ONNX Runtime's
    # own tests leave out, since it gives other values by itself, too.
    UNSURE = ("bernoulli", "training_dropout", "BFLOAT16", "test_dft",
              "maxunpool_export_with_output_shape",
              "downsample_scales_cubic_align_corners",
              "downsample_scales_linear_align_corners",
              "qlinearmatmul_2D_int8_float", "qlinearmatmul_3D_int8_float",
              "averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode"
              "_is_True")

    def check(self, runner, folder):
        """Whether the model could be loaded; its outputs are right."""
        with open(folder + "/model.onnx", "rb") as f:
            data = f.read()
        try:
            m = runner.load(data)
        except RunnerError:
            return False
        names = {m.io[i].name.decode(): i for i in range(m.n_in)}
        order = [i.name for i in onnx.load_from_string(data).graph.input]
        ins = []
        for k, t in enumerate(tensors(folder + "/test_data_set_0/input_{}.pb")):
            a = numpy_helper.to_array(t)
            slot = names.get(t.name, names[order[k]])
            ins.append((slot, t.data_type, a.shape, a.tobytes()))
        outs = [numpy_helper.to_array(t) for t in
                tensors(folder + "/test_data_set_0/output_{}.pb")]
        got = runner.run(m, ins, [(k, o.nbytes) for k, o in enumerate(outs)])
        for (_, dims, data, _), want in zip(got, outs):
            self.assertEqual(dims, want.shape)
            np.testing.assert_allclose(np.frombuffer(data, want.dtype).reshape(
                want.shape), want, rtol=1e-3, atol=1e-3)
        runner.unload(m)
        return True

    def test_the_golden_models_give_their_outputs(self):
        passed = 0
        with Runner(PROGRAM, LIBRARY) as runner:
            for path in sorted(glob.glob(GOLDEN + "/*/*/model.onnx")):
                folder = os.path.dirname(path)
                name = os.path.basename(folder)
                if any(word in name for word in self.UNSURE):
                    continue
                with self.subTest(name):
                    passed += self.check(runner, folder)
        print(f"# {passed} golden models passed")
        self.assertGreater(passed, 900)


try:
    Runner(PROGRAM, LIBRARY).close()
except RunnerError as why:
    if why.errno == errno.ENOENT and not LIBRARY:
        skip(why)
    raise
unittest.main()
