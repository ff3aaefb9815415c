# SPDX-License-Identifier: MIT
"""penstock-agent as a process, spoken to byte by byte."""
import array
import mmap
import os
import re
import resource
import socket
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agentlib import *  # noqa: E402,F403 pylint: disable=wildcard-import


# Limits on what must not hang; they say nothing of how fast it is.
HANG_S = 20


def eventually(what, timeout=HANG_S):
    """Waits for a predicate."""
    deadline = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < deadline, "does not happen"
        time.sleep(0.01)


def a_client_that_echoes_the_nonce_gets_a_session(start):
    a = start()
    c = Conn(a)
    assert (c.vmin, c.vmax, c.has_fd) == (1, 1, 0)
    assert c.epoch != 0 and c.nonce() != bytes(16)
    status, p = c.hello()
    assert status == OK and len(p) == 384
    (version, features, epoch, session, lane, slots, off, size,
     file_size) = struct.unpack_from("<IIQQIIQQQ", p)
    assert (version, features, epoch) == (1, 0, c.epoch)
    assert session != 0 and lane < 31 and slots == 256
    assert (off, size, file_size) == (2 * MIB, 60 * MIB, 64 * MIB)
    assert c.nonce() == bytes(16), "the slot is not wiped"
    d = Conn(a).open()
    assert d.session != c.session and d.lane != c.lane


def a_control_only_session_has_no_lane_and_no_leases(start):
    c = Conn(start()).open(flags=CONTROL_ONLY)
    assert c.lane == 0xFFFFFFFF
    status, p = c.lease(UNIT)
    assert status == EINVAL and b"control-only" in p
    assert c.query(INFO)["session"] == c.session
    assert c.call(CANCEL, struct.pack("<Q", 1))[0] == ENOENT


def a_wrong_nonce_is_refused(start):
    a = start()
    for kw in ({"nonce": bytes(16)}, {"nonce": b"x" * 16}):
        c = Conn(a)
        status, p = c.hello(**kw)
        assert status == EAUTH and b"nonce" in p, p
        try:
            c.recv(2)
            raise AssertionError("still open")
        except Closed:
            pass
    c = Conn(a)
    status, p = c.hello(slot=(c.slot + 1) % 16)
    assert status == EAUTH
    assert Conn(a).open().query(STATS)["rejected_nonce"] == 3


def a_wrong_version_is_refused_with_both_versions_named(start):
    c = Conn(start())
    status, p = c.hello(version=7)
    assert status == EVERSION, status
    assert b"7" in p and b"speaks 1" in p, p


def a_wrong_epoch_is_refused(start):
    c = Conn(start())
    status, p = c.hello(epoch=c.epoch ^ 1)
    assert status == EPROTO and b"epoch" in p


def a_hello_that_comes_too_late_is_refused(start):
    a = start()
    c = Conn(a)
    t = time.monotonic()
    expect_error(c, ETIMEDOUT, ["HELLO"])
    assert 0.8 < time.monotonic() - t < HANG_S
    assert c.nonce() == bytes(16), "the slot is not wiped"
    assert Conn(a).open().query(STATS)["rejected_late"] == 1


def more_silent_connections_than_nonce_slots_keep_nobody_out(start):
    a = start()
    waiting = [Conn(a) for _ in range(16)]
    assert len({c.slot for c in waiting}) == 16
    waiting += [Conn(a) for _ in range(16)]
    first = [w.open(flags=CONTROL_ONLY) for w in waiting[:20]]
    Conn(a).open()
    assert first[0].query(STATS)["rejected_full"] == 0


