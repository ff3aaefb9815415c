/* SPDX-License-Identifier: MIT */
/* A matrix product on the host, in double precision, to check results by. */
#include "host-client/files/reference.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "transport/dtype.h"

/* A tile of C, and the depth of the panels of A and B that feed it: all three
 * fit the first two caches. */
#define TILE_M 32
#define TILE_N 64
#define TILE_K 128

/* A matrix of which element (i, j) is at i * row_step + j * col_step. */
struct operand {
	const void *data;
	uint32_t dtype;
	size_t row_step, col_step;
};

/* How exact a result is. */
struct kind {
	uint32_t dtype, dtype_c;
	double u;     /* unit roundoff of the sums; the reference's is less */
	double tiny;  /* smallest normal number of the sums */
	double u_c;   /* of C, where it is narrower than the sums, else 0 */
	double min_c; /* half of C's smallest number, else 0 */
	double max_c; /* C's largest */
};

/* For float64 the reference rounds as often as the product does. */
static const struct kind kinds[] = {
	{PST_F32, PST_F32, FLT_EPSILON / 2, FLT_MIN, 0, 0, FLT_MAX},
	{PST_F64, PST_F64, DBL_EPSILON, DBL_MIN, 0, 0, DBL_MAX},
	{PST_F16, PST_F16, FLT_EPSILON / 2, FLT_MIN, 0x1p-11, 0x1p-25, 65504},
	{PST_F16, PST_F32, FLT_EPSILON / 2, FLT_MIN, 0, 0, FLT_MAX},
	{PST_I8, PST_I32, 0, 0, 0, 0, INFINITY},
};

/* The slope of no activation is larger: gelu's is 1.129 at most. */
#define MAX_SLOPE 1.13
/* Roundings of an activation in F32. */
#define ACT_ROUNDINGS 16

/* Panels in double precision. */
struct tile {
	double a[TILE_M][TILE_K];
	double b[TILE_K][TILE_N];
	double c[TILE_M][TILE_N];
};

struct work {
	const struct pst_gemm_args *g;
	struct operand a, b, c, c0, bias;
	const struct kind *kind;
	double *row_norm; /* of op(A), m of them */
	double *col_norm; /* of op(B), n of them */
	double gamma;     /* relative error of a sum of k products */
	double inputs;    /* of one product, from rounding its inputs */
	struct tile *t;
	struct pst_reference best;
};

static double get(const struct operand *o, size_t i, size_t j)
{
	size_t at = i * o->row_step + j * o->col_step;

	switch (o->dtype) {
	case PST_F32:
		return ((const float *)o->data)[at];
	case PST_F16:
		return pst_f16_to_f32(((const uint16_t *)o->data)[at]);
	case PST_I8:
		return ((const int8_t *)o->data)[at];
	case PST_I32:
		return ((const int32_t *)o->data)[at];
	default:
		return ((const double *)o->data)[at];
	}
}

static struct operand operand(const struct pst_gemm_args *g, uint32_t dtype,
			      const void *data, uint32_t ld, bool trans)
{
	bool by_rows = (g->order == PST_ROW_MAJOR) != trans;

	return (struct operand){
		.data = data,
		.dtype = dtype,
		.row_step = by_rows ? ld : 1,
		.col_step = by_rows ? 1 : ld,
	};
}

/* Adds the product of one pair of panels to the tile of C at (i0, j0). */
static void add_panels(struct work *w, size_t i0, size_t j0, size_t k0)
{
	const struct pst_gemm_args *g = w->g;
	struct tile *t = w->t;
	size_t i, j, k;

	for (i = 0; i < TILE_M; i++)
		for (k = 0; k < TILE_K; k++)
			t->a[i][k] = i0 + i < g->m && k0 + k < g->k
					     ? get(&w->a, i0 + i, k0 + k)
					     : 0;
	for (k = 0; k < TILE_K; k++)
		for (j = 0; j < TILE_N; j++)
			t->b[k][j] = j0 + j < g->n && k0 + k < g->k
					     ? get(&w->b, k0 + k, j0 + j)
					     : 0;
	for (i = 0; i < TILE_M; i++)
		/* Four at a time: C's row is loaded and stored less often. */
		for (k = 0; k < TILE_K; k += 4)
			for (j = 0; j < TILE_N; j++)
				t->c[i][j] += t->a[i][k] * t->b[k][j] +
					      t->a[i][k + 1] * t->b[k + 1][j] +
					      t->a[i][k + 2] * t->b[k + 2][j] +
					      t->a[i][k + 3] * t->b[k + 3][j];
}

