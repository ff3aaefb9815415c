# SPDX-License-Identifier: MIT
"""An agent that runs ONNX models: loads, calls, and what goes wrong.

PENSTOCK_ORT names ONNX Runtime's library; without it the loader looks for one.
"""
import os
import shutil
import signal
import struct
import subprocess
import threading
import time

from onnxlib import ANY, DESCRIBE, F32, FILL_FILE, I64, IN_PLACE, \
    LOAD_FILES, Model, PROGRAM, Refused, STAGE, Session, TOO_SMALL, UNSTAGE, add_one, \
    endless, helper, model, nonzero, np, numpy_helper, onnx, skip
from runner_client import Runner, RunnerError
from agentlib import Closed, ECANCELED, EBUSY, EBOUNDS, EINVAL, EIO, ELIMIT, \
    ENOENT, ENOSPC, ENOTSUP, INFO, MIB, NOP, OK, Skip, eventually, run


def f4(*values):
    return np.array(values, dtype="f4")


def a_model_is_loaded_described_run_and_unloaded(start):
    s = Session(start())
    m = s.load("add", add_one())
    assert m.name == "add" and m.format == 1 and m.state == 0, vars(m)
    assert m.inputs == [("x", F32, [-1], [1])], m.inputs
    assert m.outputs == [("y", F32, [-1], [1])], m.outputs
    assert "ONNX Runtime" in m.runtime and m.second_ns > 0
    for n in (1, 5, 4096, 10000):
        x = np.arange(n, dtype="f4")
        y, = s.run(m, {0: x})
        assert (y == x + 1).all() and y.shape == (n,)
        assert s.compute_ns > 0
    # Floats of a known shape are made where they belong.
    assert s.answers[0][3] == IN_PLACE, s.answers
    again = s.describe("add")
    assert again.n_runs == 4 and again.handle == m.handle
    s.unload("add")
    try:
        s.run(m, {0: f4(1)})
        raise AssertionError("an unloaded model was run")
    except Refused as e:
        assert e.status == ENOENT, e


def refused(status, words, f, *args, **kw):
    try:
        f(*args, **kw)
    except Refused as e:
        assert e.status == status, (status, e)
        for w in words:
            assert w in e.sentence, (w, e.sentence)
        return e
    raise AssertionError("it was not refused")


def gather():
    """Rows of a table of 4096 floats by integers of any number."""
    table = numpy_helper.from_array(np.arange(4096, dtype="f4"), "table")
    return model([helper.make_node("Gather", ["table", "ids"], ["y"])],
                 [("ids", I64, ["n"])], [("y", F32, ["n"])], [table])


def bomb():
    """As many zeros as its input says."""
    return model([helper.make_node("ConstantOfShape", ["n"], ["y"])],
                 [("n", I64, [1])], [("y", F32, ["k"])])


def with_weights(name):
    """Adds 1, which lies in another file."""
    w = onnx.TensorProto(name="one", data_type=F32, dims=[1],
                         data_location=onnx.TensorProto.EXTERNAL)
    for k, v in (("location", name), ("offset", "0"), ("length", "4")):
        w.external_data.add(key=k, value=v)
    return model([helper.make_node("Add", ["x", "one"], ["y"])],
                 [("x", F32, ["n"])], [("y", F32, ["n"])], [w])


def runner_of(agent):
    """The pid of the agent's runner."""
    with open("/proc/%d/task/%d/children" % (agent.proc.pid,
                                             agent.proc.pid)) as f:
        pids = [int(p) for p in f.read().split()]
    return pids[0] if pids else None


