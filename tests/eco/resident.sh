#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016,SC2317 # sh -c gets words; check calls
# Operands that stay with the agent: whatever a program does to its arrays between
# two products, none is computed from what they were before. PST_ECO_PRODUCTS: how
# many (200); PST_ECO_LONG=1: one of 64 MiB, too.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/eco/lib.sh"
PENSTOCK_BLAS=force PENSTOCK_BLAS_MIN=100 PENSTOCK_BLAS_RESIDENT=1
export PENSTOCK_BLAS PENSTOCK_BLAS_MIN PENSTOCK_BLAS_RESIDENT
python=/usr/bin/python3

cat >"$tmp/write.c" <<'END_C'
void put(float *p, long n, float v)
{
	for (long i = 0; i < n; i += 700)
		p[i] = v;
}
END_C
$PST_CC -shared -fPIC -o "$tmp/write.so" "$tmp/write.c" || exit 99

# A vector times a matrix is no product of level 3: the next BLAS computes it.
cat >"$tmp/lib.py" <<'END_PY'
import ctypes, mmap, os, random, sys, threading
import numpy as np

N = 1024
rng = np.random.default_rng(int(os.environ.get("PST_SEED", "1")))
random.seed(int(os.environ.get("PST_SEED", "1")))
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
wrong = done = 0

def ints(*shape):
    return rng.integers(-4, 5, shape).astype("f4")

def product(w, rows=3):
    global wrong, done
    x = ints(rows, w.shape[0])
    got = x @ w
    want = np.stack([row @ w for row in x])
    done += 1
    if not np.array_equal(got, want):
        wrong += 1
        print("wrong:", np.count_nonzero(got != want), "elements")

def end():
    print(done, "products,", wrong, "wrong")
    sys.exit(wrong != 0)
END_PY
cat >"$tmp/mutate.py" <<'END_PY'
import sys
sys.path.insert(0, sys.argv[1])
from lib import *
put = ctypes.CDLL(sys.argv[1] + "/write.so").put
put.argtypes = ctypes.c_void_p, ctypes.c_long, ctypes.c_float

# Alone; beside each other, with a page in common; and one above another.
heap = ints(4 * N * N + 1000)
def view(first):
    return heap[first:first + N * N].reshape(N, N)
