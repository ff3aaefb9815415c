# SPDX-License-Identifier: MIT
"""The Open Inference Protocol of penstock-gateway, before real agents."""
import base64
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import numpy as np

from agentlib import MIB, Agent, eventually
from gatewaylib import BUILD, PROGRAM, Gateway, Http

DATA = os.path.join(os.environ.get("PST_TOP_SRCDIR", "."), "tests", "data")
PENSTOCK = os.path.join(BUILD, "host-client", "penstock")
TYPES = {"FP32": "<f4", "FP64": "<f8", "FP16": "<f2", "INT8": "i1",
         "INT32": "<i4"}


def tensor(name, a, datatype="FP32", **more):
    return {"name": name, "datatype": datatype, "shape": list(a.shape), **more}


def binary(name, a, datatype="FP32"):
    return tensor(name, a, datatype,
                  parameters={"binary_data_size": a.nbytes})


def pack(request, *arrays):
    """(body, headers) of a request with binary data."""
    head = json.dumps(request).encode()
    return head + b"".join(a.tobytes() for a in arrays), {
        "Inference-Header-Content-Length": str(len(head)),
        "Content-Type": "application/octet-stream"}


def unpack(head, body):
    """The reply's object; binary outputs have their bytes as "data"."""
    n = head.get("Inference-Header-Content-Length")
    if n is None:
        return json.loads(body)
    r, at = json.loads(body[:int(n)]), int(n)
    for o in r["outputs"]:
        size = o.get("parameters", {}).get("binary_data_size")
        if size is not None:
            o["data"] = body[at:at + size]
            at += size
    assert at == len(body)
    return r


class Base(unittest.TestCase):
    args = ()

    @classmethod
    def setUpClass(cls):
        tmp = tempfile.TemporaryDirectory()
        cls.addClassCleanup(tmp.cleanup)
        cls.dir = tmp.name
        cls.agent = Agent(cls.dir, "--backend", "cpu")
        cls.addClassCleanup(cls.agent.stop)
        cls.uri = f"unix://{cls.dir}/sock?region={cls.dir}/region"
        cls.g = Gateway(cls.dir, "--endpoint", "card=" + cls.uri, *cls.args)
        cls.addClassCleanup(cls.stop)
        cls.load("digits", "digits.safetensors")
        eventually(lambda: cls.g.get("/v2/health/ready")[0] == 200)

    @classmethod
    def stop(cls):
        status = cls.g.stop()
        assert status == 0, (status, cls.g.output())

    @classmethod
    def command(cls, *args):
        subprocess.run([PENSTOCK, *args, "--endpoint", cls.uri], check=True,
                       stdout=subprocess.DEVNULL)

    @classmethod
    def load(cls, name, file):
        cls.command("model", "load", name, os.path.join(DATA, file))

    def setUp(self):
        self.c = Http(self.g.sock)
        self.addCleanup(self.c.close)

    def infer(self, model, request, *arrays, path="infer"):
        """(status, object); arrays follow the JSON as they are."""
        body, headers = json.dumps(request), {
            "Content-Type": "application/json"}
        if arrays:
            body, headers = pack(request, *arrays)
        status, head, data = self.c.ask(
            "POST", f"/v2/models/{model}/{path}", body, headers)
        return status, unpack(head, data)

    def refused(self, status, words, model, request, *arrays):
        got, r = self.infer(model, request, *arrays)
        self.assertEqual(got, status, r)
        self.assertEqual(list(r), ["error"])
        self.assertIn(words, r["error"])


