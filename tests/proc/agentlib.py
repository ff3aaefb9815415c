# SPDX-License-Identifier: MIT
"""The protocol's client end once more, by hand, to test the agent with."""
import inspect
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid

MIB = 1 << 20
UNIT = 2 * MIB
PREAMBLE = 2 * MIB
LANE0 = 64 << 10
LANE_STRIDE = 64 << 10
SLOTS = 256
MAGIC = 0x4B545350

CHALLENGE, HELLO, PING, INFO, HEALTH, STATS, LEASE, RELEASE, CANCEL, WAKE, \
    BYE, ERROR = range(1, 13)
LANES = 21
REPLY = 0x8000
NOP, GEMM, FILL, CHECKSUM = range(1, 5)
OK, EINVAL, EBOUNDS, ELIMIT, ENOSPC, EBUSY, ENOTSUP, EVERSION, EAUTH, EPROTO, \
    ECANCELED, EIO, ENOENT, ENOMEM, ESHUTDOWN, ETIMEDOUT = range(16)
F32, F64 = 1, 2
CONTROL_ONLY = 1
FEATURE_LANES = 1
FEATURE_RUN = 2
SESSION_LANES = 8

FRAME = struct.Struct("<IHHIIIIQ")
SQE = struct.Struct("<QQ8B8IQ8Q")
CQE = struct.Struct("<QQIIQQQ")
assert FRAME.size == 32 and SQE.size == 128 and CQE.size == 48
# Limits on what must not hang; they say nothing of how fast it is.
HANG_S = 20


class Closed(Exception):
    """The agent closed the connection."""


def create_region(path, size):
    """A stamped region file; what `penstock host region create` makes."""
    stamp = struct.pack("<QII16sQ24x", 0x314E474552545350, 1, 0,
                        uuid.uuid4().bytes, size)
    with open(path, "wb") as f:
        os.fchmod(f.fileno(), 0o660)
        f.truncate(size)
        f.seek(PREAMBLE)
        f.write(stamp)


class Skip(Exception):
    """This build cannot do what is tested."""


class Agent:
    """A running penstock-agent on a region file and a unix socket."""

    def __init__(self, directory, *args, size=64 * MIB, region=None,
                 wait=True):
        self.dir = directory
        self.region = region or os.path.join(directory, "region")
        self.sock = os.path.join(directory, "sock")
        if not os.path.exists(self.region):
            create_region(self.region, size)
        self.log = tempfile.TemporaryFile(mode="w+")
        program = os.path.join(os.environ.get("PST_TOP_BUILDDIR", "build"),
                               "guest-agent", "penstock-agent")
        self.proc = subprocess.Popen(
            [program, "--config", os.devnull,
             "--region", "file:" + self.region, "--listen",
             "unix:" + self.sock, *args],
            stderr=self.log, stdin=subprocess.DEVNULL)
        if wait:
            self.wait_up()

    def wait_up(self):
        deadline = time.monotonic() + HANG_S
        while time.monotonic() < deadline:
            if self.proc.poll() is not None:
                raise RuntimeError("agent ended: " + self.output())
            try:
                c = Conn(self).open(flags=CONTROL_ONLY)
                self.has_gemm = any(o["op"] == "GEMM"
                                    for o in c.query(INFO)["ops"])
                # Once BYE is answered nothing is left of the session.
                c.call(BYE)
                c.close()
                return
            except (ConnectionRefusedError, FileNotFoundError, Closed):
                # Closed: the kernel takes a killed agent's io_uring apart in
                # the background, and its listener lives until then.
                time.sleep(0.01)
        raise RuntimeError("agent does not come up: " + self.output())

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        """SIGTERM; returns the exit status."""
        if self.proc.poll() is None:
            self.proc.terminate()
        try:
            return self.proc.wait(15)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            return None

    def kill(self):
        self.proc.kill()
        self.proc.wait()


