/* SPDX-License-Identifier: MIT */
/* An unchanged program: products of many sizes by whichever BLAS it is given.
 * Prints the seconds that they took. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"

#define MAX_N 4096

typedef void sgemm_fn(int order, int transa, int transb, int m, int n, int k,
		      float alpha, const float *a, int lda, const float *b,
		      int ldb, float beta, float *c, int ldc);

/* The identity times small integers: right by whatever computes it. */
static int is_right(const float *c, int n)
{
	int i;

	for (i = 0; i < n * n; i++)
		if (c[i] != (float)(i % 7))
			return 0;
	return 1;
}

static void fill(float *a, float *b, int n)
{
	int i;

	for (i = 0; i < n * n; i++) {
		a[i] = i % n == i / n;
		b[i] = (float)(i % 7);
	}
}

int main(int argc, char **argv)
{
	const size_t size = (size_t)MAX_N * MAX_N * sizeof(float);
	float *a = calloc(1, size), *b = calloc(1, size), *c = calloc(1, size);
	int rounds, n, count, i, j, k;
	sgemm_fn *sgemm = NULL;
	uint64_t start, ns = 0;
	void *p = NULL;

	if (argc < 4 || !a || !b || !c ||
	    !dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL) ||
	    !(p = dlsym(RTLD_DEFAULT, "cblas_sgemm"))) {
		fprintf(stderr, "usage: mix LIBRARY ROUNDS NxCOUNT...\n");
		return 2;
	}
	memcpy(&sgemm, &p, sizeof(sgemm));
	rounds = atoi(argv[2]);
	for (i = 0; i < rounds; i++)
		for (j = 3; j < argc; j++) {
			if (sscanf(argv[j], "%dx%d", &n, &count) != 2 ||
			    n < 1 || n > MAX_N)
				return 2;
			fill(a, b, n);
			start = pst_bench_now_ns();
			for (k = 0; k < count; k++)
				sgemm(101, 111, 111, n, n, n, 1, a, n, b, n, 0,
				      c, n);
			ns += pst_bench_now_ns() - start;
			if (!is_right(c, n))
				return 1;
		}
	printf("%.6f\n", (double)ns / 1e9);
	free(a);
	free(b);
	free(c);
	return 0;
}