class Server(Base):
    def test_metadata(self):
        for path in ("/v2", "/v2/"):
            status, r = self.g.get(path)
            self.assertEqual((status, r["name"]), (200, "penstock"))
            self.assertIn("binary_tensor_data", r["extensions"])
        self.assertEqual(self.g.get("/v2/health/live"), (200, {"live": True}))
        self.assertEqual(self.g.get("/v2/health/ready"),
                         (200, {"live": True, "ready": True}))

    def test_models(self):
        for path in ("/v2/models/digits", "/v2/models/digits/versions/1"):
            status, r = self.g.get(path)
            self.assertEqual(status, 200)
            self.assertEqual((r["name"], r["versions"]), ("digits", ["1"]))
            self.assertEqual([t["shape"] for t in r["inputs"]], [[-1, 64]])
            self.assertEqual([t["shape"] for t in r["outputs"]], [[-1, 10]])
            self.assertEqual(self.g.get(path + "/ready"),
                             (200, {"name": "digits", "ready": True}))
        status, r = self.g.get("/v2/models/gemm")
        self.assertEqual([t["name"] for t in r["inputs"]], ["A", "B"])
        for path in ("/v2/models/none", "/v2/models/none/ready",
                     "/v2/models/digits/versions/2"):
            status, r = self.g.get(path)
            self.assertEqual((status, list(r)), (404, ["error"]), path)

    def test_a_model_that_comes_is_there_at_once(self):
        self.load("late", "cancer.safetensors")
        self.assertEqual(self.g.get("/v2/models/late/ready")[0], 200)
        self.command("model", "unload", "late")
        self.assertEqual(self.g.get("/v2/models/late/ready")[0], 404)

    def test_the_index(self):
        def names():
            status, r = self.g.send("POST", "/v2/repository/index")
            self.assertEqual(status, 200)
            self.assertTrue(all(m["state"] == "READY" and m["version"] == "1"
                                for m in r))
            return [m["name"] for m in r]
        eventually(lambda: sorted(names()) == ["digits", "gemm"])

    def test_shared_memory_of_clients_is_refused(self):
        for kind in ("system", "cuda"):
            for method, path in (("GET", "status"), ("POST", "unregister"),
                                 ("POST", "region/x/register"),
                                 ("GET", "region/x/status")):
                status, r = self.g.send(
                    method, f"/v2/{kind}sharedmemory/{path}")
                self.assertEqual(status, 400)
                self.assertIn("shared memory", r["error"])


