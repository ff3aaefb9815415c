#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016,SC2317 # sh -c gets words; check calls
# What libpenstock-blas chooses beside a card of given rates (--backend sim) and a
# BLAS that is slow with large products of single precision, and else fast.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
library=$PST_TOP_BUILDDIR/host-client/blas/.libs/libpenstock-blas.so
PENSTOCK_LIBRARY=$PST_TOP_BUILDDIR/host-client/.libs/libpenstock.so.0
XDG_CACHE_HOME=$tmp
export PENSTOCK_LIBRARY XDG_CACHE_HOME

# The next BLAS, right where A is diagonal. Large sgemm: at most 1 GFLOPS.
cat >"$tmp/next.c" <<'END'
#include <time.h>

#define GEMM(NAME, REAL, SLOW_FROM)                                            \
	void NAME(const char *ta, const char *tb, const int *m, const int *n,  \
		  const int *k, const REAL *alpha, const REAL *a,              \
		  const int *lda, const REAL *b, const int *ldb,               \
		  const REAL *beta, REAL *c, const int *ldc)                   \
	{                                                                      \
		const double s = 2e-9 * *m * *n * *k;                          \
		struct timespec t = {s, (s - (int)s) * 1e9};                   \
		int i, j;                                                      \
                                                                               \
		for (j = 0; j < *n; j++)                                       \
			for (i = 0; i < *m; i++)                               \
				c[j * *ldc + i] = a[i * *lda + i] *            \
						  b[j * *ldb + i];             \
		if (*m >= SLOW_FROM)                                           \
			nanosleep(&t, 0);                                      \
	}
GEMM(sgemm_, float, 200)
GEMM(dgemm_, double, 1 << 30)
END
cat >"$tmp/program.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX 400

#define PRODUCT(NAME, GEMM, REAL)                                              \
	extern void GEMM(const char *, const char *, const int *, const int *, \
			 const int *, const REAL *, const REAL *, const int *, \
			 const REAL *, const int *, const REAL *, REAL *,      \
			 const int *);                                         \
	static void NAME(int n)                                                \
	{                                                                      \
		static REAL a[MAX * MAX], b[MAX * MAX], c[MAX * MAX];          \
		const REAL one = 1, zero = 0;                                  \
		int i;                                                         \
                                                                               \
		for (i = 0; i < n * n; i++) {                                  \
			a[i] = i % n == i / n ? 2 : 0;                         \
			b[i] = i % 9;                                          \
		}                                                              \
		GEMM("N", "N", &n, &n, &n, &one, a, &n, b, &n, &zero, c, &n);  \
		for (i = 0; i < n * n; i++)                                    \
			if (c[i] != i % 9 * 2)                                 \
				exit(1);                                       \
	}
PRODUCT(single, sgemm_, float)
PRODUCT(twice, dgemm_, double)

static int is_offloading(const char *log)
{
	char line[256];
	FILE *f = fopen(log, "r");
	int is = 0;

	while (f && fgets(line, sizeof(line), f))
		is |= strstr(line, "offloaded:") != 0;
	if (f)
		fclose(f);
	return is;
}

int main(int argc, char **argv)
{
	int i;

	/* One that another program delays says nothing among many. */
	for (i = 0; i < 30; i++) {
		single(150);
		twice(150);
	}
	twice(400);
	for (i = 0; i < atoi(argv[2]) && !is_offloading(argv[1]); i++)
		single(400);
	for (i = 0; i < 5; i++) {
		single(400);
		single(150);
		twice(400);
	}
	return 0;
}
END
$PST_CC -w -shared -fPIC -o "$tmp/libnext.so" "$tmp/next.c" || exit 99
$PST_CC -w -o "$tmp/program" "$tmp/program.c" "$tmp/libnext.so" \
	-Wl,-rpath,"$tmp" || exit 99

refuse "a card of no sense is refused" 2 h2d "$agent" --backend sim:f32=fast \
	--region memfd:8M --listen "unix:$tmp/none"
refuse "the cpu has no rates to give" 2 'no options' "$agent" --backend cpu:f32=1 \
	--region memfd:8M --listen "unix:$tmp/none"
"$agent" --backend sim:f32=1000,f64=2,latency=1ms --region memfd:64M --listen \
	"unix:$tmp/card" 2>"$tmp/agent.log" &
pids="$pids $!"
PENSTOCK_ENDPOINT=unix://$tmp/card
export PENSTOCK_ENDPOINT
n=0
while [ ! -S "$tmp/card" ] && [ "$((n += 1))" -lt 200 ]; do
	sleep 0.05
done
check "the card is named" sh -c \
	'"$1" info --json | grep -q "sim: f32 1000, f64 2 GFLOPS"' - "$penstock"

# chosen [NAME=VALUE...] PROGRAM ARG...
chosen() {
	rm -f "$tmp/log"
	env LD_PRELOAD="$library" PENSTOCK_BLAS=trace PENSTOCK_BLAS_STATS=1 \
		PENSTOCK_BLAS_LOG="$tmp/log" "$@"
}
# count NAME N: its products of that side that were offloaded.
count() {
	grep -c "$1 $2 x .* offloaded:" "$tmp/log"
}
check "a program is right in auto" chosen "$tmp/program" "$tmp/log" 100
check "large products of single precision are offloaded" \
	[ "$(count sgemm 400)" -ge 6 ]
check "small ones are not" [ "$(count sgemm 150)" -eq 0 ]
check "nor double precision, with which the card is slow" \
	[ "$(count dgemm 400)" -eq 0 ]
check "INFO has the card's rates" sh -c \
	'"$1" info --json | tr -d " \n" | grep -q "\"f64\":{\"gflops\":1.9"' - \
	"$penstock"
check "a program is right with a threshold" chosen PENSTOCK_BLAS_MIN=410 \
	"$tmp/program" "$tmp/log" 9
check "below it nothing is offloaded" [ "$(count sgemm 400)" -eq 0 ]
check "a program is right above a threshold" chosen PENSTOCK_BLAS_MIN=10 \
	"$tmp/program" "$tmp/log" 100
check "what pays is offloaded" [ "$(count sgemm 400)" -ge 6 ]
check "and nothing else" [ "$(count dgemm 400)" -eq 0 ]
finish
