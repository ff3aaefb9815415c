# SPDX-License-Identifier: MIT
"""How sessions and agents end, and what is left then."""
import mmap
import os
import re
import socket
import struct
import subprocess
import time

from agentlib import Agent, BYE, CHALLENGE, CHECKSUM, CONTROL_ONLY, Closed, \
    Conn, ESHUTDOWN, F32, F64, HANG_S, HEALTH, INFO, LEASE, MIB, OK, \
    PING, PREAMBLE, REPLY, STATS, UNIT, WAKE, create_region, eventually, \
    expect_error, run


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
        eventually(lambda: copy in open(maps).read())
        beat = 1000
        while b.proc.poll() is None and beat < 1200:
            beat += 1
            f.seek(PREAMBLE + 192)
            f.write(struct.pack("<Q", beat))
            f.flush()
            time.sleep(0.02)
    assert b.proc.wait(HANG_S) == 1
    epoch = struct.unpack_from("<Q", line, 16)[0]
    assert "%016x" % epoch in b.output(), b.output()
    assert "pid %d" % a.proc.pid in b.output(), b.output()


def a_restart_has_a_new_epoch_and_holds_leases_for_a_while(start):
    a = start()
    c = Conn(a).open()
    assert c.lease(UNIT)[0] == OK
    # On a busy machine the while may be over before it is asked.
    for _ in range(5):
        a.kill()
        t = time.monotonic()
        a = start()
        d = Conn(a)
        assert d.epoch != c.epoch
        d.open()
        leases = [d.send(LEASE, struct.pack("<QQ", 0, UNIT)) for _ in "12"]
        ping = d.send(PING, b"meanwhile")
        got = [d.recv()[:3] for _ in range(3)]
        assert time.monotonic() - t >= 0.5
        assert sorted(got) == sorted([(PING | REPLY, ping, OK)] + [
            (LEASE | REPLY, seq, OK) for seq in leases]), got
        assert d.lease(UNIT)[0] == OK
        if got[0][1] == ping:
            return
    raise AssertionError("PING waits for leases")


def sigterm_drains_and_says_goodbye(start):
    a = start("--threads", "1")
    c = Conn(a).open()
    idle = Conn(a).open(flags=CONTROL_ONLY)
    off = c.lease(48 * MIB)[1][0]
    # Long enough to be met, and so short that the one that runs is over before
    # HELLO is due.
    n = 1400
    many = 16
    c.gemm(many, off, off + 16 * MIB, off + 32 * MIB, 1)
    for i in range(many):
        c.gemm(i, off, off + 16 * MIB, off + 32 * MIB, n)
    # The first one of these runs.
    assert c.reap()[:2] == (many, OK)
    time.sleep(0.03)
    waiting = Conn(a)
    t = time.monotonic()
    a.proc.terminate()
    got = [c.reap()[:2] for _ in range(many)]
    assert got[0] == (0, OK), got
    assert got[-1] == (many - 1, ESHUTDOWN), got
    for conn in (c, idle, waiting):
        expect_error(conn, ESHUTDOWN, ["shutting down"])
    assert a.proc.wait(HANG_S) == 0
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
    # OpenBLAS threads spin a little after their work, on a busy machine for
    # longer.
    for _ in range(3):
        time.sleep(0.5)
        u, s = used(), switches()
        time.sleep(3)
        u, s = used() - u, switches() - s
        if u <= 0.03 and s < 20:
            break
    assert u <= 0.03, u
    assert s < 20, "the serving thread wakes up by itself"
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
    assert info["caching"] == "WB" and "remedy" not in info, info
    assert health["uptime_s"] > 0 and health["sessions"] == 1
    eventually(lambda: c.query(HEALTH)["heartbeat"] > health["heartbeat"])
    st = c.query(STATS)
    assert st["clients"] == [{
        "session": c.session, "name": "reader", "pid": 4711, "lanes": [0],
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
            s.settimeout(HANG_S)
            # The file is there before its socket listens.
            eventually(lambda: s.connect_ex(path) == 0)
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
        assert proc.wait(HANG_S) == 0


def a_served_socket_is_all_the_agent_serves(start):
    a = start()
    ours, theirs = socket.socketpair()
    proc = subprocess.Popen(
        [a.proc.args[0], "--region", "memfd:16M", "--serve-fd",
         str(theirs.fileno())], pass_fds=[theirs.fileno()],
        stderr=subprocess.DEVNULL)
    theirs.close()
    ours.settimeout(HANG_S)
    data, fds, _, _ = socket.recv_fds(ours, 56, 4)
    assert struct.unpack_from("<H", data, 6)[0] == CHALLENGE
    assert len(fds) == 1
    os.close(fds[0])
    ours.close()
    assert proc.wait(HANG_S) == 0


run(13)