class Infer(Base):
    x = np.arange(12, dtype="<f4").reshape(3, 4)
    y = np.arange(8, dtype="<f4").reshape(4, 2) - 3

    def gemm(self, x=None, y=None, datatype="FP32", **more):
        x = self.x if x is None else x
        y = self.y if y is None else y
        return {"inputs": [
            tensor("A", x, datatype, data=x.ravel().tolist()),
            tensor("B", y, datatype, data=y.ravel().tolist())], **more}

    def test_a_product(self):
        status, r = self.infer("gemm", self.gemm(id="a \"b\"\n\u20ac"))
        self.assertEqual(status, 200, r)
        self.assertEqual((r["id"], r["model_name"], r["model_version"]),
                         ("a \"b\"\n\u20ac", "gemm", "1"))
        self.assertEqual(r["outputs"], [
            {"name": "C", "datatype": "FP32", "shape": [3, 2],
             "data": (self.x @ self.y).ravel().tolist()}])
        status, r = self.infer("gemm", self.gemm(), path="versions/1/infer")
        self.assertEqual((status, "id" in r), (200, False))
        status, r = self.infer("gemm", self.gemm(), path="versions/3/infer")
        self.assertEqual(status, 404)

    def test_parameters_of_a_product(self):
        for ta in (False, True):
            for tb in (False, True):
                x = np.ascontiguousarray(self.x.T) if ta else self.x
                y = np.ascontiguousarray(self.y.T) if tb else self.y
                status, r = self.infer("gemm", self.gemm(x, y, parameters={
                    "transa": ta, "transb": tb, "alpha": -0.5}))
                self.assertEqual(status, 200, r)
                self.assertEqual(r["outputs"][0]["data"],
                                 (-0.5 * self.x @ self.y).ravel().tolist())

    def test_types_and_batches_of_products(self):
        for datatype, dtype in TYPES.items():
            if datatype == "INT32":
                continue
            x = np.arange(12).reshape(2, 2, 3).astype(dtype)
            y = np.arange(12).reshape(2, 3, 2).astype(dtype)
            request = {"inputs": [binary("A", x, datatype),
                                  binary("B", y, datatype)],
                       "parameters": {"binary_data_output": True}}
            status, r = self.infer("gemm", request, x, y)
            if status == 400 and "support" in r["error"]:
                continue
            self.assertEqual(status, 200, (datatype, r))
            o = r["outputs"][0]
            got = np.frombuffer(o["data"], TYPES[o["datatype"]])
            want = (x.astype("f8") @ y.astype("f8")).ravel()
            self.assertEqual(got.astype("f8").tolist(), want.tolist())

    def test_binary_both_ways_and_neither(self):
        want = self.x @ self.y
        for a_binary in (False, True):
            for b_binary in (False, True):
                for c_binary in (False, True, None):
                    request = self.gemm()
                    arrays = []
                    for k, (is_binary, a) in enumerate(
                            ((a_binary, self.x), (b_binary, self.y))):
                        if is_binary:
                            request["inputs"][k] = binary("AB"[k], a)
                            arrays.append(a)
                    if c_binary is not None:
                        request["outputs"] = [{
                            "name": "C",
                            "parameters": {"binary_data": c_binary}}]
                    status, r = self.infer("gemm", request, *arrays)
                    self.assertEqual(status, 200, r)
                    data = r["outputs"][0]["data"]
                    if c_binary:
                        data = np.frombuffer(data, "<f4").tolist()
                    self.assertEqual(data, want.ravel().tolist())

    def test_nested_arrays(self):
        request = self.gemm()
        request["inputs"][0]["data"] = self.x.tolist()
        request["inputs"][1]["data"] = self.y.tolist()
        status, r = self.infer("gemm", request)
        self.assertEqual((status, r["outputs"][0]["data"]),
                         (200, (self.x @ self.y).ravel().tolist()))

    def test_a_network(self):
        x = np.load(os.path.join(DATA, "digits-x.npy")).astype("<f4")
        y = np.load(os.path.join(DATA, "digits-y.npy"))
        _, m = self.g.get("/v2/models/digits")
        name = m["inputs"][0]["name"]
        request = {"inputs": [binary(name, x)],
                   "parameters": {"binary_data_output": True}}
        for _ in range(2):
            status, r = self.infer("digits", request, x)
            self.assertEqual(status, 200, r)
            o = r["outputs"][0]
            self.assertEqual(o["name"], m["outputs"][0]["name"])
            got = np.frombuffer(o["data"], "<f4").reshape(o["shape"])
            np.testing.assert_allclose(got, y, rtol=1e-4, atol=1e-4)
        status, r = self.infer("digits", {"inputs": [
            tensor(name, x[:3], data=x[:3].tolist())]})
        self.assertEqual(status, 200, r)
        np.testing.assert_allclose(
            np.array(r["outputs"][0]["data"]).reshape(3, 10), y[:3],
            rtol=1e-4, atol=1e-4)

    def test_a_model_of_another_shape_takes_its_name(self):
        for file, n in (("cancer", 30), ("digits", 64), ("cancer", 30)):
            self.load("same", file + ".safetensors")
            x = np.load(os.path.join(DATA, file + "-x.npy")).astype("<f4")[:2]
            y = np.load(os.path.join(DATA, file + "-y.npy"))[:2]
            _, m = self.g.get("/v2/models/same")
            request = {"inputs": [binary(m["inputs"][0]["name"], x)]}
            status, r = self.infer("same", request, x)
            self.assertEqual(status, 200, r)
            np.testing.assert_allclose(r["outputs"][0]["data"], y.ravel(),
                                       rtol=1e-3, atol=1e-3)
            self.command("model", "unload", "same")
            self.refused(404, "same", "same", request, x)

    def test_what_is_refused(self):
        r = self.gemm
        self.refused(404, "none", "none", r())
        self.refused(400, "malformed", "gemm", [])
        self.refused(400, "inputs are missing", "gemm", {})
        self.refused(400, "A and B", "gemm", {"inputs": r()["inputs"][:1]})
        self.refused(400, "one output", "gemm", r(outputs=[{"name": "D"}]))
        self.refused(400, "k differs", "gemm", r(self.y, self.y))
        self.refused(400, "fewer", "gemm", {"inputs": [
            tensor("A", self.x, data=[1.0]), r()["inputs"][1]]})
        self.refused(400, "shared memory", "gemm", r(outputs=[
            {"name": "C", "parameters": {"shared_memory_region": "x"}}]))
        self.refused(400, "declare", "gemm", {"inputs": [
            binary("A", self.x), binary("B", self.y)]})
        self.refused(400, "declare", "gemm", {"inputs": [
            binary("A", self.x), binary("B", self.y)]}, self.x)
        self.refused(400, "no input", "digits", r())
        x = np.zeros((2, 63), "<f4")
        name = self.g.get("/v2/models/digits")[1]["inputs"][0]["name"]
        self.refused(400, "63", "digits", {"inputs": [binary(name, x)]}, x)
        self.refused(400, "FP32", "digits", {"inputs": [
            binary(name, x.astype("<f8"), "FP64")]}, x.astype("<f8"))
        self.refused(400, "no output", "digits", {
            "inputs": [binary(name, x)], "outputs": [{"name": "?"}]}, x)
        huge = 10000
        self.refused(413, "--memory", "gemm", {"inputs": [
            {"name": "A", "datatype": "FP32", "shape": [huge, 1],
             "data": [1] * huge},
            {"name": "B", "datatype": "FP32", "shape": [1, huge],
             "data": [1] * huge}]})
        status, head, data = self.c.ask(
            "POST", "/v2/models/gemm/infer", b"{}",
            {"Inference-Header-Content-Length": "3"})
        self.assertEqual(status, 400, data)
        status, head, data = self.c.ask(
            "POST", "/v2/models/gemm/infer", b"{}",
            {"Content-Type": "text/plain"})
        self.assertEqual(status, 415, data)
        # The connection and the agent are as good as before.
        self.assertEqual(self.infer("gemm", r())[0], 200)

    def test_numbers_that_json_has_not(self):
        x = np.array([[np.inf]], "<f4")
        request = {"inputs": [binary("A", x), binary("B", x)]}
        self.refused(400, "binary_data", "gemm", request, x, x)
        request["parameters"] = {"binary_data_output": True}
        status, r = self.infer("gemm", request, x, x)
        self.assertEqual(status, 200)
        self.assertEqual(np.frombuffer(r["outputs"][0]["data"], "<f4")[0],
                         np.inf)

    def test_a_body_in_pieces(self):
        body, headers = pack({"inputs": [binary("A", self.x),
                                         binary("B", self.y)]},
                             self.x, self.y)
        head = ("POST /v2/models/gemm/infer HTTP/1.1\r\nHost: localhost\r\n"
                f"Content-Length: {len(body)}\r\n" + "".join(
                    f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n")
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.g.sock)
            s.sendall(head.encode())
            for k in range(0, len(body), 7):
                s.sendall(body[k:k + 7])
                if k % 5 == 0:
                    time.sleep(0.001)
            self.assertTrue(s.recv(65536).startswith(b"HTTP/1.1 200"))

    def test_many_at_once(self):
        bad = []

        def work(n):
            c = Http(self.g.sock)
            for k in range(25):
                x = np.full((n, n), k, "<f4")
                body, headers = pack({"inputs": [
                    binary("A", x), binary("B", x)],
                    "parameters": {"binary_data_output": True}}, x, x)
                status, head, data = c.ask(
                    "POST", "/v2/models/gemm/infer", body, headers)
                r = unpack(head, data)
                if status != 200 or np.frombuffer(
                        r["outputs"][0]["data"], "<f4")[0] != n * k * k:
                    bad.append((status, r))
            c.close()
        threads = [threading.Thread(target=work, args=(n,))
                   for n in (1, 8, 33, 64, 100, 128, 200, 256)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(bad, [])

    def test_a_client_that_goes_away_frees_all(self):
        x = np.ones((700, 700), "<f8")
        body, headers = pack({"inputs": [binary("A", x, "FP64"),
                                         binary("B", x, "FP64")]}, x, x)
        head = ("POST /v2/models/gemm/infer HTTP/1.1\r\nHost: localhost\r\n"
                f"Content-Length: {len(body)}\r\n" + "".join(
                    f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n")
        self.infer("gemm", self.gemm())
        fds = len(os.listdir(f"/proc/{self.g.proc.pid}/fd"))
        # All room many times over.
        for cut in (0, 100, 100000, len(body) - 1, len(body)) * 4:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(20)
                s.connect(self.g.sock)
                s.sendall(head.encode() + body[:cut])
        big = np.ones((1000, 1000), "<f8")
        r = {"inputs": [binary("A", big, "FP64"), binary("B", big, "FP64")],
             "parameters": {"binary_data_output": True}}
        eventually(lambda: self.infer("gemm", r, big, big)[0] == 200)
        eventually(lambda: len(os.listdir(
            f"/proc/{self.g.proc.pid}/fd")) <= fds)


class Load(Base):
    args = ("--allow-load",)

    def post(self, name, what, body=None, kind="application/json"):
        status, head, data = self.c.ask(
            "POST", f"/v2/repository/models/{name}/{what}", body,
            {"Content-Type": kind})
        return status, json.loads(data)

    def index(self):
        return sorted(m["name"] for m in self.g.send(
            "POST", "/v2/repository/index")[1])

    def file(self, name="digits.safetensors"):
        with open(os.path.join(DATA, name), "rb") as f:
            return f.read()

    def test_a_model_comes_in_a_request_and_goes(self):
        data = self.file()
        for body, kind in (
                (json.dumps({"parameters": {
                    "config": "{}", "file:1/m": base64.b64encode(
                        data).decode()}}), "application/json"),
                (data, "application/octet-stream")):
            self.assertEqual(self.post("m", "load", body, kind), (200, {}))
            self.assertEqual(self.index(), ["digits", "gemm", "m"])
            self.assertEqual(self.g.get("/v2/models/m/ready")[0], 200)
            self.assertEqual(self.post("m", "load", body, kind)[0], 409)
            self.assertEqual(self.post("m", "unload"), (200, {}))
            self.assertEqual(self.index(), ["digits", "gemm"])
            self.assertEqual(self.post("m", "unload")[0], 404)

    def test_what_is_refused(self):
        for body, words in (
                ("{}", "missing"), ("", "malformed"), ("[]", "malformed"),
                ('{"parameters":{"file:x":1}}', "base64"),
                ('{"parameters":{"file:x":"!"}}', "base64"),
                ('{"parameters":{"file:x":""}}', "empty"),
                ('{"parameters":{"file:x":"QUJD"}}', "the file is no"),
                ('{"parameters":{"file:x":"QQ==","file:y":"QQ=="}}',
                 "one file")):
            status, r = self.post("m", "load", body)
            self.assertEqual(status, 400, (body, r))
            self.assertIn(words, r["error"])
        # Weights that lie in a file beside it: there is none of a client's.
        status, r = self.post("m", "load", b"..\x0a\x08location\x12\x015",
                              "application/octet-stream")
        self.assertEqual(status, 400)
        self.assertIn("other files", r["error"])
        self.assertEqual(self.post("gemm", "load", "{}")[0], 400)
        for name in ("m%2f..%2fx", "m!"):
            status, _ = self.post(name, "load", self.file(),
                                  "application/octet-stream")
            self.assertIn(status, (400, 404))
        self.assertEqual(self.index(), ["digits", "gemm"])


class Large(Base):
    """JSON so large that its numbers take long."""

    def sent(self, request):
        """A connection on which the request was sent but for its last byte,
        and that byte."""
        text = json.dumps(request).encode()
        c = Http(self.g.sock)
        self.addCleanup(c.close)
        c.putrequest("POST", "/v2/models/gemm/infer")
        c.putheader("Content-Type", "application/json")
        c.putheader("Content-Length", str(len(text)))
        c.endheaders(text[:-1])
        return c, text[-1:]

    def others(self, c, last):
        """How many products of others were answered, from the last byte of
        c's request on, until c's answer came."""
        x = np.ones((2, 2), "<f4")
        request = {"inputs": [binary("A", x), binary("B", x)]}
        self.infer("gemm", request, x, x)
        c.send(last)
        n = 0
        while not select.select([c.sock], [], [], 0)[0]:
            status, r = self.infer("gemm", request, x, x)
            self.assertEqual((status, r["outputs"][0]["data"]), (200, [2] * 4))
            n += 1
        return n

    def test_a_large_reply_delays_nobody(self):
        # The operation itself is short, and products end in their order.
        n = 1000
        x = [0.1 + k for k in range(n)]
        c, last = self.sent({"inputs": [
            {"name": "A", "datatype": "FP64", "shape": [n, 1], "data": x},
            {"name": "B", "datatype": "FP64", "shape": [1, n], "data": x}]})
        self.assertGreater(self.others(c, last), 4)
        r = c.getresponse()
        self.assertEqual(r.status, 200)
        got = np.array(json.loads(r.read())["outputs"][0]["data"])
        self.assertTrue((got.reshape(n, n) == np.outer(x, x)).all())

    def test_a_large_request_delays_nobody(self):
        # One element is missing, which shows at the end.
        n = 1000
        c, last = self.sent({"inputs": [
            {"name": "A", "datatype": "FP64", "shape": [n, n],
             "data": [0.123456789] * (n * n - 1)},
            {"name": "B", "datatype": "FP64", "shape": [n, 1],
             "data": [0] * n}]})
        self.assertGreater(self.others(c, last), 4)
        r = c.getresponse()
        self.assertEqual(r.status, 400)
        self.assertIn("fewer elements", json.loads(r.read())["error"])

    def test_a_client_that_leaves_does_no_harm(self):
        for k in range(4):
            c, last = self.sent({"inputs": [
                {"name": name, "datatype": "FP32", "shape": shape,
                 "data": [1.5] * 2000} for name, shape in (
                     ("A", [2000, 1]), ("B", [1, 2000]))]})
            c.send(last)
            time.sleep(0.02 * k)
            c.close()
        x = np.ones((2, 2), "<f4")
        for _ in range(4):
            self.assertEqual(self.infer("gemm", {
                "inputs": [binary("A", x), binary("B", x)]}, x, x)[0], 200)


class Crowded(Base):
    args = ("--bodies", "8M")

    def test_a_reply_counts_to_what_is_under_way(self):
        x = np.full((1000, 1), 0.1, "<f4")
        request = {"inputs": [binary("A", x),
                              binary("B", x.reshape(1, 1000))]}
        status, r = self.infer("gemm", request, x, x)
        self.assertEqual(status, 413)
        self.assertIn("a body has at most", r["error"])
        # A small one has room.
        x = x[:10]
        request = {"inputs": [binary("A", x), binary("B", x.reshape(1, 10))]}
        self.assertEqual(self.infer("gemm", request, x, x)[0], 200)


class Life(unittest.TestCase):
    """Agents that die, and that stop."""

    def setUp(self):
        tmp = tempfile.TemporaryDirectory()
        self.addCleanup(tmp.cleanup)
        self.dir = tmp.name

    def agent(self, name):
        path = os.path.join(self.dir, name)
        os.makedirs(path, exist_ok=True)
        a = Agent(path, "--backend", "cpu")
        self.addCleanup(a.stop)
        return a, f"{name}=unix://{path}/sock?region={path}/region"

    def gateway(self, *endpoints):
        g = Gateway(self.dir, *(w for e in endpoints
                                for w in ("--endpoint", e)))
        self.addCleanup(lambda: self.assertEqual(g.stop(), 0, g.output()))
        eventually(lambda: g.get("/v2/health/ready")[0] == 200)
        return g

    def product(self, g, n=4):
        """(status, object) of a product of n x n."""
        x = np.ones((n, n), "<f8")
        body, headers = pack({
            "inputs": [binary("A", x, "FP64"), binary("B", x, "FP64")],
            "parameters": {"binary_data_output": True}}, x, x)
        c = Http(g.sock)
        try:
            status, head, data = c.ask("POST", "/v2/models/gemm/infer", body,
                                       headers)
        finally:
            c.close()
        return status, unpack(head, data)

    def test_an_agent_that_dies_is_503_until_it_is_back(self):
        a, endpoint = self.agent("a")
        g = self.gateway(endpoint)
        for _ in range(2):
            eventually(lambda: self.product(g)[0] == 200)
            got = []

            def work():
                while not got or got[-1][0] == 200:
                    got.append(self.product(g, 500))
            t = threading.Thread(target=work)
            t.start()
            a.kill()
            t.join()
            status, r = got[-1]
            self.assertEqual(status, 503, r)
            self.assertTrue(r["error"])
            a = self.agent("a")[0]
            eventually(lambda: self.product(g)[0] == 200)

    def test_an_agent_that_stops_does_not_hang_the_others_requests(self):
        a, first = self.agent("a")
        b, second = self.agent("b")
        g = self.gateway(first, second)
        self.assertEqual(self.product(g)[0], 200)
        os.kill(a.proc.pid, signal.SIGSTOP)
        try:
            got = []
            t = threading.Thread(target=lambda: got.append(self.product(g)))
            t.start()
            # Its operation is under way, so others go to b.
            time.sleep(0.2)
            self.assertEqual([self.product(g)[0] for _ in range(20)],
                             [200] * 20)
        finally:
            os.kill(a.proc.pid, signal.SIGCONT)
        t.join()
        self.assertEqual(got[0][0], 200)

    def test_an_agent_that_is_late_is_waited_for(self):
        a, endpoint = self.agent("a")
        g = self.gateway(endpoint)
        eventually(lambda: self.product(g)[0] == 200)
        for _ in range(10):
            start = time.monotonic()
            os.kill(a.proc.pid, signal.SIGSTOP)
            try:
                eventually(lambda: g.get("/health")[0] == 503)
                got = []
                t = threading.Thread(target=lambda: got.append(self.product(g)))
                t.start()
                time.sleep(0.1)
            finally:
                os.kill(a.proc.pid, signal.SIGCONT)
            t.join()
            if time.monotonic() - start < 4:
                break  # after five it would not be late any more
            eventually(lambda: g.get("/health")[0] == 200)
        self.assertEqual(got[0][0], 200, got)

    def test_nobody_loads_unless_that_is_allowed(self):
        g = self.gateway(self.agent("a")[1])
        for what in ("load", "unload"):
            status, r = g.send("POST", f"/v2/repository/models/m/{what}",
                               "{}", {"Content-Type": "application/json"})
            self.assertEqual(status, 403)
            self.assertIn("--allow-load", r["error"])


if __name__ == "__main__":
    if not os.path.exists(PROGRAM):
        print("built without the gateway (libmicrohttpd)")
        sys.exit(77)
    unittest.main(verbosity=2, warnings="ignore")
