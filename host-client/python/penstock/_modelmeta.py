# SPDX-License-Identifier: MIT
"""What an ONNX file says of itself: its makers, its words, its properties."""

_PARTS = {2: "producer_name", 4: "domain", 6: "description"}
_GRAPH = {2: "graph_name", 10: "graph_description"}


def _number(f, end):
    value = shift = 0
    while f.tell() < end and shift < 64:
        byte = f.read(1)[0]
        value |= (byte & 127) << shift
        if byte < 128:
            return value
        shift += 7
    raise ValueError("it is no ONNX file: a number has no end")


def _fields(f, end):
    """Number and value of each field until end; of bytes, where they end. What
    is not read is skipped."""
    while f.tell() < end:
        tag = _number(f, end)
        kind, size = tag & 7, 0
        if kind == 0:
            yield tag >> 3, _number(f, end)
            continue
        if kind == 2:
            size = _number(f, end)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("it is no ONNX file: a field of no known kind")
        stop = f.tell() + size
        if stop > end:
            raise ValueError("it is no ONNX file: it ends within a field")
        if kind == 2:
            yield tag >> 3, stop
        f.seek(stop)


def _text(f, stop):
    return f.read(stop - f.tell()).decode("utf-8", "replace")


class ModelMetadata:
    """The attributes of onnxruntime's class of this name, of an open file."""

    def __init__(self, f):
        self.producer_name = self.domain = self.description = ""
        self.graph_name = self.graph_description = ""
        self.version = 0
        self.custom_metadata_map = {}
        end = f.seek(0, 2)
        f.seek(0)
        for number, value in _fields(f, end):
            if number in _PARTS:
                setattr(self, _PARTS[number], _text(f, value))
            elif number == 5:
                self.version = value - (value >> 63 << 64)
            elif number == 7:
                for inner, stop in _fields(f, value):
                    if inner in _GRAPH:
                        setattr(self, _GRAPH[inner], _text(f, stop))
            elif number == 14:
                pair = {i: _text(f, stop) for i, stop in _fields(f, value)}
                self.custom_metadata_map[pair.get(1, "")] = pair.get(2, "")
