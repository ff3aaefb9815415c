#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016,SC2317 # sh -c gets words; check calls
# libpenstock-blas: what it exports, what it costs who does not use it, and the
# commands of penstock blas. Other people's programs: tests/eco.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
library=$PST_TOP_BUILDDIR/host-client/blas/.libs/libpenstock-blas.so
PENSTOCK_AGENT=$agent
PENSTOCK_LIBRARY=$PST_TOP_BUILDDIR/host-client/.libs/libpenstock.so.0
XDG_CACHE_HOME=$tmp
export PENSTOCK_AGENT PENSTOCK_LIBRARY XDG_CACHE_HOME

# A program that calls a BLAS by Fortran's name.
cat >"$tmp/product.c" <<'END'
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef void gemm(const char *, const char *, const int *, const int *,
		  const int *, const float *, const float *, const int *,
		  const float *, const int *, const float *, float *,
		  const int *);
extern gemm sgemm_;

static void product(int n)
{
	const float one = 1, half = -0.5f;
	float *a = malloc(n * n * 4), *b = malloc(n * n * 4),
	      *c = malloc(n * n * 4);
	int i;

	for (i = 0; i < n * n; i++) {
		a[i] = i % n == i / n;
		b[i] = i % 7;
		c[i] = 2 * (i % 3);
	}
	sgemm_("N", "N", &n, &n, &n, &one, a, &n, b, &n, &half, c, &n);
	for (i = 0; i < n * n; i++)
		if (c[i] != i % 7 - i % 3)
			exit(1);
	free(a);
	free(b);
	free(c);
}

int main(int argc, char **argv)
{
	int i, forks = argc > 2 ? atoi(argv[2]) : 0, status, bad = 0;
	pid_t pid[8];

	setlocale(LC_ALL, "");
	for (i = 0; i < atoi(argv[1]); i++)
		product(200 + i);
	for (i = 0; i < forks; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			product(300);
			exit(0);
		}
	}
	/* The agent of spawn: is a child as well. */
	for (i = 0; i < forks; i++) {
		waitpid(pid[i], &status, 0);
		bad |= status;
	}
	return bad != 0;
}
END
blas=$(find /usr/lib* -name libblas.so.3 2>/dev/null | head -n 1)
program=
if [ "$blas" ] && $PST_CC -D_GNU_SOURCE -w -o "$tmp/product" "$tmp/product.c" \
	"$blas" 2>/dev/null; then
	program=$tmp/product
fi

nm -D --defined-only "$library" | awk '{ print $3 }' >"$tmp/exports"
for name in sgemm_ dtrsm cblas_ssyrk64_ scipy_dgemm_64_ scipy_cblas_dsymm64_ \
	cblas_dsyr2k_64 cblas_sbgemm pilaenv_; do
	check "it exports $name" grep -qx "$name" "$tmp/exports"
done
check "it exports nothing else" [ "$(grep -cvE \
	'^(cblas_|scipy_|scipy_cblas_)?[sd](gemm|symm|syrk|syr2k|trmm|trsm)(_|_64_|64_|_64)?$|^(cblas_|scipy_|scipy_cblas_)?sbgemm(_|_64_|64_|_64)?$|^pilaenv_$|^penstock_blas_(next|tune)$' \
	"$tmp/exports")" -eq 0 ]
check "it needs no library of ours" sh -c \
	'! readelf -d "$1" | grep NEEDED | grep -i penstock' - "$library"
check "a program without a BLAS runs as ever" env LD_PRELOAD="$library" true

