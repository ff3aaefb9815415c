/* SPDX-License-Identifier: MIT */
/* Runs a foreign product in pieces that share a few slots of the region. */
#include "host-client/lib/gemm/foreign_int.h"
#include "host-client/lib/gemm/gemm_op.h"
#include "transport/dtype.h"
#include "transport/op.h"

/* ---- Copies ------------------------------------------------------------ */

/* Lines of C, of a 16-bit type to the F32 of sums if need be. */
static void c_in(struct pst_foreign *t, const struct pst_foreign_lines *p,
		 uint8_t *slot)
{
	const uint32_t dtype = pst_gemm_dtype_c(t->g);
	uint64_t i;

	if (t->plan.elem_c == t->elem_c) {
		pst_foreign_copy(slot, p->length, p->at, p->ld, p, t->elem_c);
		return;
	}
	for (i = 0; i < p->lines; i++)
		pst_floats_load((float *)(void *)slot + i * p->length,
				p->at + i * p->ld * t->elem_c, dtype,
				p->length);
}

/*
 * Where a piece of A or B is in the region: in place, or in a slot, copied
 * there now if it is not there yet. *ret_slot is the slot or NULL.
 */
static int fetch(struct pst_foreign *t, struct pst_foreign_slot *slots,
		 unsigned int n_slots, const struct pst_foreign_lines *p,
		 uint64_t row, uint64_t col, const void **ret, uint32_t *ret_ld,
		 struct pst_foreign_slot **ret_slot)
{
	struct pst_foreign_slot *s = &slots[0];
	unsigned int i;
	int r;

	*ret = p->at;
	*ret_ld = (uint32_t)p->ld;
	*ret_slot = NULL;
	if (n_slots == 0)
		return 0;
	for (i = 0; i < n_slots; i++) {
		if (slots[i].filled && slots[i].row == row &&
		    slots[i].col == col) {
			s = &slots[i];
			goto found;
		}
		if (slots[i].used < s->used)
			s = &slots[i];
	}
	r = pst_foreign_wait(t, s->used);
	if (r < 0)
		return r;
	pst_foreign_copy(s->mem, p->length, p->at, p->ld, p, t->elem_ab);
	s->row = row;
	s->col = col;
	s->filled = true;
found:
	*ret = s->mem;
	*ret_ld = (uint32_t)(p->length ? p->length : 1);
	*ret_slot = s;
	return 0;
}

/* ---- Pieces ------------------------------------------------------------ */

/* The piece that follows. */
static struct pst_foreign_spot after(const struct pst_foreign *t,
				     const struct pst_foreign_piece *p)
{
	struct pst_foreign_spot s = {.q = p->q, .i = p->i + p->m, .j = p->j};

	if (s.i == t->g->m) {
		s.i = 0;
		s.j += p->n;
	}
	if (s.j == t->g->n) {
		s.j = 0;
		s.q++;
	}
	return s;
}

/* The result goes where the caller wants it. */
static int finish_piece(struct pst_foreign *t, struct pst_foreign_piece *p)
{
	int r;

	if (p->last == 0)
		return 0;
	r = pst_foreign_wait(t, p->last);
	if (r < 0)
		return r;
	if (p->slot)
		r = pst_foreign_out(t, &p->part, p->slot->mem, p->part.length);
	if (r < 0)
		return r;
	t->next = after(t, p);
	p->last = 0;
	return 0;
}

/* Fills in what all pieces of k have in common. */
static void fill_in(const struct pst_foreign *t,
		    const struct pst_foreign_piece *p, struct pst_gemm_args *q)
{
	const struct pst_gemm_args *g = t->g;
	const bool sums = t->plan.elem_c != t->elem_c;

	*q = *g;
	q->batch = 0;
	q->m = (uint32_t)p->m;
	q->n = (uint32_t)p->n;
	q->dtype_c = sums ? PST_F32 : pst_gemm_dtype_c(g);
	q->c = p->slot ? p->slot->mem : p->part.at;
	q->ldc = (uint32_t)(p->slot ? p->part.length : p->part.ld);
	q->act = PST_ACT_NONE;
	q->bias = NULL;
	q->bias_tensor = 0;
}

