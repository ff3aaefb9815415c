/* SPDX-License-Identifier: MIT */
/*
 * Products of an agent with a GPU against sums in double precision.
 *
 *	agree [SIDE]
 *	agree -m FOLDER
 *
 * Each type, mode, order, transpose and epilogue, near SIDE (default 300): with
 * odd sizes and leading dimensions, then with multiples of 64, for which
 * libraries have other kernels; batches with strides and with one A for all,
 * k = 0, alpha = 0. With -m the models of FOLDER (digits*.safetensors) at
 * several batches, against an agent without a card. The bound of an element is
 *the rounding of its own sum (k terms in F32, or F64), of the inputs where the
 *mode rounds them, and of the result: no tolerance that was tuned. Integers are
 *exact. Prints TAP. Exit: 0 all agree, 1 not, 77 the agent has no GPU.
 */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
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

/* One element of product z as it should be, and how far off it may be. */
static double expect(const struct pst_gemm_args *g, const struct kind *k,
		     const void *c0, size_t z, size_t i, size_t j,
		     double *ret_bound)
{
	double sum = 0, size = 0, v, x;
	size_t l;

	for (l = 0; g->alpha != 0 && l < g->k; l++) {
		x = number_get(g->a, g->dtype,
			       z * g->stride_a + at(g->order, (int)g->transa, i,
						    l, g->lda)) *
		    number_get(g->b, g->dtype,
			       z * g->stride_b + at(g->order, (int)g->transb, l,
						    j, g->ldb));
		sum += x;
		size += fabs(x);
	}
	v = g->alpha * sum;
	size *= fabs(g->alpha);
	if (g->beta != 0) {
		x = g->beta *
		    number_get(c0, g->dtype_c,
			       z * g->stride_c + at(g->order, 0, i, j, g->ldc));
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
	if (g->dtype == PST_I8)
		*ret_bound = 0;
	return v;
}

/* The worst element, as a part of what it may be off. */
static double worst(const struct pst_gemm_args *g, const struct kind *k,
		    const void *c0)
{
	double bound, want, got, ratio = 0;
	size_t z, i, j;

	for (z = 0; z < g->batch; z++) {
		for (i = 0; i < g->m; i++) {
			for (j = 0; j < g->n; j++) {
				want = expect(g, k, c0, z, i, j, &bound);
				got = number_get(g->c, g->dtype_c,
						 z * g->stride_c + at(g->order,
								      0, i, j,
								      g->ldc));
				if (!(fabs(got - want) <= ratio * bound))
					ratio = fabs(got - want) /
						(bound + 1e-300);
			}
		}
	}
	return ratio;
}

/* How sizes and leading dimensions lie. */
enum form { ODD, ALIGNED, BATCH, NO_K, NO_ALPHA, N_FORMS };
static const char *const forms[] = {"odd", "in 64s", "batch of 3", "k = 0",
				    "alpha = 0"};

static uint32_t aligned(uint32_t n)
{
	return (n + 63) / 64 * 64;
}

static void try(const struct kind *k, unsigned int v, enum form form,
		uint32_t side)
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

	if (form == ALIGNED) {
		g.m = g.k = aligned(side);
		g.n = aligned(side / 2);
	}
	if (form == NO_K)
		g.k = 0;
	if (form == NO_ALPHA)
		g.alpha = 0;
	if (form == BATCH)
		g.batch = 3;
	g.lda = (cm != (int)g.transa ? g.m : g.k) + (form == ALIGNED ? 64 : 1);
	g.ldb = (cm != (int)g.transb ? g.k : g.n) + (form == ALIGNED ? 64 : 1);
	g.ldc = (cm ? g.m : g.n) + (form == ALIGNED ? 64 : 1);
	c_size = (size_t)g.ldc * (cm ? g.n : g.m) * g.batch;
	if (form == BATCH) {
		/* Every other one has one A for all. */
		g.stride_a = v & 1 ? 0 : (size_t)g.lda * (g.m + g.k);
		g.stride_b = (size_t)g.ldb * (g.n + g.k);
		g.stride_c = c_size / 3;
	}
	g.a = matrix(g.dtype, (size_t)g.lda * (g.m + g.k) * g.batch);
	g.b = matrix(g.dtype, (size_t)g.ldb * (g.n + g.k) * g.batch);
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
		printf("ok %d - %s, %s, case %u # SKIP the card has none\n",
		       n_tests, k->name, forms[form], v);
	} else {
		ratio = r < 0 ? INFINITY : worst(&g, k, c0);
		n_failed += !(ratio <= 1);
		printf("%s %d - %s, %s, case %u: %u x %u x %u, at most %.3f of "
		       "the bound%s%s\n",
		       ratio <= 1 ? "ok" : "not ok", n_tests, k->name,
		       forms[form], v, g.m, g.n, g.k, ratio, r < 0 ? ": " : "",
		       why);
	}
	pst_free(conn, (void *)(uintptr_t)g.a);
	pst_free(conn, (void *)(uintptr_t)g.b);
	pst_free(conn, g.c);
	if (g.bias)
		pst_free(conn, (void *)(uintptr_t)g.bias);
	free(c0);
}

