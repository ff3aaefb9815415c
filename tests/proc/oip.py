# SPDX-License-Identifier: MIT
"""penstock-gateway speaks the Open Inference Protocol as its specification has
it: every path, each type of elements, JSON and binary tensors both ways, and
what is wrong with a request. Over a Unix socket and TCP, on the product (gemm), a
network of layers (digits) and, with an ONNX Runtime ($PENSTOCK_ORT may name
one), models of every type.
"""
import ast
import json
import os
import socket
import struct
import sys
import unittest

from gatewaylib import HANG_S, PROGRAM
from oipcases import (A, B, BAD, BIN_A, BIN_B, BYTES, BYTES_A, BYTES_B,
                      C, GETS, GOOD, HEADS, JSON, NOWHERE, ONNX, OUT, POSTS,
                      VALUES, but, made, says)
from oiplib import (DATA, LENGTH, Client, Server, body, judge_error,
                    judge_infer, judge_json, judge_metadata, judge_server,
                    need, pack, tensor)
from onnxbytes import model, node


def rows(name):
    """(shape, values) of a .npy file of floats."""
    with open(os.path.join(DATA, name), "rb") as f:
        data = f.read()
    n, = struct.unpack("<H", data[8:10])
    head = ast.literal_eval(data[10:10 + n].decode())
    assert head["descr"] in ("<f4", "<f8") and not head["fortran_order"]
    letter = "f" if head["descr"] == "<f4" else "d"
    values = [v for v, in struct.iter_unpack("<" + letter, data[10 + n:])]
    return list(head["shape"]), values


class WithServer(unittest.TestCase):
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.s = Server()

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def clients(self):
        """Each way to the gateway, as a case of its own."""
        for way, where in (("unix", self.s.g.sock), ("tcp", self.s.tcp)):
            c = Client(where)
            with self.subTest(way):
                yield c
            c.close()