/* The part of the sum from term l on, terms of them. */
static int run_terms(struct pst_foreign *t, struct pst_foreign_piece *p,
		     uint64_t l, uint64_t terms)
{
	const struct pst_gemm_args *g = t->g;
	struct pst_foreign_slot *sa = NULL, *sb = NULL;
	struct pst_gemm_args q;
	struct pst_foreign_lines pa, pb;
	int r;

	fill_in(t, p, &q);
	q.k = (uint32_t)terms;
	if (l > 0)
		q.beta = 1;
	/* The last part gets what is done to the whole sum. */
	if (l + terms == t->k) {
		q.act = g->act;
		if (t->bias)
			q.bias = t->bias + p->j * t->plan.elem_c;
		else if (g->bias)
			q.bias = (const uint8_t *)g->bias + p->j * t->elem_c;
		q.bias_tensor = g->bias_tensor;
	}
	if (t->k > 0) {
		pa = pst_foreign_lines(g, t->pa, g->lda, g->transa, t->elem_ab,
				       p->i, l, p->m, terms);
		pb = pst_foreign_lines(g, t->pb, g->ldb, g->transb, t->elem_ab,
				       l, p->j, terms, p->n);
		if ((r = fetch(t, t->b, t->plan.slots_b, &pb, l, p->j, &q.b,
			       &q.ldb, &sb)) < 0 ||
		    (r = fetch(t, t->a, t->plan.slots_a, &pa, p->i, l, &q.a,
			       &q.lda, &sa)) < 0)
			return r;
	} else {
		/* They are not read, and theirs may be above the limit. */
		q.lda = (uint32_t)p->m;
		q.ldb = (uint32_t)p->n;
	}
	r = pst_foreign_submit(t, &q);
	if (r < 0)
		return r;
	p->last = t->submitted;
	if (p->slot)
		p->slot->used = t->submitted;
	if (sa)
		sa->used = t->submitted;
	if (sb)
		sb->used = t->submitted;
	return 0;
}

/* Starts one piece of C; while it is computed the one before is finished. */
static int run_piece(struct pst_foreign *t, struct pst_foreign_piece *p,
		     struct pst_foreign_piece *before)
{
	const struct pst_gemm_args *g = t->g;
	uint64_t l = 0, terms;
	int r;

	p->part = pst_foreign_lines(g, t->pc, g->ldc, false, t->elem_c, p->i,
				    p->j, p->m, p->n);
	if (p->slot && g->beta != 0)
		c_in(t, &p->part, p->slot->mem);
	do {
		terms = t->k - l < t->plan.k ? t->k - l : t->plan.k;
		r = run_terms(t, p, l, terms);
		if (r < 0)
			return r;
		if (l == 0) {
			r = finish_piece(t, before);
			if (r < 0)
				return r;
		}
		l += terms;
	} while (l < t->k);
	return 0;
}

/* All pieces of one product; the last one is left for the next product's
 * first, or the end, to finish. */
static int run_product(struct pst_foreign *t, uint64_t q)
{
	const struct pst_gemm_args *g = t->g;
	const struct pst_foreign_plan *plan = &t->plan;
	struct pst_foreign_piece *p;
	uint64_t i, j;
	int r = 0;

	for (j = 0; j < g->n && r == 0; j += plan->n) {
		for (i = 0; i < g->m && r == 0; i += plan->m) {
			p = &t->pieces[t->n_pieces % 2];
			*p = (struct pst_foreign_piece){
				.q = q,
				.i = i,
				.j = j,
				.m = g->m - i < plan->m ? g->m - i : plan->m,
				.n = g->n - j < plan->n ? g->n - j : plan->n,
			};
			if (plan->slots_c)
				p->slot = &t->s[t->n_pieces % plan->slots_c];
			t->n_pieces++;
			r = run_piece(t, p, &t->pieces[t->n_pieces % 2]);
		}
	}
	return r;
}

int pst_foreign_run(struct pst_foreign *t)
{
	const struct pst_gemm_args *g = t->g;
	const uint64_t batch = g->batch ? g->batch : 1;
	uint64_t q;
	unsigned int i;
	int r = 0;

	for (q = 0; q < batch && r == 0; q++) {
		t->pa = pst_foreign_behind(g->a, q * g->stride_a * t->elem_ab);
		t->pb = pst_foreign_behind(g->b, q * g->stride_b * t->elem_ab);
		t->pc = pst_foreign_behind(g->c, q * g->stride_c * t->elem_c);
		for (i = 0; i < PST_FOREIGN_SLOTS; i++) {
			t->a[i].filled &= g->stride_a == 0;
			t->b[i].filled &= g->stride_b == 0;
		}
		r = run_product(t, q);
	}
	return r < 0 ? r : finish_piece(t, &t->pieces[(t->n_pieces + 1) % 2]);
}
