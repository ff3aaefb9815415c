/* SPDX-License-Identifier: MIT */
/*
 * Multiplies two matrices through an agent and checks one element.
 *
 *	cc gemm.c $(pkg-config --cflags --libs penstock) -o gemm
 *	PENSTOCK_ENDPOINT=spawn: ./gemm 512
 */
#include <penstock.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_NS 10000000000ULL

static void die(struct pst *c, const char *what, int error)
{
	char sentence[256];

	pst_last_error(c, sentence, sizeof(sentence));
	fprintf(stderr, "%s: %s (%s)\n", what, pst_strerror(error), sentence);
	pst_close(c);
	exit(1);
}

/* An n x n matrix of floats in the memory that the agent shares. */
static float *new_matrix(struct pst *c, size_t n)
{
	void *p;
	int r = pst_alloc(c, n * n * sizeof(float), &p);

	if (r < 0)
		die(c, "pst_alloc", r);
	return p;
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)atoi(argv[1]) : 256;
	struct pst_gemm_args g = PST_GEMM_INIT;
	struct pst_completion done;
	char sentence[256];
	double expected = 0;
	struct pst *c;
	float *a, *b, *ab;
	int r;

	/* NULL: the endpoint is in $PENSTOCK_ENDPOINT. */
	r = pst_open(NULL, NULL, &c, sentence, sizeof(sentence));
	if (r < 0) {
		fprintf(stderr, "pst_open: %s\n", sentence);
		return 1;
	}
	a = new_matrix(c, n);
	b = new_matrix(c, n);
	ab = new_matrix(c, n);

	/* What is written here is what the agent reads: nothing is copied. */
	for (size_t i = 0; i < (size_t)n * n; i++) {
		a[i] = (float)(i % 7);
		b[i] = (float)(i % 5);
	}

	g.dtype = PST_F32;
	g.m = g.n = g.k = n;
	g.a = a;
	g.b = b;
	g.c = ab;
	r = pst_gemm(c, &g, TIMEOUT_NS, &done);
	if (r < 0)
		die(c, "pst_gemm", r);

	/* The last element: last row of a, last column of b. All numbers are
	 * small integers, so the sum is exact up to large n. */
	for (size_t k = 0; k < n; k++)
		expected +=
			(double)a[(size_t)(n - 1) * n + k] * b[k * n + n - 1];
	printf("C[%u][%u] = %g, expected %g; %.1f us in the backend\n", n - 1,
	       n - 1, ab[(size_t)n * n - 1], expected,
	       (double)done.compute_ns / 1e3);
	r = ab[(size_t)n * n - 1] == (float)expected ? 0 : 1;

	pst_free(c, ab);
	pst_free(c, b);
	pst_free(c, a);
	pst_close(c);
	return r;
}
