#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016,SC2317 # sh -c gets words; check calls
# What has caught others who stand before a BLAS, each with a program of its kind:
# the table of host-client/blas/README.md says where the rest is tested.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
library=$PST_TOP_BUILDDIR/host-client/blas/.libs/libpenstock-blas.so
PENSTOCK_AGENT=$agent
PENSTOCK_LIBRARY=$PST_TOP_BUILDDIR/host-client/.libs/libpenstock.so.0
XDG_CACHE_HOME=$tmp
export PENSTOCK_AGENT PENSTOCK_LIBRARY XDG_CACHE_HOME

# A wheel: a BLAS under names of its own, and a module that needs it.
cat >"$tmp/wheel.c" <<'END'
#include <stdint.h>

void GEMM(int order, int ta, int tb, int64_t m, int64_t n, int64_t k, double alpha,
	  const double *a, int64_t lda, const double *b, int64_t ldb, double beta,
	  double *c, int64_t ldc)
{
	int64_t i, j, l;

	for (j = 0; j < n; j++)
		for (i = 0; i < m; i++) {
			double sum = 0;

			for (l = 0; l < k; l++)
				sum += a[l * lda + i] * b[j * ldb + l];
			c[j * ldc + i] = alpha * sum +
					 (beta ? beta * c[j * ldc + i] : 0);
		}
}
END
cat >"$tmp/module.c" <<'END'
#include <stdint.h>
#include <stdlib.h>

void GEMM(int order, int ta, int tb, int64_t m, int64_t n, int64_t k, double alpha,
	  const double *a, int64_t lda, const double *b, int64_t ldb, double beta,
	  double *c, int64_t ldc);

int product(void)
{
	enum { N = 130 };
	double *x = malloc(3 * N * N * sizeof(*x));
	int i, j, wrong = 0;

	for (i = 0; i < N * N; i++) {
		x[i] = i % N == i / N ? 2 : 0;
		x[N * N + i] = i % 11;
		x[2 * N * N + i] = i % 5;
	}
	GEMM(102, 111, 111, N, N, N, 1, x, N, x + N * N, N, -1, x + 2 * N * N, N);
	for (i = 0; i < N * N; i++)
		wrong += x[2 * N * N + i] != 2 * (i % 11) - i % 5;
	free(x);
	return wrong;
}
END
cat >"$tmp/host.c" <<'END'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int (*product)(void);

static void *one(void *unused)
{
	return product() ? "wrong" : NULL;
}

/* host HOW WAY COUNT MODULE...: loads the modules, and has each compute in that way. */
int main(int argc, char **argv)
{
	const int flags = strcmp(argv[1], "deep") ? RTLD_LOCAL : RTLD_DEEPBIND;
	int i, j, status, started, bad = 0, n = atoi(argv[3]);
	pthread_attr_t attr;
	int done[2], go[2];
	char byte;
	pthread_t t[100];
	void *answer;

	for (i = 4; i < argc; i++) {
		void *module = dlopen(argv[i], RTLD_NOW | flags);

		*(void **)&product = module ? dlsym(module, "product") : NULL;
		if (!product)
			return puts(dlerror());
		if (strcmp(argv[2], "threads") == 0) {
			pthread_attr_init(&attr);
			pthread_attr_setstacksize(&attr, 64 << 10);
			for (started = 0; started < n; started++)
				if (pthread_create(&t[started], &attr, one, NULL))
					return 3;
			for (j = 0; j < n; j++) {
				pthread_join(t[j], &answer);
				bad |= answer != NULL;
			}
		} else if (strcmp(argv[2], "forks") == 0) {
			/* Each keeps its lane until all have computed. */
			if (pipe(done) || pipe(go))
				return 3;
			for (j = 0; j < n; j++)
				if (fork() == 0) {
					bad = product();
					close(go[1]);
					write(done[1], "", 1);
					read(go[0], &byte, 1);
					exit(bad != 0);
				}
			close(done[1]);
			for (j = 0; j < n && read(done[0], &byte, 1) == 1; j++)
				;
			close(go[1]);
			while (wait(&status) > 0)
				bad |= status;
		} else {
			bad |= product();
		}
	}
	if (strcmp(argv[2], "exec") == 0 && !bad) {
		argv[2] = "again";
		execv("/proc/self/exe", argv);
	}
	return bad != 0;
}
END
for name in scipy_cblas_dgemm64_ cblas_dgemm64_; do
	$PST_CC -w -shared -fPIC -DGEMM=$name -o "$tmp/libwheel-$name.so" \
		"$tmp/wheel.c" || exit 99
	$PST_CC -w -shared -fPIC -DGEMM=$name -o "$tmp/$name.so" "$tmp/module.c" \
		"$tmp/libwheel-$name.so" -Wl,-rpath,"$tmp" || exit 99