def each_wrong_call_is_refused_and_named(start):
    s = Session(start())
    m = s.load("add", add_one())

    def wrong(change, status, *words, outputs=((0, F32, 64),)):
        at, size, _ = s.block({0: f4(1, 2)}, list(outputs))
        block = bytearray(s.read(at, size))
        length = change(block) or size
        s.write(at, bytes(block))
        s.submit(7, 8, a=at, b=m.handle, length=length)
        assert s.reap()[1] == status, words
        _, p = s.call(13, struct.pack("<Q", 7))
        for w in words:
            assert w.encode() in p, (w, p)

    def put(off, fmt, value):
        return lambda b: struct.pack_into(fmt, b, off, value)

    wrong(put(0, "<I", 2), EINVAL, "call block")
    wrong(put(0, "<I", 65), EINVAL, "call block")
    wrong(lambda b: 128, EINVAL, "call block")
    wrong(lambda b: 1 << 40, EINVAL, "call block")
    wrong(put(16, "<Q", 1), EINVAL, "reserved")
    wrong(put(64, "<H", 1), EINVAL, "no input 1")
    wrong(put(66, "<B", 7), EINVAL, "bytes")
    wrong(put(67, "<B", 0), EINVAL)
    wrong(put(72, "<Q", 0), EBOUNDS, "input 0", "outside")
    wrong(put(72, "<Q", s.base + 1), EINVAL, "64")
    wrong(put(80, "<Q", 12), EINVAL, "12 bytes")
    wrong(put(96, "<Q", 1 << 62), EINVAL)
    wrong(put(192 + 8, "<Q", s.base), EINVAL, "call block")
    wrong(put(192 + 8, "<Q", s.base + s.size), EBOUNDS, "output 0")
    wrong(put(192 + 16, "<Q", 1 << 60), EBOUNDS, "output 0")
    wrong(lambda b: None, EINVAL, "twice",
          outputs=((0, F32, 64), (0, F32, 64)))
    s.submit(8, 8, a=s.base, b=m.handle + 1, length=64)
    assert s.reap()[1] == ENOENT
    s.submit(8, 8, a=s.base, b=m.handle, length=64, m=1)
    assert s.reap()[1] == EINVAL
    s.submit(8, 8, a=s.base + s.size, b=m.handle, length=64)
    assert s.reap()[1] == EBOUNDS
    y, = s.run(m, {0: f4(1, 2)})
    assert (y == f4(2, 3)).all()


def an_output_that_is_too_small_says_what_it_needs(start):
    s = Session(start())
    m = s.load("nonzero", nonzero())
    x = np.zeros(100, "f4")
    x[::10] = 1
    refused(ELIMIT, ["room"], s.run, m, {0: x}, room=64)
    w = s.answers[0]
    assert w[3] & TOO_SMALL and w[6] == 80 and w[7:9] == (1, 10), w
    y, = s.run(m, {0: x}, room=80)
    assert (y == np.arange(0, 100, 10)).all() and y.shape == (1, 10)


def a_killed_runner_loses_its_call_only_and_comes_back(start):
    a = start()
    s = Session(a)
    other = Session(a)
    m = s.load("loop", endless())
    add = s.load("add", add_one())
    at, size, _ = s.block({0: np.array(1 << 62), 1: f4(1)}, [(0, F32, 64)])
    s.submit(1, 8, a=at, b=m.handle, length=size)
    eventually(lambda: a.proc.poll() is None and runner_of(a))
    time.sleep(0.05)
    os.kill(runner_of(a), signal.SIGKILL)
    assert s.reap()[1] == EIO
    _, p = s.call(13, struct.pack("<Q", 1))
    assert b"signal 9" in p, p
    other.submit(5, NOP)
    assert other.reap()[:2] == (5, OK)
    # Nobody loads it again but the agent.
    y, = s.run(add, {0: f4(1, 2)})
    assert (y == f4(2, 3)).all()
    assert s.describe("add").handle == add.handle


def a_deadline_and_a_cancel_end_an_endless_call(start):
    a = start()
    s = Session(a)
    m = s.load("loop", endless())
    forever = {0: np.array(1 << 62), 1: f4(1)}
    refused(ECANCELED, ["deadline"], s.run, m, forever,
            deadline_ns=20_000_000)
    at, size, _ = s.block(forever, [(0, F32, 64)])
    s.submit(9, 8, a=at, b=m.handle, length=size)
    time.sleep(0.02)
    assert s.call(9, struct.pack("<Q", 9))[0] == OK
    assert s.reap()[:2] == (9, ECANCELED)
    # Two rounds of doubling.
    y, = s.run(m, {0: np.array(2), 1: f4(1)})
    assert y == 4


