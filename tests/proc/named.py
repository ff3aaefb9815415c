# SPDX-License-Identifier: MIT
"""Models with named tensors through Python and the command, by a real agent
with a real ONNX Runtime.

PENSTOCK_ORT names the library; without it the loader looks for one. A model that
counts, with its state in the region, is made by hand: no package is needed.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np

from onnxbytes import model, node
from pythonlib import BUILD, penstock
from runner_client import Runner, RunnerError

ENDPOINT = "spawn:?size=16M&threads=1"
PROGRAM = os.path.join(BUILD, "guest-agent", "penstock-runner-ort")


F32, I64 = 1, 7
COUNTS = model([node("Add", ["x", "state"], ["next"]),
                node("NonZero", ["next"], ["where"])],
               [("x", F32, ["n"]), ("state", F32, ["n"])],
               [("next", F32, ["n"]), ("where", I64, [1, "k"])])


def has_runtime():
    """Whether the runner finds it, by any of the names that it tries."""
    if not os.path.exists(PROGRAM):
        return False
    try:
        Runner(PROGRAM, os.environ.get("PENSTOCK_ORT", "")).close()
        return True
    except RunnerError:
        return False


class Named(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.path = os.path.join(cls.dir.name, "counts.onnx")
        with open(cls.path, "wb") as f:
            f.write(COUNTS)
        cls.c = penstock.open(ENDPOINT)
        cls.c.load_model("counts", cls.path)
        cls.m = cls.c.model("counts")

    @classmethod
    def tearDownClass(cls):
        del cls.m
        cls.c.close()
        cls.dir.cleanup()

    def test_it_says_what_it_takes(self):
        self.assertEqual([(a.name, a.type, a.shape) for a in self.m.inputs],
                         [("x", "tensor(float)", ["n"]),
                          ("state", "tensor(float)", ["n"])])
        self.assertEqual(self.m.outputs[1].dtype, np.int64)
        self.assertEqual((self.m.format, self.m.provider), ("onnx", "cpu"))

    def test_private_arrays(self):
        x = np.arange(5, dtype="f4")
        r = self.m.run({"x": x, "state": np.ones(5, "f4")})
        np.testing.assert_array_equal(r["next"], x + 1)
        np.testing.assert_array_equal(r["where"], [[0, 1, 2, 3, 4]])
        r = self.m.run({"state": -x, "x": x}, ["where"])
        self.assertEqual(list(r), ["where"])
        self.assertEqual(r["where"].shape, (1, 0))

    def test_an_output_larger_than_was_guessed(self):
        x = np.ones(40000, "f4")
        r = self.m.run({"x": x, "state": x}, ["where"])
        self.assertEqual(r["where"].shape, (1, 40000))
        self.assertEqual(r["where"][0, -1], 39999)

    def test_state_stays_in_the_region(self):
        n = 8192
        x, a, b = (self.c.zeros(n, "f4") for _ in range(3))
        x[:] = 2
        before = self.c.model("counts")
        for i in range(6):
            self.m.run({"x": x, "state": a}, [], out={"next": b})
            a, b = b, a
        np.testing.assert_array_equal(a, np.full(n, 12, "f4"))
        after = self.c.model("counts")
        self.assertEqual(after.runs, before.runs + 6)
        self.assertEqual(after.copied, before.copied)

    def test_wrong_calls_are_named(self):
        x = np.ones(2, "f4")
        for feed, error, words in [
                ({"x": x}, penstock.Error, "state is missing"),
                ({"x": x, "y": x}, ValueError, "no input 'y'"),
                ({"x": x.astype("f8"), "state": x}, TypeError, "float32"),
                ({"x": x, "state": np.ones(3, "f4")}, penstock.Error,
                 "n is 2 in x and 3 in state"),
                ({"x": x, "state": np.ones((2, 1), "f4")}, penstock.Error,
                 "dimension")]:
            with self.assertRaisesRegex(error, words):
                self.m.run(feed)
        with self.assertRaisesRegex(ValueError, "no output 'z'"):
            self.m.run({"x": x, "state": x}, ["z"])
        with self.assertRaises(penstock.Error) as e:
            self.m.run({"x": x, "state": x}, [], out={"next": np.empty(1, "f4")})
        self.assertEqual(e.exception.errno, 90)
        with self.assertRaises(penstock.Error):
            self.c.model("nonesuch")

    def test_a_script_of_onnxruntime(self):
        s = penstock.InferenceSession(self.path, connection=self.c,
                                      providers=["CPUExecutionProvider"])
        name = s.get_inputs()[0].name
        y, = s.run(["next"], {name: np.ones(3, "f4"),
                              "state": np.ones(3, "f4")})
        np.testing.assert_array_equal(y, [2, 2, 2])
        self.assertEqual(len(s.run(None, {name: y, "state": y})), 2)
        self.assertEqual(s.get_providers(), ["CPUExecutionProvider"])
        s.close()
        self.assertEqual([m["name"] for m in self.c.models()], ["counts"])

    def test_options_of_onnxruntime(self):
        def session(path=self.path, **more):
            return penstock.InferenceSession(path, connection=self.c, **more)
        options = penstock.SessionOptions()
        options.graph_optimization_level = \
            penstock.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = penstock.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = 2
        options.add_session_config_entry("key", "value")
        self.assertEqual(options.intra_op_num_threads, 2)
        self.assertEqual(options.get_session_config_entry("key"), "value")
        s = session(sess_options=options,
                    providers=penstock.get_available_providers())
        feed = {n: np.ones(3, "f4") for n in ("x", "state")}
        run = penstock.RunOptions()
        run.log_severity_level = 3
        for given in None, run:
            self.assertEqual(len(s.run(None, feed, given)), 2)
        run.terminate = True
        with self.assertRaisesRegex(ValueError, "terminate"):
            s.run(None, feed, run)
        s.close()
        # One alone is a demand.
        for providers, words in ((["CUDAExecutionProvider"], "CUDA"),
                                 ([("CUDAExecutionProvider", {})], "CUDA"),
                                 (["NoExecutionProvider"], "providers are")):
            with self.assertRaisesRegex((OSError, ValueError), words):
                session(providers=providers)
        with self.assertRaisesRegex(ValueError, "was loaded for"):
            session("counts", providers=["CUDAExecutionProvider"])
        for path in "nonesuch.onnx", "./nonesuch", "none/such":
            with self.assertRaises(FileNotFoundError) as e:
                session(path)
            self.assertEqual(e.exception.filename, path)
        self.assertEqual([m["name"] for m in self.c.models()], ["counts"])

    def test_a_file_says_what_it_is(self):
        more = (b"\x12\x05maker\x28\x07\x32\x05words"
                b"\x72\x0a\x0a\x01k\x12\x05value")
        s = penstock.InferenceSession(COUNTS + more, connection=self.c)
        meta = s.get_modelmeta()
        self.assertEqual(
            (meta.producer_name, meta.version, meta.description, meta.domain,
             meta.custom_metadata_map), ("maker", 7, "words", "",
                                         {"k": "value"}))
        s.close()
        with self.assertRaisesRegex(ValueError, "not known"):
            penstock.InferenceSession(
                "counts", connection=self.c).get_modelmeta()

    def test_a_parents_arrays_are_refused_in_a_child(self):
        c = penstock.open(ENDPOINT)
        x = c.zeros(2, "f4")
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                own = penstock.open(ENDPOINT)
                own.load_model("own", self.path)
                model = own.model("own")
                for feed, out in (({"x": x, "state": x}, {}),
                                  ({"x": np.ones(2, "f4"),
                                    "state": np.ones(2, "f4")}, {"next": x})):
                    with self.assertRaises(penstock.ForkedError):
                        model.run(feed, out=out)
                own.close()
                status = 0
            finally:
                os._exit(status)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        c.close()

    def test_the_command(self):
        x, y = (os.path.join(self.dir.name, n) for n in ("x.npy", "y.npy"))
        np.save(x, np.asfortranarray(np.arange(3, dtype=">f4")))
        p = subprocess.run(
            [os.path.join(BUILD, "host-client", "penstock"), "-e", ENDPOINT,
             "run", "counts", f"x={x}", "state=@3:0.5", "-o", f"next={y}",
             "--load", self.path, "--json"], capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        np.testing.assert_array_equal(np.load(y), [0.5, 1.5, 2.5])
        got = json.loads(p.stdout)
        self.assertEqual(got["outputs"][1],
                         {"name": "where", "dtype": "i64", "shape": [1, 3],
                          "values": [0, 1, 2]})

    def test_a_session_of_bytes(self):
        for kind in bytes, bytearray, memoryview:
            s = penstock.InferenceSession(kind(COUNTS), endpoint=ENDPOINT)
            x = np.ones(3, "f4")
            np.testing.assert_array_equal(
                s.run(["next"], {"x": x, "state": x})[0], x + x)
        with self.assertRaisesRegex(OSError, "0 bytes"):
            penstock.InferenceSession(b"", endpoint=ENDPOINT)

    def test_a_load_may_warm_up_a_shape(self):
        def load(*args):
            return subprocess.run(
                [os.path.join(BUILD, "host-client", "penstock"), "-e",
                 ENDPOINT, "model", "load", "counts", self.path, "--json",
                 *args], capture_output=True, text=True)
        p = load("--warm", "x=7,state=7")
        self.assertEqual(p.returncode, 0, p.stderr)
        got = json.loads(p.stdout)
        self.assertEqual((got["runs"], got["provider"]), (1, "cpu"))
        for warm, code, words in (
                ("x=7", 1, "n is 7 in x and 1 in state"),
                ("z=7", 1, 'no input "z"'), ("x", 2, "no shapes"),
                ("x=7x", 2, "no shapes"), ("x=a", 2, "no shapes"),
                ("x=1x1x1x1x1x1x1x1x1", 2, "no shapes"),
                ("x=9999999999999999999,state=1", 1, "")):
            p = load("--warm", warm)
            self.assertEqual(p.returncode, code, (warm, p.stderr))
            self.assertIn(words, p.stderr)
        p = load("--ep", "cuda")
        self.assertEqual(p.returncode, 1, p.stdout)
        self.assertIn("CUDA", p.stderr)


if __name__ == "__main__":
    if not has_runtime():
        print("no ONNX Runtime (Debian 13: libonnxruntime1.21; $PENSTOCK_ORT "
              "may name one)")
        sys.exit(77)
    unittest.main(verbosity=2)
