# SPDX-License-Identifier: MIT
"""Cases of the Open Inference Protocol: requests that are right, and each thing
that can be wrong with one; elements of every type; paths."""
import json
import struct

from oiplib import LENGTH, TYPES, body, tensor

# ONNX's number of a type (onnx.proto, TensorProto.DataType).
ONNX = {"FP32": 1, "UINT8": 2, "INT8": 3, "UINT16": 4, "INT16": 5, "INT32": 6,
        "INT64": 7, "BOOL": 9, "FP16": 10, "FP64": 11, "UINT32": 12,
        "UINT64": 13, "BF16": 16}
# What each type has at its ends, and what JSON has to carry whole.
VALUES = {"BOOL": [True, False, True, True],
          "FP16": [0.0, -65504.0, 6.103515625e-05, 1.5],
          "BF16": [0.0, -1.5, 2.0 ** 100, 0.0078125],
          "FP32": [0.0, 3.4028234663852886e38, -1.401298464324817e-45, 0.1],
          "FP64": [0.1, -1.7976931348623157e308, 5e-324, 1 / 3]}
for t, letter in TYPES.items():
    bits = 8 * struct.calcsize("<" + letter)
    if t.startswith("UINT"):
        VALUES[t] = [0, 1, 2 ** bits - 1, 2 ** (bits - 1)]
    elif t.startswith("INT"):
        VALUES[t] = [0, -1, 2 ** (bits - 1) - 1, -2 ** (bits - 1)]
VALUES["FP32"] = struct.unpack("<4f", struct.pack("<4f", *VALUES["FP32"]))
VALUES = {t: list(v) for t, v in VALUES.items()}


# ---- Cases of the product: A is 2 x 3, B is 3 x 2 ----

A, _ = tensor("A", "FP32", [2, 3], [1, 2, 3, 4, 5, 6])
B, _ = tensor("B", "FP32", [3, 2], [7, 8, 9, 10, 11, 12])
C = [58, 64, 139, 154]
BIN_A, BYTES_A = tensor("A", "FP32", [2, 3], A["data"], binary=True)
BIN_B, BYTES_B = tensor("B", "FP32", [3, 2], B["data"], binary=True)


def but(o, *drop, **more):
    return {k: v for k, v in {**o, **more}.items() if k not in drop}


def says(o, **parameters):
    return but(o, parameters=parameters)


