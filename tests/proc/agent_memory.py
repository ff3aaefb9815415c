# SPDX-License-Identifier: MIT
"""What a connection costs the agent at most, whatever its client does."""
import re
import time

from agentlib import Conn, FRAME, HEALTH, INFO, MAGIC, PING, STATS, run

LIMIT_KIB = 64
CLIENTS = 30


def anonymous(agent):
    """KiB of the agent's own memory that is there."""
    with open("/proc/%d/status" % agent.proc.pid) as f:
        return int(re.search(r"RssAnon:\s+(\d+) kB", f.read()).group(1))


def ask_and_never_read(conn, frames):
    """Sends until the socket takes no more."""
    conn.s.setblocking(False)
    try:
        for frame in frames:
            conn.s.send(frame)
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass


def one_that_never_reads_costs_little(start):
    """Replies that nobody reads, and requests that wait behind them."""
    a = start("--max-clients", str(CLIENTS))
    frames = [FRAME.pack(MAGIC, 1, t, 0, 5, 0, 0, 0)
              for t in (INFO, STATS, HEALTH)] * 500
    Conn(a).open().close()
    before = anonymous(a)
    conns = []
    most = 0
    for i in range(CLIENTS):
        conns.append(Conn(a).open(pid=1000 + i))
        ask_and_never_read(conns[-1], frames)
        most = max(most, anonymous(a) - before)
    # They are ended after a second: until then it grows no more.
    until = time.monotonic() + 1
    while time.monotonic() < until:
        most = max(most, anonymous(a) - before)
        time.sleep(0.01)
    assert 0 < most <= CLIENTS * LIMIT_KIB, most
    for c in conns:
        c.close()
    Conn(a).open().close()


def one_that_sends_half_a_frame_costs_little(start):
    """The longest request, all but its last byte."""
    a = start("--max-clients", str(CLIENTS))
    Conn(a).open().close()
    before = anonymous(a)
    conns = [Conn(a).open(pid=1000 + i) for i in range(CLIENTS)]
    for c in conns:
        c.s.sendall(FRAME.pack(MAGIC, 1, PING, 4096, 5, 0, 0, 0) + bytes(4095))
    for c in conns[1:]:
        c.s.sendall(b"\0")
        assert c.recv()[2] == 0
    grown = anonymous(a) - before
    assert grown <= CLIENTS * LIMIT_KIB, grown
    for c in conns:
        c.close()


run(2)