/* Takes one element's verdict; a NaN is worse than any error and stays. */
static void note(struct work *w, size_t i, size_t j, double error, double bound)
{
	double ratio = error == 0 ? 0 : error / bound;
	struct pst_reference *best = &w->best;

	if (!isnan(best->max_error) && !(error <= best->max_error))
		best->max_error = error;
	if (isnan(best->ratio) || ratio <= best->ratio)
		return;
	best->ratio = ratio;
	best->bound = bound;
	best->row = i;
	best->col = j;
}

static double activated(uint32_t act, double x)
{
	switch (act) {
	case PST_ACT_RELU:
		return x < 0 ? 0 : x;
	case PST_ACT_GELU_TANH:
		return 0.5 * x *
		       (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
	case PST_ACT_GELU_ERF:
		return 0.5 * x * (1 + erf(x * M_SQRT1_2));
	default:
		return x;
	}
}

/* A product of I8, everything modulo 2^32. The sum is exact: it stays far
 * below 2^53. */
static double wanted_i32(const struct work *w, size_t i, size_t j, double sum)
{
	const struct pst_gemm_args *g = w->g;
	uint32_t v = (uint32_t)(int32_t)g->alpha * (uint32_t)(int64_t)sum;

	if (g->beta != 0)
		v += (uint32_t)(int32_t)g->beta *
		     (uint32_t)(int32_t)get(&w->c0, i, j);
	if (g->bias)
		v += (uint32_t)(int32_t)get(&w->bias, 0, j);
	return activated(g->act, (double)(int32_t)v);
}

/* What element (i, j) is to be, and how far off it may be. */
static double wanted(const struct work *w, size_t i, size_t j, double sum,
		     double *ret_bound)
{
	const struct pst_gemm_args *g = w->g;
	const struct kind *kind = w->kind;
	double want = 0, scale = 0, bound = 0, c0;

	*ret_bound = 0;
	if (kind->dtype == PST_I8)
		return wanted_i32(w, i, j, sum);
	if (g->alpha != 0 && g->k > 0) {
		want = g->alpha * sum;
		scale = fabs(g->alpha) * w->row_norm[i] * w->col_norm[j];
	}
	/* 0 times infinity would be no bound. */
	if (w->inputs > 0)
		bound = w->inputs * scale;
	if (g->beta != 0) {
		c0 = g->beta * get(&w->c0, i, j);
		want += c0;
		scale += fabs(c0);
	}
	if (g->bias) {
		want += get(&w->bias, 0, j);
		scale += fabs(get(&w->bias, 0, j));
	}
	/* What underflows in the element type is lost altogether. */
	bound += w->gamma * scale + (g->k + 4.0) * kind->tiny * fabs(g->alpha);
	if (g->beta != 0)
		bound += 2 * kind->tiny;
	if (g->act) {
		bound = MAX_SLOPE * bound +
			ACT_ROUNDINGS * (kind->u * fabs(want) + kind->tiny);
		want = activated(g->act, want);
	}
	if (kind->u_c > 0)
		bound += kind->u_c * (fabs(want) + bound) + kind->min_c;
	*ret_bound = bound;
	return want;
}

static void compare(struct work *w, size_t i, size_t j, double sum)
{
	const double got = get(&w->c, i, j);
	double bound, want = wanted(w, i, j, sum, &bound);

	if (isnan(want))
		note(w, i, j, isnan(got) ? 0 : NAN, bound);
	else if (isinf(got))
		note(w, i, j,
		     signbit(got) == signbit(want) &&
				     fabs(want) + bound >= w->kind->max_c
			     ? 0
			     : NAN,
		     bound);
	else
		note(w, i, j, fabs(got - want), bound);
}

static void do_tile(struct work *w, size_t i0, size_t j0)
{
	const struct pst_gemm_args *g = w->g;
	size_t i, j, k;

	memset(w->t->c, 0, sizeof(w->t->c));
	if (g->alpha != 0)
		for (k = 0; k < g->k; k += TILE_K)
			add_panels(w, i0, j0, k);
	for (i = 0; i < TILE_M && i0 + i < g->m; i++)
		for (j = 0; j < TILE_N && j0 + j < g->n; j++)
			compare(w, i0 + i, j0 + j, w->t->c[i][j]);
}

/* n u / (1 - n u) with n = k + 5 roundings: k products and sums, alpha, beta,
 * bias and their sums. */
static double gamma_of(const struct pst_gemm_args *g, const struct kind *kind)
{
	double nu = (g->k + 5.0) * kind->u;

	return nu < 1 ? nu / (1 - nu) : INFINITY;
}

/* Relative error of a product of two inputs rounded to 11 bits. What F16
 * cannot hold becomes infinite or zero, which is not bounded here. */
static double inputs_of(const struct pst_gemm_args *g)
{
	return g->compute == PST_COMPUTE_DEFAULT ? 0 : 2 * 0x1p-11 + 0x1p-22;
}

static const struct kind *kind_of(const struct pst_gemm_args *g)
{
	const uint32_t dtype_c =
		g->dtype_c ? g->dtype_c : pst_dtype_of_c(g->dtype);
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(kinds); i++)
		if (kinds[i].dtype == g->dtype && kinds[i].dtype_c == dtype_c)
			return &kinds[i];
	return NULL;
}

