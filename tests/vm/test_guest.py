# SPDX-License-Identifier: MIT
"""The main job and its failures, through one guest: ivshmem, AF_VSOCK."""
import ctypes
import errno
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zlib

import numpy

import pstlib
import vmlib
from pstlib import COL, DTYPES, F32, F64, ROW, S, Gemm
from vmlib import HANG_S, eventually

LIB = None
GUEST = None


def connect(name="test", **options):
    return pstlib.Connection(LIB, GUEST.endpoint.uri, name, **options)


def reconnect(name="test"):
    """Waits for a restarted agent."""
    def look():
        try:
            return connect(name)
        except pstlib.Error:
            return None
    return eventually(look, HANG_S, "the agent answers again")


# ---- The main job --------------------------------------------------------

def case_demo_verified():
    """the demo booted the guest and verified its product"""
    r = GUEST.result
    assert r["verified"] is True and r["vm"] is True, r
    assert r["provider"] == "ivshmem", r
    assert r["accel"] in ("kvm", "tcg"), r
    assert r["max_error"] < 1e-4, r


def case_provider():
    """the agent serves the ivshmem device, whose stamp the host wrote"""
    with connect() as c:
        info = c.info()
        assert info.provider == b"ivshmem", info.provider
        assert info.region_size == os.path.getsize(GUEST.endpoint.region)
        assert bool(info.emulated) == (GUEST.result["accel"] == "tcg")
        text = c.query(0)
        assert text["provider"] == "ivshmem", text
        assert text["kernel"] == GUEST.console.run("uname -r").strip()
        with open(GUEST.endpoint.region, "rb") as f:
            f.seek((2 << 20) + 16)
            assert f.read(16).hex() == \
                info.region_uuid.decode().replace("-", "")
    devices = GUEST.console.run("cat /sys/bus/pci/devices/*/device")
    assert "0x1110" in devices, devices


def case_ping():
    """ping answers, by the library and by the command"""
    with connect() as c:
        assert 0 < c.ping() < S
    out = vmlib.penstock("-e", GUEST.endpoint.uri, "ping", "--json")
    assert out.returncode == 0, out.stderr
    out = vmlib.penstock("-e", GUEST.endpoint.uri, "health")
    assert out.returncode == 0, out.stdout + out.stderr


def operand(rng, rows, cols, trans, order, pad, dtype):
    """op(X) of rows x cols, and X's padded storage and leading dimension."""
    r, c = (cols, rows) if trans else (rows, cols)
    lines, length = (r, c) if order == ROW else (c, r)
    ld = max(length, 1) + pad
    store = rng.standard_normal((max(lines, 1), ld)).astype(DTYPES[dtype])
    x = store[:lines, :length]
    if order == COL:
        x = x.T
    return (x.T if trans else x), store, ld


def check_gemm(c, shape, dtype, order, transa, transb, pad, alpha, beta):
    m, n, k = shape
    what = str((shape, dtype, order, transa, transb, pad, alpha, beta))
    rng = numpy.random.default_rng(zlib.crc32(what.encode()))
    a, sa, lda = operand(rng, m, k, transa, order, pad, dtype)
    b, sb, ldb = operand(rng, k, n, transb, order, pad, dtype)
    c0, sc, ldc = operand(rng, m, n, False, order, pad, dtype)
    if beta == 0:
        sc[...] = numpy.nan
    pa, pb, pc = c.put(sa), c.put(sb), c.put(sc)
    g = Gemm(dtype=dtype, order=order, transa=transa, transb=transb, m=m, n=n,
             k=k, lda=lda, ldb=ldb, ldc=ldc, alpha=alpha, beta=beta, a=pa,
             b=pb, c=pc)
    c.check(c.gemm(g))
    got = c.get(pc, sc.size, DTYPES[dtype]).reshape(sc.shape)
    want = alpha * (a.astype(float) @ b.astype(float))
    if beta:
        want = want + beta * c0.astype(float)
    lines, length = (m, n) if order == ROW else (n, m)
    result = got[:lines, :length]
    if order == COL:
        result = result.T
    eps = 1.2e-7 if dtype == F32 else 2.3e-16
    bound = 8 * eps * (k + 4) * (1 + abs(alpha) + abs(beta)) * 6
    assert numpy.abs(result - want).max() <= bound, what
    # What lies between the rows is not ours to touch.
    padding = numpy.ones(sc.shape, bool)
    padding[:lines, :length] = False
    assert got[padding].tobytes() == sc[padding].tobytes(), what
    for p in (pa, pb, pc):
        c.check(c.free(p))