OUT = [{"name": "C"}]
# sentence: the request and the bytes behind it
GOOD = {
    "elements one after the other": ({},),
    "nested elements": ({"inputs": [
        but(A, data=[[1, 2, 3], [4, 5, 6]]),
        but(B, data=[[7, 8], [9, 10], [11, 12]])]},),
    "bytes": ({"inputs": [BIN_A, BIN_B]}, BYTES_A, BYTES_B),
    "bytes and elements": ({"inputs": [BIN_A, B]}, BYTES_A),
    "elements and bytes": ({"inputs": [A, BIN_B]}, BYTES_B),
    "inputs in another order": ({"inputs": [BIN_B, BIN_A]}, BYTES_B, BYTES_A),
    "numbers as they like": ({"inputs": [
        but(A, data=[1.0, 2e0, 0.3e1, 40E-1, 5, 6.000]), B]},),
    "an id": ({"id": "42"},),
    "an id of other letters": ({"id": "\u00fc \U0001f600 \"\\/\n\u0001\u007f"},),
    "a long id": ({"id": "x" * 128},),
    "parameters of other servers": ({"parameters": {
        "sequence_id": 7, "sequence_start": True, "sequence_end": False,
        "priority": 3, "timeout": 1000000, "mine": "text", "half": 0.5}},),
    "an input's parameter": ({"inputs": [says(A, x=1), B]},),
    "fields of other clients": ({"model_name": "gemm", "model_version": None,
                                 "raw": {"a": [1, {}, "]}"]}},),
    "the output by its name": ({"outputs": OUT},),
    "no outputs named": ({"outputs": []},),
    "the output as bytes": ({"outputs": [says(OUT[0], binary_data=True)]},),
    "the output as JSON": ({"outputs": [says(OUT[0], binary_data=False)]},),
    "all outputs as bytes": ({"parameters": {"binary_data_output": True}},),
    "all as bytes but one": ({
        "parameters": {"binary_data_output": True},
        "outputs": [says(OUT[0], binary_data=False)]},),
    "all as bytes, named": ({"parameters": {"binary_data_output": True},
                             "outputs": OUT},),
    "bytes both ways": ({"inputs": [BIN_A, BIN_B],
                         "parameters": {"binary_data_output": True}},
                        BYTES_A, BYTES_B),
    "no bytes where none are wanted": ({
        "parameters": {"binary_data_output": False}},),
}
BIG = 2 ** 63
BAD = {
    "no inputs": ({"inputs": []},),
    "inputs that are no list": ({"inputs": A},),
    "an input that is none": ({"inputs": [A, 7]},),
    "an input too few": ({"inputs": [A]},),
    "an input twice": ({"inputs": [A, A, B]},),
    "an input of another name": ({"inputs": [A, B, but(B, name="D")]},),
    "an input without a name": ({"inputs": [but(A, "name"), B]},),
    "an input without a datatype": ({"inputs": [but(A, "datatype"), B]},),
    "an input without a shape": ({"inputs": [but(A, "shape"), B]},),
    "an input without data": ({"inputs": [but(A, "data"), B]},),
    "a name that is a number": ({"inputs": [but(A, name=1), B]},),
    "a datatype that is a number": ({"inputs": [but(A, datatype=1), B]},),
    "a datatype that is none": ({"inputs": [but(A, datatype="FP31"), B]},),
    "a datatype in small letters": ({"inputs": [but(A, datatype="fp32"), B]},),
    "text": ({"inputs": [but(A, datatype="BYTES", data=["x"] * 6), B]},),
    "a datatype of other models": ({"inputs": [but(A, datatype="BOOL",
                                                   data=[True] * 6), B]},),
    "a shape that is no list": ({"inputs": [but(A, shape=6), B]},),
    "a shape of text": ({"inputs": [but(A, shape=["2", "3"]), B]},),
    "a shape below 0": ({"inputs": [but(A, shape=[-2, -3]), B]},),
    "a shape of fractions": ({"inputs": [but(A, shape=[2.5, 3]), B]},),
    "a shape of too few": ({"inputs": [but(A, shape=[6]), B]},),
    "a shape of too many": ({"inputs": [but(A, shape=[1, 2, 3]), B]},),
    "a shape of 100": ({"inputs": [but(A, shape=[1] * 98 + [2, 3]), B]},),
    "a shape without end": ({"inputs": [but(A, shape=[2 ** 32, 2 ** 32]), B]},),
    "a dimension without end": ({"inputs": [but(A, shape=[BIG, 1]), B]},),
    "a dimension beyond u64": ({"inputs": [but(A, shape=[2 ** 70, 0]), B]},),
    "shapes that do not fit": ({"inputs": [but(A, shape=[3, 2]), B]},),
    "too few elements": ({"inputs": [but(A, data=A["data"][1:]), B]},),
    "too many elements": ({"inputs": [but(A, data=A["data"] + [7]), B]},),
    "no elements": ({"inputs": [but(A, data=[]), B]},),
    "elements that are no list": ({"inputs": [but(A, data=1), B]},),
    "elements that are text": ({"inputs": [but(A, data=["1"] * 6), B]},),
    "elements that are null": ({"inputs": [but(A, data=[None] * 6), B]},),
    "elements that are objects": ({"inputs": [but(A, data=[{}] * 6), B]},),
    "ragged elements": ({"inputs": [but(A, data=[[1, 2], [3, 4, 5, 6]]), B]},),
    "elements too deep": ({"inputs": [
        but(A, data=[[[1], [2], [3]], [[4], [5], [6]]]), B]},),
    "elements deeper than a stack": (
        '{"inputs": [{"name": "A", "data": %s' % ("[" * 100000),),
    "an id that is a number": ({"id": 42},),
    "an id that is no text": (b'{"id": "\xff", "inputs": []}',),
    "parameters that are no object": ({"parameters": [1]},),
    "a parameter of another type": ({"parameters": {
        "binary_data_output": "yes"}},),
    "outputs that are no list": ({"outputs": "C"},),
    "an output that the model has not": ({"outputs": [{"name": "D"}]},),
    "an output without a name": ({"outputs": [{}]},),
    "an output twice": ({"outputs": OUT * 2},),
    "classes": ({"outputs": [says(OUT[0], classification=3)]},),
    "an input in shared memory": ({"inputs": [says(
        but(A, "data"), shared_memory_region="x", shared_memory_byte_size=24),
        B]},),
    "an output in shared memory": ({"outputs": [says(
        OUT[0], shared_memory_region="x", shared_memory_byte_size=16)]},),
    "no JSON": ("this is no JSON",),
    "half a JSON": ('{"inputs": [',),
    "two of it": ("{} {}",),
    "a list": ("[]",),
    "nothing": ("",),
    "a comma too many": ('{"inputs": [],}',),
    "a comment": ('{"inputs": [] /* none */}',),
    "NaN": ('{"inputs": [{"name":"A","datatype":"FP32","shape":[1],'
            '"data":[NaN]}]}',),
    "bytes too few": ({"inputs": [BIN_A, BIN_B]}, BYTES_A, BYTES_B[:-1]),
    "bytes too many": ({"inputs": [BIN_A, BIN_B]}, BYTES_A, BYTES_B, b"x"),
    "bytes that nobody declares": ({"inputs": [A, B]}, b"x"),
    "bytes and elements of one": ({"inputs": [
        but(BIN_A, data=A["data"]), B]}, BYTES_A),
    "bytes that are not the shape's": ({"inputs": [
        but(BIN_A, shape=[2, 2]), B]}, BYTES_A),
    "bytes below 0": ({"inputs": [says(BIN_A, binary_data_size=-24), B]},),
    "bytes as text": ({"inputs": [says(BIN_A, binary_data_size="24"), B]},
                      BYTES_A),
    "bytes without end": ({"inputs": [
        says(BIN_A, binary_data_size=2 ** 64 - 1), B]}, BYTES_A),
    "bytes that wrap around": ({"inputs": [
        says(BIN_A, binary_data_size=BIG), says(BIN_B, binary_data_size=BIG)]},
        b""),
    "bytes of nothing": ({"inputs": [says(BIN_A, binary_data_size=0), B]},
                         b""),
}


