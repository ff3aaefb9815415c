# SPDX-License-Identifier: MIT
"""Leases and operations of a session, by a client that writes the ring itself."""
import array
import struct

from agentlib import CANCEL, CHECKSUM, Conn, EBOUNDS, ECANCELED, EINVAL, \
    ELIMIT, ENOENT, ENOSPC, ENOTSUP, EPROTO, F32, F64, FILL, GEMM, INFO, MIB, \
    NOP, OK, PING, STATS, UNIT, eventually, expect_error, run


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
    assert (st["waiting"], st["running"]) == (0, 0)
    nop, fill, checksum = (st["operations"][x]
                           for x in ("NOP", "FILL", "CHECKSUM"))
    assert nop["results"] == {"OK": 600} and "compute" not in nop
    assert sum(nop["queue"]["buckets"]) == 600
    assert (fill["bytes_read"], fill["bytes_written"]) == (0, 4096)
    assert (checksum["bytes_read"], checksum["bytes_written"]) == (4096, 0)
    assert sum(fill["compute"]["buckets"]) == 1
    assert fill["compute"]["sum_ns"] + checksum["compute"]["sum_ns"] == \
        st["compute_ns"]
    c.submit(9, FILL, dtype=F64, a=off, length=7)
    assert c.reap()[:2] == (9, EINVAL)
    fill = c.query(STATS)["operations"]["FILL"]
    assert fill["results"] == {"OK": 1, "EINVAL": 1}
    assert fill["bytes_written"] == 4096


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


run(12)
