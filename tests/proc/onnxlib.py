# SPDX-License-Identifier: MIT
"""Models of files by the raw protocol, and ONNX models to load."""
import os
import struct
import sys

from agentlib import Conn, FEATURE_LANES, FEATURE_RUN, MIB, OK, UNIT

STAGE, UNSTAGE, FILL_FILE, LOAD_FILES, DESCRIBE = range(22, 27)
UNLOAD = 19
RUN_OP = 8
PIECE = 256 << 10
ANY = 255
IN_PLACE, TOO_SMALL = 1, 2


def skip(why):
    print("skipped:", why)
    sys.exit(77)


PROGRAM = os.path.join(os.environ.get("PST_TOP_BUILDDIR", "build"),
                       "guest-agent/penstock-runner-ort")
if not os.path.exists(PROGRAM):
    skip("built without libseccomp")
try:
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper
except ImportError:
    skip("python3-onnx is not installed")

F32, I64 = 1, 7
# wire: numpy
TYPES = {1: "f4", 2: "f8", 3: "f2", 4: "u2", 5: "i1", 6: "i4", 7: "i8", 8: "u1",
         9: "?", 10: "i2", 11: "u2", 12: "u4", 13: "u8"}
CODES = {np.dtype(v).str: k for k, v in TYPES.items()}


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


def endless():
    """A loop of as many rounds as n says."""
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


def nonzero():
    """Its output's shape depends on its input's values."""
    return model([helper.make_node("NonZero", ["x"], ["y"])],
                 [("x", F32, ["n"])], [("y", I64, [1, "k"])])


class Refused(Exception):
    """An answer with a status other than 0."""

    def __init__(self, status, sentence):
        super().__init__("%d: %s" % (status, sentence))
        self.status, self.sentence = status, sentence


class Model:
    """A DESCRIPTION."""

    def __init__(self, p):
        (name, self.handle, self.size, self.format, self.state, self.provider,
         self.wanted, self.n_cpus, self.shared, self.threads, n_in, n_out,
         n_sym, n_meta, r0, self.load_ns, self.first_ns, self.second_ns,
         self.run_ns, self.n_runs, self.copied, runtime, note) = \
            struct.unpack_from("<64sQQ12I6Q16x64s256s", p)
        self.name = name.rstrip(b"\0").decode()
        self.runtime = runtime.rstrip(b"\0").decode()
        self.note = note.rstrip(b"\0").decode()
        at = 512
        self.io = []
        for _ in range(n_in + n_out):
            t = struct.unpack_from("<128sII8q8H", p, at)
            rank = t[2]
            self.io.append((t[0].rstrip(b"\0").decode(), t[1],
                            list(t[3:3 + rank]), list(t[11:11 + rank])))
            at += 216
        self.inputs, self.outputs = self.io[:n_in], self.io[n_in:]
        assert len(p) == at + 64 * n_sym + n_meta and r0 == 0


class Session(Conn):
    """A session that loads and runs models through one extent."""

    def __init__(self, agent, size=16 * MIB, **kw):
        super().__init__(agent)
        self.open(features=FEATURE_LANES | FEATURE_RUN, **kw)
        status, got = self.lease(size)
        assert status == OK, got
        self.base, self.size = got
        self.tag = 0

    def ask(self, t, payload, timeout=60):
        status, p = self.call(t, payload, timeout)
        if status != OK:
            raise Refused(status, p.decode())
        return p

    def stage(self, data):
        handle = struct.unpack("<QQ", self.ask(
            STAGE, struct.pack("<QQ", 0, len(data))))[0]
        for at in range(0, len(data), PIECE):
            piece = data[at:at + PIECE]
            self.write(self.base, piece)
            self.ask(FILL_FILE, struct.pack("<QQQQ", handle, at, self.base,
                                            len(piece)))
        return handle

    def files(self, name, files, provider=0, flags=0, fmt=1):
        """MODEL_LOAD_FILES' payload; files: name -> handle."""
        p = struct.pack("<64sIIII16x", name.encode(), fmt, provider, flags,
                        len(files))
        for k, v in files.items():
            p += struct.pack("<64sQQ", k.encode(), v, 0)
        return p + bytes(736 - len(p))

    def load(self, name, data, others=None, **kw):
        files = {"": self.stage(data)}
        for k, v in (others or {}).items():
            files[k] = self.stage(v)
        return Model(self.ask(LOAD_FILES, self.files(name, files, **kw)))

    def describe(self, name):
        return Model(self.ask(DESCRIBE, struct.pack("<64s40x",
                                                    name.encode())))

    def unload(self, name):
        self.ask(UNLOAD, struct.pack("<64s40x", name.encode()))

    def block(self, inputs, outputs, deadline_ns=0, at=None):
        """Writes a call block and its inputs. inputs: slot -> array; outputs:
        list of (slot, dtype, room). Returns the block's offset and size, and
        the outputs' offsets."""
        start = self.base if at is None else at
        size = 64 + 128 * (len(inputs) + len(outputs))
        at = start + (size + 63) // 64 * 64
        p = struct.pack("<IIQ48x", len(inputs), len(outputs), deadline_ns)
        for slot, a in inputs.items():
            a = np.asarray(a)
            data = a.tobytes()
            dims = list(a.shape) + [0] * (8 - a.ndim)
            p += struct.pack("<HBBIQQQ8Q32x", slot, CODES[a.dtype.str],
                             a.ndim, 0, at, len(data), 0, *dims)
            self.write(at, data)
            at += (len(data) + 63) // 64 * 64
        places = []
        for slot, dtype, room in outputs:
            p += struct.pack("<HBBIQQQ8Q32x", slot, dtype, ANY, 0, at, room,
                             0, *[0] * 8)
            places.append(at)
            at += (room + 63) // 64 * 64
        assert at <= self.base + self.size
        self.write(start, p)
        return start, size, places

    def run(self, m, inputs, room=1 << 16, outputs=None, timeout=30,
            deadline_ns=0):
        """Runs a model; returns its outputs as arrays."""
        outs = [(i, t[1], room) for i, t in enumerate(m.outputs)] \
            if outputs is None else outputs
        at, size, places = self.block(inputs, outs, deadline_ns)
        self.tag += 1
        self.submit(self.tag, RUN_OP, a=at, b=m.handle, length=size)
        tag, status, self.compute_ns, _, _ = self.reap(timeout)
        assert tag == self.tag
        self.answers = []
        for i, (slot, dtype, _) in enumerate(outs):
            w = struct.unpack("<HBBIQQQ8Q32x", self.read(
                at + 64 + 128 * (len(inputs) + i), 128))
            self.answers.append(w)
        if status != OK:
            _, p = self.call(13, struct.pack("<Q", tag))
            raise Refused(status, p.decode())
        got = []
        for (slot, dtype, _), w, place in zip(outs, self.answers, places):
            rank, n = w[2], w[6]
            got.append(np.frombuffer(self.read(place, n),
                                     TYPES[dtype]).reshape(w[7:7 + rank]))
        return got