def four_a_row():
    """Takes no shape but those whose size is a multiple of 4."""
    shape = numpy_helper.from_array(np.array([-1, 4]), "shape")
    return model([helper.make_node("Reshape", ["x", "shape"], ["y"])],
                 [("x", F32, ["n"])], [("y", F32, ["m", 4])], [shape])


def a_model_that_is_loaded_again_is_tried_with_what_was_run(start):
    a = start()
    s = Session(a)
    m = s.load("four", four_a_row())
    # Its first run had one element, and failed.
    assert m.first_ns == 0, m.first_ns
    y, = s.run(m, {0: np.arange(8, dtype="f4")})
    assert y.shape == (2, 4)
    pid = runner_of(a)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: runner_of(a) not in (pid, None) and
               s.describe("four").state == 0 and
               s.describe("four").first_ns > 0)


def a_runner_that_ignores_a_deadline_is_replaced(start):
    a = start("--runner-drain", "100ms")
    s = Session(a)
    m, add = s.load("loop", endless()), s.load("add", add_one())
    pid = runner_of(a)
    # As one whose card hangs: it does nothing that it is told.
    os.kill(pid, signal.SIGSTOP)
    begin = time.monotonic()
    refused(EIO, ["did not end a call that was cancelled"], s.run, m,
            {0: np.array(1 << 62), 1: f4(1)}, deadline_ns=20_000_000)
    print("# %.0f ms after the deadline the call has ended, with 100 to drain" %
          ((time.monotonic() - begin) * 1e3 - 20))
    y, = s.run(add, {0: f4(1, 2)})
    assert (y == f4(2, 3)).all() and runner_of(a) != pid
    assert s.describe("add").handle == add.handle


def what_a_dead_client_was_bringing_leaves_nothing(start):
    a = start("--max-model-bytes", "8M")
    s = Session(a)
    for _ in range(8):
        s.stage(bytes(1 << 20))
    other = Session(a, 4 * MIB)
    refused(ENOSPC, ["max-model-bytes"], other.stage, b"1")
    s.close()
    eventually(lambda: other.call(STAGE, struct.pack("<QQ", 0, 8 << 20))[0]
               == OK)
    refused(ELIMIT, ["max-model-bytes"], other.ask, STAGE,
            struct.pack("<QQ", 0, 1 << 40))


def a_file_is_filled_within_its_bounds_only(start):
    s = Session(start())
    h = s.stage(bytes(1000))
    refused(EINVAL, ["1001 bytes"], s.ask, FILL_FILE,
            struct.pack("<QQQQ", h, 0, s.base, 1001))
    refused(EINVAL, [], s.ask, FILL_FILE,
            struct.pack("<QQQQ", h, 1000, s.base, 1))
    refused(EBOUNDS, ["outside"], s.ask, FILL_FILE,
            struct.pack("<QQQQ", h, 0, s.base + s.size, 1))
    refused(ENOENT, [], s.ask, FILL_FILE,
            struct.pack("<QQQQ", h + 1, 0, s.base, 1))
    s.ask(UNSTAGE, struct.pack("<QQ", h, 0))
    refused(ENOENT, [], s.ask, UNSTAGE, struct.pack("<QQ", h, 0))
    refused(EINVAL, [], s.ask, STAGE, struct.pack("<QQ", 0, 0))


def a_model_that_cannot_be_loaded_says_why(start):
    a = start("--max-models", "1")
    s = Session(a)
    refused(EINVAL, [], s.load, "bad", b"no model at all")
    refused(EINVAL, ["weights.bin"], s.load, "far",
            with_weights("weights.bin"))
    refused(EINVAL, ["passwd"], s.load, "passwd",
            with_weights("/etc/passwd"))
    refused(EINVAL, ["name"], s.load, "../x", add_one())
    refused(ENOTSUP, ["CUDA cannot be had"], s.load, "gpu", add_one(), provider=2)
    refused(ENOENT, ["handle"], s.ask, LOAD_FILES, s.files("m", {"": 77}))
    refused(ENOENT, ["no model"], s.describe, "bad")
    m = s.load("add", add_one())
    refused(EBUSY, ["add"], s.load, "add", add_one())
    refused(ENOSPC, ["max-models"], s.load, "two", add_one())
    y, = s.run(m, {0: f4(1)})
    assert y == 2