def strangers(a, n):
    """So many connections that say nothing."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    socks = []
    for _ in range(n):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # No time limit: with one a full queue would be an error at once.
        s.connect(a.sock)
        socks.append(s)
    return socks


def silent_connections_make_room_for_those_that_come(start):
    a = start()
    good = 0
    socks = strangers(a, 600)
    for _ in range(30):
        socks += strangers(a, 10)
        Conn(a).open(flags=CONTROL_ONLY).close()
        good += 1
    c = Conn(a).open()
    assert good == 30 and c.query(STATS)["rejected_full"] > 100
    # The agent's, not only ours: half for a uid, and what else it needs.
    fds = len(os.listdir("/proc/%d/fd" % a.proc.pid))
    assert fds < 512 + 200, fds
    for s in socks:
        s.close()


def refused_connections_that_stay_keep_nobody_out(start):
    a = start()
    socks = strangers(a, 500)
    for s in socks:
        s.sendall(b"GET / HTTP/1.1\r\n" + bytes(20))
    for _ in range(20):
        Conn(a).open(flags=CONTROL_ONLY).close()
    eventually(lambda: len(os.listdir("/proc/%d/fd" % a.proc.pid)) < 200)
    for s in socks:
        s.close()


def a_storm_of_refused_ones_fills_no_log(start):
    a = start()

    def log():
        # With an offset of its own, unlike a.log's descriptor.
        with open("/proc/self/fd/%d" % a.log.fileno()) as f:
            return f.read()
    before = len(log())
    t = time.monotonic()
    socks = strangers(a, 500)
    for s in socks:
        s.sendall(b"\n" * 40)
    c = Conn(a).open()
    eventually(lambda: "were left out" in log()[before:], 10)
    lines = log()[before:].splitlines()
    seconds = int(time.monotonic() - t) + 1
    assert len(lines) <= 10 * seconds, len(lines)
    assert sum(map(len, lines)) < 200 * len(lines)
    left = sum(int(re.search(r"(\d+) more messages", x)[1])
               for x in lines if "were left out" in x)
    assert left > 300, left
    for s in socks:
        s.close()


def before_hello_a_connection_costs_little(start):
    a = start()
    Conn(a).open().close()

    def rss():
        with open("/proc/%d/statm" % a.proc.pid) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    before = rss()
    socks = strangers(a, 500)
    for s in socks:
        # All but the last byte of a HELLO.
        s.sendall(FRAME.pack(MAGIC, 1, HELLO, 80, 1, 0, 0, 0) + bytes(79))
    Conn(a).open().close()
    grown = rss() - before
    assert grown <= 500 * (64 << 10), grown
    # A frame that no HELLO is is not waited for.
    c = Conn(a)
    c.s.sendall(FRAME.pack(MAGIC, 1, PING, 4096, 1, 0, 0, 0) + bytes(4000))
    expect_error(c, EPROTO, ["before HELLO"])
    for s in socks:
        s.close()


def more_clients_than_lanes_are_refused(start):
    a = start("--max-clients", "2")
    c = [Conn(a).open() for _ in range(2)]
    status, p = Conn(a).hello()
    assert status == EBUSY and b"--max-clients" in p
    # One that goes makes room.
    c[0].close()
    eventually(lambda: Conn(a).hello()[0] == OK)


def something_is_kept_for_a_second_client(start):
    a = start("--max-clients", "4")
    c = [Conn(a).open() for _ in range(3)]
    status, p = Conn(a).hello()
    assert status == EBUSY and b"3 of 4 lanes" in p, p
    other = Conn(a).open(pid=os.getpid() + 1)
    # 60 MiB of arena: one session gets 54 of them.
    assert c[0].lease(56 * MIB)[0] == ELIMIT
    assert c[0].lease(54 * MIB)[0] == OK
    assert other.lease(6 * MIB)[0] == OK


def who_is_given_all_of_the_arena_gets_it(start):
    a = start("--max-lease", "64M")
    assert Conn(a).open().lease(60 * MIB)[0] == OK


def garbage_before_hello_ends_the_connection(start):
    a = start()
    c = Conn(a)
    c.s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    expect_error(c, EPROTO, ["magic"])
    c = Conn(a)
    c.send(PING)
    expect_error(c, EPROTO, ["PING before HELLO"])


def a_frame_against_the_protocol_breaks_the_session(start):
    a = start()
    bad = [
        (lambda c: c.send(77), EPROTO),
        (lambda c: c.send(HELLO, c.hello_payload(nonce=bytes(16))), EPROTO),
        (lambda c: c.send(CHALLENGE, bytes(24)), EPROTO),
        (lambda c: c.send(PING | REPLY), EPROTO),
        (lambda c: c.send(PING, magic=1), EPROTO),
        (lambda c: c.send(PING, version=9), EVERSION),
        (lambda c: c.send(PING, bytes(5000)), EPROTO),
        (lambda c: c.send(LEASE, bytes(15)), EPROTO),
        (lambda c: c.send(RELEASE, struct.pack("<QQ", 1, UNIT)), EPROTO),
        (lambda c: c.send(INFO, b"x"), EPROTO),
        (lambda c: c.send(WAKE, b"x"), EPROTO),
        (lambda c: c.send(PING, status=3), EPROTO),
    ]
    for i, (send, status) in enumerate(bad, 1):
        c = Conn(a).open()
        send(c)
        expect_error(c, status)
        assert Conn(a).open().query(STATS)["broken"] == i


def an_oversize_frame_breaks_the_session_before_its_payload(start):
    a = start()
    c = Conn(a).open()
    c.send(PING, length=(64 << 10) + 1)
    expect_error(c, ELIMIT, ["65537"])
    c = Conn(a).open()
    c.send(INFO, length=0xFFFFFFFF)
    expect_error(c, ELIMIT)


def frames_cut_anywhere_are_put_together(start):
    c = Conn(start()).open()
    payload = bytes(range(256)) * 8
    one = FRAME.pack(MAGIC, 1, PING, len(payload), 5, 0, 0, 0) + payload
    data = one * 3
    for i in range(0, len(data), 701):
        c.s.sendall(data[i:i + 701])
        time.sleep(0.002)
    for _ in range(3):
        assert c.recv() == (PING | REPLY, 5, OK, payload)


def many_frames_in_one_write_are_all_answered(start):
    c = Conn(start()).open()
    c.s.sendall(b"".join(FRAME.pack(MAGIC, 1, PING, 4, i, 0, 0, 0) + b"abcd"
                         for i in range(3000)))
    for i in range(3000):
        assert c.recv() == (PING | REPLY, i, OK, b"abcd")


def a_client_that_reads_no_replies_is_ended_and_others_are_served(start):
    a = start()
    c = Conn(a).open()
    other = Conn(a).open()
    c.s.settimeout(0.5)
    frame = FRAME.pack(MAGIC, 1, PING, 4096, 0, 0, 0, 0) + bytes(4096)
    try:
        for _ in range(4000):
            c.s.sendall(frame)
        raise AssertionError("the agent took 16 MiB of unread replies")
    except (BrokenPipeError, ConnectionResetError, socket.timeout):
        pass
    assert other.call(PING, b"there?") == (OK, b"there?")
    eventually(lambda: other.query(STATS)["sessions"] == 1)


def leases_and_releases_are_accounted(start):
    a = start()
    c = Conn(a).open()
    status, one = c.lease(1)
    assert status == OK and one[1] == UNIT and one[0] % UNIT == 0
    status, two = c.lease(5 * MIB)
    assert status == OK and two[1] == 6 * MIB
    st = c.query(STATS)
    assert st["leased_bytes"] == 8 * MIB
    assert st["clients"][0]["leased_bytes"] == 8 * MIB
    assert c.release(*one)[0] == OK
    assert c.release(*one)[0] == ENOENT
    assert c.release(two[0], UNIT)[0] == ENOENT
    assert c.release(two[0] + UNIT, 4 * MIB)[0] == ENOENT
    st = c.query(STATS)
    assert st["leased_bytes"] == 6 * MIB and st["quarantined_bytes"] == 0
    # Another's extent is not mine to release.
    d = Conn(a).open()
    assert d.release(*two)[0] == ENOENT
    assert c.release(*two)[0] == OK
    assert c.query(STATS)["leased_bytes"] == 0


def a_lease_above_the_limit_or_the_arena_is_refused(start):
    c = Conn(start("--max-lease", "8M")).open()
    status, p = c.lease(10 * MIB)
    assert status == ELIMIT and b"--max-lease" in p
    assert c.lease(6 * MIB)[0] == OK
    status, p = c.lease(4 * MIB)
    assert status == ENOSPC and b"--max-lease" in p
    assert c.lease(2 * MIB)[0] == OK
    for size in (0xFFFFFFFFFFFFFFFF, 1 << 63):
        assert c.lease(size)[0] == ELIMIT
    d = Conn(c.agent).open()
    assert d.lease(0)[0] == EINVAL


def an_arena_that_is_full_says_so(start):
    a = start(size=8 * MIB)
    c = Conn(a).open()
    assert c.lease(4 * MIB)[0] == OK
    d = Conn(a).open()
    status, p = d.lease(UNIT)
    assert status == ENOSPC and b"no room" in p


def operations_run_and_are_counted(start):
    c = Conn(start()).open()
    off = c.lease(UNIT)[1][0]
    for i in range(600):
        c.submit(i)
        assert c.reap()[:2] == (i, OK)
    c.submit(7, FILL, dtype=F64, a=off, length=4096,
             alpha=0x4000000000000000)
    assert c.reap()[:2] == (7, OK)
    assert c.read(off, 16) == struct.pack("<dd", 2, 2)
    c.submit(8, CHECKSUM, a=off, length=4096)
    tag, status, _, _, result = c.reap()
    assert (tag, status) == (8, OK) and result != 0
    st = c.query(STATS)
    assert st["ops"] == 602 and st["errors"] == 0


def a_product_comes_out_right(start):
    c = Conn(start()).open()
    off = c.lease(UNIT)[1][0]
    n = 33
    a = [((i * 7) % 11) - 5 for i in range(n * n)]
    b = [((i * 3) % 13) - 6 for i in range(n * n)]
    c.write(off, array.array("f", a).tobytes())
    c.write(off + 65536, array.array("f", b).tobytes())
    c.gemm(1, off, off + 65536, off + 131072, n)
    tag, status, compute, _, _ = c.reap()
    assert (tag, status) == (1, OK) and compute > 0
    got = array.array("f", c.read(off + 131072, 4 * n * n))
    for i in range(n):
        for j in range(n):
            want = sum(a[i * n + l] * b[l * n + j] for l in range(n))
            assert got[i * n + j] == want


def operands_outside_the_lease_are_out_of_bounds(start):
    a = start()
    other = Conn(a).open()
    theirs = other.lease(UNIT)[1][0]
    c = Conn(a).open()
    off = c.lease(UNIT)[1][0]
    end = off + UNIT
    spans = [0, 4096, theirs, end, end - 8, 64 * MIB, 1 << 40, (1 << 64) - 8]
    for i, bad in enumerate(spans):
        c.submit(i, FILL, dtype=F64, a=bad, length=16)
        assert c.reap()[:2] == (i, EBOUNDS), bad
        for where in ("a", "b", "c"):
            at = {"a": off, "b": off + 65536, "c": off + 131072}
            at[where] = bad
            c.gemm(i, at["a"], at["b"], at["c"], 64)
            assert c.reap()[:2] == (i, EBOUNDS), (where, bad)
    # The session goes on.
    c.submit(99, FILL, dtype=F64, a=off, length=16)
    assert c.reap()[:2] == (99, OK)
    me = [x for x in c.query(STATS)["clients"] if x["session"] == c.session]
    assert me[0]["errors"] == 4 * len(spans)
    assert "extents" in me[0]["last_error"]


def released_memory_is_out_of_bounds(start):
    c = Conn(start()).open()
    off, size = c.lease(UNIT)[1]
    assert c.release(off, size)[0] == OK
    c.submit(1, FILL, dtype=F64, a=off, length=16)
    assert c.reap()[:2] == (1, EBOUNDS)


def malformed_descriptors_complete_with_a_status(start):
    c = Conn(start()).open()
    off = c.lease(UNIT)[1][0]
    gemm = dict(op=GEMM, dtype=F32, dtype_c=F32, m=4, n=4, k=4, batch=1,
                lda=4, ldb=4, ldc=4, a=off, b=off + 64, c=off + 128,
                alpha=0x3FF0000000000000)
    big = 0xFFFFFFFF
    bad = [
        (dict(op=NOP, flags=1), EINVAL),
        (dict(op=NOP, r0=1), EINVAL),
        (dict(op=NOP, m=1), EINVAL),
        (dict(op=0), ENOTSUP),
        (dict(op=200), ENOTSUP),
        (dict(gemm, r1=1), EINVAL),
        (dict(gemm, r2=1), EINVAL),
        (dict(gemm, order=2), EINVAL),
        (dict(gemm, trans=4), EINVAL),
        (dict(gemm, lda=3), EINVAL),
        (dict(gemm, a=off + 2), EINVAL),
        (dict(gemm, c=off + 32), EINVAL),
        (dict(gemm, dtype=6, dtype_c=6), ENOTSUP),
        (dict(gemm, batch=2), EINVAL),
        (dict(gemm, epilogue=4), EINVAL),
        (dict(gemm, m=big, n=big, k=big, lda=big, ldb=big, ldc=big), ELIMIT),
        (dict(gemm, m=1 << 20, n=1 << 20, k=1 << 20, lda=1 << 20,
              ldb=1 << 20, ldc=1 << 20), ELIMIT),
        (dict(op=FILL, dtype=F64, a=off, length=0), EINVAL),
        (dict(op=FILL, dtype=F64, a=off, length=12), EINVAL),
        (dict(op=FILL, dtype=F64, a=off, length=(1 << 64) - 8), EBOUNDS),
    ]
    for i, (sqe, status) in enumerate(bad):
        c.submit(i, **sqe)
        got = c.reap()
        assert got[:2] == (i, status), (sqe, got)
    c.submit(1000, FILL, dtype=F64, a=off, length=64)
    assert c.reap()[:2] == (1000, OK)


def limits_of_the_command_line_hold(start):
    c = Conn(start("--max-dim", "100", "--max-elems", "5000", "--max-models",
                   "3", "--max-model-bytes", "1G")).open()
    off = c.lease(UNIT)[1][0]
    c.gemm(1, off, off + 65536, off + 131072, 101, m=1, k=1)
    assert c.reap()[:2] == (1, ELIMIT)
    c.gemm(2, off, off + 65536, off + 131072, 100)
    assert c.reap()[:2] == (2, ELIMIT)
    c.gemm(3, off, off + 65536, off + 131072, 70)
    assert c.reap()[:2] == (3, OK)
    limits = c.query(INFO)["limits"]
    assert (limits["max_dim"], limits["max_elems"]) == (100, 5000)
    assert (limits["max_models"], limits["max_model_bytes"]) == (3, 1 << 30)


def an_impossible_ring_breaks_the_session(start):
    a = start()
    c = Conn(a).open()
    for i in range(256):
        c.submit(i)
        c.reap()
    at = c.lane_at(0)
    c.map[at:at + 8] = struct.pack("<Q", 1 << 50)
    c.submit(1)
    expect_error(c, EPROTO, ["head"])
    d = Conn(a).open()
    assert d.query(STATS)["broken"] == 1
    eventually(lambda: d.query(STATS)["sessions"] == 1)


def an_operation_can_be_cancelled(start):
    c = Conn(start("--threads", "1")).open()
    off = c.lease(48 * MIB)[1][0]
    n = 2000
    c.gemm(1, off, off + 16 * MIB, off + 32 * MIB, n, beta=0.5)
    for i in range(2, 60):
        c.gemm(i, off, off + 16 * MIB, off + 32 * MIB, n)
    late = c.call(CANCEL, struct.pack("<Q", 59))[0]
    assert late == OK, late
    # ENOENT is right for one thing only: an operation that was done before
    # its CANCEL came, whose completion is there already.
    done = []
    for i in range(1, 59):
        answer = c.call(CANCEL, struct.pack("<Q", i))[0]
        assert answer in (OK, ENOENT), answer
        while answer == ENOENT and len(done) < i:
            done.append(c.reap(timeout=0)[:2])
        assert answer == OK or done[-1] == (i, OK), (i, done)
    while len(done) < 59:
        done.append(c.reap()[:2])
    assert [x[0] for x in done] == list(range(1, 60)), done
    assert [x[1] for x in done].count(ECANCELED) > 40, done
    assert {x[1] for x in done} <= {OK, ECANCELED}, done
    status, p = c.call(CANCEL, struct.pack("<Q", 59))
    assert status == ENOENT and b"59" in p


def a_long_operation_leaves_the_agent_responsive(start):
    a = start("--threads", "1")
    c = Conn(a).open()
    off = c.lease(48 * MIB)[1][0]
    d = Conn(a).open()
    for i in range(20):
        c.gemm(i, off, off + 16 * MIB, off + 32 * MIB, 2000)
    d.submit(1)
    assert d.reap()[:2] == (1, OK)
    assert d.call(PING)[0] == OK
    ops = sum(x["ops"] for x in d.query(STATS)["clients"])
    assert ops < 20, "it waited for all of them"
    assert d.query(STATS)["clients"][0]["ops"] < 20
    c.close()


def a_killed_client_loses_its_lane_and_leases(start):
    a = start()
    watcher = Conn(a).open(flags=CONTROL_ONLY)
    before = watcher.query(STATS)["sessions_ended"]
    pid = os.fork()
    if pid == 0:
        try:
            c = Conn(a).open(name=b"victim")
            off = c.lease(48 * MIB)[1][0]
            for i in range(50):
                c.gemm(i, off, off + 16 * MIB, off + 32 * MIB, 2000)
        finally:
            os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)

    def gone():
        st = watcher.query(STATS)
        return (st["sessions"], st["sessions_ended"], st["leased_bytes"],
                st["quarantined_bytes"], st["clients"]) == \
            (1, before + 1, 0, 0, [])
    eventually(gone)
    # The same lane and memory serve the next one.
    c = Conn(a).open()
    assert c.lane == 0 and c.lease(54 * MIB)[0] == OK
    c.submit(5)
    assert c.reap()[:2] == (5, OK)


def bye_is_answered_and_ends_the_session(start):
    a = start()
    c = Conn(a).open()
    assert c.lease(UNIT)[0] == OK
    assert c.call(BYE) == (OK, b"")
    try:
        c.recv(2)
        raise AssertionError("still open")
    except Closed:
        pass
    assert Conn(a).open().query(STATS)["leased_bytes"] == 0


def scrub_zeroes_what_a_client_leaves_behind(start):
    a = start("--scrub", "yes")
    c = Conn(a).open()
    off = c.lease(UNIT)[1][0]
    c.write(off, b"secret")
    c.close()
    d = Conn(a).open()

    def free():
        st = d.query(STATS)
        return st["leased_bytes"] + st["quarantined_bytes"] == 0
    eventually(free, 20)
    assert d.lease(UNIT)[1][0] == off
    assert d.read(off, 6) == bytes(6)


def a_second_agent_on_the_region_is_refused_with_the_firsts_pid(start):
    a = start()
    b = Agent(a.dir, "--listen", "unix:" + a.dir + "/other",
              region=a.region, wait=False)
    assert b.proc.wait(10) == 1
    assert str(a.proc.pid) in b.output(), b.output()
    Conn(a).open()


def an_agent_in_another_kernel_is_seen_by_its_heartbeat(start):
    a = start()
    # The same memory through a file that the first one's lock is not on.
    copy = os.path.join(a.dir, "copy")
    create_region(copy, 64 * MIB)
    with open(copy, "r+b") as f, Conn(a).map as theirs:
        f.seek(PREAMBLE + 64)
        line = bytes(theirs[PREAMBLE + 64:PREAMBLE + 256])
        f.write(line)
        f.flush()
        b = Agent(a.dir, region=copy, wait=False)
        # The agent is within its watch once it has mapped the file.
        maps = "/proc/%d/maps" % b.proc.pid
        eventually(lambda: copy in open(maps).read(), 5)
        beat = 1000
        while b.proc.poll() is None and beat < 1200:
            beat += 1
            f.seek(PREAMBLE + 192)
            f.write(struct.pack("<Q", beat))
            f.flush()
            time.sleep(0.02)
    assert b.proc.wait(5) == 1
    epoch = struct.unpack_from("<Q", line, 16)[0]
    assert "%016x" % epoch in b.output(), b.output()
    assert "pid %d" % a.proc.pid in b.output(), b.output()


def a_restart_has_a_new_epoch_and_holds_leases_for_a_while(start):
    a = start()
    c = Conn(a).open()
    assert c.lease(UNIT)[0] == OK
    a.kill()
    t = time.monotonic()
    b = start()
    d = Conn(b)
    assert d.epoch != c.epoch
    d.open()
    first = d.send(LEASE, struct.pack("<QQ", 0, UNIT))
    second = d.send(LEASE, struct.pack("<QQ", 0, UNIT))
    assert d.call(PING, b"meanwhile", 1) == (OK, b"meanwhile")
    for seq in (first, second):
        rt, rseq, status, _ = d.recv(2)
        assert (rt, rseq, status) == (LEASE | REPLY, seq, OK)
    assert time.monotonic() - t >= 0.5
    assert d.lease(UNIT)[0] == OK


def sigterm_drains_and_says_goodbye(start):
    a = start("--threads", "1")
    c = Conn(a).open()
    idle = Conn(a).open(flags=CONTROL_ONLY)
    off = c.lease(48 * MIB)[1][0]
    # Long enough to be met, and so short that the one that runs is over before
    # HELLO is due.
    n = 1400
    for i in range(4):
        c.gemm(i, off, off + 16 * MIB, off + 32 * MIB, n)
    # The first one runs.
    time.sleep(0.03)
    waiting = Conn(a)
    t = time.monotonic()
    a.proc.terminate()
    got = [c.reap()[:2] for _ in range(4)]
    assert got[0] == (0, OK), got
    assert got[-1] == (3, ESHUTDOWN), got
    for conn in (c, idle, waiting):
        expect_error(conn, ESHUTDOWN, ["shutting down"])
    assert a.proc.wait(5) == 0
    assert time.monotonic() - t < HANG_S
    assert not os.path.exists(a.sock)


def sighup_and_a_lost_peer_do_not_end_it(start):
    a = start()
    a.proc.send_signal(1)
    c = Conn(a).open()
    for _ in range(2000):
        c.send(PING, bytes(4000))
        if _ > 60:
            break
    c.close()
    assert Conn(a).open().call(PING)[0] == OK


def an_idle_agent_with_an_idle_client_uses_under_one_percent_cpu(start):
    a = start()
    c = Conn(a).open()
    off = c.lease(UNIT)[1][0]
    c.gemm(1, off, off + 65536, off + 131072, 64)
    assert c.reap()[:2] == (1, OK)
    # OpenBLAS threads spin a little after their work.
    time.sleep(0.5)

    def used():
        with open("/proc/%d/stat" % a.proc.pid) as f:
            v = f.read().rsplit(")", 1)[1].split()
        return (int(v[11]) + int(v[12])) / os.sysconf("SC_CLK_TCK")

    def switches():
        with open("/proc/%d/status" % a.proc.pid) as f:
            for line in f:
                if line.startswith("voluntary_ctxt_switches"):
                    return int(line.split()[1])
        raise AssertionError
    u, s = used(), switches()
    time.sleep(3)
    assert used() - u <= 0.03, used() - u
    assert switches() - s < 20, "the serving thread wakes up by itself"
    c.submit(2, wake=True)
    assert c.reap()[:2] == (2, OK)


def memory_beyond_the_region_is_small_and_does_not_grow(start):
    a = start()
    c = Conn(a).open()
    off = c.lease(16 * MIB)[1][0]

    def anonymous():
        with open("/proc/%d/status" % a.proc.pid) as f:
            return int(re.search(r"RssAnon:\s+(\d+) kB", f.read()).group(1))

    def products():
        for dtype, size in ((F32, 1024), (F64, 724)):
            for i in range(3):
                c.gemm(i, off, off + 4 * MIB, off + 8 * MIB, size, dtype)
                assert c.reap()[:2] == (i, OK)

    def everything(n):
        """Rings, sockets, leases, reports, sessions, checksums."""
        for i in range(n):
            c.submit(i, wake=False)
            if i % 200 == 199:
                c.send(WAKE, seq=0)
                for _ in range(200):
                    c.reap()
        for i in range(n // 50):
            c.submit(i, CHECKSUM, a=off, length=300000)
            assert c.reap()[:2] == (i, OK)
            c.release(*c.lease(UNIT)[1])
            c.query(STATS)
            c.query(INFO)
            Conn(a).open().close()
    products()
    assert anonymous() < 64 << 10, anonymous()
    with open(a.proc.args[0], "rb") as f:
        if b"__asan_init" in f.read():
            return  # ASan keeps freed memory on purpose
    everything(2000)
    before = anonymous()
    everything(10000)
    assert anonymous() <= before + 256, (before, anonymous())


def info_health_and_stats_say_what_they_must(start):
    a = start()
    c = Conn(a).open(name=b"reader", pid=4711)
    info = c.query(INFO)
    for key in ("version", "protocol", "epoch", "session", "provider",
                "region", "page_size", "caching", "read_gbps", "write_gbps",
                "gpu_registration", "backend", "limits", "ops",
                "loop", "kernel", "boot_id", "vm_uuid", "emulated", "pid"):
        assert key in info, key
    for key in ("name", "uuid", "file_size", "arena_size", "page_size",
                "caching"):
        assert key in info["region"], key
    assert info["provider"] == "file" and info["protocol"] == 1
    assert int(info["epoch"], 16) == c.epoch
    assert info["pid"] == a.proc.pid
    assert info["region"]["arena_size"] == 60 * MIB
    assert info["backend"]["name"] == "cpu"
    assert info["backend"]["threads"] >= 1
    assert {o["op"] for o in info["ops"]} - {
        "GEMM", "GEMM_STRIDED_BATCHED", "COPY", "INFER"} == {"NOP", "FILL",
                                                         "CHECKSUM"}
    health = c.query(HEALTH)
    assert health["healthy"] is True and health["reasons"] == []
    for key in ("provider", "page_size", "caching", "gpu_registration"):
        assert health[key] == info[key], key
    assert health["read_gbps"] > 0 and health["write_gbps"] > 0, health
    assert info["gpu_registration"] == "none", info
    assert info["gpu"] is None and health["gpu"] is None
    assert info["caching"] == "WB" and "cure" not in info, info
    assert health["uptime_s"] > 0 and health["sessions"] == 1
    time.sleep(0.3)
    assert c.query(HEALTH)["heartbeat"] > health["heartbeat"]
    st = c.query(STATS)
    assert st["clients"] == [{
        "session": c.session, "name": "reader", "pid": 4711, "lane": 0,
        "leased_bytes": 0, "tensor_bytes": 0, "tensors": 0, "ops": 0,
        "errors": 0, "compute_ns": 0, "last_error": ""}], st["clients"]


def a_memfd_region_comes_with_the_challenge(start):
    a = start()
    path = os.path.join(a.dir, "second")
    program = a.proc.args[0]
    proc = subprocess.Popen([program, "--region", "memfd:16M", "--listen",
                             "unix:" + path], stderr=subprocess.DEVNULL)
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            # The file is there before its socket listens.
            eventually(lambda: s.connect_ex(path) == 0, 5)
            data, fds, _, _ = socket.recv_fds(s, 56, 4)
            assert len(fds) == 1
            assert struct.unpack_from("<I", data, 32 + 20)[0] == 1
            assert os.fstat(fds[0]).st_size == 16 * MIB
            with mmap.mmap(fds[0], 0) as m:
                slot = struct.unpack_from("<I", data, 40)[0]
                at = PREAMBLE + 1024 + 64 * slot
                assert bytes(m[at:at + 16]) != bytes(16)
            os.close(fds[0])
    finally:
        proc.terminate()
        assert proc.wait(5) == 0


def a_served_socket_is_all_the_agent_serves(start):
    a = start()
    ours, theirs = socket.socketpair()
    proc = subprocess.Popen(
        [a.proc.args[0], "--region", "memfd:16M", "--serve-fd",
         str(theirs.fileno())], pass_fds=[theirs.fileno()],
        stderr=subprocess.DEVNULL)
    theirs.close()
    ours.settimeout(5)
    data, fds, _, _ = socket.recv_fds(ours, 56, 4)
    assert struct.unpack_from("<H", data, 6)[0] == CHALLENGE
    assert len(fds) == 1
    os.close(fds[0])
    ours.close()
    assert proc.wait(5) == 0


def usage_errors_exit_2_with_one_line(start):
    a = start()
    program = a.proc.args[0]
    bad = [["--nonsense"], ["extra"], ["--threads"], ["--threads", "0"],
           ["--spin", "50"], ["--spin", "2m"], ["--max-clients", "32"],
           ["--max-clients", "0"], ["--scrub", "maybe"], ["--loop", "x"],
           ["--backend", "abacus"], ["--listen", "tcp:80"],
           ["--max-lease", "1K"], ["--log-level", "loud"],
           ["--allow-cid", "-1"], ["--max-dim", "4294967295"],
           ["--numa-node", "near"], ["--region", "nonsense:1"],
           ["--region", "memfd:5M"], ["--region", "ivshmem:4"]]
    for args in bad:
        r = subprocess.run([program, *args], capture_output=True, timeout=5)
        assert r.returncode == 2, (args, r)
        assert r.stderr.count(b"\n") == 1 and r.stdout == b"", (args, r)
        assert args[0].lstrip("-").encode() in r.stderr or \
            args[-1].encode() in r.stderr, (args, r)
    for args in (["--help"], ["--version"]):
        r = subprocess.run([program, *args], capture_output=True, timeout=5)
        assert r.returncode == 0 and r.stdout and not r.stderr
    assert b"--serve-fd" in subprocess.run(
        [program, "--help"], capture_output=True, timeout=5).stdout


def the_manual_has_every_option_with_its_default(start):
    program = start().proc.args[0]
    text = subprocess.run([program, "--help"], capture_output=True,
                          timeout=5, check=True).stdout.decode()
    manual = os.path.join(os.environ.get("PST_TOP_SRCDIR", ".."),
                          "guest-agent", "penstock-agent.8.scd")
    with open(manual) as f:
        page = f.read()
    names = re.findall(r"^  (--[a-z-]+)", text, re.M)
    assert len(names) >= 22, names
    for name in names:
        at = page.index("\n*%s*" % name)
        default = re.search(r"^  %s .*\[(\S+)\]$" % name, text, re.M)
        if default:
            section = page[at:].split("\n*--", 2)[1]
            assert "*%s*" % default.group(1) in section, name


def the_manuals_configuration_file_is_one(start):
    a = start()
    manual = os.path.join(os.environ.get("PST_TOP_SRCDIR", ".."),
                          "guest-agent", "penstock-agent.8.scd")
    with open(manual) as f:
        example = re.search(r"```\n(\[agent\]\n.*?)```", f.read(), re.S)[1]
    path = os.path.join(a.dir, "agent.conf")
    with open(path, "w") as f:
        f.write(example)
    command = [a.proc.args[0], "--config", path, "--region", "file:/nonesuch"]
    r = subprocess.run(command, capture_output=True, timeout=5)
    assert r.returncode == 1 and b"/nonesuch" in r.stderr, r
    with open(path, "a") as f:
        f.write("nonsense = 1\n")
    r = subprocess.run(command, capture_output=True, timeout=5)
    assert r.returncode == 2 and b"nonsense" in r.stderr, r
    # Also where the command line has another one.
    with open(path, "w") as f:
        f.write("[agent]\nregion = ivshmem:dax0.0\n")
    r = subprocess.run(command, capture_output=True, timeout=5)
    assert r.returncode == 2 and b"agent.conf:2" in r.stderr, r


def failures_exit_1_with_a_sentence(start):
    a = start()
    program = a.proc.args[0]
    empty = os.path.join(a.dir, "empty")
    with open(empty, "wb") as f:
        f.truncate(16 * MIB)
    cases = [
        (["--region", "file:/nonexistent"], b"/nonexistent"),
        (["--region", "file:" + empty], b"empty"),
        (["--region", "memfd:16M", "--listen",
          "unix:/nonexistent/sock"], b"/nonexistent"),
        (["--region", "memfd:16M", "--listen", "unix:" + a.sock], b"sock"),
        (["--region", "memfd:16M", "--serve-fd", "99"], b"99"),
        (["--region", "memfd:16M", "--numa-node", "1000"], b"1000"),
    ]
    for args, word in cases:
        r = subprocess.run([program, *args], capture_output=True, timeout=10)
        assert r.returncode == 1, (args, r)
        assert word in r.stderr.splitlines()[-1], (args, r)


def readiness_is_told_to_the_service_manager(start):
    a = start()
    for prefix, path in (("", os.path.join(a.dir, "notify")),
                         ("@", "pst-notify-%d" % os.getpid())):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            s.bind(("\0" if prefix else "") + path)
            proc = subprocess.Popen(
                [a.proc.args[0], "--region", "memfd:16M", "--listen",
                 "unix:" + os.path.join(a.dir, "n")],
                env=dict(os.environ, NOTIFY_SOCKET=prefix + path),
                stderr=subprocess.DEVNULL)
            try:
                assert s.recv(100) == b"READY=1"
            finally:
                proc.terminate()
                assert proc.wait(5) == 0
            assert s.recv(100) == b"STOPPING=1"


def activated(a, listener, *args):
    """An agent that gets a listening socket as systemd passes it."""
    return subprocess.Popen(
        ["sh", "-c", "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\" 3<&%d" %
         listener.fileno(), "sh", a.proc.args[0], "--config", os.devnull,
         *args], pass_fds=[listener.fileno()], stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL)


def signs_of_life_go_to_the_service_manager_as_it_wants_them(start):
    a = start()
    path = os.path.join(a.dir, "notify")
    program = a.proc.args[0]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.bind(path)
        env = dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="300000")
        proc = subprocess.Popen(
            [program, "--region", "memfd:16M", "--listen",
             "unix:" + os.path.join(a.dir, "n")], env=env,
            stderr=subprocess.DEVNULL)
        try:
            assert s.recv(100) == b"READY=1"
            for _ in range(4):
                assert s.recv(100) == b"WATCHDOG=1"
        finally:
            proc.terminate()
            assert proc.wait(5) == 0
    env["WATCHDOG_USEC"] = "soon"
    r = subprocess.run([program, "--region", "memfd:16M"], env=env,
                       capture_output=True, timeout=5)
    assert r.returncode == 2 and b"WATCHDOG_USEC=soon" in r.stderr, r


def a_passed_socket_is_served_and_left_to_its_owner(start):
    a = start()
    a.stop()
    path = os.path.join(a.dir, "passed")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.bind(path)
        s.listen()
        proc = activated(a, s, "--region", "file:" + a.region)
        a.sock = path
        # Waits in the listener's queue until the agent is up.
        c = Conn(a).open()
        c.submit(tag=5)
        assert c.reap()[:2] == (5, OK)
        c.close()
        proc.terminate()
        line = proc.communicate(timeout=10)[1]
        assert proc.returncode == 0
        assert b"listens on unix:" + path.encode() + b";" in line, line
        assert os.path.exists(path)
        # And by the next one.
        proc = activated(a, s, "--region", "file:" + a.region, "--listen",
                         "unix:" + os.path.join(a.dir, "own"))
        Conn(a).open().close()
        a.sock = os.path.join(a.dir, "own")
        Conn(a).open().close()
        proc.terminate()
        proc.communicate(timeout=10)
        assert proc.returncode == 0
        assert os.path.exists(path) and not os.path.exists(a.sock)


def a_passed_vsock_socket_takes_the_place_of_port_7070(start):
    a = start()
    a.stop()
    try:
        s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    except OSError as e:
        raise Skip("no AF_VSOCK: %s" % e)
    with s:
        s.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
        s.listen()
        port = s.getsockname()[1]
        proc = activated(a, s, "--region", "file:" + a.region)
        # Which backend it found may come first.
        lines = [proc.stderr.readline()]
        while lines[-1] and b"listens on" not in lines[-1]:
            lines.append(proc.stderr.readline())
        proc.terminate()
        proc.communicate(timeout=10)
        assert b"listens on vsock:%d;" % port in lines[-1], lines


def a_passed_socket_that_is_none_is_a_usage_error(start):
    a = start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        proc = activated(a, s, "--region", "memfd:16M")
        err = proc.communicate(timeout=10)[1]
        assert proc.returncode == 2 and err.count(b"\n") == 1, err
        assert b"descriptor 3, passed by LISTEN_FDS, is not a stream" in err


def a_second_sigterm_changes_nothing_about_the_first(start):
    a = start()
    c = Conn(a).open()
    a.proc.terminate()
    a.proc.terminate()
    expect_error(c, ESHUTDOWN)
    assert a.stop() == 0


def all_threads_run_on_the_node_that_was_named(start):
    nodes = "/sys/devices/system/node"
    if not os.path.exists(nodes):
        return
    with open(nodes + "/node0/cpulist") as f:
        node = cpu_set(f.read())
    a = start("--numa-node", "0")
    c = Conn(a).open()
    off = c.lease(UNIT)[1][0]
    c.gemm(1, off, off + 65536, off + 131072, 64)
    assert c.reap()[:2] == (1, OK)
    tasks = os.listdir("/proc/%d/task" % a.proc.pid)
    assert len(tasks) >= 2
    for tid in tasks:
        with open("/proc/%d/task/%s/status" % (a.proc.pid, tid)) as f:
            allowed = re.search(r"Cpus_allowed_list:\s*(\S+)", f.read())[1]
        assert cpu_set(allowed) == node & os.sched_getaffinity(0), tid


def cpu_set(text):
    cpus = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cpus |= set(range(int(first), int(last or first) + 1))
    return cpus


def both_kinds_of_loop_serve(start):
    for kind in ("poll", "auto"):
        a = start("--loop", kind)
        c = Conn(a).open()
        assert c.call(PING, b"x") == (OK, b"x")
        c.submit(1)
        assert c.reap()[:2] == (1, OK)
        if kind == "poll":
            assert c.query(INFO)["loop"].startswith("poll")
        c.close()
        assert a.stop() == 0


TESTS = [v for k, v in list(globals().items())
         if callable(v) and getattr(v, "__module__", "") == "__main__" and
         k not in ("activated", "eventually", "cpu_set", "strangers")]

if __name__ == "__main__":
    run(TESTS)