class Product(WithServer):
    def run_good(self, c):
        for what, row in GOOD.items():
            with self.subTest(what):
                data, headers = made(*row)
                r = c.ask("POST", "/v2/models/gemm/infer", data, headers)
                got = judge_infer(r, "gemm", row[0])
                self.assertEqual(got, {"C": ("FP32", [2, 2], C)})

    def test_good_requests(self):
        for c in self.clients():
            self.run_good(c)

    def test_bad_requests(self):
        for c in self.clients():
            for what, row in BAD.items():
                with self.subTest(what):
                    data, headers = made(*row)
                    judge_error(c.ask("POST", "/v2/models/gemm/infer", data,
                                      headers), 400)
            for what, (data, headers, statuses) in HEADS.items():
                with self.subTest(what):
                    judge_error(c.ask("POST", "/v2/models/gemm/infer", data,
                                      headers), *statuses)
            self.run_good(c)

    def test_the_order_of_fields_is_free(self):
        a = dict(reversed(list(A.items())))
        text = json.dumps({"outputs": OUT, "inputs": [a, B], "id": "x"},
                          indent=4).replace('"A"', '"\\u0041"').encode()
        for headers in (JSON, {}, BYTES, {**JSON, LENGTH: str(len(text))},
                        {"Content-Type": "application/json; charset=utf-8"},
                        {**JSON, "Accept-Encoding": "gzip, deflate"}):
            c = Client(self.s.g.sock)
            r = c.ask("POST", "/v2/models/gemm/versions/1/infer?x=y", text,
                      headers)
            got = judge_infer(r, "gemm", {"id": "x", "outputs": OUT})
            self.assertEqual(got["C"][2], C)
            c.close()

    def test_its_parameters(self):
        c = Client(self.s.g.sock)
        at, _ = tensor("A", "FP32", [3, 2], [1, 4, 2, 5, 3, 6])
        bt, _ = tensor("B", "FP32", [2, 3], [7, 9, 11, 8, 10, 12])
        for inputs, parameters, want in (
                ([at, B], {"transa": True}, C),
                ([A, bt], {"transb": True}, C),
                ([at, bt], {"transa": True, "transb": True}, C),
                ([A, B], {"alpha": -0.5}, [-0.5 * x for x in C])):
            r = c.infer("gemm", {"inputs": inputs, "parameters": parameters})
            got = judge_infer(r, "gemm", {})
            self.assertEqual(got["C"], ("FP32", [2, 2], want), parameters)
        for parameters in ({"transa": "yes"}, {"alpha": "1"}, {"transb": 2}):
            judge_error(c.infer("gemm", {"inputs": [A, B],
                                         "parameters": parameters}), 400)
        c.close()

    def test_types_of_elements(self):
        c = Client(self.s.g.sock)
        for t in ("FP32", "FP64", "FP16", "BF16"):
            for binary in (False, True):
                a, data_a = tensor("A", t, [2, 3], A["data"], binary)
                b, data_b = tensor("B", t, [3, 2], B["data"], binary)
                request = {"inputs": [a, b], "parameters": {
                    "binary_data_output": not binary}}
                r = c.infer("gemm", request,
                            *([data_a, data_b] if binary else []))
                got = judge_infer(r, "gemm", request)["C"]
                want = [58, 64, 139, 154] if got[0] != "BF16" else \
                    [58, 64, 139, 154]
                self.assertEqual(got[1:], ([2, 2], want), (t, binary))
        mixed, _ = tensor("B", "FP64", [3, 2], B["data"])
        judge_error(c.infer("gemm", {"inputs": [A, mixed]}), 400)
        c.close()

    def test_a_body_larger_than_a_packet(self):
        n = 700
        ones, data = tensor("A", "FP32", [n, n], [1] * (n * n), True)
        c = Client(self.s.tcp)
        for binary in (True, False):
            request = {"inputs": [ones, but(ones, name="B")],
                       "parameters": {"binary_data_output": binary}}
            got = judge_infer(c.infer("gemm", request, data, data), "gemm",
                              request)["C"]
            self.assertEqual(got, ("FP32", [n, n], [n] * (n * n)))
        c.close()

    def test_digits_are_told_as_scikit_learn_tells_them(self):
        shape, x = rows("digits-x.npy")
        shape_y, y = rows("digits-y.npy")
        for c in self.clients():
            m = judge_metadata(c.ask("GET", "/v2/models/digits"), "digits")
            name = m["inputs"][0]["name"]
            self.assertEqual(m["inputs"][0]["shape"], [-1, 64])
            self.assertEqual(m["outputs"][0]["shape"], [-1, 10])
            for binary in (False, True):
                t, data = tensor(name, "FP32", shape, x, binary)
                request = {"inputs": [t], "parameters": {
                    "binary_data_output": binary}}
                got = judge_infer(c.infer("digits", request,
                                          *([data] if binary else [])),
                                  "digits", request)
                (datatype, dims, values), = got.values()
                self.assertEqual((datatype, dims), ("FP32", shape_y))
                for a, b in zip(values, y):
                    self.assertAlmostEqual(a, b, delta=1e-5)
            for shape_bad in ([360, 63], [64], [2, 32], [1, 1, 64]):
                n = 1
                for d in shape_bad:
                    n *= d
                t, _ = tensor(name, "FP32", shape_bad, [0] * n)
                judge_error(c.infer("digits", {"inputs": [t]}), 400)
            t, _ = tensor(name, "INT32", [1, 64], [0] * 64)
            judge_error(c.infer("digits", {"inputs": [t]}), 400)


