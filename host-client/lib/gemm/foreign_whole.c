/* SPDX-License-Identifier: MIT */
/* Runs a foreign product whose operands fit into the region whole: computes
 * while they are copied in and out. */
#include "host-client/lib/gemm/foreign_int.h"

/* Products of fewer rows or terms have too little to overlap. */
#define MIN_M 256U
#define MIN_K 256U
/* Terms of the sums that are computed first, while the others are copied: a
 * small part of A and B, and enough work for that time. */
#define HEAD_K 64U
/* Terms of the last parts: what OpenBLAS and BLIS take at a time, or nearly. */
#define LAST_K 320U
/* One part in so many of C's stored lines is computed last, multiples of
 * GRAIN. */
#define TAIL_PART 8U
#define GRAIN     64U
/* Rows of A's first terms that take a few us to copy. */
#define WAKE_ROWS 256U

uint64_t pst_foreign_whole_bytes(const struct pst_foreign *t)
{
	const struct pst_gemm_args *g = t->g;

	/* Sums of 16-bit elements are not kept in 16 bits. */
	if (g->batch > 1 || t->k < MIN_K || g->m < MIN_M || t->elem_c <= 2 ||
	    g->a_tensor || g->b_tensor || g->c_tensor || g->bias_tensor)
		return 0;
	/* check() has seen that none of these overflows. */
	return (t->copy_a ? pst_round_up(g->m * t->k * t->elem_ab, 64) : 0) +
	       (t->copy_b ? pst_round_up(t->k * g->n * t->elem_ab, 64) : 0) +
	       (t->copy_c ? pst_round_up((uint64_t)g->m * g->n * t->elem_c, 64)
			  : 0);
}