/* Euclidean norms of the rows of a and the columns of b. */
static void norms(struct work *w)
{
	const struct pst_gemm_args *g = w->g;
	size_t i, j, k;
	double v;

	if (g->alpha == 0)
		return;
	for (i = 0; i < g->m; i++) {
		for (k = 0; k < g->k; k++) {
			v = get(&w->a, i, k);
			w->row_norm[i] += v * v;
		}
		w->row_norm[i] = sqrt(w->row_norm[i]);
	}
	for (k = 0; k < g->k; k++)
		for (j = 0; j < g->n; j++) {
			v = get(&w->b, k, j);
			w->col_norm[j] += v * v;
		}
	for (j = 0; j < g->n; j++)
		w->col_norm[j] = sqrt(w->col_norm[j]);
}

int pst_reference_check(const struct pst_gemm_args *g, const void *c0,
			struct pst_reference *ret)
{
	PST_CLEANUP_FREE double *row_norm = NULL, *col_norm = NULL;
	PST_CLEANUP_FREE struct tile *t = NULL;
	const struct kind *kind = kind_of(g);
	struct work w = {.g = g, .kind = kind};
	size_t i, j;

	if (!kind || g->batch > 1)
		return -EINVAL;
	w.a = operand(g, g->dtype, g->a, g->lda, g->transa);
	w.b = operand(g, g->dtype, g->b, g->ldb, g->transb);
	w.c = operand(g, kind->dtype_c, g->c, g->ldc, false);
	w.c0 = operand(g, kind->dtype_c, c0, g->ldc, false);
	w.bias = (struct operand){g->bias, kind->dtype_c, 0, 1};
	w.gamma = gamma_of(g, kind);
	w.inputs = inputs_of(g);
	w.row_norm = row_norm = calloc((size_t)g->m + 1, sizeof(*row_norm));
	w.col_norm = col_norm = calloc((size_t)g->n + 1, sizeof(*col_norm));
	w.t = t = malloc(sizeof(*t));
	if (!row_norm || !col_norm || !t)
		return -ENOMEM;
	norms(&w);
	for (i = 0; i < g->m; i += TILE_M)
		for (j = 0; j < g->n; j += TILE_N)
			do_tile(&w, i, j);
	/* False for a NaN. */
	w.best.verified = w.best.ratio <= 1;
	*ret = w.best;
	return 0;
}
