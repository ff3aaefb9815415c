/* SPDX-License-Identifier: MIT */
/* A product whose operands fit into the region whole: computed while they come
 * and go. */
#include "host-client/tile_int.h"

/* Products of fewer rows have too little to overlap. */
#define MIN_M 256U
/* Terms of the sums that are computed first, while the others are copied: a
 * small part of A and B, and enough work for that time. */
#define HEAD_K 64U

uint64_t pst_tile_fit_bytes(const struct pst_tile *t)
{
	const struct pst_gemm *g = t->g;
	const struct pst_foreign *f = t->f;

	if (g->batch > 1 || t->k == 0 || g->m < MIN_M || g->a_tensor ||
	    g->b_tensor || g->c_tensor || g->bias_tensor)
		return 0;
	/* check() has seen that none of these overflows. */
	return (f->a ? pst_round_up(g->m * t->k * t->elem_ab, 64) : 0) +
	       (f->b ? pst_round_up(t->k * g->n * t->elem_ab, 64) : 0) +
	       (f->c ? pst_round_up((uint64_t)g->m * g->n * t->elem_c, 64) : 0);
}

uint8_t *pst_tile_fit_place(struct pst_tile *t)
{
	const struct pst_gemm *g = t->g;
	uint8_t *at = t->mem;

	t->a[0].mem = at;
	if (t->f->a)
		at += pst_round_up(g->m * t->k * t->elem_ab, 64);
	t->b[0].mem = at;
	if (t->f->b)
		at += pst_round_up(t->k * g->n * t->elem_ab, 64);
	t->s[0].mem = at;
	if (t->f->c)
		at += pst_round_up((uint64_t)g->m * g->n * t->elem_c, 64);
	return at;
}

/* An operand in the region: the caller's own, or the copy, packed. */
struct operand {
	const uint8_t *from; /* the caller's */
	uint64_t from_ld;
	uint8_t *mem;
	uint64_t ld;
	bool trans, copied;
	unsigned int elem;
};

static struct operand operand(const struct pst_tile *t, const void *x,
			      uint64_t ld, bool foreign, uint8_t *copy,
			      bool trans, uint64_t rows, uint64_t cols,
			      unsigned int elem)
{
	const bool along = (t->g->order == PST_COL_MAJOR) != trans;

	return (struct operand){
		.from = x,
		.from_ld = ld,
		.mem = foreign ? copy : (uint8_t *)x,
		.ld = foreign ? (along ? rows : cols) : ld,
		.trans = trans,
		.copied = foreign,
		.elem = elem,
	};
}

/* Moves rows x cols from (row, col) on into the region, or out of it. */
static void move(const struct pst_tile *t, const struct operand *x,
		 uint64_t row, uint64_t col, uint64_t rows, uint64_t cols,
		 bool out)
{
	struct pst_tile_part from, to;

	if (!x->copied || rows == 0 || cols == 0)
		return;
	from = pst_tile_part(t->g, x->from, x->from_ld, x->trans, x->elem, row,
			     col, rows, cols);
	to = pst_tile_part(t->g, x->mem, x->ld, x->trans, x->elem, row, col,
			   rows, cols);
	if (out)
		pst_tile_copy(from.at, from.ld, to.at, to.ld, &to, x->elem);
	else
		pst_tile_copy(to.at, to.ld, from.at, from.ld, &to, x->elem);
}

static const void *place(const struct pst_tile *t, const struct operand *x,
			 uint64_t row, uint64_t col)
{
	return pst_tile_part(t->g, x->mem, x->ld, x->trans, x->elem, row, col,
			     1, 1)
		.at;
}

/* Starts a part of C, with the terms of the sums from l on. */
static int start(struct pst_tile *t, const struct pst_tile_rect *r, uint64_t l,
		 uint64_t terms, const struct operand *a,
		 const struct operand *b, const struct operand *c)
{
	const uint8_t *bias = t->bias ? t->bias : t->g->bias;
	struct pst_gemm q = *t->g;

	q.batch = 0;
	q.m = (uint32_t)r->m;
	q.n = (uint32_t)r->n;
	q.lda = (uint32_t)a->ld;
	q.ldb = (uint32_t)b->ld;
	q.ldc = (uint32_t)c->ld;
	q.k = (uint32_t)terms;
	q.a = place(t, a, r->i, l);
	q.b = place(t, b, l, r->j);
	q.c = (void *)place(t, c, r->i, r->j);
	q.bias = bias ? bias + r->j * t->elem_c : NULL;
	if (l > 0)
		q.beta = 1;
	if (l + terms < t->k) {
		q.bias = NULL;
		q.act = PST_ACT_NONE;
	}
	return pst_tile_submit(t, &q);
}

/* All of C twice: the first terms of the sums, then the rest. A BLAS packs
 * every element of A and B once then, and not for each part of C again. */
static int run_by_terms(struct pst_tile *t, const struct operand *a,
			const struct operand *b, const struct operand *c)
{
	const struct pst_gemm *g = t->g;
	const struct pst_tile_rect all = {0, 0, g->m, g->n};
	uint64_t l, terms;
	int r = pst_tile_rouse(t);

	if (g->beta != 0)
		move(t, c, 0, 0, g->m, g->n, false);
	for (l = 0; l < t->k && r == 0; l += terms) {
		terms = l == 0 ? HEAD_K : t->k - HEAD_K;
		move(t, a, 0, l, g->m, terms, false);
		move(t, b, l, 0, terms, g->n, false);
		r = start(t, &all, l, terms, a, b, c);
	}
	if (r == 0)
		r = pst_tile_wait(t, t->submitted);
	if (r == 0)
		move(t, c, 0, 0, g->m, g->n, true);
	return r;
}

int pst_tile_fit_run(struct pst_tile *t)
{
	const struct pst_gemm *g = t->g;
	const struct operand a = operand(t, g->a, g->lda, t->f->a, t->a[0].mem,
					 g->transa, g->m, t->k, t->elem_ab);
	const struct operand b = operand(t, g->b, g->ldb, t->f->b, t->b[0].mem,
					 g->transb, t->k, g->n, t->elem_ab);
	const struct operand c = operand(t, g->c, g->ldc, t->f->c, t->s[0].mem,
					 false, g->m, g->n, t->elem_c);
	struct pst_tile_rect rects[PST_TILE_RECTS], *x;
	const unsigned int n = pst_tile_cut(g->m, g->n, rects);
	uint64_t rows = 0, cols = 0; /* of A and B, there already */
	unsigned int i;
	int r;

	/* Sums of 16-bit elements are not kept in 16 bits. */
	if (t->k >= 4 * (uint64_t)HEAD_K && t->elem_c > 2)
		return run_by_terms(t, &a, &b, &c);
	for (i = 0; i < n; i++) {
		x = &rects[i];
		if (x->i + x->m > rows) {
			move(t, &a, rows, 0, x->i + x->m - rows, t->k, false);
			rows = x->i + x->m;
		}
		if (x->j + x->n > cols) {
			move(t, &b, 0, cols, t->k, x->j + x->n - cols, false);
			cols = x->j + x->n;
		}
		if (g->beta != 0)
			move(t, &c, x->i, x->j, x->m, x->n, false);
		r = start(t, x, 0, t->k, &a, &b, &c);
		if (r < 0)
			return r;
	}
	for (i = 0; i < n; i++) {
		x = &rects[i];
		r = pst_tile_wait(t, i + 1);
		if (r < 0)
			return r;
		move(t, &c, x->i, x->j, x->m, x->n, true);
	}
	return 0;
}