done
$PST_CC -w -D_GNU_SOURCE -o "$tmp/host" "$tmp/host.c" -ldl -lpthread || exit 99
one=$tmp/scipy_cblas_dgemm64_.so
two=$tmp/cblas_dgemm64_.so

"$agent" --max-clients 8 --region memfd:128M --listen "unix:$tmp/shared" 2>"$tmp/agent.log" &
pids="$pids $!"
n=0
while [ ! -S "$tmp/shared" ] && [ "$((n += 1))" -lt 200 ]; do
	sleep 0.05
done

# forced ENDPOINT ARG...: the host, with all products offloaded.
forced() {
	rm -f "$tmp/log"
	endpoint=$1
	shift
	LD_PRELOAD=$library PENSTOCK_ENDPOINT=$endpoint PENSTOCK_BLAS=force \
		PENSTOCK_BLAS_MIN=1 PENSTOCK_BLAS_STATS=1 \
		PENSTOCK_BLAS_LOG=$tmp/log "$tmp/host" "$@"
}
# all N: of that many processes and calls, each was offloaded.
all() {
	n=$(awk '/ calls, / { n += $4 } END { print n + 0 }' "$tmp/log")
	[ "$n" -eq "$1" ] || cat "$tmp/log"
	[ "$n" -eq "$1" ]
}
check "a private BLAS of a module is found (RTLD_LOCAL)" \
	forced spawn: local once 1 "$one"
check "and stood before" all 1
check "two of them keep apart, in either order of dlopen" \
	forced spawn: local once 1 "$two" "$one" "$two"
check "and both are stood before" all 3
check "past the search order (RTLD_DEEPBIND) nothing breaks" \
	forced spawn: deep once 1 "$one"
check "a program that executes itself is right" \
	forced spawn: local exec 1 "$one"
# Statistics are said at the exit, which exec(3) is not.
check "and offloads again" all 1
check "threads with stacks of 64 KiB are right" \
	forced spawn: local threads 12 "$one"
check "and offload" all 12
check "more threads than lanes are right" \
	forced "unix://$tmp/shared" local threads 50 "$one"
check "and share a session" all 50
check "more processes than lanes are right" \
	forced "unix://$tmp/shared" local forks 40 "$one"
n=$(awk '/ calls, / { n += $4 } END { print n + 0 }' "$tmp/log")
echo "# $n of 40 processes had a lane"
check "those without one compute here" [ "$n" -gt 0 -a "$n" -le 8 ]

# A program of more rights than its user: our libblas.so.3 is linked, no preload.
alternative=$PST_TOP_BUILDDIR/host-client/blas/.libs/libblas.so.3
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null && [ -e "$alternative" ]; then
	chmod 755 "$tmp"
	cp "$alternative" "$tmp/"
	sed 's/GEMM(102, 111, 111, N, N, N, 1,/cblas_dgemm(102, 111, 111, N, N, N, 1.0,/' \
		"$tmp/module.c" | sed 's/^void GEMM(/void cblas_dgemm(/; s/int64_t/int/g' \
		>"$tmp/setuid.c"
	echo 'int main(void) { return product() != 0; }' >>"$tmp/setuid.c"
	$PST_CC -w -o "$tmp/setuid" "$tmp/setuid.c" "$tmp/libblas.so.3" \
		-Wl,-rpath,"$tmp" || exit 99
	as_nobody() {
		setpriv --reuid 65534 --clear-groups env PENSTOCK_ENDPOINT=spawn: \
			PENSTOCK_BLAS=force PENSTOCK_BLAS_STATS=1 \
			"$tmp/setuid" >"$tmp/said" 2>&1
	}
	check "a program without more rights reads the environment" as_nobody
	check "and says so" grep -q '1 calls' "$tmp/said"
	chmod u+s "$tmp/setuid"
	check "a setuid program is right" as_nobody
	check "and ignores the environment" [ ! -s "$tmp/said" ]
	if ! "$penstock" blas why true 2>&1 | grep -q libelf; then
		expect "blas why says it of setuid" 0 'more rights than' \
			"$penstock" blas why "$tmp/setuid"
	fi
else
	echo "# SKIP setuid: not root, or no setpriv or libblas.so.3"
fi
printf '#!/bin/sh\nexec "%s"\n' "$tmp/host" >"$tmp/script"
chmod +x "$tmp/script"
if ! "$penstock" blas why true 2>&1 | grep -q libelf; then
	expect "blas why knows a script" 0 'is a script of /bin/sh' \
		"$penstock" blas why "$tmp/script"
fi

# f2py holds Python's lock in a call: who ends the agent then is another process.
# ctypes.PyDLL holds it, too.
cat >"$tmp/locked.py" <<'END'
import ctypes, os, sys

