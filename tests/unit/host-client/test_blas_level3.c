/* SPDX-License-Identifier: MIT */
/* Level 3 by products: every routine, side and triangle in blocks is what it is
 * in one piece. Integers: exact in any order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/blas/call.h"
#include "host-client/blas/level3.h"
#include "tests/fixtures/unit.h"

#define MAX 16

static double a[MAX * MAX], b[MAX * MAX], c[MAX * MAX], want[MAX * MAX];

static double elem(const double *x, int64_t ld, bool trans, int64_t i,
		   int64_t j)
{
	return trans ? x[i * ld + j] : x[j * ld + i];
}

/* Of a matrix of which one triangle is stored. */
static double tri(const struct pst_blas_args *x, bool trans, int64_t i,
		  int64_t j)
{
	const int64_t row = trans ? j : i, col = trans ? i : j;

	if (row == col && x->unit)
		return 1;
	if (x->lower ? row < col : row > col)
		return 0;
	return elem(x->a, x->lda, false, row, col);
}

static double sym(const struct pst_blas_args *x, int64_t i, int64_t j)
{
	const bool stored = x->lower ? i >= j : i <= j;

	return elem(x->a, x->lda, !stored, i, j);
}

static void gemm(const struct pst_blas_args *x)
{
	int64_t i, j, l;
	double s, *p;

	for (j = 0; j < x->n; j++)
		for (i = 0; i < x->m; i++) {
			for (s = 0, l = 0; l < x->k; l++)
				s += elem(x->a, x->lda, x->transa, i, l) *
				     elem(x->b, x->ldb, x->transb, l, j);
			p = (double *)x->c + j * x->ldc + i;
			*p = x->alpha * s + (x->beta == 0 ? 0 : x->beta * *p);
		}
}

static void symm(const struct pst_blas_args *x)
{
	int64_t i, j, l;
	double s, *p;

	for (j = 0; j < x->n; j++)
		for (i = 0; i < x->m; i++) {
			s = 0;
			for (l = 0; l < (x->right ? x->n : x->m); l++)
				s += x->right
					     ? elem(x->b, x->ldb, false, i, l) *
						       sym(x, l, j)
					     : sym(x, i, l) * elem(x->b, x->ldb,
								   false, l, j);
			p = (double *)x->c + j * x->ldc + i;
			*p = x->alpha * s + (x->beta == 0 ? 0 : x->beta * *p);
		}
}

static void rank(const struct pst_blas_args *x)
{
	const bool t = x->transa, two = x->routine == PST_BLAS_SYR2K;
	const double *y = two ? x->b : x->a;
	const int64_t ldy = two ? x->ldb : x->lda;
	int64_t i, j, l;
	double s, *p;

	for (j = 0; j < x->n; j++)
		for (i = 0; i < x->n; i++) {
			if (x->lower ? i < j : i > j)
				continue;
			for (s = 0, l = 0; l < x->k; l++) {
				s += elem(x->a, x->lda, t, i, l) *
				     elem(y, ldy, t, j, l);
				if (two)
					s += elem(y, ldy, t, i, l) *
					     elem(x->a, x->lda, t, j, l);
			}
			p = (double *)x->c + j * x->ldc + i;
			*p = x->alpha * s + (x->beta == 0 ? 0 : x->beta * *p);
		}
}

static void trmm(const struct pst_blas_args *x)
{
	double old[MAX * MAX];
	int64_t i, j, l;
	double s;

	memcpy(old, x->c,
	       sizeof(double) * (size_t)(x->ldc * (x->n - 1) + x->m));
	for (j = 0; j < x->n; j++)
		for (i = 0; i < x->m; i++) {
			s = 0;
			for (l = 0; l < (x->right ? x->n : x->m); l++)
				s += x->right ? old[l * x->ldc + i] *
							tri(x, x->transa, l, j)
					      : tri(x, x->transa, i, l) *
							old[j * x->ldc + l];
			((double *)x->c)[j * x->ldc + i] = x->alpha * s;
		}
}

