# SPDX-License-Identifier: MIT
"""Clients that send what looks right and mostly is not, to an agent with its
real backend: descriptors, tensors' handles, models' files, frames, words of a
lane. Each operation is answered, nobody else's memory changes, and when they
are gone nothing is left of them.

Every run is another one: $PST_SEED repeats one, but for the timing, and
$PST_SECONDS is how long it takes.
"""
import json
import os
import random
import struct
import time

from agentlib import CANCEL, CHECKSUM, CONTROL_ONLY, Closed, Conn, ERROR, \
    ESHUTDOWN, ETIMEDOUT, F64, FEATURE_LANES, FILL, GEMM, HEALTH, INFO, LANES, \
    Lane, NOP, OK, STATS, Skip, UNIT, WAKE, run

BATCHED, COPY, INFER = 5, 6, 7
FAILURE, TENSOR_CREATE, TENSOR_DESTROY, TENSOR_LIST = range(13, 17)
MODEL_LOAD, MODEL_OPEN, MODEL_UNLOAD, MODEL_LIST = range(17, 21)
BYTES = ("op", "order", "trans", "flags", "dtype", "dtype_c", "compute",
         "epilogue")
WORDS = ("m", "n", "k", "batch", "lda", "ldb", "ldc", "r0")
EDGES = [0, 1, 2, 7, 8, 63, 64, 255, 4096, 65535, 65536, 1 << 20, 1 << 21,
         (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 46, 1 << 63,
         (1 << 64) - 1]
SIZES = [0, 1, 2, 3, 5, 8, 16, 17, 63, 64, 65, 100, 300]
NAMES = [b"a", b"b", b"c", b"../d", b""]
ACTIVATIONS = ["relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid",
               "softmax", "conv"]

seed = int(os.environ.get("PST_SEED") or time.time_ns() % 1000000)
seconds = float(os.environ.get("PST_SECONDS") or 3)
r = random.Random(seed)


def chance(p):
    return r.random() < p


def word():
    return r.choice(EDGES) if chance(0.5) else r.getrandbits(
        r.choice([8, 22, 32, 64]))


def number(v):
    return struct.unpack("<Q", struct.pack("<d", v))[0]


class Client(Conn):
    """A session, and what it has been given."""

    models = []  # (handle, inputs, outputs), everybody's

    def __init__(self, agent):
        super().__init__(agent)
        features = r.choice([0, 0, FEATURE_LANES, 0xFFFFFFFF])
        self.open(flags=CONTROL_ONLY if chance(0.05) else 0,
                  features=features)
        self.has_lane = self.lane != 0xFFFFFFFF
        self.extents = []
        self.tensors = []
        self.rings = [self]
        if self.has_lane and features:
            numbers = self.lanes(r.choice([1, 2, 3]))[1]
            self.rings += [Lane(self, lane) for lane in numbers[1:]]
        self.outstanding = [0] * len(self.rings)

    def place(self):
        """An offset in an extent, or near, or anywhere."""
        if not self.extents or chance(0.1):
            return word()
        off, size = r.choice(self.extents)
        return off + r.choice([0, r.randrange(0, size, 64), r.randrange(size),
                               size - r.choice([0, 1, 4, 64, 4096])])

    def handle(self):
        return r.choice(self.tensors) if self.tensors and chance(
            0.9) else word()

    def operand(self, is_tensor):
        return self.handle() if is_tensor else self.place()

    # Descriptors.

    def product(self, op):
        m, n, k = r.choice(SIZES), r.choice(SIZES), r.choice(SIZES)
        flags = r.choice([0, 0, 0, 1, 2, 4, 8, 15])
        bias = chance(0.3)
        e = dict(
            order=r.randrange(2), trans=r.randrange(4), flags=flags,
            m=m, n=n, k=k, batch=1, compute=r.choice([0, 0, 0, 1, 2, 3]),
            epilogue=r.randrange(4) + 16 * bias,
            lda=max(m, k) + r.choice([0, 5]), ldb=max(k, n) + r.choice([0, 3]),
            ldc=max(m, n) + r.choice([0, 7]), a=self.operand(flags & 1),
            b=self.operand(flags & 2), c=self.operand(flags & 4),
            bias=self.operand(flags & 8) if bias else 0,
            alpha=number(r.choice([0, 1, -2, 1e300, 1e-50, float("nan")])),
            beta=number(r.choice([0, 1, float("inf")])))
        e["dtype"], e["dtype_c"] = r.choice(
            [(1, 1), (2, 2), (3, 3), (3, 1), (4, 4), (4, 1), (5, 6), (6, 7)])
        if op == BATCHED:
            e.update(batch=r.choice([0, 1, 2, 3, 10, 65535]),
                     length=r.choice([0, m * k, word()]),
                     r1=r.choice([0, k * n, word()]),
                     r2=r.choice([m * n, (max(m, n) + 7) ** 2, word()]))
        return e

    def infer(self):
        handle, inputs, outputs = word(), r.choice(SIZES), r.choice(SIZES)
        if Client.models and chance(0.95):
            handle, inputs, outputs = r.choice(Client.models)
        return dict(dtype=1, dtype_c=1, m=r.choice([0, 1, 2, 4, 300, 65537]),
                    k=inputs, n=outputs,
                    lda=inputs + r.choice([0, 0, 3, 1 << 20]),
                    ldc=outputs + r.choice([0, 1]), a=self.place() & ~3,
                    b=handle, c=self.place() & ~3)

    def copy(self):
        flags = r.choice([0, 1, 4, 5])
        return dict(flags=flags, a=self.operand(flags & 1),
                    c=self.operand(flags & 4),
                    length=r.choice([1, 7, 4096, 30000, word()]),
                    r1=r.choice([0, 64, word()]) if flags & 1 else 0,
                    r2=r.choice([0, 5, word()]) if flags & 4 else 0)

    def span(self, op):
        fill = op == FILL
        return dict(dtype=r.choice([1, 2, 5]) if fill else 0, a=self.place(),
                    alpha=r.getrandbits(64) if fill else 0,
                    length=r.choice([0, 1, 8, 4096, 100000, UNIT, word()]))

    def submit_something(self):
        op = r.choice([NOP, GEMM, GEMM, BATCHED, FILL, CHECKSUM, COPY, COPY,
                       INFER, INFER, INFER])
        e = {NOP: dict, GEMM: lambda: self.product(op), INFER: self.infer,
             BATCHED: lambda: self.product(op), COPY: self.copy,
             FILL: lambda: self.span(op), CHECKSUM: lambda: self.span(op)}[op]()
        e.update(op=op, tag=r.getrandbits(8))
        if chance(0.05):
            e[r.choice(BYTES + WORDS + ("a", "b", "length", "r1"))] = word()
        lane = r.randrange(len(self.rings))
        self.rings[lane].submit(**{k: v & ((1 << 64) - 1 if k not in BYTES + WORDS else
                               0xFF if k in BYTES else 0xFFFFFFFF)
                       for k, v in e.items()})
        self.outstanding[lane] += 1
        if self.outstanding[lane] == 200 or chance(0.2):
            self.finish()

    def finish(self):
        """Every operation is answered, with a status that there is."""
        for lane, n in enumerate(self.outstanding):
            for _ in range(n):
                status = self.rings[lane].reap(30)[1]
                assert OK <= status <= ETIMEDOUT, status
                assert status != ESHUTDOWN
            self.outstanding[lane] = 0

    # Frames.

    def lease_or_release(self):
        if self.extents and chance(0.4):
            self.release(*self.extents.pop(r.randrange(len(self.extents))))
            return
        status, span = self.lease(r.choice([1, UNIT, 2 * UNIT, word()]))
        if status == OK:
            self.extents.append(span)

    def make_tensor(self, size):
        status, p = self.call(TENSOR_CREATE, struct.pack("<QQ", 0, size))
        if status == OK:
            self.tensors.append(struct.unpack("<QQ", p)[0])
        return status == OK

    def use_tensors(self):
        if chance(0.6):
            self.make_tensor(r.choice([1, 64, 4096, 60000, word()]))
        if len(self.tensors) > 10 or chance(0.3):
            handle = self.handle()
            self.call(TENSOR_DESTROY, struct.pack("<QQ", handle, 0))
            if handle in self.tensors and chance(0.8):
                self.tensors.remove(handle)
        self.call(TENSOR_LIST, struct.pack("<QQ", self.handle(), 0))

    def load_model(self):
        header, size = model_file()
        if not self.extents or not self.make_tensor(max(
                size + r.choice([0] * 9 + [-4, 1]), 1)):
            return
        off, room = r.choice(self.extents)
        if len(header) <= room:
            self.write(off, header)
        status, p = self.call(MODEL_LOAD, struct.pack(
            "<64sQQQQ", r.choice(NAMES[:4]),
            off if chance(0.95) else r.choice([0, 8, 1 << 46, off + room - 8]),
            len(header) if chance(0.95) else word(), self.tensors[-1], 0))
        if status == OK:
            self.tensors.pop()
            handle, _, inputs, outputs = struct.unpack_from("<QQII", p, 64)
            Client.models.append((handle, inputs, outputs))
            del Client.models[:-6]

    def ask(self):
        t = r.choice([INFO, HEALTH, STATS, MODEL_LIST, FAILURE, CANCEL,
                      MODEL_OPEN, MODEL_UNLOAD, MODEL_UNLOAD, LANES])
        p = b""
        if t in (FAILURE, CANCEL):
            p = struct.pack("<Q", r.getrandbits(8))
        elif t in (MODEL_OPEN, MODEL_UNLOAD):
            p = struct.pack("<64s40x", r.choice(NAMES))
        elif t == LANES:
            p = struct.pack("<Q32x", r.choice([0, 1, 9, 0xFFFFFFFF]))
        self.call(t, p)

    def misbehave(self):
        """Ends the session, one way or another."""
        if self.has_lane and chance(0.3):
            at = r.choice(self.rings).lane_at(8 * r.randrange(1 << 13))
            self.map[at:at + 8] = struct.pack("<Q", word())
            self.send(WAKE, seq=0)
        elif chance(0.5):
            self.send(r.randrange(24),
                      os.urandom(r.choice([0, 8, 40, 104, 384])))
        raise Closed

    def act(self):
        x = r.random()
        if x < 0.1:
            self.lease_or_release()
        elif x < 0.2:
            self.use_tensors()
        elif x < 0.3:
            self.load_model()
        elif x < 0.35:
            self.ask()
        elif x < 0.36:
            self.misbehave()
        elif self.has_lane:
            self.submit_something()


def layer(i, width, header, at):
    """A layer and, in the header, its tensor; (layer, its width, end)."""
    kind = r.choice(["linear", "linear", "act", "layernorm", "add"])
    if i == 0 or kind == "linear":
        rows = r.choice([1, 2, 10, 64, 130])
        kind, elem = r.choice([("F32", 4), ("F16", 2), ("BF16", 2)])
        end = at + rows * width * elem
        header["w%d" % i] = {"dtype": kind, "shape": [rows, width],
                             "data_offsets": [at, end]}
        return {"type": "linear", "weight": "w%d" % i}, rows, end
    if kind == "layernorm":
        return {"type": kind, "eps": r.choice([1e-5, 0, 1e300])}, width, at
    if kind == "add":
        return {"type": kind, "from": "input"}, width, at
    return {"type": r.choice(ACTIVATIONS)}, width, at


def model_file():
    """A model file's header, every other one spoilt, and its data's size."""
    header, layers, width, end = {}, [], r.choice([1, 3, 8, 64, 200]), 0
    for i in range(r.choice([1, 1, 2, 3, 8])):
        one, width, end = layer(i, width, header, end)
        layers.append(one)
    header["__metadata__"] = {"penstock.layers": json.dumps(layers)}
    text = bytearray(json.dumps(header).encode())
    if chance(0.4):
        for _ in range(r.choice([1, 1, 2, 5])):
            at = r.randrange(len(text))
            text[at:at + r.randrange(2)] = bytes(
                [r.choice(b'0123456789-.[]{},:" \\') if chance(0.7) else
                 r.randrange(256)])[:r.randrange(2)]
    n = len(text) if chance(0.97) else word()
    return struct.pack("<Q", n) + bytes(text), end


def hostile_clients_harm_nobody(start):
    print("# PST_SEED=%d" % seed)
    a = start("--backend", "cpu", "--threads", "1")
    if not a.has_gemm:
        raise Skip("built without a CBLAS")
    good = Conn(a).open()
    off, size = good.lease(UNIT)[1]
    good.submit(0, FILL, dtype=F64, a=off, length=size, alpha=seed)
    assert good.reap()[1] == OK
    clients = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        while len(clients) < 4:
            try:
                clients.append(Client(a))
            except (Closed, AssertionError):
                # The one before is still being looked after.
                time.sleep(0.01)
        c = r.choice(clients)
        try:
            c.act()
        except (Closed, BrokenPipeError, ConnectionResetError):
            clients.remove(c)
            c.close()
        except AssertionError as e:
            # It went too far, and was told so.
            frame = e.args[0] if e.args else None
            if not isinstance(frame, tuple) or frame[0] != ERROR:
                raise
            clients.remove(c)
            c.close()
        assert a.proc.poll() is None
    for c in clients:
        c.close()
    assert good.read(off, size) == struct.pack("<Q", seed) * (size // 8)
    good.submit(1, CHECKSUM, a=off, length=size)
    assert good.reap(30)[1] == OK
    good.release(off, size)
    deadline = time.monotonic() + 60
    keys = ("tensors", "leased_bytes", "quarantined_bytes",
            "tensor_quarantined_bytes")
    while any(good.query(STATS)[k] for k in keys):
        assert time.monotonic() < deadline, good.query(STATS)
        time.sleep(0.01)
    stats = good.query(STATS)
    assert stats["models_loaded"] > 0 and stats["broken"] > 0, stats
    assert good.query(HEALTH)["healthy"]
    assert a.stop() == 0


run(1)