ws = [ints(N, N), view(100), view(N * N + 100), view(N * N + N * N // 2),
      ints(N + 9, N)[9:], ints(N, N).T]

def element(w): w[random.randrange(N), random.randrange(N)] += 1
def row(w): w[random.randrange(N)] = ints(N)
def column(w): w[:, random.randrange(N)] = ints(N)
def whole(w): w[:] = ints(N, N)
def readinto(w):
    a = np.ascontiguousarray(ints(2, N))
    r, s = os.pipe()
    os.write(s, a.tobytes())
    first = random.randrange(N - 2)
    flat = w.T if w.flags.f_contiguous else w
    os.readv(r, [flat[first:first + 2].reshape(-1).view("u1").data])
    os.close(r)
    os.close(s)
def extension(w): put(w.ctypes.data, N * N, random.randrange(5))
def thread(w):
    t = threading.Thread(target=row, args=(w,))
    t.start()
    t.join()
def fork(w):
    r, s = os.pipe()
    pid = os.fork()
    if pid == 0:
        row(w)                       # its own copy
        x = ints(3, N)
        ok = np.array_equal(x @ w, np.stack([v @ w for v in x]))
        os.write(s, b"y" if ok else b"n")
        os._exit(0)
    row(w)
    os.waitpid(pid, 0)
    global wrong
    if os.read(r, 1) != b"y":
        import lib
        lib.wrong += 1
        print("wrong in a child")
    os.close(r)
    os.close(s)
def new(w):
    for i, v in enumerate(ws):
        if v is w and v.base is None:
            ws[i] = None
            del v, w
            ws[i] = ints(N, N)
            return
def away(w):                         # the kernel takes pages: they are zero
    at = (w.ctypes.data + 4095) // 4096 * 4096
    n = random.choice((4096, 1 << 20, 3 << 20))
    assert libc.madvise(at, n, 4) == 0
def nothing(w): pass

kinds = [element, row, column, whole, readinto, extension, thread, new, away] + [nothing] * 4
n = int(sys.argv[2])
for i in range(n):
    w = ws[i // 5 % len(ws)]
    (fork if i % 67 == 66 else random.choice(kinds))(w)
    product(ws[i // 5 % len(ws)])
end()
END_PY
cat >"$tmp/example.py" <<'END_PY'
import sys
sys.path.insert(0, sys.argv[1])
from lib import *
n = 2048
w = ints(n, n)
for i in range(60):
    if i == 40:
        w = None
        w = ints(n, n)
    elif i == 30:
        w[:] = ints(n, n)
    elif i == 20:
        w[:, 7] = ints(n)
    elif i % 3 == 1:
        w[i, i:i + 3] = 2
    product(w.T, 4)
end()
END_PY
cat >"$tmp/large.py" <<'END_PY'
import sys
sys.path.insert(0, sys.argv[1])
from lib import *
w = ints(4096, 4096)
for i in range(30):
    product(w)
end()
END_PY
cat >"$tmp/shared.py" <<'END_PY'
import sys
sys.path.insert(0, sys.argv[1])
from lib import *
# Another process, by shared memory.
m = mmap.mmap(-1, 4 * N * N)
w = np.frombuffer(m, "f4").reshape(N, N)
# A second mapping of the same pages.
fd = os.memfd_create("w")
os.ftruncate(fd, 4 * N * N)
one, two = mmap.mmap(fd, 4 * N * N), mmap.mmap(fd, 4 * N * N)
v, second = (np.frombuffer(x, "f4").reshape(N, N) for x in (one, two))
# A file, mapped privately: others may still write to it.
p = mmap.mmap(fd, 4 * N * N, flags=mmap.MAP_PRIVATE)
u = np.frombuffer(p, "f4").reshape(N, N)
for i in range(6):
    if os.fork() == 0:
        w[:] = ints(N, N) + i
        os._exit(0)
    os.wait()
    second[:] = ints(N, N)
    for x in w, w, w, v, v, v, u, u, u:
        product(x)
end()
END_PY
cat >"$tmp/ring.py" <<'END_PY'
import sys
sys.path.insert(0, sys.argv[1])
from lib import *
w = ints(N, N)
for i in range(5):
    product(w)
fd = libc.syscall(425, 4, (ctypes.c_char * 120)())
iov = (ctypes.c_size_t * 2)(w.ctypes.data, w.nbytes)
if fd < 0 or libc.syscall(427, fd, 0, iov, 1) != 0:
    print("no io_uring here")
    sys.exit(0)
for i in range(5):
    product(w)
end()
END_PY

# counted N: field N of the line about operands, all processes together.
counted() {
	awk -v n="$1" '/ operands: / { s += $n } END { printf "%.0f", s }' "$tmp/log"
}
run() {
	preloaded "$tmp/log" "$python" "$tmp/$1.py" "$tmp" \
		"${PST_ECO_PRODUCTS:-200}" >"$tmp/out"
	rc=$?
	echo "  $(tail -n 1 "$tmp/out"); $(sed -n 's/.*operands: //p' "$tmp/log" |
		tail -n 1)"
	return "$rc"
}

check "no product is wrong, whatever is written between" run mutate
linux=$(uname -r | awk -F '[.-]' '{ print 1000 * $1 + $2 }')
if [ "$linux" -lt 6007 ]; then
	echo "# SKIP what is kept: this kernel has no PAGEMAP_SCAN (6.7)"
	finish
fi
check "some were kept" [ "$(counted 11)" -gt 0 ]
check "an operand of 16 MiB in 60 products is right" run example
check "at most 120 MiB of 960 were copied" [ "$(counted 3)" -le 125829120 ]
check "which of them would have been" [ "$(counted 10)" -ge 1006632960 ]
if [ -n "${PST_ECO_LONG:-}" ]; then
	check "one of 64 MiB" run large
	check "is copied twice" [ "$(counted 3)" -le 134217728 ]
fi
check "memory that others have is right" run shared
check "and never kept" [ "$(counted 3)" -eq "$(counted 10)" ]
check "buffers of io_uring" run ring
if ! grep -q 'no io_uring' "$tmp/out"; then
	check "end it" [ "$(counted 13)" -le 3 ]
fi
finish