def case_gemm():
    """GEMM is numpy's for square, skinny, one-element and k = 0 shapes,
    transposes, leading dimensions, both types and both orders"""
    shapes = [(1, 1, 1), (64, 64, 64), (127, 65, 33), (1, 300, 7),
              (300, 1, 7), (5, 3, 1000), (17, 19, 0), (1, 1, 257)]
    with connect() as c:
        for shape in shapes:
            for dtype in (F32, F64):
                for order in (ROW, COL):
                    for trans in range(4):
                        check_gemm(c, shape, dtype, order, trans & 1,
                                   trans >> 1, (0, 5)[trans in (1, 2)],
                                   (1.0, -2.5)[order], (0.0, 0.75)[trans & 1])


def use_tensors(c, penstock):
    rng = numpy.random.default_rng(11)
    a, b = rng.integers(-4, 5, (2, 64, 64)).astype("f4")
    big = rng.integers(0, 256, (5 << 20) + 3).astype("u1").view("i1")
    want = numpy.maximum(a @ b, 0)
    for _ in range(3):
        ta, out = c.tensor(a), c.tensor(shape=(64, 64), dtype="f4")
        c.gemm(ta, b, out, act="relu")
        assert (out.download() == want).all()
        assert (c.gemm(out, ta) == want @ a).all()
        t = c.tensor(big)
        assert (t.download() == big).all()
        t.upload(c.asarray(big))
        assert (t.download(c.empty(big.shape, "i1")) == big).all()
    assert c.stats()["tensor_bytes"] > 0
    try:
        c.tensor(shape=1 << 50, dtype="i1")
        raise AssertionError("a petabyte in the guest")
    except penstock.Error as e:
        assert "--max-tensor-bytes" in e.strerror, e


def case_tensors():
    """tensors live in the guest's memory: copies either way, products of
    tensors and arrays, quotas, and nothing is left behind"""
    os.environ.setdefault("PENSTOCK_LIBRARY", vmlib.LIBRARY)
    sys.path.insert(0, os.path.join(vmlib.SRC, "host-client", "python"))
    import penstock
    # The session ends with the last array, so those are another function's.
    with penstock.open(GUEST.endpoint.uri) as c:
        use_tensors(c, penstock)
    with penstock.open(GUEST.endpoint.uri, control_only=True) as c:
        eventually(lambda: c.stats()["tensor_bytes"] == 0, HANG_S,
                   "the session's tensors are gone")


def case_gemm_command():
    """penstock gemm computes from .npy files, verified, through the guest"""
    rng = numpy.random.default_rng(5)
    a, b = rng.standard_normal((2, 100, 100))
    b = b[:, :30]
    with tempfile.TemporaryDirectory() as d:
        path = [os.path.join(d, x) for x in ("a.npy", "b.npy", "c.npy")]
        numpy.save(path[0], a)
        numpy.save(path[1], numpy.asfortranarray(b))
        out = vmlib.penstock("gemm", path[0], path[1], "-o", path[2],
                             "--verify", "--json", "-e", GUEST.endpoint.uri)
        assert out.returncode == 0, out.stdout + out.stderr
        assert numpy.allclose(numpy.load(path[2]), a @ b)