/* A connection to an agent with a card (or without); exits if there is none. */
static struct pst *open_agent(const char *backend)
{
	/* A driver that is not kept loaded takes seconds to begin. */
	const struct pst_options options = {.size = sizeof(options),
					    .timeout_ns = TIMEOUT_NS};
	struct pst_info info = {.size = sizeof(info)};
	char sentence[256] = "";
	struct pst *c = NULL;

	if (pst_open(NULL, &options, &c, sentence, sizeof(sentence)) < 0 ||
	    pst_get_info(c, &info) < 0) {
		fprintf(stderr, "agree: %s\n", sentence);
		exit(1);
	}
	if (strncmp(info.backend, backend, strlen(backend)) != 0) {
		printf("the agent computes by %s\n", info.backend);
		pst_close(c);
		exit(77);
	}
	printf("# %s, driver %s, CUDA %s\n", info.backend, info.driver,
	       info.cuda);
	return c;
}

static void infer(struct pst *c, const char *path, uint32_t rows,
		  const float *in, float *out)
{
	struct pst_model m;
	const struct pst_infer_args f = {
		.size = sizeof(struct pst_infer_args),
		.model = &m,
		.in = in,
		.out = out,
		.rows = rows,
	};
	char why[256];
	int r;

	r = pst_model_open(c, "m", &m);
	if (r == -ENOENT)
		r = pst_model_load(c, "m", path, TIMEOUT_NS, &m);
	if (r == 0)
		r = pst_infer(c, &f, TIMEOUT_NS, NULL);
	if (r == 0)
		return;
	pst_last_error(c, why, sizeof(why));
	fprintf(stderr, "agree: %s\n", why);
	exit(1);
}

/* Each batch on both; a graph, and a batch in two pieces. */
static void try_model(struct pst *cpu, const char *folder, const char *name,
		      double tolerance)
{
	static const uint32_t batches[] = {1, 7, 7, 7, 1027};
	static float in[1027 * 64], want[1027 * 10], got[1027 * 10];
	char path[4096];
	double off;
	size_t i, j;

	snprintf(path, sizeof(path), "%s/%s.safetensors", folder, name);
	for (i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		in[i] = (float)nearbyint(8 + 8 * noise());
	for (i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
		memset(got, 0xff, sizeof(got));
		infer(cpu, path, batches[i], in, want);
		infer(conn, path, batches[i], in, got);
		off = 0;
		for (j = 0; j < batches[i] * 10; j++)
			if (!(fabs((double)got[j] - (double)want[j]) <= off))
				off = fabs((double)got[j] - (double)want[j]);
		n_tests++;
		n_failed += !(off <= tolerance);
		printf("%s %d - %s, batch of %u: off by %g of %g\n",
		       off <= tolerance ? "ok" : "not ok", n_tests, name,
		       batches[i], off, tolerance);
	}
	pst_model_unload(cpu, "m");
	pst_model_unload(conn, "m");
}

static void try_models(const char *folder)
{
	struct pst *cpu;

	/* An agent that finds no module has no card. */
	setenv("PENSTOCK_BACKEND_DIR", "/nonexistent", 1);
	cpu = open_agent("cpu");
	try_model(cpu, folder, "digits", 1e-4);
	try_model(cpu, folder, "digits-f16", 5e-3);
	pst_close(cpu);
}

int main(int argc, char **argv)
{
	const bool models = argc > 2 && strcmp(argv[1], "-m") == 0;
	const uint32_t side =
		argc > 1 && !models ? (uint32_t)atoi(argv[1]) : 300;
	unsigned int i, v, form;

	conn = open_agent("cuda: ");
	if (models)
		try_models(argv[2]);
	for (i = 0; !models && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		for (v = 0; v < 8; v++) {
			try(&kinds[i], v, ODD, side);
			try(&kinds[i], v, ALIGNED, side);
		}
		for (form = BATCH; form < N_FORMS; form++) {
			try(&kinds[i], form, (enum form)form, side / 4 + 3);
			try(&kinds[i], form + 3, (enum form)form, side / 4 + 3);
		}
	}
	printf("1..%d\n", n_tests);
	pst_close(conn);
	return n_failed != 0;
}