def made(first, *parts):
    """(body, headers) of a row of GOOD or BAD."""
    if isinstance(first, dict):
        return body({"inputs": [A, B], **first}, *parts)
    text = first.encode() if isinstance(first, str) else first
    return text, {"Content-Type": "application/json"}


TEXT = json.dumps({"inputs": [BIN_A, BIN_B]}).encode()
JSON = {"Content-Type": "application/json"}
BYTES = {"Content-Type": "application/octet-stream"}
ALL = TEXT + BYTES_A + BYTES_B
# sentence: body, headers, statuses
HEADS = {
    "a length of the JSON beyond the body": (
        ALL, {**BYTES, LENGTH: str(len(ALL) + 1)}, [400]),
    "a length of the JSON that is none": (ALL, {**BYTES, LENGTH: "x"}, [400]),
    "a length of the JSON below 0": (ALL, {**BYTES, LENGTH: "-1"}, [400]),
    "a length of the JSON without end": (
        ALL, {**BYTES, LENGTH: str(2 ** 64)}, [400]),
    "no JSON before the bytes": (ALL, {**BYTES, LENGTH: "0"}, [400]),
    "a length within the JSON": (ALL, {**BYTES, LENGTH: "20"}, [400]),
    "bytes without that length": (ALL, BYTES, [400]),
    "a page's form": (b"inputs=1", {
        "Content-Type": "application/x-www-form-urlencoded"}, [415]),
    "a page's text": (b"{}", {"Content-Type": "text/plain"}, [415]),
    "a type that only begins well": (b"{}", {
        "Content-Type": "application/jsonp"}, [415]),
    "gzip": (b"\x1f\x8b", {**JSON, "Content-Encoding": "gzip"}, [415]),
    "deflate": (b"x", {**JSON, "Content-Encoding": "deflate"}, [415]),
    "JSON without end": (b" " * (2 << 20), JSON, [400, 413]),
}


# ---- Paths ----

GETS = ["/v2", "/v2/", "/v2/health/live", "/v2/health/ready",
        "/v2/models/gemm", "/v2/models/gemm/ready", "/v2/models/digits",
        "/v2/models/digits/versions/1", "/v2/models/digits/versions/1/ready",
        "/v2/models/dig%69ts", "/v2?x=1"]
POSTS = ["/v2/models/gemm/infer", "/v2/models/gemm/versions/1/infer",
         "/v2/repository/index"]
NOWHERE = ["/v3", "/v2x", "/v2/health", "/v2/health/", "/v2/models/nobody",
           "/v2/models/nobody/ready", "/v2/models/gemm/versions/2",
           "/v2/models/gemm/versions/01", "/v2/models/gemm/versions/2/ready",
           "/v2/models/gemm/versions/x", "/v2/models/gemm/versions/1/x",
           "/v2/models/gemm/versions", "/v2/models/GEMM", "/v2/models//ready",
           "/v2/models/", "/v2/models/" + "x" * 64, "/v2/models/" + "x" * 5000,
           "/v2/models/..%2fgemm", "/v2/models/gemm%2fready", "/v2/models/a%2fgemm", "/v2/models/gemm%00",
           "/v2/models/digits%20", "/v2//models/gemm", "//v2",
           "/v2/systemsharedmemory/status", "/v2/cudasharedmemory/status",
           "/v2/logging", "/v2/trace/setting", "/v2/models/gemm/generate"]