class Paths(WithServer):
    def test_the_server(self):
        for c in self.clients():
            o = judge_server(c.ask("GET", "/v2"))
            self.assertIn("binary_tensor_data", o["extensions"])
            self.assertEqual(judge_json(c.ask("GET", "/v2/health/live")),
                             {"live": True})
            ready = judge_json(c.ask("GET", "/v2/health/ready"))
            self.assertEqual(ready.get("ready"), True)

    def test_models(self):
        for c in self.clients():
            for version in ("", "/versions/1"):
                for name in ("gemm", "digits"):
                    path = "/v2/models/" + name + version
                    m = judge_metadata(c.ask("GET", path), name)
                    self.assertEqual(m["versions"], ["1"])
                    r = judge_json(c.ask("GET", path + "/ready"))
                    self.assertEqual((r["name"], r["ready"]), (name, True))

    def test_tritons_configuration(self):
        """Which its clients ask for before they do anything."""
        c = Client(self.s.g.sock)
        for name in ("gemm", "digits"):
            m = judge_metadata(c.ask("GET", "/v2/models/" + name), name)
            for version in ("", "/versions/1"):
                o = judge_json(c.ask("GET", "/v2/models/%s%s/config" %
                                     (name, version)))
                self.assertEqual((o["name"], o["platform"],
                                  o["max_batch_size"]),
                                 (name, m["platform"], 0))
                for a, b in (("input", "inputs"), ("output", "outputs")):
                    self.assertEqual(o[a], [
                        {"name": t["name"], "dims": t["shape"],
                         "data_type": "TYPE_" + t["datatype"]}
                        for t in m[b]])
        judge_error(c.ask("GET", "/v2/models/nobody/config"), 404)
        c.close()

    def test_the_index(self):
        for c in self.clients():
            for data in (b"", b"{}", b'{"ready": true}'):
                models = judge_json(c.ask("POST", "/v2/repository/index",
                                          data, JSON))
                self.assertIsInstance(models, list)
                for m in models:
                    self.assertEqual((m["version"], m["state"]),
                                     ("1", "READY"), m)
                self.assertEqual(sorted(m["name"] for m in models),
                                 ["digits", "gemm"])

    def test_what_is_not_there(self):
        for c in self.clients():
            for path in NOWHERE:
                with self.subTest(path):
                    judge_error(c.ask("GET", path), 400, 404, 414)
            for name in ("nobody", "gemm/versions/2", "gemm/versions/0",
                         "nobody/versions/1", "x" * 64):
                with self.subTest(name):
                    judge_error(c.infer(name, {"inputs": [A, B]}), 404)

    def test_methods(self):
        for c in self.clients():
            for path in GETS + POSTS:
                may = ("GET", "HEAD") if path in GETS else ("POST",)
                for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH",
                               "OPTIONS", "TRACE", "BREW"):
                    if method in may:
                        continue
                    with self.subTest(method + " " + path):
                        r = c.ask(method, path, headers=JSON)
                        self.assertEqual(r.status, 405)
                        if method != "HEAD":
                            judge_error(r, 405)
                        self.assertEqual(r.get("Allow"), ", ".join(may))

    def test_head_is_get_without_the_body(self):
        c = Client(self.s.g.sock)
        for path in GETS:
            get, head = c.ask("GET", path), c.ask("HEAD", path)
            self.assertEqual((head.status, head.data), (200, b""), path)
            for h in (get, head):
                h.headers.pop("date", None)
            self.assertEqual(get.headers, head.headers, path)
        c.close()

    def test_nobody_loads(self):
        for c in self.clients():
            for what in ("load", "unload"):
                for name in ("digits", "nobody"):
                    judge_error(c.ask(
                        "POST", "/v2/repository/models/%s/%s" % (name, what),
                        b"{}", JSON), 400, 403, 404, 405)
            judge_json(c.ask("GET", "/v2/models/digits/ready"))

    def test_nobody_names_memory(self):
        for c in self.clients():
            for kind in ("system", "cuda"):
                judge_error(c.ask(
                    "POST", "/v2/%ssharedmemory/region/x/register" % kind,
                    b'{"key": "/x", "offset": 0, "byte_size": 64}', JSON),
                    400, 403, 404, 405)


def head(path, n, *more):
    return ("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
            "application/json\r\nContent-Length: %d\r\n%s\r\n" % (
                path, n, "".join(m + "\r\n" for m in more))).encode()


