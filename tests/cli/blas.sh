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
	cblas_dsyr2k_64 pilaenv_; do
	check "it exports $name" grep -qx "$name" "$tmp/exports"
done
check "it exports nothing else" [ "$(grep -cvE \
	'^(cblas_|scipy_|scipy_cblas_)?[sd](gemm|symm|syrk|syr2k|trmm|trsm)(_|_64_|64_|_64)?$|^pilaenv_$|^penstock_blas_(next|tune)$' \
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
	check "children have sessions of their own" forced "$program" 1 4
	check "which offload" [ \
		"$(grep -c ' 2 products offloaded' "$tmp/log")" -eq 4 ]
	check "without an agent the BLAS computes" \
		forced env PENSTOCK_ENDPOINT="unix:$tmp/none" "$program" 3
	check "none of it offloaded" said '3 calls, 0 products offloaded'
	check "off is off" forced env PENSTOCK_BLAS=off "$program" 3
	check "it counts nothing then" [ ! -s "$tmp/log" ]
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
refuse "blas run wants a program" 2 "" "$penstock" -e spawn: blas run
refuse "an unknown mode is refused" 2 mode "$penstock" -e spawn: blas run \
	-m never -- true
refuse "no agent is said" 2 PENSTOCK_ENDPOINT "$penstock" blas run -- true
finish