def weights_may_lie_in_a_file_of_their_own(start):
    s = Session(start())
    try:
        m = s.load("far", with_weights("weights.bin"),
                   {"weights.bin": struct.pack("<f", 5)})
    except Refused as e:
        assert "1.18" in e.sentence, e
        return
    y, = s.run(m, {0: f4(1)})
    assert y == 6


def integers_that_change_during_a_run_hurt_nobody(start):
    a = start()
    s = Session(a)
    m = s.load("gather", gather())
    ids = np.zeros(200000, "i8")
    at, size, _ = s.block({0: ids}, [(0, F32, 800000)])
    first = struct.unpack("<Q", s.read(at + 64 + 8, 8))[0]
    pid = runner_of(a)
    stop = []

    def flip():
        evil = np.full(4096, 1 << 40, "i8").tobytes()
        good = bytes(len(evil))
        while not stop:
            for data in (evil, good):
                s.write(first + 8 * 100000, data)

    t = threading.Thread(target=flip)
    t.start()
    try:
        for i in range(60):
            s.submit(i, 8, a=at, b=m.handle, length=size)
            assert s.reap()[1] in (OK, EINVAL, EIO)
    finally:
        stop.append(1)
        t.join()
    assert runner_of(a) == pid, a.output()
    # What a library prints when it reads models is not in the agent's log.
    assert a.output().count("\n") < 20, a.output()


def a_bomb_is_a_status(start):
    a = start("--max-model-memory", "1G")
    s = Session(a)
    m = s.load("bomb", bomb())
    pid = runner_of(a)
    for n in (1 << 40, 1 << 31, 1 << 62):
        try:
            s.run(m, {0: np.array([n])})
            raise AssertionError("%d zeros were made" % n)
        except Refused as e:
            assert e.status in (EIO, EINVAL, ELIMIT), e
    y, = s.run(m, {0: np.array([3])})
    assert (y == 0).all() and y.shape == (3,) and runner_of(a) == pid


def a_model_of_layers_answers_by_the_same_operation(start):
    a = start("--backend", "cpu")
    if not a.has_gemm:
        raise Skip("built without a CBLAS")
    data = os.path.join(os.environ.get("PST_TOP_SRCDIR", "."), "tests/data")
    subprocess.run([os.path.join(os.environ["PST_TOP_BUILDDIR"],
                                 "host-client/penstock"), "model", "load",
                    "-e", "unix://%s?region=%s" % (a.sock, a.region), "digits",
                    data + "/digits.safetensors"], check=True,
                   stdout=subprocess.DEVNULL)
    x, want = (np.load("%s/digits-%s.npy" % (data, k)) for k in "xy")
    s = Session(a)
    m = s.describe("digits")
    assert m.format == 0 and m.inputs == [("input", F32, [-1, x.shape[1]],
                                           [1, 0])], m.inputs
    y, = s.run(m, {0: x}, room=want.nbytes)
    assert y.shape == want.shape and np.allclose(y, want, atol=1e-4)
    refused(ELIMIT, ["room"], s.run, m, {0: x}, room=y.nbytes - 1)
    assert s.answers[0][6] == y.nbytes, s.answers
    y, = s.run(m, {0: x[:0]})
    assert y.shape == (0, want.shape[1])
    y, = s.run(m, {0: x[:1]})
    assert np.allclose(y, want[:1], atol=1e-4)


