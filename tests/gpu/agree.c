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

/* The larger of two parts of a bound; what is no number is infinitely far off.
 */
static double worse(double a, double off, double bound)
{
	const double b = off / (bound + 1e-300);

	return b <= a ? a : b >= 0 ? b : INFINITY;
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
				ratio = worse(ratio, fabs(got - want), bound);
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

/* A model of linear layers fc0, fc1, ..., all with an activation whose slope is
 * at most 1, and softmax at the end: as the digits models are. */
struct layer {
	uint32_t rows, cols;
	double *w, *bias;
};
struct net {
	bool half; /* weights of F16, inputs of a layer rounded to it */
	uint32_t n;
	struct layer layer[8];
};

/* A tensor of the file; NULL if it has none of that name. */
static double *tensor_of(const char *header, const uint8_t *data,
			 const char *name, bool *ret_half, uint32_t shape[2])
{
	char key[32];
	const char *p;
	uint32_t t = PST_F32;
	size_t i, n, begin;
	double *v;

	snprintf(key, sizeof(key), "\"%s\":{\"dtype\":\"F", name);
	p = strstr(header, key);
	if (!p)
		return NULL;
	*ret_half = strncmp(p + strlen(key), "16", 2) == 0;
	if (*ret_half)
		t = PST_F16;
	shape[1] = 1;
	p = strstr(p, "shape\":[");
	if (sscanf(p, "shape\":[%u,%u],\"data_offsets\":[%zu", &shape[0],
		   &shape[1], &begin) != 3 &&
	    sscanf(p, "shape\":[%u],\"data_offsets\":[%zu", &shape[0],
		   &begin) != 2)
		return NULL;
	n = (size_t)shape[0] * shape[1];
	v = calloc(n, sizeof(*v));
	for (i = 0; i < n; i++)
		v[i] = number_get(data + begin, t, i);
	return v;
}

static void net_read(const char *path, struct net *ret)
{
	static char file[1 << 20];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(file, 1, sizeof(file) - 1, f) : 0;
	uint64_t header = 0;
	uint32_t shape[2];
	char name[32];

	if (f)
		fclose(f);
	memcpy(&header, file, sizeof(header));
	if (n < 8 || header > n - 8) {
		fprintf(stderr, "agree: %s is no model\n", path);
		exit(1);
	}
	file[8 + header - 1] = 0; /* a space, or the last brace */
	*ret = (struct net){.n = 0};
	for (; ret->n < 8; ret->n++) {
		struct layer *l = &ret->layer[ret->n];
		const uint8_t *data = (const uint8_t *)file + 8 + header;

		snprintf(name, sizeof(name), "fc%u.bias", ret->n);
		l->bias = tensor_of(file + 8, data, name, &ret->half, shape);
		snprintf(name, sizeof(name), "fc%u.weight", ret->n);
		l->w = tensor_of(file + 8, data, name, &ret->half, shape);
		if (!l->w)
			break;
		l->rows = shape[0];
		l->cols = shape[1];
	}
}

/*
 * How far from each other two agents may be, who compute by F32 in any order.
 * e is how far one may be from the exact value. A sum of k products is off by
 * gamma_k of the sum of their sizes at most, gamma_k = k u / (1 - k u), u =
 * 2^-24 (Higham, Accuracy and Stability, 3.1), here with k + 2 for bias and
 * result; what came in off by e leaves off by |W| e. An activation adds 4 u,
 * and an input that is rounded to F16 2^-11 of its size. With logits off by e,
 * softmax is off by exp(2 e) - 1 of its value, and by (n + 8) u for its own
 * sum, quotient and exp.
 */
static void net_bound(const struct net *m, bool tanhs, const float *in,
		      double *bound)
{
	double x[64], e[64] = {0}, y[64], ey[64], sum, size, off, g, most, all;
	const double u = ldexp(1, -24);
	uint32_t i, j, l;

	for (i = 0; i < m->layer[0].cols; i++)
		x[i] = (double)in[i];
	for (l = 0; l < m->n; l++) {
		const struct layer *y_of = &m->layer[l];

		g = (y_of->cols + 2) * u / (1 - (y_of->cols + 2) * u);
		for (j = 0; m->half && j < y_of->cols; j++)
			e[j] += ldexp(fabs(x[j]) + e[j], -11);
		for (i = 0; i < y_of->rows; i++) {
			sum = y_of->bias[i];
			size = fabs(sum);
			off = 0;
			for (j = 0; j < y_of->cols; j++) {
				const double w = y_of->w[i * y_of->cols + j];

				sum += w * x[j];
				size += fabs(w) * (fabs(x[j]) + e[j]);
				off += fabs(w) * e[j];
			}
			y[i] = sum;
			ey[i] = off + g * size;
			if (l + 1 == m->n)
				continue;
			y[i] = tanhs ? tanh(sum) : fmax(sum, 0);
			ey[i] += 4 * u * (fabs(y[i]) + ey[i]);
		}
		memcpy(x, y, sizeof(x));
		memcpy(e, ey, sizeof(e));
	}
	l = m->layer[m->n - 1].rows;
	for (most = all = 0, i = 0; i < l; i++) {
		all += exp(x[i]);
		most = fmax(most, e[i]);
	}
	for (i = 0; i < l; i++) {
		g = exp(x[i]) / all;
		bound[i] = 2 * g * (expm1(2 * most) + (l + 8) * u);
	}
}

/* Each batch on both; a graph, and a batch in two pieces. */
static void try_model(struct pst *cpu, const char *folder, const char *name,
		      bool tanhs)
{
	static const uint32_t batches[] = {1, 7, 7, 7, 1027};
	static float in[1027 * 64], want[1027 * 10], got[1027 * 10];
	static double bound[1027 * 10];
	double off, worst_part, worst_off;
	struct net net;
	char path[4096];
	size_t i, j;

	snprintf(path, sizeof(path), "%s/%s.safetensors", folder, name);
	net_read(path, &net);
	for (i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		in[i] = (float)nearbyint(8 + 8 * noise());
	for (i = 0; i < 1027; i++)
		net_bound(&net, tanhs, in + i * 64, bound + i * 10);
	for (i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
		memset(got, 0xff, sizeof(got));
		infer(cpu, path, batches[i], in, want);
		infer(conn, path, batches[i], in, got);
		worst_part = worst_off = 0;
		for (j = 0; j < batches[i] * 10; j++) {
			off = fabs((double)got[j] - (double)want[j]);
			worst_off = fmax(worst_off, off);
			worst_part = worse(worst_part, off, bound[j]);
		}
		n_tests++;
		n_failed += !(worst_part <= 1);
		printf("%s %d - %s, batch of %u: off by %g, at most %.4f of "
		       "the bound\n",
		       worst_part <= 1 ? "ok" : "not ok", n_tests, name,
		       batches[i], worst_off, worst_part);
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
	try_model(cpu, folder, "digits", false);
	try_model(cpu, folder, "digits-f16", true);
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