if [ "$program" ]; then
	# forced NAME=VALUE... -- ARG...: runs the program, all of it offloaded.
	forced() {
		rm -f "$tmp/log"
		LD_PRELOAD=$library PENSTOCK_ENDPOINT=spawn: PENSTOCK_BLAS=force \
			PENSTOCK_BLAS_MIN=1 PENSTOCK_BLAS_STATS=1 \
			PENSTOCK_BLAS_LOG=$tmp/log "$@"
	}
	said() {
		grep -q "$1" "$tmp/log" && return
		cat "$tmp/log"
		return 1
	}
	check "it computes what the BLAS computes" forced "$program" 5
	check "and by the agent" said '5 calls, 5 products offloaded'
	check "children have sessions of their own" forced "$program" 2 4
	check "which offload" [ \
		"$(grep -c ' 1 calls, 1 products offloaded' "$tmp/log")" -eq 4 ]
	check "without an agent the BLAS computes" \
		forced env PENSTOCK_ENDPOINT="unix:$tmp/none" "$program" 3
	check "none of it offloaded" said '3 calls, 0 products offloaded'
	check "off is off" forced env PENSTOCK_BLAS=off "$program" 3
	check "it counts nothing then" [ ! -s "$tmp/log" ]
	# Another client holds all of the arena.
	cat >"$tmp/hold.c" <<'END'
#include <stdio.h>
#include "host-client/penstock.h"

int main(int argc, char **argv)
{
	char text[400];
	struct pst *c;
	void *p;

	if (pst_open(argv[1], NULL, &c, text, sizeof(text)) < 0 ||
	    pst_alloc(c, 4 << 20, &p) < 0)
		return 1;
	puts("held");
	fflush(stdout);
	getchar();
	pst_close(c);
	return 0;
}
END
	$PST_CC -w -I "$PST_TOP_SRCDIR" -o "$tmp/hold" "$tmp/hold.c" \
		"$PENSTOCK_LIBRARY" || exit 99
	start_agent "unix://$tmp/sock" --region memfd:8M
	mkfifo "$tmp/end"
	LD_LIBRARY_PATH=${PENSTOCK_LIBRARY%/*} "$tmp/hold" "unix://$tmp/sock" \
		<"$tmp/end" >"$tmp/held" &
	holder=$!
	exec 5>"$tmp/end"
	i=0
	while ! grep -q held "$tmp/held" && [ $((i += 1)) -lt 100 ]; do
		sleep 0.1
	done
	check "a full arena leaves products to the BLAS" forced env \
		PENSTOCK_ENDPOINT="unix://$tmp/sock" "$program" 3
	exec 5>&-
	wait "$holder"
	check "each is tried, since there may be room again" said \
		'3 calls, 0 products offloaded.* 3 failed'
	mkdir "$tmp/locales"
	if localedef -i de_DE -f UTF-8 "$tmp/locales/de_DE.UTF-8" 2>/dev/null; then
		check "numbers have points in every language" forced env \
			LOCPATH="$tmp/locales" LC_ALL=de_DE.UTF-8 \
			PENSTOCK_BLAS_MIN=0.5 "$program" 1
		check "and are taken" sh -c '! grep -q "is no number" "$1"' - \
			"$tmp/log"
	else
		echo "# SKIP other languages: no localedef or de_DE (package locales)"
	fi
	check "a library that is not there is no end" forced env \
		PENSTOCK_LIBRARY=/none "$program" 2
	check "blas run preloads it" env PENSTOCK_BLAS_LOG="$tmp/log" \
		"$penstock" -e spawn: blas run -m force -s -- "$program" 2
	check "and forces" said '2 calls, 2 products offloaded'
	rm -f "$tmp/log"
	check "without --mode the environment's holds" env \
		PENSTOCK_BLAS=force PENSTOCK_BLAS_LOG="$tmp/log" \
		"$penstock" -e spawn: blas run -s -- "$program" 2
	check "which forces, too" said '2 calls, 2 products offloaded'
	if "$penstock" blas why true 2>&1 | grep -q libelf; then
		echo "# SKIP blas why: built without libelf"
	else
		expect "blas why sees who calls a BLAS" 0 'can be offloaded' \
			"$penstock" blas why "$program"
	fi
	check "blas tune measures both sides" sh -c \
		'"$1" -e spawn: blas tune | grep -q f32.agent' - "$penstock"
	check "and keeps the rates" [ "$(wc -l <"$tmp/penstock/blas")" -eq 1 ]
else
	echo "# SKIP products: there is no libblas.so.3"
fi
# A next BLAS with a product of BF16, as OpenBLAS has it if built so. It says when
# it is called.
cat >"$tmp/bf16.c" <<'END'
#include <stdint.h>
#include <stdio.h>

static float wide(uint16_t h)
{
	union { uint32_t u; float f; } x = {(uint32_t)h << 16};

	return x.f;
}

void cblas_sbgemm(int order, int ta, int tb, int m, int n, int k, float alpha,
		  const uint16_t *a, int lda, const uint16_t *b, int ldb,
		  float beta, float *c, int ldc)
{
	int i, j, l;

	printf("next %d %d %d\n", m, n, k);
	for (i = 0; i < m; i++)
		for (j = 0; j < n; j++) {
			/* By rows, or what is turned: C' = B' A' by columns. */
			float sum = 0, *to = order == 101 ? c + i * ldc + j :
						     c + j * ldc + i;

			for (l = 0; l < k; l++)
				sum += wide((ta == 111) == (order == 101) ?
					    a[i * lda + l] : a[l * lda + i]) *
				       wide((tb == 111) == (order == 101) ?
					    b[l * ldb + j] : b[j * ldb + l]);
			*to = alpha * sum + (beta ? beta * *to : 0);
		}
}
END
cat >"$tmp/half.c" <<'END'
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern void cblas_sbgemm(int, int, int, int, int, int, float, const uint16_t *,
			 int, const uint16_t *, int, float, float *, int);