product = ctypes.PyDLL(sys.argv[1]).product
n = wrong = 0
while not os.path.exists(sys.argv[2] + "/stop"):
    wrong += product() != 0
    n += 1
    if n in (20, 40):
        open(f"{sys.argv[2]}/after{n}", "w").close()
    while n == 20 and not os.path.exists(sys.argv[2] + "/gone"):
        wrong += product() != 0
print(n, "products", wrong, "wrong")
sys.exit(wrong != 0)
END
# wait_for FILE
wait_for() {
	n=0
	while [ ! -e "$1" ] && [ "$((n += 1))" -lt 600 ]; do
		sleep 0.05
	done
	[ -e "$1" ]
}
if python3 -c 'import ctypes' 2>/dev/null; then
	"$agent" --region memfd:128M --listen "unix:$tmp/locked" 2>>"$tmp/agent.log" &
	victim=$!
	wait_for "$tmp/locked"
	rm -f "$tmp/log"
	LD_PRELOAD=$library PENSTOCK_ENDPOINT=unix://$tmp/locked PENSTOCK_BLAS=force \
		PENSTOCK_BLAS_MIN=1 PENSTOCK_BLAS_STATS=1 PENSTOCK_BLAS_LOG=$tmp/log \
		python3 "$tmp/locked.py" "$one" "$tmp" >"$tmp/locked.out" &
	reader=$!
	pids="$pids $victim $reader"
	check "a program that holds a lock in each call computes" \
		wait_for "$tmp/after20"
	kill -KILL "$victim"
	wait "$victim" 2>/dev/null
	: >"$tmp/gone"
	check "it goes on without its agent" wait_for "$tmp/after40"
	: >"$tmp/stop"
	wait "$reader"
	check "with Python's lock held nothing is wrong" [ $? -eq 0 ]
	pids=${pids%" $victim $reader"}
	check "its products were offloaded, and then not" \
		grep -qE ' [1-9][0-9]* products offloaded.* [1-9][0-9]* failed' \
		"$tmp/log"
else
	echo "# SKIP a lock in each call: no python3"
fi

# The first call measures this machine's copies: that is nobody's business.
first() {
	LD_PRELOAD=$library PENSTOCK_ENDPOINT=spawn: PENSTOCK_BLAS=force \
		PENSTOCK_BLAS_MIN=1 "$tmp/host" local once 1 "$one" \
		>"$tmp/said" 2>&1
}
check "the first call is right" first
check "the first call says nothing" [ ! -s "$tmp/said" ]

# The same product has the same bits, if all of them are the agent's.
cat >"$tmp/bits.c" <<'END'
#include <stdint.h>
#include <stdio.h>

void GEMM(int order, int ta, int tb, int64_t m, int64_t n, int64_t k, double alpha,
	  const double *a, int64_t lda, const double *b, int64_t ldb, double beta,
	  double *c, int64_t ldc);

int product(void)
{
	static double a[150 * 150], b[150 * 150], c[150 * 150];
	int i, n;

	for (i = 0; i < 150 * 150; i++) {
		a[i] = 1.0 / (1 + i % 1237);
		b[i] = 1.0 / (3 + i % 977);
	}
	for (n = 10; n <= 150; n += 35) {
		GEMM(102, 111, 112, n, n, n, 1.0 / 3, a, 150, b, 150, 0, c, 150);
		for (i = 0; i < n; i++)
			printf("%a\n", c[151 * i]);
	}
	return 0;
}
END
$PST_CC -w -shared -fPIC -DGEMM=cblas_dgemm64_ -o "$tmp/bits.so" "$tmp/bits.c" \
	"$tmp/libwheel-cblas_dgemm64_.so" -Wl,-rpath,"$tmp" || exit 99
forced spawn: local once 1 "$tmp/bits.so" >"$tmp/bits1"
check "sizes on both sides of the threshold are offloaded by force" all 5
forced spawn: local once 1 "$tmp/bits.so" >"$tmp/bits2"
check "with force the bits of a product are the same each time" \
	cmp "$tmp/bits1" "$tmp/bits2"
check "and there are some" [ "$(wc -l <"$tmp/bits1")" -gt 300 ]

# The table of traps names tests that are there.
sed -n 's/^| .* | `\([^`]*\)`: "\([^"]*\)" |$/\1 \2/p' \
	"$PST_TOP_SRCDIR/host-client/blas/README.md" >"$tmp/table"
check "the table of traps has rows" [ "$(wc -l <"$tmp/table")" -ge 10 ]
while read -r file words; do
	check "$file has \"$words\"" grep -qF "$words" "$PST_TOP_SRCDIR/$file"
done <"$tmp/table"
finish