class Wire(WithServer):
    """Bytes as they come, without a library for HTTP."""

    def setUp(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(HANG_S)
        self.sock.connect(self.s.g.sock)
        self.got = b""

    def tearDown(self):
        self.sock.close()

    def until(self, n):
        """At least n bytes."""
        while len(self.got) < n:
            more = self.sock.recv(65536)
            need(more, "the connection ends after", self.got)
            self.got += more

    def reply(self):
        """(status, body) of the next reply that has a body."""
        while b"\r\n\r\n" not in self.got:
            self.until(len(self.got) + 1)
        text, self.got = self.got.split(b"\r\n\r\n", 1)
        lines = text.decode().split("\r\n")
        fields = dict(x.lower().split(": ", 1) for x in lines[1:])
        n = int(fields.get("content-length", 0))
        self.until(n)
        data, self.got = self.got[:n], self.got[n:]
        return int(lines[0].split()[1]), data

    def request(self, n, *more):
        text = json.dumps({"id": str(n), "inputs": [A, B]}).encode()
        return head("/v2/models/gemm/infer", len(text), *more), text

    def test_requests_one_behind_the_other(self):
        wrong = head("/v2/models/gemm/infer", 2) + b"{}"
        self.sock.sendall(b"".join(
            b"".join(self.request(i)) + wrong for i in range(20)))
        for i in range(20):
            status, data = self.reply()
            self.assertEqual((status, json.loads(data)["id"]), (200, str(i)))
            self.assertEqual(self.reply()[0], 400)

    def test_a_body_that_waits_for_leave(self):
        for _ in range(2):
            first, text = self.request(1, "Expect: 100-continue")
            self.sock.sendall(first)
            self.assertEqual(self.reply()[0], 100)
            self.sock.sendall(text)
            self.assertEqual(self.reply()[0], 200)

    def test_a_body_that_would_be_refused_gets_no_leave(self):
        self.sock.sendall(head("/v2/models/gemm/infer", 1 << 50,
                               "Expect: 100-continue"))
        self.assertEqual(self.reply()[0], 413)

    def test_a_byte_at_a_time(self):
        first, text = self.request(1)
        for i in range(len(first + text)):
            self.sock.sendall((first + text)[i:i + 1])
        self.assertEqual(self.reply()[0], 200)

    def test_pieces_of_binary_data(self):
        data, headers = body({"inputs": [BIN_A, BIN_B]}, BYTES_A, BYTES_B)
        first = head("/v2/models/gemm/infer", len(data),
                     "%s: %s" % (LENGTH, headers[LENGTH]))
        n = int(headers[LENGTH])
        for at in (1, n - 1, n, n + 1, n + 23, n + 24, n + 25, len(data) - 1):
            self.sock.sendall(first + data[:at])
            self.sock.sendall(data[at:])
            status, got = self.reply()
            self.assertEqual((status, json.loads(got)["outputs"][0]["data"]),
                             (200, C), at)

    def test_an_older_http(self):
        first, text = self.request(1)
        self.sock.sendall(first.replace(b"HTTP/1.1", b"HTTP/1.0") + text)
        self.assertEqual(self.reply()[0], 200)
        self.assertEqual(self.sock.recv(1), b"")

    def test_chunks_are_refused(self):
        self.sock.sendall(head("/v2/models/gemm/infer", 0, "X: y").replace(
            b"Content-Length: 0", b"Transfer-Encoding: chunked") +
            b"2\r\n{}\r\n0\r\n\r\n")
        self.assertEqual(self.reply()[0], 411)


def identity(datatype):
    """y = x, of any number of elements."""
    return model([node("Identity", ["x"], ["y"])],
                 [("x", ONNX[datatype], ["n"])], [("y", ONNX[datatype], ["n"])])


class Onnx(WithServer):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            for t in ONNX:
                cls.put(t.lower(), identity(t))
            cls.put("two", model(
                [node("Add", ["a", "b"], ["sum"]),
                 node("NonZero", ["sum"], ["where"])],
                [("a", 1, ["n"]), ("b", 1, ["n"])],
                [("sum", 1, ["n"]), ("where", 7, [1, "k"])]))
            cls.put("scalar", model([node("Neg", ["x"], ["y"])],
                                    [("x", 1, [])], [("y", 1, [])]))
        except RuntimeError as e:
            cls.s.close()
            if os.environ.get("PENSTOCK_ORT"):
                raise
            raise unittest.SkipTest("no ONNX Runtime: %s" % e)

    @classmethod
    def put(cls, name, data):
        path = os.path.join(cls.s.dir, name + ".onnx")
        with open(path, "wb") as f:
            f.write(data)
        cls.s.load(name, path)

    def test_every_type_both_ways(self):
        for c in self.clients():
            for t, values in VALUES.items():
                m = judge_metadata(c.ask("GET", "/v2/models/" + t.lower()),
                                   t.lower())
                self.assertEqual(m["inputs"], [
                    {"name": "x", "datatype": t, "shape": [-1]}])
                self.assertIn("onnx", m["platform"])
                for given in (False, True):
                    for wanted in (False, True):
                        x, data = tensor("x", t, [len(values)], values, given)
                        request = {"inputs": [x], "parameters": {
                            "binary_data_output": wanted}}
                        with self.subTest("%s %s %s" % (t, given, wanted)):
                            got = judge_infer(c.infer(
                                t.lower(), request,
                                *([data] if given else [])), t.lower(),
                                request)
                            self.assertEqual(got["y"],
                                             (t, [len(values)], values))

    def test_no_elements(self):
        c = Client(self.s.g.sock)
        for binary in (False, True):
            x, data = tensor("x", "FP32", [0], [], binary)
            got = judge_infer(c.infer("fp32", {"inputs": [x]},
                                      *([data] if binary else [])), "fp32", {})
            self.assertEqual(got["y"], ("FP32", [0], []))
        c.close()

    def test_what_a_type_does_not_hold(self):
        c = Client(self.s.g.sock)
        for t in ONNX:
            bad = [[1.5], ["1"], [None]] if t[0] in "IU" else [["1"], [None]]
            if t[0] in "IU":
                bits = 8 * len(pack(t, [0]))
                low = 0 if t[0] == "U" else -2 ** (bits - 1)
                bad += [[low - 1], [low + 2 ** bits], [10 ** 400]]
            for data in bad:
                with self.subTest("%s %.20r" % (t, data)):
                    x, _ = tensor("x", t, [1], data)
                    judge_error(c.infer(t.lower(), {"inputs": [x]}), 400)
        c.close()

    def test_numbers_that_json_has_not(self):
        c = Client(self.s.g.sock)
        inf = float("inf")
        x, data = tensor("x", "FP32", [2], [inf, -inf], True)
        request = {"inputs": [x], "parameters": {"binary_data_output": True}}
        got = judge_infer(c.infer("fp32", request, data), "fp32", request)
        self.assertEqual(got["y"][2], [inf, -inf])
        error = judge_error(c.infer("fp32", {"inputs": [x]}, data), 400)
        self.assertIn("binary", error)
        c.close()

    def test_outputs_that_are_asked_for(self):
        c = Client(self.s.g.sock)
        a, data = tensor("a", "FP32", [4], [1, 0, -2, 3], True)
        b, _ = tensor("b", "FP32", [4], [1, 0, 2, 3])
        want = {"sum": ("FP32", [4], [2, 0, 0, 6]),
                "where": ("INT64", [1, 2], [0, 3])}
        for names in ([], ["sum"], ["where"], ["where", "sum"]):
            for bits in range(2 ** len(names)):
                request = {"inputs": [a, b], "outputs": [
                    says({"name": n}, binary_data=bool(bits >> i & 1))
                    for i, n in enumerate(names)]}
                got = judge_infer(c.infer("two", request, data), "two",
                                  request)
                self.assertEqual(got, {n: want[n] for n in names or want})
        for short in ([a], [a, but(b, shape=[2], data=[1, 2])]):
            judge_error(c.infer("two", {"inputs": short}, data), 400)
        c.close()

    def test_a_number_of_no_dimension(self):
        c = Client(self.s.g.sock)
        x, _ = tensor("x", "FP32", [], [2.5])
        got = judge_infer(c.infer("scalar", {"inputs": [x]}), "scalar", {})
        self.assertEqual(got["y"], ("FP32", [], [-2.5]))
        judge_metadata(c.ask("GET", "/v2/models/scalar"), "scalar")
        c.close()


if __name__ == "__main__":
    if not os.path.exists(PROGRAM):
        print("built without the gateway (libmicrohttpd)")
        sys.exit(77)
    unittest.main(verbosity=2, warnings="ignore")
