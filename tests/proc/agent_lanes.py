# SPDX-License-Identifier: MIT
"""Several lanes of one session, by a client that writes the rings itself."""
import os
import struct

from agentlib import CANCEL, CHECKSUM, CONTROL_ONLY, Conn, EBUSY, \
    ECANCELED, EINVAL, ELIMIT, ENOENT, EPROTO, F64, FEATURE_LANES, \
    FEATURE_RUN, FILL, \
    LANES, Lane, MIB, OK, SESSION_LANES, STATS, UNIT, eventually, \
    expect_error, run


def open_lanes(agent, n, **kw):
    """A session with n lanes; returns them, its Conn first."""
    c = Conn(agent).open(features=FEATURE_LANES, **kw)
    status, numbers = c.lanes(n)
    assert status == OK and len(numbers) == n, numbers
    return [c] + [Lane(c, lane) for lane in numbers[1:]]


def keep_busy(lane, off, tag):
    """Products of some seconds in all."""
    for i in range(20):
        lane.gemm(tag + i, off, off + 16 * MIB, off + 32 * MIB, 2000)


def a_nop_passes_long_products_on_another_lane(start):
    c, second = open_lanes(start("--threads", "1"), 2)
    off = c.lease(48 * MIB)[1][0]
    keep_busy(c, off, 100)
    second.submit(1)
    assert second.reap()[:2] == (1, OK)
    client = c.query(STATS)["clients"][0]
    assert client["ops"] < 20, "it waited for all of them"
    assert client["lanes"] == sorted([c.lane, second.lane])
    # On the same lane it waits, behind what is cancelled.
    c.submit(2)
    for i in range(20):
        assert c.call(CANCEL, struct.pack("<Q", 100 + i))[0] in (OK, ENOENT)
    done = [c.reap()[:2] for _ in range(21)]
    assert [tag for tag, _ in done] == [*range(100, 120), 2]
    assert done[-1][1] == OK and done[-2][1] == ECANCELED, done


def lanes_share_what_the_session_holds(start):
    c, second = open_lanes(start(), 2)
    off, size = c.lease(UNIT)[1]
    c.submit(1, FILL, dtype=F64, a=off, length=size, alpha=7)
    assert c.reap()[:2] == (1, OK)
    results = set()
    for lane in (c, second):
        lane.submit(2, CHECKSUM, a=off, length=size)
        tag, status, _, _, result = lane.reap()
        assert (tag, status) == (2, OK)
        results.add(result)
    assert len(results) == 1
    client = c.query(STATS)["clients"][0]
    assert (client["ops"], client["leased_bytes"]) == (3, UNIT), client
    assert c.release(off, size)[0] == OK
    second.submit(3, CHECKSUM, a=off, length=size)
    assert second.reap()[1] != OK


def a_client_that_dies_with_all_lanes_busy_leaves_nothing(start):
    a = start("--threads", "1", "--max-clients", "8")
    watch = Conn(a).open(flags=CONTROL_ONLY)
    for _ in range(3):
        lanes = open_lanes(a, 3)
        off = lanes[0].lease(48 * MIB)[1][0]
        for lane in lanes:
            keep_busy(lane, off, 0)
        eventually(lambda: watch.query(STATS)["frames"] > 60)
        lanes[0].close()
        keys = ("leased_bytes", "quarantined_bytes", "clients")
        eventually(lambda: not any(watch.query(STATS)[k] for k in keys))
    # Each lane is there again, for whoever comes.
    lanes = [lane for pid in range(1, 5) for lane in open_lanes(a, 2, pid=pid)]
    for lane in lanes:
        lane.submit(5)
        assert lane.reap()[:2] == (5, OK)
    assert Conn(a).hello(pid=5)[0] == EBUSY


def lanes_count_against_the_agent_and_the_process(start):
    a = start("--max-clients", "8")
    c = Conn(a).open(features=FEATURE_LANES, pid=1)
    assert len(c.lanes(8)[1]) == 6
    status, p = Conn(a).hello(pid=1)
    assert status == EBUSY and b"process 1 holds 6 of 8 lanes" in p
    d = Conn(a).open(features=FEATURE_LANES, pid=2)
    assert len(d.lanes(8)[1]) == 2
    assert len(d.lanes(1)[1]) == 2
    status, p = Conn(a).hello(pid=3)
    assert status == EBUSY and b"all 8 lanes" in p
    c.close()
    eventually(lambda: len(d.lanes(4)[1]) == 4)


def hostile_requests_for_lanes_are_refused(start):
    a = start()
    c = Conn(a).open(features=FEATURE_LANES)
    assert c.lanes(0)[0] == EINVAL
    for n in (SESSION_LANES + 1, 31, 256, 0xFFFFFFFF):
        status, p = c.lanes(n)
        assert status == ELIMIT and str(n).encode() in p
    assert c.lanes(1) == (OK, [c.lane])
    tool = Conn(a).open(features=FEATURE_LANES, flags=CONTROL_ONLY)
    assert tool.lanes(1)[0] == EINVAL
    # 2^32, a list of lanes (another's), frames that are cut or too long.
    for payload in (struct.pack("<Q32x", 1 << 32),
                    struct.pack("<II8I", 2, 0, 7, *[0] * 7),
                    struct.pack("<II8I", 2, 0, 0, 7, *[0] * 6),
                    b"", bytes(39), bytes(41)):
        d = Conn(a).open(features=FEATURE_LANES)
        d.send(LANES, payload)
        expect_error(d, EPROTO, ["LANES"])
    # A session that did not speak of them.
    for features in (0, 4, 0xFFFFFFFC):
        d = Conn(a)
        status, p = d.hello(features=features)
        assert status == OK and struct.unpack_from("<I", p, 4)[0] == 0
        d.send(LANES, struct.pack("<II32x", 2, 0))
        expect_error(d, EPROTO, ["LANES", "HELLO"])
    # The session that was not asked goes on.
    c.submit(1)
    assert c.reap()[:2] == (1, OK)


def a_cancel_reaches_no_lane_of_another(start):
    a = start("--threads", "1")
    c, second = open_lanes(a, 2)
    off = c.lease(48 * MIB)[1][0]
    for lane in (c, second):
        keep_busy(lane, off, 500 if lane is c else 600)
    d = open_lanes(a, 2, pid=os.getpid() + 1)[0]
    for tag in (519, 619):
        assert d.call(CANCEL, struct.pack("<Q", tag))[0] == ENOENT
    # The rings of d do not lead there either.
    for tag in (519, 619):
        assert c.call(CANCEL, struct.pack("<Q", tag))[0] == OK
    assert c.call(CANCEL, struct.pack("<Q", 700))[0] == ENOENT


def the_agent_names_what_it_knows_in_the_region(start):
    c = Conn(start())
    status, p = c.hello(features=0xFFFFFFFF)
    assert status == OK
    # WELCOME's, and those of the format line.
    assert struct.unpack_from("<I", p, 4)[0] == FEATURE_LANES | FEATURE_RUN
    assert struct.unpack_from("<I", c.map, (2 << 20) + 64 + 12)[0] == \
        FEATURE_LANES | FEATURE_RUN


run(7)
