/* SPDX-License-Identifier: MIT */
/*
 * Products of an agent with a GPU against sums in double precision.
 *
 *	agree [SIDE]
 *
 * Each type, mode, order, transpose and epilogue, near SIDE (default 300) with
 * odd sizes. The bound of an element is the rounding of its own sum (k terms in
 * F32, or F64), of the inputs where the mode rounds them, and of the result: no
 * tolerance that was tuned. Prints TAP. Exit: 0 all agree, 1 not, 77 the agent
 * has no GPU.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/penstock.h"
#include "tests/fakecuda/number.h"

#define TIMEOUT_NS 60000000000ULL

static struct pst *conn;
static uint64_t rng = 88172645463325252ULL;
static int n_tests, n_failed;

static const struct kind {
	const char *name;
	uint32_t t, tc, compute;
	int in_bits, out_bits; /* of a mantissa, after the point */
} kinds[] = {
	{"f32", PST_F32, PST_F32, PST_COMPUTE_DEFAULT, 0, 23},
	{"f32 by tf32", PST_F32, PST_F32, PST_COMPUTE_TF32, 10, 23},
	{"f32 by f16", PST_F32, PST_F32, PST_COMPUTE_FAST_F16, 10, 23},
	{"f64", PST_F64, PST_F64, PST_COMPUTE_DEFAULT, 0, 52},
	{"f16", PST_F16, PST_F16, PST_COMPUTE_DEFAULT, 0, 10},
	{"f16 to f32", PST_F16, PST_F32, PST_COMPUTE_DEFAULT, 0, 23},
	{"bf16", PST_BF16, PST_BF16, PST_COMPUTE_DEFAULT, 0, 7},
	{"bf16 to f32", PST_BF16, PST_F32, PST_COMPUTE_DEFAULT, 0, 23},
	{"i8 to i32", PST_I8, PST_I32, PST_COMPUTE_DEFAULT, 0, 23},
};

static double noise(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (double)(int64_t)rng / 9.3e18;
}

static size_t size_of(uint32_t t)
{
	static const size_t sizes[] = {0, 4, 8, 2, 2, 1, 4};

	return sizes[t];
}

static void *matrix(uint32_t t, size_t n)
{
	void *p;
	size_t i;

	if (pst_alloc(conn, n * size_of(t) + 64, &p) < 0) {
		fprintf(stderr, "agree: the region is too small\n");
		exit(1);
	}
	for (i = 0; i < n; i++)
		number_set(p, t, i,
			   t == PST_I8 || t == PST_I32
				   ? nearbyint(100 * noise())
				   : noise());
	return p;
}

static size_t at(uint32_t order, int trans, size_t row, size_t col, size_t ld)
{
	return (order == PST_COL_MAJOR) != !!trans ? col * ld + row
						   : row * ld + col;
}

/* One element as it should be, and how far off it may be. */
static double expect(const struct pst_gemm_args *g, const struct kind *k,
		     const void *c0, size_t i, size_t j, double *ret_bound)
{
	double sum = 0, size = 0, v, x;
	size_t l;

	for (l = 0; l < g->k; l++) {
		x = number_get(g->a, g->dtype,
			       at(g->order, (int)g->transa, i, l, g->lda)) *
		    number_get(g->b, g->dtype,
			       at(g->order, (int)g->transb, l, j, g->ldb));
		sum += x;
		size += fabs(x);
	}
	v = g->alpha * sum;
	size *= fabs(g->alpha);
	if (g->beta != 0) {
		x = g->beta *
		    number_get(c0, g->dtype_c, at(g->order, 0, i, j, g->ldc));
		v += x;
		size += fabs(x);
	}
	if (g->bias) {
		x = number_get(g->bias, g->dtype_c, j);
		v += x;
		size += fabs(x);
	}
	v = number_act(v, (int)g->act);
	*ret_bound = size * ((double)(g->k + 8) *
				     ldexp(1, g->dtype == PST_F64 ? -53 : -24) +
			     (k->in_bits ? ldexp(2, -k->in_bits) : 0)) +
		     fabs(v) * ldexp(1, -k->out_bits) + 1e-6 * (g->act > 1);
	return v;
}