def models_dir_is_loaded_and_what_is_broken_stops_nobody(start):
    d = "/dev/shm/pst-models-%d" % os.getpid()
    os.makedirs(d + "/far")
    try:
        for name, data in (("add.onnx", add_one()), ("broken.onnx", b"x" * 99),
                           ("empty.onnx", b""), ("notes.txt", b"no"),
                           ("far/model.onnx", with_weights("w.bin")),
                           ("far/w.bin", struct.pack("<f", 9))):
            with open(os.path.join(d, name), "wb") as f:
                f.write(data)
        os.symlink("add.onnx", d + "/link.onnx")
        os.mkfifo(d + "/pipe.onnx")
        a = start("--models-dir", d)
        s = Session(a)

        def there():
            try:
                return s.describe("add")
            except Refused:
                return None
        eventually(there)
        y, = s.run(there(), {0: f4(1)})
        assert y == 2
        eventually(lambda: "broken is not loaded" in a.output())
        for name in ("empty.onnx", "link.onnx", "pipe.onnx"):
            assert name + " of models_dir is not loaded" in a.output(), \
                a.output()
        refused(ENOENT, [], s.describe, "link")
    finally:
        shutil.rmtree(d)


def a_model_is_installed_where_that_is_allowed(start):
    d = "/dev/shm/pst-install-%d" % os.getpid()
    os.mkdir(d)
    try:
        a = start("--models-dir", d)
        s = Session(a)
        refused(ENOTSUP, ["allow-install"], s.load, "add", add_one(), flags=1)
        a.stop()
        a = start("--models-dir", d, "--allow-install", "yes")
        s = Session(a)
        s.load("kept", add_one(), flags=1)
        # Again under its name, once that is free.
        refused(EBUSY, ["kept"], s.load, "kept", add_one(), flags=1)
        s.unload("kept")
        far = {"w.bin": struct.pack("<f", 7)}
        try:
            s.load("kept", with_weights("w.bin"), far, flags=1)
            want = 8
        except Refused as e:
            assert "1.18" in e.sentence, e
            s.load("kept", add_one(), flags=1)
            want = 2
        refused(EINVAL, [], s.load, "bad", b"no model", flags=1)
        assert os.listdir(d) == ["kept"], os.listdir(d)
        assert not os.stat(d + "/kept/model.onnx").st_mode & 0o137
        a.stop()
        s = Session(start("--models-dir", d))

        def there():
            try:
                return s.describe("kept")
            except Refused:
                return None
        eventually(there)
        y, = s.run(there(), {0: f4(1)})
        assert y == want, y
    finally:
        shutil.rmtree(d)


def each_model_may_have_a_runner_of_its_own(start):
    a = start("--runner-per", "model")
    s = Session(a)

    def n():
        with open("/proc/%d/task/%d/children" % (a.proc.pid,
                                                 a.proc.pid)) as f:
            return len(f.read().split())
    add, loop = s.load("add", add_one()), s.load("loop", endless())
    assert n() == 2
    # One computes on for ever, the other answers meanwhile.
    at, size, _ = s.block({0: np.array(1 << 62), 1: f4(1)}, [(0, F32, 64)])
    s.submit(1, 8, a=at, b=loop.handle, length=size)
    other = Session(a, 4 * MIB)
    y, = other.run(add, {0: f4(1)})
    assert y == 2
    s.call(9, struct.pack("<Q", 1))
    assert s.reap()[1] == ECANCELED
    s.unload("add")
    eventually(lambda: n() == 1)


def a_client_that_ends_takes_its_load_and_call_along(start):
    a = start()
    s, other = Session(a), Session(a)
    m = other.load("loop", endless())
    at, size, _ = s.block({0: np.array(1 << 62), 1: f4(1)}, [(0, F32, 64)])
    s.submit(1, 8, a=at, b=m.handle, length=size)
    time.sleep(0.02)
    s.close()
    y, = other.run(m, {0: np.array(1), 1: f4(3)})
    assert y == 6
    third = Session(a, 4 * MIB)
    h = third.stage(add_one())
    third.send(LOAD_FILES, third.files("lost", {"": h}))
    third.close()

    def is_free():
        try:
            return other.load("lost", add_one())
        except Refused as e:
            # It was ready before its client was gone, and stays.
            assert e.status == EBUSY, e
            other.unload("lost")
            return None
    eventually(is_free)


if __name__ == "__main__":
    library = os.environ.get("PENSTOCK_ORT", "")
    try:
        Runner(PROGRAM, library).close()
    except RunnerError as why:
        # One that was named has to be there.
        if library:
            raise
        skip(why)
    run(18)