def case_models():
    """networks trained by scikit-learn tell all unseen digits as it does,
    through the guest, by models that stay there"""
    data = os.path.join(vmlib.SRC, "tests", "data")
    uri = GUEST.endpoint.uri
    for name, most in ("digits", 1e-5), ("digits-f16", 5e-3):
        out = vmlib.penstock("-e", uri, "model", "load", name, os.path.join(
            data, name + ".safetensors"))
        assert out.returncode == 0, out.stdout + out.stderr
        with tempfile.TemporaryDirectory() as d:
            y = os.path.join(d, "y.npy")
            out = vmlib.penstock("-e", uri, "infer", name, os.path.join(
                data, "digits-x.npy"), "-o", y, "--batch", "100")
            assert out.returncode == 0, out.stdout + out.stderr
            got = numpy.load(y)
        want = numpy.load(os.path.join(data, name + "-y.npy"))
        assert got.shape == want.shape == (360, 10), got.shape
        assert (got.argmax(1) == want.argmax(1)).all()
        assert abs(got - want).max() <= most, abs(got - want).max()
    # They are there for whoever comes next.
    with connect() as c:
        assert [m["name"] for m in c.query(0)["models"]] == [
            "digits", "digits-f16"]
        for name in "digits", "digits-f16":
            out = vmlib.penstock("-e", uri, "model", "unload", name)
            assert out.returncode == 0, out.stderr
        assert c.query(2)["model_bytes"] == 0


