# SPDX-License-Identifier: MIT
"""Small ONNX models, written by hand: no package is needed."""


def field(number, payload):
    """A field of a protobuf message: bytes, or a number."""
    if isinstance(payload, int):
        return bytes([number << 3]) + varint(payload)
    return bytes([number << 3 | 2]) + varint(len(payload)) + payload


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def value(name, elem, dims):
    """ValueInfoProto."""
    shape = b"".join(field(1, field(1, d) if isinstance(d, int) else
                           field(2, d.encode())) for d in dims)
    tensor = field(1, elem) + field(2, shape)
    return field(1, name.encode()) + field(2, field(1, tensor))


def node(op, inputs, outputs):
    return (b"".join(field(1, i.encode()) for i in inputs) +
            b"".join(field(2, o.encode()) for o in outputs) +
            field(4, op.encode()))


def model(nodes, inputs, outputs):
    """ModelProto of opset 13 (onnx.proto)."""
    graph = (b"".join(field(1, n) for n in nodes) + field(2, b"g") +
             b"".join(field(11, value(*i)) for i in inputs) +
             b"".join(field(12, value(*o)) for o in outputs))
    return (field(1, 8) + field(7, graph) +
            field(8, field(1, b"") + field(2, 13)))