/* Column by column, or row by row, in the order of what is solved. */
static void trsm(const struct pst_blas_args *x)
{
	const int64_t n = x->right ? x->n : x->m, m = x->right ? x->m : x->n;
	/* op(A), or its transpose, is lower: from the first unknown on. */
	const bool forward = (x->lower != x->transa) != x->right;
	int64_t i, j, l, u, v;
	double s, *p;

	for (j = 0; j < m; j++)
		for (i = 0; i < n; i++) {
			u = forward ? i : n - 1 - i;
			p = (double *)x->c +
			    (x->right ? u * x->ldc + j : j * x->ldc + u);
			s = x->alpha * *p;
			for (l = 0; l < i; l++) {
				v = forward ? l : n - 1 - l;
				s -= (x->right ? tri(x, x->transa, v, u)
					       : tri(x, x->transa, u, v)) *
				     ((double *)
					      x->c)[x->right ? v * x->ldc + j
							     : j * x->ldc + v];
			}
			*p = s / tri(x, x->transa, u, u);
		}
}

static void compute(void *n_parts, const struct pst_blas_args *x)
{
	static void (*const how[])(const struct pst_blas_args *x) = {
		gemm, symm, rank, rank, trmm, trsm};

	if (n_parts)
		++*(int *)n_parts;
	how[x->routine](x);
}

static void fill(double *x, unsigned int seed)
{
	int i;

	for (i = 0; i < MAX * MAX; i++) {
		seed = seed * 1664525 + 1013904223;
		x[i] = (int)(seed >> 16) % 3 - 1;
	}
}

START_TEST(blocks_give_what_one_piece_gives)
{
	struct pst_blas_args x = {
		.routine = (enum pst_blas_routine)(1 + _i % 5),
		.type = PST_BLAS_F64,
		.right = _i / 5 & 1,
		.lower = _i / 10 & 1,
		.transa = _i / 20 & 1,
		.unit = _i / 40 & 1,
		.lda = 12,
		.ldb = 13,
		.ldc = 14,
		.alpha = 2,
		.beta = _i / 80 & 1 ? -1 : 0,
		.a = a,
		.b = b,
	};
	int64_t block, i;
	int parts;

	for (block = 1; block < 12; block++) {
		x.m = 7 + block % 3;
		x.n = 11 - block % 4;
		x.k = block % 5;
		if (x.routine != PST_BLAS_SYRK && x.routine != PST_BLAS_SYR2K)
			x.k = 0;
		fill(a, 1);
		fill(b, 2);
		fill(want, 3);
		/* Solving divides by them. */
		for (i = 0; i < 12; i++)
			a[i * 12 + i] = i % 2 ? 1 : -1;
		memcpy(c, want, sizeof(c));
		ck_assert(pst_blas_is_valid(&x));
		x.c = want;
		compute(NULL, &x);
		x.c = c;
		parts = 0;
		pst_blas_level3(&x, block, compute, &parts);
		ck_assert_int_gt(parts, 0);
		for (i = 0; i < MAX * MAX; i++)
			ck_assert_double_eq(c[i], want[i]);
	}
}
END_TEST

/* The reference BLAS does not look at A then. */
START_TEST(without_alpha_a_triangle_is_not_read)
{
	struct pst_blas_args x = {
		.routine = _i & 1 ? PST_BLAS_TRMM : PST_BLAS_TRSM,
		.type = PST_BLAS_F64,
		.right = _i / 2 & 1,
		.lower = _i / 4 & 1,
		.m = 7,
		.n = 8,
		.lda = MAX,
		.ldc = MAX,
		.a = a,
		.c = c,
	};
	int64_t i, j;
	int parts = 0;

	for (i = 0; i < MAX * MAX; i++)
		a[i] = (double)NAN;
	/* Of the blocks on the diagonal that is the library's matter. */
	for (j = 0; j < MAX; j++)
		for (i = j / 3 * 3; i < j / 3 * 3 + 3 && i < MAX; i++)
			a[j * MAX + i] = 1;
	fill(c, 3);
	pst_blas_level3(&x, 3, compute, &parts);
	for (j = 0; j < x.n; j++)
		for (i = 0; i < x.m; i++)
			ck_assert_double_eq(c[j * MAX + i], 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, blocks_give_what_one_piece_gives, 0, 160);
	tcase_add_loop_test(tc, without_alpha_a_triangle_is_not_read, 0, 8);
}

int main(void)
{
	return pst_unit_run("blas_level3", add, 20);
}