/* -2 to 2 */
static const uint16_t of[] = {0xc000, 0xbf80, 0, 0x3f80, 0x4000};

int main(int argc, char **argv)
{
	static uint16_t a[100 * 90], b[90 * 120];
	static float c[100 * 121];
	int i, j, l, want;

	for (i = 0; i < 100 * 90; i++)
		a[i] = of[i * 7 % 11 % 5];
	for (i = 0; i < 90 * 120; i++)
		b[i] = of[i * 5 % 13 % 5];
	for (i = 0; i < 100 * 121; i++)
		c[i] = i % 7;
	/* C = 2 A B' - 0.5 C, by rows; b is 120 x 90. */
	cblas_sbgemm(101, 111, 112, 100, 120, 90, 2, a, 90, b, 90, -0.5f, c, 121);
	for (i = 0; i < 100; i++)
		for (j = 0; j < 121; j++) {
			for (l = want = 0; j < 120 && l < 90; l++)
				want += ((i * 90 + l) * 7 % 11 % 5 - 2) *
					((j * 90 + l) * 5 % 13 % 5 - 2);
			if (c[i * 121 + j] != (j < 120 ? 2 * want - 0.5f * ((i * 121 + j) % 7) :
							 (i * 121 + j) % 7))
				return 1;
		}
	puts("right");
	return 0;
}
END
$PST_CC -w -shared -fPIC -o "$tmp/libbf16.so" "$tmp/bf16.c" || exit 99
$PST_CC -w -o "$tmp/half" "$tmp/half.c" "$tmp/libbf16.so" -Wl,-rpath,"$tmp" ||
	exit 99
# half MIN: with products from that size on offloaded.
half() {
	LD_PRELOAD=$library PENSTOCK_ENDPOINT=spawn: PENSTOCK_BLAS=force \
		PENSTOCK_BLAS_MIN="$1" PENSTOCK_BLAS_STATS=1 "$tmp/half" 2>&1
}
half 1 >"$tmp/half.out"
check "a product of BF16 is right" grep -qx right "$tmp/half.out"
check "it is the agent's" grep -q ' 1 products offloaded' "$tmp/half.out"
half 1000 >"$tmp/half.out"
check "a small one is right" grep -qx right "$tmp/half.out"
check "it is the next BLAS's" grep -qx 'next 100 120 90' "$tmp/half.out"
refuse "blas run wants a program" 2 "" "$penstock" -e spawn: blas run
refuse "an unknown mode is refused" 2 mode "$penstock" -e spawn: blas run \
	-m never -- true
refuse "no agent is said" 2 PENSTOCK_ENDPOINT "$penstock" blas run -- true
finish