class Rings:
    """A lane's two rings, and the arena. Has map, agent, send, lane, sq_tail
    and cq_head."""

    def lane_at(self, off):
        return PREAMBLE + LANE0 + self.lane * LANE_STRIDE + off

    def submit(self, tag=0, op=NOP, order=0, trans=0, flags=0, dtype=0,
               dtype_c=0, compute=0, epilogue=0, m=0, n=0, k=0, batch=0,
               lda=0, ldb=0, ldc=0, r0=0, a=0, b=0, c=0, bias=0, alpha=0,
               beta=0, length=0, r1=0, r2=0, wake=True):
        e = SQE.pack(0, tag, op, order, trans, flags, dtype, dtype_c, compute,
                     epilogue, m, n, k, batch, lda, ldb, ldc, r0, a, b, c,
                     bias, alpha, beta, length, r1, r2)
        at = self.lane_at(256 + 128 * (self.sq_tail % SLOTS))
        self.map[at + 8:at + 128] = e[8:]
        self.sq_tail += 1
        self.map[at:at + 8] = struct.pack("<Q", self.sq_tail)
        if wake:
            self.send(WAKE, seq=0)

    def gemm(self, tag, a, b, c, n, dtype=F32, beta=0.0, m=None, k=None):
        if not self.agent.has_gemm:
            raise Skip("built without a CBLAS")
        m = n if m is None else m
        k = n if k is None else k
        bits = lambda v: struct.unpack("<Q", struct.pack("<d", v))[0]
        self.submit(tag, GEMM, dtype=dtype, dtype_c=dtype, m=m, n=n, k=k,
                    batch=1, lda=max(k, 1), ldb=max(n, 1), ldc=max(n, 1), a=a,
                    b=b, c=c, alpha=bits(1.0), beta=bits(beta))

    def reap(self, timeout=HANG_S):
        """Returns (tag, status, compute_ns, queue_ns, result)."""
        at = self.lane_at(33024 + 64 * (self.cq_head % SLOTS))
        deadline = time.monotonic() + timeout
        while struct.unpack_from("<Q", self.map, at)[0] != self.cq_head + 1:
            if time.monotonic() > deadline:
                raise TimeoutError("no completion")
            time.sleep(0.0005)
        _, tag, status, flags, compute, queue, result = CQE.unpack_from(
            self.map, at)
        assert flags == 0
        self.cq_head += 1
        head = self.lane_at(0)
        self.map[head:head + 8] = struct.pack("<Q", self.cq_head)
        return tag, status, compute, queue, result

    def read(self, off, size):
        return bytes(self.map[PREAMBLE + off:PREAMBLE + off + size])

    def write(self, off, data):
        self.map[PREAMBLE + off:PREAMBLE + off + len(data)] = data


class Lane(Rings):
    """One more lane of a session."""

    def __init__(self, conn, lane):
        self.map, self.agent, self.send = conn.map, conn.agent, conn.send
        self.lane, self.sq_tail, self.cq_head = lane, 0, 0


