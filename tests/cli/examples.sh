#!/bin/sh
# SPDX-License-Identifier: MIT
# The examples, built as a user builds them, against an installed library: they
# do their work, also when the agent dies in between, and valgrind and TSan find
# nothing.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
data=$PST_TOP_SRCDIR/tests/data
root=$tmp/root
# A make of its own, not a part of the one that runs this test.
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -C "$PST_TOP_BUILDDIR" -s \
	install DESTDIR="$root" >"$tmp/make.log" 2>&1 || {
	tail -5 "$tmp/make.log"
	exit 1
}

find_one() {
	find "$root" -name "$1" | head -n 1
}
pc=$(find_one penstock.pc)
prefix=$(sed -n 's/^prefix=//p' "$pc")
library=$(find_one libpenstock.so.0)
PKG_CONFIG_PATH=${pc%/*}
LD_LIBRARY_PATH=${library%/*}
PENSTOCK_AGENT=$(find_one penstock-agent)
export PKG_CONFIG_PATH LD_LIBRARY_PATH PENSTOCK_AGENT
flags() {
	"${PST_PKG_CONFIG:-pkg-config}" "--define-variable=prefix=$root$prefix" \
		"$@" penstock
}
cc=${PST_CC:-cc}
# The files alone, away from our headers.
mkdir "$tmp/src"
cp "$PST_TOP_SRCDIR"/host-client/examples/*.c* "$tmp/src"

# build NAME COMPILER...
build() {
	name=$1
	shift
	# shellcheck disable=SC2046 # several words
	check "$name.* builds with $*" "$@" -Wall -Wextra -pedantic -Werror -O1 -g \
		-o "$tmp/$name" "$tmp/src/$name".c* $(flags --cflags --libs)
}

# shellcheck disable=SC2086 # the compiler may have arguments
{
	build gemm $cc
	build server $cc
	build batch $cc -pthread
}
expect "gemm multiplies" 0 'C[299][299] = 3608, expected 3608; ' \
	env PENSTOCK_ENDPOINT='spawn:?size=32M' "$tmp/gemm" 300
expect "gemm needs an agent" 1 'pst_open: ' \
	env PENSTOCK_ENDPOINT=unix:///nonexistent "$tmp/gemm"
cxx=
if command -v g++ >/dev/null 2>&1; then
	cxx=g++
elif command -v clang++ >/dev/null 2>&1; then
	cxx=clang++
else
	echo "no C++ compiler (g++): vector.cc is not tried"
fi
if [ -n "$cxx" ]; then
	build vector $cxx -std=c++11
	expect "vector multiplies" 0 '262144 right' "$tmp/vector" \
		'spawn:?size=32M'
fi
expect "batch computes" 0 '50 of 50 products, 0 failures' \
	"$tmp/batch" 'spawn:?size=32M' 64 50
expect "batch does with little room" 0 '20 of 20 products' \
	"$tmp/batch" 'spawn:?size=16M' 700 20
expect "no agent is said" 1 'batch: ' "$tmp/batch" 'spawn:?agent=/nowhere' 8 1

# start_again: the agent of another life.
start_again() {
	kill -KILL "$agent_pid"
	wait "$agent_pid" 2>/dev/null
	start_agent "unix://$tmp/sock" --region memfd:64M
}

start_agent "unix://$tmp/sock" --region memfd:64M
"$tmp/batch" "unix://$tmp/sock" 256 6000 >"$tmp/batch.out" 2>"$tmp/batch.err" &
batch_pid=$!
pids="$pids $batch_pid"
sleep 0.3
start_again
wait "$batch_pid"
check "batch goes on with another agent" grep -q '6000 of 6000 products' \
	"$tmp/batch.out"
check "... having seen the first one go" grep -q 'went away' "$tmp/batch.err"

# ---- The server ----------------------------------------------------------

cat >"$tmp/client.py" <<'END'
import socket, struct, sys
path, rows = sys.argv[1], int(sys.argv[2])
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(path)
    return s
def get(s, n):
    b = b""
    while len(b) < n:
        part = s.recv(n - len(b))
        if not part:
            raise EOFError
        b += part
    return b
def ask(s, row):
    s.sendall(struct.pack("64f", *row))
    status, = struct.unpack("i", get(s, 4))
    return struct.unpack("10f", get(s, 40)) if status == 0 else status
one = [float(i % 17) for i in range(64)]
two = [float(i % 5) for i in range(64)]
s, t, dead = connect(), connect(), connect()
dead.sendall(b"half a row")
dead.close()
a, b = ask(s, one), ask(t, two)
assert a != b and len(a) == len(b) == 10, (a, b)
for i in range(rows):
    assert ask(s, one) == a and ask(t, two) == b
# Who leaves with its row under way takes nothing from others.
gone = connect()
gone.sendall(struct.pack("64f", *one))
gone.close()
assert ask(s, one) == a
# A row in pieces, and two at once.
row = struct.pack("64f", *two)
s.sendall(row[:100])
assert ask(t, one) == a
s.sendall(row[100:] + row)
for i in range(2):
    assert get(s, 44) == struct.pack("i", 0) + struct.pack("10f", *b)
# More clients than places: all are served in the end.
more = [connect() for i in range(62)]
late = connect()
late.sendall(row)
assert all(ask(m, one) == a for m in more)
more.pop().close()
assert get(late, 44)[4:] == struct.pack("10f", *b)
print("served")
END

# serve COMMAND...: the server, up.
serve() {
	rm -f "$tmp/rows"
	"$@" "unix://$tmp/sock" "$data/digits.safetensors" "$tmp/rows" \
		>"$tmp/server.out" 2>"$tmp/server.err" &
	server_pid=$!
	pids="$pids $server_pid"
	tries=0
	while ! grep -q ready "$tmp/server.out" && [ $tries -lt 600 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
}

# unserve: it ends by itself.
# shellcheck disable=SC2317 # called by check
unserve() {
	kill -TERM "$server_pid"
	wait "$server_pid"
}

# shellcheck disable=SC2317 # called by expect
client() {
	"${PST_PYTHON:-python3}" "$tmp/client.py" "$tmp/rows" "$1"
}

if [ -n "${PST_PYTHON:-}" ]; then
	module=$(find_one connection.py)
	expect "the installed Python package multiplies" 0 11.0 env \
		PYTHONPATH="${module%/penstock/connection.py}" \
		PYTHONDONTWRITEBYTECODE=1 "$PST_PYTHON" -c '
import penstock
with penstock.open("spawn:?size=32M") as c:
    print(c.matmul([[1., 2.]], [[3.], [4.]])[0, 0])'
fi
serve "$tmp/server"
expect "the server serves many clients" 0 served client 200
start_again
expect "... and those of another agent" 0 served client 20
check "the server says what was" grep -q 'the agent is gone' "$tmp/server.err"
check "SIGTERM ends it" unserve

# ---- What tools find -----------------------------------------------------

if command -v valgrind >/dev/null 2>&1; then
	grind="valgrind -q --error-exitcode=9 --leak-check=full
		--errors-for-leak-kinds=definite --trace-children=no"
	# shellcheck disable=SC2086 # several words
	{
		expect "valgrind finds nothing in batch" 0 '20 of 20' \
			$grind "$tmp/batch" "unix://$tmp/sock" 32 20
		[ -z "$cxx" ] ||
			expect "valgrind finds nothing in vector" 0 right \
				$grind "$tmp/vector" "unix://$tmp/sock"
		serve $grind "$tmp/server"
	}
	expect "a server under valgrind serves" 0 served client 5
	check "valgrind finds nothing in the server" unserve
else
	echo "no valgrind: not tried"
fi
# With an instrumented program the library's locks are seen, too.
# shellcheck disable=SC2086 # the compiler may have arguments
if echo 'int main(void) { return 0; }' >"$tmp/t.c" &&
	$cc -fsanitize=thread -o "$tmp/t" "$tmp/t.c" 2>/dev/null && "$tmp/t"; then
	build batch $cc -pthread -fsanitize=thread
	expect "TSan finds nothing in batch" 0 '100 of 100' \
		"$tmp/batch" "unix://$tmp/sock" 32 100
else
	echo "no TSan: not tried"
fi

# ---- dlopen --------------------------------------------------------------

cat >"$tmp/dl.c" <<'END'
#include <dlfcn.h>
#include <penstock.h>
#include <stdio.h>
int main(int argc, char **argv)
{
	int i, r = argc;
	for (i = 0; i < 5; i++) {
		void *h = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
		int (*open)(const char *, const struct pst_options *,
			    struct pst **, char *, size_t);
		void (*close)(struct pst *);
		struct pst *c;
		if (!h)
			return 1;
		*(void **)&open = dlsym(h, "pst_open");
		*(void **)&close = dlsym(h, "pst_close");
		r = open("spawn:?size=8M", NULL, &c, NULL, 0);
		if (r < 0)
			return 2;
		close(c);
		if (dlclose(h))
			return 3;
		if (dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD))
			return 4;
	}
	puts("unloaded");
	return 0;
}
END
# shellcheck disable=SC2046,SC2086 # several words
check "a program that dlopens builds" $cc -Wall -o "$tmp/dl" "$tmp/dl.c" \
	$(flags --cflags) -ldl
expect "the library can be loaded and unloaded" 0 unloaded \
	"$tmp/dl" "$library"
finish
