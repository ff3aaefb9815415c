# SPDX-License-Identifier: MIT
"""The judge of the Open Inference Protocol's replies finds what is wrong in
them: replies that are right but for one thing each."""
import json
import unittest

from oiplib import (LENGTH, Reply, Wrong, judge_error, judge_infer,
                    judge_metadata, judge_server, pack)

REQUEST = {"id": "7", "inputs": [], "outputs": [
    {"name": "a"}, {"name": "b", "parameters": {"binary_data": True}}]}
A = {"name": "a", "datatype": "INT8", "shape": [2, 2], "data": [1, -2, 3, 4]}
B = {"name": "b", "datatype": "FP16", "shape": [3],
     "parameters": {"binary_data_size": 6}}
BYTES = pack("FP16", [0.5, 1, 2])


def infer(outputs, data=BYTES, status=200, drop=(), media=None, length=None,
          **more):
    """A reply to REQUEST, with something else than what is right."""
    o = {"model_name": "m", "model_version": "1", "id": "7",
         "outputs": outputs, **more}
    text = json.dumps({k: v for k, v in o.items() if k not in drop}).encode()
    head = {"Content-Type": media or "application/octet-stream",
            "Content-Length": str(len(text) + len(data)),
            LENGTH: length or str(len(text))}
    return Reply(status, [(k, v) for k, v in head.items() if k not in drop],
                 text + data)


def document(o, status=200, media="application/json"):
    text = o if isinstance(o, bytes) else json.dumps(o).encode()
    return Reply(status, [("Content-Type", media),
                          ("Content-Length", str(len(text)))], text)


def but(o, *drop, **more):
    return {k: v for k, v in {**o, **more}.items() if k not in drop}


INFER = {
    "another status": infer([A, B], status=201),
    "an error": document({"error": "it does not work"}, 400),
    "no model_name": infer([A, B], drop=["model_name"]),
    "another model": infer([A, B], model_name="n"),
    "a number as version": infer([A, B], model_version=1),
    "no id": infer([A, B], drop=["id"]),
    "another id": infer([A, B], id="8"),
    "a number as id": infer([A, B], id=7),
    "no outputs": infer([A, B], drop=["outputs"]),
    "an output too few": infer([A], b""),
    "an output of another name": infer([but(A, name="c"), B]),
    "another order": infer([B, A]),
    "an output twice": infer([A, A, B]),
    "JSON's type": infer([A, B], media="application/json"),
    "no length of the JSON": infer([A, B], drop=[LENGTH]),
    "a wrong length of the JSON": infer([A, B], length="10"),
    "a byte too many": infer([A, B], BYTES + b"x"),
    "a byte too few": infer([A, B], BYTES[:-1]),
    "a size as text": infer([A, but(B, parameters={"binary_data_size": "6"})]),
    "a size that is not the shape's": infer([A, but(B, shape=[2])]),
    "data twice": infer([A, but(B, data=[0.5, 1, 2])]),
    "JSON where bytes were wanted": infer(
        [A, but(B, "parameters", data=[0.5, 1, 2])], b""),
    "bytes where JSON was wanted": infer(
        [but(A, "data", parameters={"binary_data_size": 4}), B],
        pack("INT8", [1, 2, 3, 4]) + BYTES),
    "an unknown datatype": infer([but(A, datatype="I8"), B]),
    "no datatype": infer([but(A, "datatype"), B]),
    "no shape": infer([but(A, "shape"), B]),
    "a free dimension": infer([but(A, shape=[-1, 2]), B]),
    "a shape of another number": infer([but(A, shape=[2, 3]), B]),
    "no data": infer([but(A, "data"), B]),
    "data that is a number": infer([but(A, data=1), B]),
    "nested data of another shape": infer([but(A, data=[[1, 2, 3, 4]]), B]),
    "ragged data": infer([but(A, data=[[1, 2, 3], [4]]), B]),
    "an integer too large": infer([but(A, data=[1, 2, 3, 128]), B]),
    "a fraction for an integer": infer([but(A, data=[1, 2, 3, 4.0]), B]),
    "a boolean for an integer": infer([but(A, data=[1, 2, 3, True]), B]),
    "text for an integer": infer([but(A, data=[1, 2, 3, "4"]), B]),
    "null for an integer": infer([but(A, data=[1, 2, 3, None]), B]),
    "an integer for BOOL": infer([but(A, datatype="BOOL"), B]),
    "NaN in JSON": infer([but(A, datatype="FP32",
                              data=[1, 2, 3, float("nan")]), B]),
}
ERRORS = {
    "another status": document({"error": "it does not work"}, 404),
    "no object": document(["it does not work"], 400),
    "no error": document({"message": "it does not work"}, 400),
    "no sentence": document({"error": "EINVAL"}, 400),
    "no JSON": document(b"it does not work", 400),
    "another type": document({"error": "it does not work"}, 400, "text/html"),
}
MODEL = {"name": "m", "platform": "p_q", "versions": ["1"], "inputs": [
    {"name": "x", "datatype": "FP32", "shape": [-1, 64]}], "outputs": []}
X = MODEL["inputs"][0]
METADATA = {
    "no name": but(MODEL, "name"),
    "another name": but(MODEL, name="n"),
    "no platform": but(MODEL, "platform"),
    "half a platform": but(MODEL, platform="onnx"),
    "numbers as versions": but(MODEL, versions=[1]),
    "no datatype": but(MODEL, inputs=[but(X, "datatype")]),
    "a datatype of ours": but(MODEL, inputs=[but(X, datatype="f32")]),
    "no shape": but(MODEL, inputs=[but(X, "shape")]),
    "a shape of text": but(MODEL, inputs=[but(X, shape=["n", 64])]),
    "a shape below -1": but(MODEL, inputs=[but(X, shape=[-2])]),
}
SERVER = {"name": "s", "version": "1", "extensions": ["e"]}
SERVERS = {
    "no name": but(SERVER, "name"),
    "a number as version": but(SERVER, version=1),
    "no extensions": but(SERVER, "extensions"),
    "extensions that are no text": but(SERVER, extensions=[1]),
}


class Judge(unittest.TestCase):
    def finds(self, table, judge):
        for what, reply in table.items():
            with self.subTest(what), self.assertRaises(Wrong):
                judge(reply)

    def test_a_good_inference_passes(self):
        for a in (A, but(A, data=[[1, -2], [3, 4]])):
            self.assertEqual(judge_infer(infer([a, B]), "m", REQUEST), {
                "a": ("INT8", [2, 2], [1, -2, 3, 4]),
                "b": ("FP16", [3], [0.5, 1, 2])})

    def test_inferences(self):
        self.finds(INFER, lambda r: judge_infer(r, "m", REQUEST))

    def test_errors(self):
        judge_error(document({"error": "it does not work"}, 400), 400)
        self.finds(ERRORS, lambda r: judge_error(r, 400))

    def test_metadata(self):
        judge_metadata(document(MODEL), "m")
        self.finds(METADATA, lambda o: judge_metadata(document(o), "m"))
        judge_server(document(SERVER))
        self.finds(SERVERS, lambda o: judge_server(document(o)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
