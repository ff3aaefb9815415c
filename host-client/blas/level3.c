/* SPDX-License-Identifier: MIT */
/* SYMM, SYRK, SYR2K, TRMM and TRSM by products: blocks on the diagonal are
 * computed here, all others are GEMMs. */
#include "host-client/blas/level3.h"

struct walk {
	const struct pst_blas_args *x;
	int64_t block;
	pst_blas_part *part;
	void *arg;
};

/* Element (row, col) of a matrix, transposed or not. */
static void *at(const struct walk *w, const void *p, int64_t ld, bool trans,
		int64_t row, int64_t col)
{
	const int64_t i = trans ? col : row, j = trans ? row : col;

	return (char *)p + (size_t)(j * ld + i) * pst_blas_elem(w->x->type);
}

/* C (m x n at c) = alpha op(A) op(B) + beta C. */
static void gemm(const struct walk *w, int64_t m, int64_t n, int64_t k,
		 double alpha, const void *a, int64_t lda, bool transa,
		 const void *b, int64_t ldb, bool transb, double beta, void *c)
{
	const struct pst_blas_args g = {
		.routine = PST_BLAS_GEMM,
		.type = w->x->type,
		.transa = transa,
		.transb = transb,
		.m = m,
		.n = n,
		.k = k,
		.lda = lda,
		.ldb = ldb,
		.ldc = w->x->ldc,
		.alpha = alpha,
		.beta = beta,
		.a = a,
		.b = b,
		.c = c,
	};

	if (m > 0 && n > 0)
		w->part(w->arg, &g);
}

/* Block i of C's columns, of those below or above the diagonal all. */
static void rank_k(const struct walk *w, int64_t i, int64_t nb)
{
	const struct pst_blas_args *x = w->x;
	const int64_t row = x->lower ? i + nb : 0;
	const int64_t rows = x->lower ? x->n - row : i;
	const bool t = x->transa, twice = x->routine == PST_BLAS_SYR2K;
	struct pst_blas_args d = *x;

	d.n = nb;
	d.a = at(w, x->a, x->lda, t, i, 0);
	d.b = twice ? at(w, x->b, x->ldb, t, i, 0) : NULL;
	d.c = at(w, x->c, x->ldc, false, i, i);
	w->part(w->arg, &d);
	gemm(w, rows, nb, x->k, x->alpha, at(w, x->a, x->lda, t, row, 0),
	     x->lda, t, twice ? d.b : d.a, twice ? x->ldb : x->lda, !t, x->beta,
	     at(w, x->c, x->ldc, false, row, i));
	if (twice)
		gemm(w, rows, nb, x->k, x->alpha,
		     at(w, x->b, x->ldb, t, row, 0), x->ldb, t, d.a, x->lda, !t,
		     1, at(w, x->c, x->ldc, false, row, i));
}

/* Terms [from, from + terms) of block i of rows (left) or columns (right) of C,
 * with the part of op(A) that is stored in rows or columns there. */
static void add_terms(const struct walk *w, int64_t i, int64_t nb, int64_t from,
		      int64_t terms, bool trans, double alpha, const void *b,
		      int64_t ldb, double beta)
{
	const struct pst_blas_args *x = w->x;

	if (terms == 0)
		return;
	if (x->right)
		gemm(w, x->m, nb, terms, alpha, at(w, b, ldb, false, 0, from),
		     ldb, false, at(w, x->a, x->lda, trans, from, i), x->lda,
		     trans, beta, at(w, x->c, x->ldc, false, 0, i));
	else
		gemm(w, nb, x->n, terms, alpha,
		     at(w, x->a, x->lda, trans, i, from), x->lda, trans,
		     at(w, b, ldb, false, from, 0), ldb, false, beta,
		     at(w, x->c, x->ldc, false, i, 0));
}

/* The call for the block on the diagonal of A. */
static void diagonal(const struct walk *w, int64_t i, int64_t nb, double alpha)
{
	const struct pst_blas_args *x = w->x;
	const int64_t row = x->right ? 0 : i, col = x->right ? i : 0;
	struct pst_blas_args d = *x;

	d.m = x->right ? x->m : nb;
	d.n = x->right ? nb : x->n;
	d.alpha = alpha;
	d.a = at(w, x->a, x->lda, false, i, i);
	if (x->routine == PST_BLAS_SYMM)
		d.b = at(w, x->b, x->ldb, false, row, col);
	d.c = at(w, x->c, x->ldc, false, row, col);
	w->part(w->arg, &d);
}

static void symmetric(const struct walk *w, int64_t i, int64_t nb, int64_t n)
{
	const struct pst_blas_args *x = w->x;
	/* Left, A's row i is stored before the diagonal if it is the lower
	 * part; right it is column i. */
	const bool before = x->lower == x->right;

	diagonal(w, i, nb, x->alpha);
	add_terms(w, i, nb, 0, i, before, x->alpha, x->b, x->ldb, 1);
	add_terms(w, i, nb, i + nb, n - i - nb, !before, x->alpha, x->b, x->ldb,
		  1);
}

/* Whether blocks depend on those after them: op(A) is upper and left, or lower
 * and right. */
static bool needs_later(const struct pst_blas_args *x)
{
	return (x->lower != x->transa) == x->right;
}

static void triangular(const struct walk *w, int64_t i, int64_t nb, int64_t n)
{
	const struct pst_blas_args *x = w->x;
	const bool later = needs_later(x);
	const int64_t from = later ? i + nb : 0;
	/* With alpha 0 a BLAS does not read A, which may be no number. */
	const int64_t terms = x->alpha == 0 ? 0 : later ? n - from : i;

	if (x->routine == PST_BLAS_TRMM) {
		diagonal(w, i, nb, x->alpha);
		add_terms(w, i, nb, from, terms, x->transa, x->alpha, x->c,
			  x->ldc, 1);
	} else {
		add_terms(w, i, nb, from, terms, x->transa, -1, x->c, x->ldc,
			  x->alpha);
		diagonal(w, i, nb, terms > 0 ? 1 : x->alpha);
	}
}

void pst_blas_level3(const struct pst_blas_args *x, int64_t block,
		     pst_blas_part *part, void *arg)
{
	const struct walk w = {
		.x = x, .block = block, .part = part, .arg = arg};
	const bool rank =
		x->routine == PST_BLAS_SYRK || x->routine == PST_BLAS_SYR2K;
	const bool is_tri =
		x->routine == PST_BLAS_TRMM || x->routine == PST_BLAS_TRSM;
	const int64_t n = rank || x->right ? x->n : x->m;
	const int64_t blocks = (n + block - 1) / block;
	/* TRMM uses what is not yet overwritten, TRSM what is solved. */
	const bool backwards =
		is_tri && needs_later(x) == (x->routine == PST_BLAS_TRSM);
	int64_t b, i, nb;

	for (b = 0; b < blocks; b++) {
		i = (backwards ? blocks - 1 - b : b) * block;
		nb = n - i < block ? n - i : block;
		if (rank)
			rank_k(&w, i, nb);
		else if (is_tri)
			triangular(&w, i, nb, n);
		else
			symmetric(&w, i, nb, n);
	}
}