/* The worst element, as a part of what it may be off. */
static double worst(const struct pst_gemm_args *g, const struct kind *k,
		    const void *c0)
{
	double bound, want, got, ratio = 0;
	size_t i, j;

	for (i = 0; i < g->m; i++) {
		for (j = 0; j < g->n; j++) {
			want = expect(g, k, c0, i, j, &bound);
			got = number_get(g->c, g->dtype_c,
					 at(g->order, 0, i, j, g->ldc));
			if (!(fabs(got - want) <= ratio * bound))
				ratio = fabs(got - want) / (bound + 1e-300);
		}
	}
	return ratio;
}

static void try(const struct kind *k, unsigned int v, uint32_t side)
{
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = k->t,
		.dtype_c = k->tc,
		.compute = k->compute,
		.order = v & 1 ? PST_COL_MAJOR : PST_ROW_MAJOR,
		.transa = v >> 1 & 1,
		.transb = v >> 2 & 1,
		.act = k->tc == PST_I32 ? v % 2 : v % 4,
		.m = side + v,
		.n = side / 2 + 3,
		.k = side + 7 * v,
		.alpha = v & 1 ? 2 : 1,
		.beta = v & 2 ? 1 : 0,
		.batch = 1,
	};
	const int cm = g.order == PST_COL_MAJOR;
	size_t c_size;
	char why[256] = "";
	double ratio;
	void *c0;
	int r;

	g.lda = (cm != (int)g.transa ? g.m : g.k) + 1;
	g.ldb = (cm != (int)g.transb ? g.k : g.n) + 1;
	g.ldc = (cm ? g.m : g.n) + 1;
	c_size = (size_t)g.ldc * (cm ? g.n : g.m);
	g.a = matrix(g.dtype, (size_t)g.lda * (g.m + g.k));
	g.b = matrix(g.dtype, (size_t)g.ldb * (g.n + g.k));
	g.c = matrix(g.dtype_c, c_size);
	if (v & 4)
		g.bias = matrix(g.dtype_c, g.n);
	c0 = malloc(c_size * size_of(g.dtype_c));
	memcpy(c0, g.c, c_size * size_of(g.dtype_c));
	r = pst_gemm(conn, &g, TIMEOUT_NS, NULL);
	if (r < 0)
		pst_last_error(conn, why, sizeof(why));
	n_tests++;
	if (r == -EOPNOTSUPP) {
		printf("ok %d - %s, case %u # SKIP the card has none\n",
		       n_tests, k->name, v);
	} else {
		ratio = r < 0 ? INFINITY : worst(&g, k, c0);
		n_failed += !(ratio <= 1);
		printf("%s %d - %s, case %u: %u x %u x %u, at most %.3f of "
		       "the bound%s%s\n",
		       ratio <= 1 ? "ok" : "not ok", n_tests, k->name, v, g.m,
		       g.n, g.k, ratio, r < 0 ? ": " : "", why);
	}
	pst_free(conn, (void *)(uintptr_t)g.a);
	pst_free(conn, (void *)(uintptr_t)g.b);
	pst_free(conn, g.c);
	if (g.bias)
		pst_free(conn, (void *)(uintptr_t)g.bias);
	free(c0);
}

int main(int argc, char **argv)
{
	const uint32_t side = argc > 1 ? (uint32_t)atoi(argv[1]) : 300;
	/* A driver that is not kept loaded takes seconds to begin. */
	const struct pst_options options = {.size = sizeof(options),
					    .timeout_ns = TIMEOUT_NS};
	struct pst_info info = {.size = sizeof(info)};
	char sentence[256] = "";
	unsigned int i, v;
	int r;

	r = pst_open(NULL, &options, &conn, sentence, sizeof(sentence));
	if (r < 0 || pst_get_info(conn, &info) < 0) {
		fprintf(stderr, "agree: %s\n", sentence);
		return 1;
	}
	if (strncmp(info.backend, "cuda: ", 6) != 0) {
		printf("the agent computes by %s\n", info.backend);
		pst_close(conn);
		return 77;
	}
	printf("# %s, driver %s, CUDA %s\n", info.backend, info.driver,
	       info.cuda);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (v = 0; v < 8; v++)
			try(&kinds[i], v, side);
	printf("1..%d\n", n_tests);
	pst_close(conn);
	return n_failed != 0;
}