class Conn(Rings):
    """A connection: raw frames, the steps of a session, and its first lane."""

    def __init__(self, agent, challenge=True):
        self.agent = agent
        self.buf = b""
        self.seq = 0
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # A full queue is waited for, which a time limit would prevent.
            self.s.connect(agent.sock)
        except OSError:
            self.s.close()
            raise
        self.s.settimeout(HANG_S)
        with open(agent.region, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 0)
        if challenge:
            t, _, status, p = self.recv()
            if t != CHALLENGE:
                raise AssertionError("no CHALLENGE: %d %d %r" % (t, status, p))
            (self.epoch, self.slot, self.vmin, self.vmax,
             self.has_fd) = struct.unpack("<QIIII", p)

    def close(self):
        self.s.close()
        self.map.close()

    def send(self, t, payload=b"", seq=None, version=1, length=None,
             magic=MAGIC, status=0):
        if seq is None:
            self.seq += 1
            seq = self.seq
        if length is None:
            length = len(payload)
        self.s.sendall(FRAME.pack(magic, version, t, length, seq, status, 0,
                                  0) + payload)
        return seq

    def recv(self, timeout=HANG_S):
        """Returns (type, seq, status, payload)."""
        self.s.settimeout(timeout)
        while True:
            if len(self.buf) >= 32:
                m, v, t, n, seq, status, r0, r1 = FRAME.unpack(self.buf[:32])
                assert m == MAGIC and v == 1 and r0 == 0 and r1 == 0
                if len(self.buf) >= 32 + n:
                    p = self.buf[32:32 + n]
                    self.buf = self.buf[32 + n:]
                    return t, seq, status, p
            try:
                data = self.s.recv(1 << 16)
            except ConnectionResetError:
                raise Closed from None
            if not data:
                raise Closed
            self.buf += data

    def call(self, t, payload=b"", timeout=HANG_S):
        """Returns (status, payload) of the reply; WAKEs are skipped."""
        seq = self.send(t, payload)
        while True:
            rt, rseq, status, p = self.recv(timeout)
            if rt == WAKE:
                continue
            assert rt == t | REPLY and rseq == seq, (rt, rseq, status, p)
            return status, p

    def nonce(self):
        at = PREAMBLE + 1024 + 64 * self.slot
        return bytes(self.map[at:at + 16])

    def hello_payload(self, version=1, epoch=None, slot=None, nonce=None,
                      flags=0, pid=None, name=b"test", features=0):
        return struct.pack(
            "<IIQII16sII32s", version, features,
            self.epoch if epoch is None else epoch,
            self.slot if slot is None else slot, flags,
            self.nonce() if nonce is None else nonce,
            os.getpid() if pid is None else pid, 0, name)

    def hello(self, **kw):
        """Says HELLO; returns (status, payload)."""
        status, p = self.call(HELLO, self.hello_payload(**kw))
        if status == OK:
            self.session, self.lane = struct.unpack_from("<QI", p, 16)
            self.sq_tail = 0
            self.cq_head = 0
        return status, p

    def open(self, **kw):
        status, p = self.hello(**kw)
        assert status == OK, p
        return self

    def lanes(self, n):
        """Asks for n lanes in all; returns the numbers of those it holds."""
        status, p = self.call(LANES, struct.pack("<II32x", n, 0))
        if status != OK:
            return status, p
        n, r0, *lane = struct.unpack("<II8I", p)
        assert r0 == 0 and not any(lane[n:])
        assert lane[0] == self.lane and len(set(lane[:n])) == n, lane
        return status, lane[:n]

    def lease(self, size, timeout=HANG_S):
        status, p = self.call(LEASE, struct.pack("<QQ", 0, size), timeout)
        if status != OK:
            return status, p
        return status, struct.unpack("<QQ", p)

    def release(self, off, size):
        return self.call(RELEASE, struct.pack("<QQ", off, size))

    def query(self, t):
        import json
        status, p = self.call(t)
        assert status == OK, p
        return json.loads(p)


def expect_error(conn, status=None, words=(), timeout=HANG_S):
    """The next frame that is not WAKE is an ERROR, then the end."""
    while True:
        t, _, st, p = conn.recv(timeout)
        if t != WAKE:
            break
    assert t == ERROR, (t, st, p)
    assert status is None or st == status, (st, p)
    for w in words:
        assert w in p.decode(), (w, p)
    try:
        conn.recv()
    except Closed:
        return p.decode()
    raise AssertionError("the connection stays open after ERROR")


def eventually(what, timeout=HANG_S):
    """Waits for a predicate."""
    deadline = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < deadline, "does not happen"
        time.sleep(0.01)


def run(count):
    """Runs the program's tests, which are its functions with start as their
    only parameter, each in a directory of its own. Prints TAP-like lines and
    exits 0 or 1. count: how many there are, so that none gets lost unseen."""
    tests = [f for f in vars(sys.modules["__main__"]).values()
             if inspect.isfunction(f) and
             list(inspect.signature(f).parameters) == ["start"]]
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    only = sys.argv[1:]
    failed = 0
    if len(tests) != count:
        failed = 1
        print("not ok - %d tests where run() is told of %d" %
              (len(tests), count))
    for i, test in enumerate(tests, 1):
        name = test.__name__
        if only and name not in only:
            continue
        directory = tempfile.mkdtemp(prefix="pst-", dir=base)
        agents = []

        def start(*args, **kw):
            agents.append(Agent(directory, *args, **kw))
            return agents[-1]

        try:
            test(start)
            print("ok %d - %s" % (i, name.replace("_", " ")), flush=True)
        except Skip as e:
            print("ok %d - %s # SKIP %s" % (i, name.replace("_", " "), e))
        except Exception as e:  # pylint: disable=broad-except
            failed += 1
            import traceback
            traceback.print_exc()
            for a in agents:
                print("# agent: " + a.output().replace("\n", "\n# "))
            print("not ok %d - %s: %r" % (i, name.replace("_", " "), e),
                  flush=True)
        finally:
            for a in agents:
                if a.proc.poll() is None:
                    a.proc.send_signal(signal.SIGKILL)
                    a.proc.wait()
                a.log.close()
            shutil.rmtree(directory)
    print("1..%d" % len(tests))
    sys.exit(1 if failed else 0)
