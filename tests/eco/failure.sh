#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016,SC2317 # sh -c gets words; check calls
# An unchanged program whose agent is killed or stopped at random moments gets no
# wrong number, and goes on when an agent is back.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/eco/lib.sh"
PENSTOCK_BLAS=force PENSTOCK_BLAS_MIN=200
export PENSTOCK_BLAS PENSTOCK_BLAS_MIN
cat >"$tmp/storm.py" <<'END'
import os, random, signal, sys, threading, time
import numpy as np

agents = lambda: [int(p) for p in os.listdir("/proc") if p.isdigit() and parent(p) == os.getpid()]
def parent(p):
    try:
        return int(open(f"/proc/{p}/stat").read().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0

rng = np.random.default_rng(1)
a, b, c = (rng.integers(-8, 8, (700, 700)).astype("f4") for _ in range(3))
want = np.einsum("ij,jk->ik", a.astype("i4"), b.astype("i4"))
end = time.monotonic() + float(sys.argv[1])
stop = False
hits = 0

def strike():
    global hits
    while not stop:
        time.sleep(random.uniform(0.05, 1.5))
        for pid in agents():
            try:
                os.kill(pid, random.choice((signal.SIGKILL, signal.SIGSTOP)))
                time.sleep(random.uniform(0, 0.3))
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            hits += 1

t = threading.Thread(target=strike)
t.start()
n = 0
while time.monotonic() < end:
    x = a @ b
    n += 1
    if not np.array_equal(x, want):
        print("wrong:", np.count_nonzero(x != want), "elements")
        os._exit(1)
stop = True
t.join()
print(n, "products,", hits, "blows: right")
END
check "no product is wrong" preloaded "$tmp/log" /usr/bin/python3 "$tmp/storm.py" \
	"${PST_ECO_SECONDS:-6}"
cat "$tmp/log"
finish