def case_two_clients():
    """two clients at once get their own results"""
    errors = []

    def work(seed):
        try:
            with connect("client %d" % seed) as c:
                g, a, b = c.square(48, seed=seed)
                want = a @ b
                for turn in range(100):
                    g.alpha = turn + seed
                    c.check(c.gemm(g))
                    got = c.get(g.c, 48 * 48, numpy.float64)
                    if not numpy.allclose(got, (want * g.alpha).ravel()):
                        errors.append("client %d, turn %d" % (seed, turn))
        except Exception as e:
            errors.append("client %d: %r" % (seed, e))

    threads = [threading.Thread(target=work, args=(s,)) for s in (1, 1000)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors


# ---- Who is let in ------------------------------------------------------

def hello(tamper_nonce=False, version=1):
    with GUEST.endpoint.connect() as s:
        kind, status, challenge = vmlib.recv_frame(s)
        assert kind == vmlib.CHALLENGE and status == 0, (kind, status)
        nonce = vmlib.nonce_of(GUEST.endpoint.region, challenge)
        if tamper_nonce:
            nonce = bytes([nonce[0] ^ 1]) + nonce[1:]
        vmlib.send_hello(s, challenge, nonce, version)
        return vmlib.recv_frame(s)


def case_right_nonce():
    """a HELLO with the region's nonce is welcome"""
    kind, status, payload = hello()
    assert kind == vmlib.HELLO | vmlib.REPLY and status == 0, (kind, payload)


def case_wrong_nonce():
    """a HELLO with a wrong nonce is refused with a sentence, and counted"""
    with connect() as c:
        before = c.query(2)["rejected_nonce"]
        kind, status, payload = hello(tamper_nonce=True)
        assert status == 8, (kind, status, payload)
        assert b"nonce" in payload, payload
        assert c.query(2)["rejected_nonce"] == before + 1


def case_version():
    """a HELLO of another version is refused with a sentence that names
    both"""
    kind, status, payload = hello(version=99)
    assert status == 7, (kind, status, payload)
    assert b"99" in payload and b"speaks 1" in payload, payload


def case_second_agent():
    """a second agent on the region exits and names the first one's pid"""
    first = GUEST.agent_pid()
    out = GUEST.console.run(
        "timeout 20 penstock-agent --listen vsock:7071 --region auto "
        "</dev/null; echo status=$?")
    assert "status=1" in out, out
    assert str(first) in out.replace("status=1", ""), (first, out)
    with connect() as c:
        c.ping()


# ---- Clients that die, idle ones, memory --------------------------------

CLIENT = """
import sys, time
sys.path.insert(0, %r)
import pstlib
c = pstlib.Connection(pstlib.load(%r), %r, "victim")
c.alloc(8 << 20)
g, a, b = c.square(128)
c.check(c.gemm(g))
print("ready", flush=True)
time.sleep(1000)
"""


def start_client():
    code = CLIENT % (os.path.dirname(os.path.abspath(__file__)),
                     vmlib.LIBRARY, GUEST.endpoint.uri)
    p = subprocess.Popen([sys.executable, "-c", code],
                         stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "ready\n"
    return p


def end_client(p):
    p.kill()
    p.wait()
    p.stdout.close()


def victims(c):
    return [x for x in c.query(2)["clients"] if x["name"] == "victim"]


def case_client_killed():
    """the lease of a killed client is reclaimed"""
    with connect() as c:
        before = c.query(2)["leased_bytes"]
        p = start_client()
        try:
            seen = victims(c)
            assert len(seen) == 1, seen
            assert seen[0]["leased_bytes"] >= 8 << 20, seen
        finally:
            end_client(p)
        eventually(lambda: not victims(c), HANG_S,
                   "the victim's session is gone")
        eventually(lambda: c.query(2)["leased_bytes"] == before, HANG_S,
                   "its bytes are free")
        assert c.query(2)["quarantined_bytes"] == 0, c.query(2)


def sleeps(pid):
    """A shell's words for how often the threads of a process went to sleep."""
    return ("awk '/^voluntary/ { n += $2 } END { print n }' "
            "/proc/%d/task/*/status" % pid)


def case_idle():
    """an idle agent and an idle client wake for their heartbeats alone"""
    # What that costs of a core is measured by bench/gate idle.
    p = start_client()
    try:
        client = sleeps(p.pid)
        agent = sleeps(GUEST.agent_pid())
        begin = time.monotonic()
        before = int(subprocess.check_output(client, shell=True))
        # Whoever counts must not talk to the agent meanwhile. Seconds are the
        # guest's: its clock is not ours where it is emulated.
        out = GUEST.console.run(
            "cat /proc/uptime; %s; sleep 5; %s; cat /proc/uptime" % (
                agent, agent)).split()
        after = int(subprocess.check_output(client, shell=True))
        seconds = time.monotonic() - begin
    finally:
        end_client(p)
    woken, guest = int(out[3]) - int(out[2]), float(out[4]) - float(out[0])
    print("# woken: the agent %d times in %.1f s, the client %d in %.1f s" %
          (woken, guest, after - before, seconds))
    # Ten heartbeats a second, and five looks at them.
    assert 1 <= woken <= 10 + 15 * guest, woken
    assert 1 <= after - before <= 10 + 10 * seconds, after - before


def agent_memory(pid):
    """KiB of memory the agent has, without the region, which the module
    penstock_bar maps as pages of a file."""
    return GUEST.console.number(
        "awk '/^[0-9a-f]+-/ { region = /\\/dev\\/penstock/ } "
        "/^Rss:/ && !region { n += $2 } END { print n }' /proc/%d/smaps" % pid)


def case_memory():
    """the agent stays under 64 MiB at a 1024 GEMM and does not grow over
    10000 calls"""
    pid = GUEST.agent_pid()
    with connect() as c:
        g, a, b = c.square(1024, F32)
        c.check(c.gemm(g))
        big = agent_memory(pid)
        for p in (g.a, g.b, g.c):
            c.free(p)
        g, a, b = c.square(4, F32)
        for warm in range(200):
            c.check(c.gemm(g))
        before = agent_memory(pid)
        for turn in range(100):
            for tag in [c.submit(g) for i in range(100)]:
                c.check(c.wait(tag))
        after = agent_memory(pid)
    print("# agent: %d KiB at 1024, %d KiB before and %d after 10000 calls" %
          (big, before, after))
    assert big < 64 << 10, big
    assert after - before <= 256, (before, after)


# ---- Paused, killed ------------------------------------------------------

def seconds_of(c, n):
    """How long an n x n product takes here."""
    g, a, b = c.square(n)
    begin = time.monotonic()
    c.check(c.gemm(g))
    took = time.monotonic() - begin
    for p in (g.a, g.b, g.c):
        c.free(p)
    return took


def submit_long(c, seconds):
    """Operations that keep the agent busy for that long; their tags, and one
    of them. A fast machine gets larger ones: n_slots are 256."""
    n, most = 256, 200
    once = seconds_of(c, n)
    while once * most < 2 * seconds and n < 2048:
        n *= 2
        once = seconds_of(c, n)
    g, a, b = c.square(n)
    return [c.submit(g) for i in range(min(int(seconds / once) + 2, most))], g


def check_paused(c, pause, resume, busy):
    """Pauses the guest, calls with a deadline, resumes; busy: in the midst
    of a computation."""
    def ops():
        return [x["ops"] for x in c.query(2)["clients"]
                if x["session"] == session][0]

    g, a, b = c.square(32)
    c.check(c.gemm(g))
    late, a2, b2 = c.square(32, seed=2)
    session, epoch = c.info().session, c.info().epoch
    before = ops()
    tags, long_g = [], None
    if busy:
        tags, long_g = submit_long(c, 2)
        time.sleep(0.2)
    pause()
    try:
        begin = time.monotonic()
        rc = c.gemm(late, S)
        took = time.monotonic() - begin
        # Its buffers stay busy: freeing them now must wait, in secret.
        for p in (late.a, late.b, late.c):
            c.check(c.free(p))
    finally:
        resume()
    assert rc == -errno.ETIMEDOUT, rc
    assert 0.9 < took < HANG_S, took
    for tag in tags:
        c.check(c.wait(tag))
    # Same session, same epoch, same buffers.
    c.check(c.gemm(g))
    assert numpy.allclose(c.get(g.c, 1024, numpy.float64), (a @ b).ravel())
    assert (c.info().session, c.info().epoch) == (session, epoch)
    # In order: the late one was over before. Nobody hears of it.
    assert c.poll() == []
    # But it was computed: two, and what kept the agent busy.
    assert ops() >= before + 2 + len(tags), (before, ops())


def case_paused():
    """a guest paused by QMP in mid-call: a call with a deadline of 1 s ends
    in time, the session resumes, the late completion is dropped"""
    # vhost-device-vsock 0.3.0 never works again when the host sends while
    # its queues are stopped. A busy agent needs no WAKE, so nothing is sent.
    with connect() as c, GUEST.qmp() as qmp:
        check_paused(c, lambda: qmp.run("stop"), lambda: qmp.run("cont"),
                     True)


def case_frozen():
    """a guest frozen while its agent sleeps: likewise, and the WAKE sent
    meanwhile wakes it"""
    with connect() as c:
        check_paused(c, lambda: os.kill(GUEST.qemu_pid, signal.SIGSTOP),
                     lambda: os.kill(GUEST.qemu_pid, signal.SIGCONT), False)
    with connect() as c:
        c.ping()


def find_in_region(pattern):
    with open(GUEST.endpoint.region, "rb") as f:
        size = os.fstat(f.fileno()).st_size
        with mmap.mmap(f.fileno(), size, prot=mmap.PROT_READ) as m:
            return m.find(pattern)


def kill_in_call(c, kill, seconds):
    """Runs kill() while calls are pending; (the status of the first one that
    was pending, seconds from the kill to its end)."""
    tags, g = submit_long(c, seconds)
    assert c.lib.pst_poll(c.c, None, 0) == 0
    ended = {}

    def wait():
        for tag in tags:
            rc = c.wait(tag, 60 * S)
            if rc:
                ended["rc"], ended["at"] = rc, time.monotonic()
                return

    t = threading.Thread(target=wait)
    t.start()
    time.sleep(0.3)
    assert not ended, "nothing was pending any more: %r" % ended
    begin = time.monotonic()
    kill()
    t.join(70)
    assert "rc" in ended, "all calls succeeded"
    return ended["rc"], ended["at"] - begin, g


def case_agent_killed():
    """the agent killed in mid-call: the call ends by that and not by silence,
    old buffers answer ESTALE, writes through old pointers reach nobody, new buffers
    work"""
    pid = GUEST.agent_pid()
    mark = os.urandom(64)
    with connect() as c:
        old_epoch = c.info().epoch
        old, a, b = c.square(64)
        c.check(c.gemm(old))
        rc, took, g = kill_in_call(
            c, lambda: GUEST.console.run("kill -9 %d" % pid), 5)
        print("# ended with %s after %.3f s" % (errno.errorcode[-rc], took))
        assert rc in (-errno.ECONNRESET, -errno.ESTALE), rc
        assert c.gemm(old) == -errno.ESTALE
        # Old pointers stay writable; what is written reaches nobody.
        ctypes.memmove(old.c, mark, len(mark))

        def look():
            try:
                return c.alloc(2 << 20)
            except pstlib.Error:
                return None
        new = eventually(look, HANG_S, "the agent is back")
        ctypes.memset(new, 0, 2 << 20)
        assert c.info().epoch != old_epoch
        assert GUEST.agent_pid() != pid
        ctypes.memmove(old.a, mark, len(mark))
        ctypes.memmove(g.c, mark, len(mark))
        assert find_in_region(mark) == -1
        assert not any(ctypes.string_at(new, 2 << 20))
        # And the search does find what is there.
        ctypes.memmove(new + 4096, mark, len(mark))
        assert find_in_region(mark) != -1
        c.check(c.free(new))
        g, a, b = c.square(64, seed=3)
        c.check(c.gemm(g))
        assert numpy.allclose(c.get(g.c, 4096, numpy.float64),
                              (a @ b).ravel())
        assert c.gemm(old) == -errno.ESTALE


def case_agent_drains():
    """an agent that is told to end lets nobody wait, and the next one
    serves"""
    pid = GUEST.agent_pid()
    with connect() as c:
        g, a, b = c.square(32)
        c.check(c.gemm(g))
        GUEST.console.run("kill %d" % pid)
        begin = time.monotonic()
        rc = 0
        while rc == 0 and time.monotonic() - begin < HANG_S:
            rc = c.gemm(g, 20 * S)
        assert rc in (-errno.ECONNRESET, -errno.ESTALE), rc
    with reconnect() as c:
        g, a, b = c.square(32)
        c.check(c.gemm(g))


def case_qemu_killed():
    """QEMU killed: the pending call ends by that and not by silence"""
    with connect() as c:
        rc, took, g = kill_in_call(
            c, lambda: os.kill(GUEST.qemu_pid, signal.SIGKILL), 5)
        print("# ended with %s after %.3f s" % (errno.errorcode[-rc], took))
        assert rc in (-errno.ECONNRESET, -errno.ESTALE), rc
        # And the connection says so from now on, at once.
        assert c.gemm(g) == -errno.ESTALE


def case_unreachable():
    """without a guest the command exits with 4"""
    out = vmlib.penstock("-e", GUEST.endpoint.uri, "health")
    assert out.returncode == 4, (out.returncode, out.stdout, out.stderr)


def case_stopped():
    """--stop removes the dead guest's region and state; the next one says so"""
    region, state = GUEST.endpoint.region, GUEST.dir
    out = vmlib.penstock("demo", "--stop", state)
    assert out.returncode == 0, out.stderr
    out = vmlib.penstock("demo", "--stop", state)
    assert out.returncode == 1 and "it has ended" in out.stderr, out
    assert not os.path.exists(region), region
    assert not os.path.exists(state), state


def main():
    global LIB, GUEST
    vmlib.need_guest()
    LIB = pstlib.load(vmlib.LIBRARY)
    tap = vmlib.Tap()
    GUEST = vmlib.Guest("--region-size", "128M")
    print("# guest: %s, booted in %.1f s" % (
        GUEST.result["accel"], GUEST.result["boot_seconds"]))
    try:
        for name, case in list(globals().items()):
            if name.startswith("case_"):
                if not tap.run(case) and vmlib.alive(GUEST.qemu_pid):
                    print("# console: " + "\n# ".join(
                        GUEST.serial().splitlines()[-15:]))
    finally:
        GUEST.stop()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
