/* SPDX-License-Identifier: MIT */
/* A matrix product on the host, in double precision, to check results by. */
#include "host-client/reference.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* Panels in double precision. */
struct tile {
	double a[TILE_M][TILE_K];
	double b[TILE_K][TILE_N];
	double c[TILE_M][TILE_N];
};

struct work {
	const struct pst_gemm *g;
	struct operand a, b, c, c0;
	double *row_norm; /* of op(A), m of them */
	double *col_norm; /* of op(B), n of them */
	double gamma;     /* relative error of a sum of k products */
	struct tile *t;
	struct pst_reference best;
};

static double get(const struct operand *o, size_t i, size_t j)
{
	size_t at = i * o->row_step + j * o->col_step;

	if (o->dtype == PST_F32)
		return ((const float *)o->data)[at];
	return ((const double *)o->data)[at];
}

static struct operand operand(const struct pst_gemm *g, const void *data,
			      uint32_t ld, bool trans)
{
	bool by_rows = (g->order == PST_ROW_MAJOR) != trans;

	return (struct operand){
		.data = data,
		.dtype = g->dtype,
		.row_step = by_rows ? ld : 1,
		.col_step = by_rows ? 1 : ld,
	};
}

/* Adds the product of one pair of panels to the tile of C at (i0, j0). */
static void add_panels(struct work *w, size_t i0, size_t j0, size_t k0)
{
	const struct pst_gemm *g = w->g;
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

static void compare(struct work *w, size_t i, size_t j, double sum)
{
	const struct pst_gemm *g = w->g;
	bool f32 = g->dtype == PST_F32;
	double tiny = f32 ? FLT_MIN : DBL_MIN;
	double max = f32 ? FLT_MAX : DBL_MAX;
	double want = 0, scale = 0, bound;
	double got = get(&w->c, i, j);

	if (g->alpha != 0 && g->k > 0) {
		want = g->alpha * sum;
		scale = fabs(g->alpha) * w->row_norm[i] * w->col_norm[j];
	}
	if (g->beta != 0) {
		want += g->beta * get(&w->c0, i, j);
		scale += fabs(g->beta * get(&w->c0, i, j));
	}
	/* What underflows in the element type is lost altogether. */
	bound = w->gamma * scale + (g->k + 4.0) * tiny * fabs(g->alpha);
	if (g->beta != 0)
		bound += 2 * tiny;
	if (isnan(want))
		note(w, i, j, isnan(got) ? 0 : NAN, bound);
	else if (isinf(got))
		note(w, i, j,
		     signbit(got) == signbit(want) && fabs(want) + bound >= max
			     ? 0
			     : NAN,
		     bound);
	else
		note(w, i, j, fabs(got - want), bound);
}

static void do_tile(struct work *w, size_t i0, size_t j0)
{
	const struct pst_gemm *g = w->g;
	size_t i, j, k;

	memset(w->t->c, 0, sizeof(w->t->c));
	if (g->alpha != 0)
		for (k = 0; k < g->k; k += TILE_K)
			add_panels(w, i0, j0, k);
	for (i = 0; i < TILE_M && i0 + i < g->m; i++)
		for (j = 0; j < TILE_N && j0 + j < g->n; j++)
			compare(w, i0 + i, j0 + j, w->t->c[i][j]);
}

/*
 * n u / (1 - n u) with n = k + 4 roundings: k products and sums, alpha, beta
 * and their sum. For float64 the reference rounds as often.
 */
static double gamma_of(const struct pst_gemm *g)
{
	double nu = (g->k + 4.0) *
		    (g->dtype == PST_F32 ? FLT_EPSILON / 2 : DBL_EPSILON);

	return nu < 1 ? nu / (1 - nu) : INFINITY;
}

/* Euclidean norms of the rows of a and the columns of b. */
static void norms(struct work *w)
{
	const struct pst_gemm *g = w->g;
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

int pst_reference_check(const struct pst_gemm *g, const void *c0,
			struct pst_reference *ret)
{
	PST_CLEANUP_FREE double *row_norm = NULL, *col_norm = NULL;
	PST_CLEANUP_FREE struct tile *t = NULL;
	struct work w = {
		.g = g,
		.a = operand(g, g->a, g->lda, g->transa),
		.b = operand(g, g->b, g->ldb, g->transb),
		.c = operand(g, g->c, g->ldc, false),
		.c0 = operand(g, c0, g->ldc, false),
		.gamma = gamma_of(g),
	};
	size_t i, j;

	if (g->dtype != PST_F32 && g->dtype != PST_F64)
		return -EINVAL;
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