uint8_t *pst_foreign_whole_place(struct pst_foreign *t)
{
	const struct pst_gemm_args *g = t->g;
	uint8_t *at = t->mem;

	t->a[0].mem = at;
	if (t->copy_a)
		at += pst_round_up(g->m * t->k * t->elem_ab, 64);
	t->b[0].mem = at;
	if (t->copy_b)
		at += pst_round_up(t->k * g->n * t->elem_ab, 64);
	t->s[0].mem = at;
	if (t->copy_c)
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

static struct operand operand(const struct pst_foreign *t, const void *x,
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

/* A part of C. */
struct rect {
	uint64_t i, j, m, n;
};

/* The lines of a part of an operand, the caller's and those in the region. */
static void find(const struct pst_foreign *t, const struct operand *x,
		 const struct rect *r, struct pst_foreign_lines *ret_caller,
		 struct pst_foreign_lines *ret_region)
{
	*ret_caller = pst_foreign_lines(t->g, x->from, x->from_ld, x->trans,
					x->elem, r->i, r->j, r->m, r->n);
	*ret_region = pst_foreign_lines(t->g, x->mem, x->ld, x->trans, x->elem,
					r->i, r->j, r->m, r->n);
}

/* Moves rows x cols from (row, col) on into the region. */
static void move(struct pst_foreign *t, const struct operand *x, uint64_t row,
		 uint64_t col, uint64_t rows, uint64_t cols)
{
	const struct rect r = {row, col, rows, cols};
	struct pst_foreign_lines from, to;

	if (!x->copied || rows == 0 || cols == 0)
		return;
	find(t, x, &r, &from, &to);
	pst_foreign_copy(to.at, to.ld, from.at, from.ld, &to, x->elem);
}

static int move_out(struct pst_foreign *t, const struct operand *x,
		    const struct rect *r)
{
	struct pst_foreign_lines to, from;

	if (!x->copied)
		return 0;
	find(t, x, r, &to, &from);
	return pst_foreign_out(t, &to, from.at, from.ld);
}

static const void *place(const struct pst_foreign *t, const struct operand *x,
			 uint64_t row, uint64_t col)
{
	return pst_foreign_lines(t->g, x->mem, x->ld, x->trans, x->elem, row,
				 col, 1, 1)
		.at;
}

/* Starts a part of C, with the terms of the sums from l on. */
static int start(struct pst_foreign *t, const struct rect *r, uint64_t l,
		 uint64_t terms, const struct operand *a,
		 const struct operand *b, const struct operand *c)
{
	const uint8_t *bias = t->bias ? t->bias : t->g->bias;
	struct pst_gemm_args q = *t->g;

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
	return pst_foreign_submit(t, &q);
}

/* A part of C for some terms of the sums. */
struct subop {
	struct rect rect;
	uint64_t l, terms;
};

#define MAX_SUBOPS 4U

/*
 * In the order in which they are computed: the first terms for all of C, while
 * the others are copied in; most terms; the last ones for most lines of C, and
 * for the lines left, while the others are copied out. All that a BLAS packs
 * again for a part of C is the last terms of one operand. Returns how many.
 */
static unsigned int cut(const struct pst_gemm_args *g, uint64_t k,
			struct subop ret[MAX_SUBOPS])
{
	const struct rect all = {0, 0, g->m, g->n};
	const bool by_cols = g->order == PST_COL_MAJOR;
	const uint64_t lines = by_cols ? g->n : g->m;
	const uint64_t tail = lines / TAIL_PART / GRAIN * GRAIN;
	const uint64_t last = k < 2 * LAST_K + HEAD_K ? k - HEAD_K : LAST_K;
	unsigned int n = 0;

	ret[n++] = (struct subop){all, 0, HEAD_K};
	if (last < k - HEAD_K)
		ret[n++] = (struct subop){all, HEAD_K, k - HEAD_K - last};
	ret[n++] = (struct subop){all, k - last, last};
	if (tail == 0)
		return n;
	ret[n] = ret[n - 1];
	if (by_cols) {
		ret[n - 1].rect.n -= tail;
		ret[n].rect.j = g->n - tail;
		ret[n].rect.n = tail;
	} else {
		ret[n - 1].rect.m -= tail;
		ret[n].rect.i = g->m - tail;
		ret[n].rect.m = tail;
	}
	return n + 1;
}

/* The first terms of A and B. An agent that sleeps, or would fall asleep
 * meanwhile, is woken: it is awake then when there is work. */
static int move_head(struct pst_foreign *t, const struct operand *a,
		     const struct operand *b)
{
	const struct pst_gemm_args *g = t->g;
	int r = pst_foreign_wake(t);
	uint64_t i, rows;

	move(t, b, 0, 0, HEAD_K, g->n);
	for (i = 0; i < g->m && r == 0; i += rows) {
		rows = g->m - i < WAKE_ROWS ? g->m - i : WAKE_ROWS;
		r = pst_foreign_wake(t);
		move(t, a, i, 0, rows, HEAD_K);
	}
	return r;
}

/* All terms of A and B are moved once, and all of C. */
int pst_foreign_whole_run(struct pst_foreign *t)
{
	const struct pst_gemm_args *g = t->g;
	const struct operand a =
		operand(t, g->a, g->lda, t->copy_a, t->a[0].mem, g->transa,
			g->m, t->k, t->elem_ab);
	const struct operand b =
		operand(t, g->b, g->ldb, t->copy_b, t->b[0].mem, g->transb,
			t->k, g->n, t->elem_ab);
	const struct operand c =
		operand(t, g->c, g->ldc, t->copy_c, t->s[0].mem, false, g->m,
			g->n, t->elem_c);
	struct subop subops[MAX_SUBOPS], *x;
	const unsigned int n = cut(g, t->k, subops);
	uint64_t there = HEAD_K, number[MAX_SUBOPS];
	unsigned int i;
	int r;

	if (g->beta != 0)
		move(t, &c, 0, 0, g->m, g->n);
	r = move_head(t, &a, &b);
	for (i = 0; i < n && r == 0; i++) {
		x = &subops[i];
		if (x->l == there) {
			move(t, &b, x->l, 0, x->terms, g->n);
			move(t, &a, 0, x->l, g->m, x->terms);
			there += x->terms;
		}
		r = start(t, &x->rect, x->l, x->terms, &a, &b, &c);
		number[i] = t->submitted;
	}
	for (i = 0; i < n && r == 0; i++) {
		x = &subops[i];
		if (x->l + x->terms < t->k)
			continue;
		r = pst_foreign_wait(t, number[i]);
		if (r == 0)
			r = move_out(t, &c, &x->rect);
	}
	return r;
}
