# SPDX-License-Identifier: MIT
"""penstock-agent as a process, spoken to byte by byte: from CHALLENGE to BYE."""
import os
import re
import resource
import socket
import struct
import time

from agentlib import CANCEL, CHALLENGE, CONTROL_ONLY, Closed, Conn, EAUTH, \
    EBUSY, EINVAL, ELIMIT, ENOENT, EPROTO, ETIMEDOUT, EVERSION, FRAME, HANG_S, \
    HELLO, INFO, LEASE, MAGIC, MIB, OK, PING, RELEASE, REPLY, STATS, UNIT, \
    WAKE, eventually, expect_error, run


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


run(20)
