/* SPDX-License-Identifier: MIT */
/* Products of operands that do not lie in the region: cut, copied through it
 * and computed there, with copies and computing overlapped. */
#include "host-client/tile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/fastcopy.h"
#include "host-client/tile_plan.h"
#include "transport/half.h"
#include "transport/op.h"

/* Bytes of the region one product takes at most; more would not make it
 * faster. */
#define MAX_BUDGET (64ULL << 20)
#define MIN_BUDGET (256ULL << 10)
/* Operations on their way: each slot's use, and the next one. */
#define MAX_PENDING 8U
/* Elements converted at a time. */
#define CHUNK 512U

/* Room for one piece of an operand in the region. */
struct slot {
	uint8_t *mem;
	uint64_t row, col; /* of the piece in it */
	bool filled;
	uint64_t used; /* number of the last operation with it */
};

/* A part of a matrix in memory: its stored lines. */
struct part {
	uint8_t *at;                /* of its first element */
	uint64_t length, lines, ld; /* elements */
};

/* One piece of C. */
struct piece {
	uint64_t i, j, m, n;
	struct part part;  /* of the caller's C */
	struct slot *slot; /* NULL: in place */
	uint64_t last;     /* number of its last operation; 0: none yet */
};

/* One call on its way. Operations are numbered from 1. */
struct tile {
	struct pst *c;
	const struct pst_gemm *g;
	const struct pst_foreign *f;
	struct pst_tile_plan plan;
	uint64_t deadline_ns;
	unsigned int elem_ab, elem_c; /* of the caller's operands */
	uint64_t k;                   /* terms of the sums; 0: A, B not read */
	uint8_t *mem;                 /* all slots */
	uint8_t *bias;
	struct slot a[PST_TILE_SLOTS], b[PST_TILE_SLOTS], s[PST_TILE_SLOTS];
	uint64_t submitted, finished;
	uint64_t tags[MAX_PENDING];
	/* The piece that is started, and the one before it, in turn. */
	struct piece pieces[2];
	uint64_t n_pieces;
	/* The product of the batch that is worked on. */
	const uint8_t *pa, *pb;
	uint8_t *pc;
	struct pst_completion sum;
};

bool pst_tile_foreign(struct pst *c, const struct pst_gemm *g,
		      struct pst_foreign *ret)
{
	const bool writes = g->m && g->n;
	const bool reads = writes && g->k && g->alpha != 0;

	*ret = (struct pst_foreign){
		.a = reads && g->a && !pst_heap_find(&c->heap, g->a, 0),
		.b = reads && g->b && !pst_heap_find(&c->heap, g->b, 0),
		.c = writes && g->c && !pst_heap_find(&c->heap, g->c, 0),
		.bias = writes && g->bias &&
			!pst_heap_find(&c->heap, g->bias, 0),
	};
	return ret->a || ret->b || ret->c || ret->bias;
}

static uint32_t dtype_c_of(const struct pst_gemm *g)
{
	if (g->dtype_c)
		return g->dtype_c;
	return g->dtype == PST_I8 ? PST_I32 : g->dtype;
}

static int fail(struct tile *t, int r, const char *sentence)
{
	struct pst_error err;

	return pst_fail(t->c, pst_error_set(&err, r, "%s", sentence), &err);
}

/* ---- Operations in flight ---------------------------------------------- */

static uint64_t time_left(const struct tile *t)
{
	const uint64_t now = pst_now_ns();

	if (t->deadline_ns == UINT64_MAX)
		return PST_FOREVER;
	return t->deadline_ns > now ? t->deadline_ns - now : 0;
}

/* Waits until operation number n is over, and all before it. */
static int wait_for(struct tile *t, uint64_t n)
{
	struct pst_completion done;
	int r;

	while (t->finished < n) {
		r = pst_wait(t->c, t->tags[t->finished % MAX_PENDING],
			     time_left(t), &done);
		if (r < 0)
			return r;
		t->finished++;
		t->sum.compute_ns += done.compute_ns;
		t->sum.queue_ns += done.queue_ns;
	}
	return 0;
}

static int submit(struct tile *t, const struct pst_gemm *piece)
{
	int r;

	if (t->submitted - t->finished == MAX_PENDING) {
		r = wait_for(t, t->finished + 1);
		if (r < 0)
			return r;
	}
	r = pst_submit_gemm(t->c, piece, &t->tags[t->submitted % MAX_PENDING]);
	if (r < 0)
		return r;
	t->submitted++;
	return 0;
}

/* After an error: what is on its way is not waited for. Its slots stay busy
 * until it is over. Keeps the sentence of what went wrong. */
static void abandon(struct tile *t)
{
	struct pst_completion done;
	struct pst_error err = {0};
	uint64_t tag;

	if (t->submitted == t->finished)
		return;
	pst_last_error(t->c, err.text, sizeof(err.text));
	for (; t->finished < t->submitted; t->finished++) {
		tag = t->tags[t->finished % MAX_PENDING];
		(void)pst_cancel(t->c, tag);
		(void)pst_wait(t->c, tag, 0, &done);
	}
	(void)pst_fail(t->c, -EIO, &err);
}

/* ---- Copies ------------------------------------------------------------ */

/* rows x cols of op(X) from (row, col) on. */
static struct part part_of(const struct pst_gemm *g, const uint8_t *x,
			   uint64_t ld, bool trans, unsigned int elem,
			   uint64_t row, uint64_t col, uint64_t rows,
			   uint64_t cols)
{
	const bool along = (g->order == PST_COL_MAJOR) != trans;
	const uint64_t line = along ? col : row, first = along ? row : col;

	return (struct part){
		.at = (uint8_t *)x + (line * ld + first) * elem,
		.length = along ? rows : cols,
		.lines = along ? cols : rows,
		.ld = ld,
	};
}

static void copy_part(uint8_t *dst, uint64_t dst_ld, const uint8_t *src,
		      uint64_t src_ld, const struct part *p, unsigned int elem)
{
	pst_fastcopy_lines(dst, dst_ld * elem, src, src_ld * elem,
			   p->length * elem, p->lines);
}

/* Lines of C between the caller's 16-bit type and the F32 of sums. */
static void convert_part(const struct part *p, uint8_t *sums, uint32_t dtype,
			 bool to_sums)
{
	float *s;
	uint8_t *c;
	uint64_t i;

	for (i = 0; i < p->lines; i++) {
		s = (float *)(void *)sums + i * p->length;
		c = p->at + i * p->ld * pst_dtype_size(dtype);
		if (to_sums)
			pst_floats_load(s, c, dtype, p->length);
		else
			pst_floats_store(c, dtype, s, p->length);
	}
}

static void c_in(struct tile *t, const struct part *p, uint8_t *slot)
{
	if (t->plan.elem_c == t->elem_c)
		copy_part(slot, p->length, p->at, p->ld, p, t->elem_c);
	else
		convert_part(p, slot, dtype_c_of(t->g), true);
}

static void c_out(struct tile *t, const struct part *p, uint8_t *slot)
{
	if (t->plan.elem_c == t->elem_c)
		copy_part(p->at, p->ld, slot, p->length, p, t->elem_c);
	else
		convert_part(p, slot, dtype_c_of(t->g), false);
}

/*
 * Where a piece of A or B is in the region: in place, or in a slot, copied
 * there now if it is not there yet. *ret_slot is the slot or NULL.
 */
static int fetch(struct tile *t, struct slot *slots, unsigned int n_slots,
		 const struct part *p, uint64_t row, uint64_t col,
		 const void **ret, uint32_t *ret_ld, struct slot **ret_slot)
{
	struct slot *s = &slots[0];
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
	r = wait_for(t, s->used);
	if (r < 0)
		return r;
	copy_part(s->mem, p->length, p->at, p->ld, p, t->elem_ab);
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

/* The result goes where the caller wants it. */
static int finish_piece(struct tile *t, struct piece *p)
{
	int r;

	if (p->last == 0)
		return 0;
	r = wait_for(t, p->last);
	if (r < 0)
		return r;
	if (p->slot)
		c_out(t, &p->part, p->slot->mem);
	p->last = 0;
	return 0;
}

/* Fills in what all pieces of k have in common. */
static void fill_in(const struct tile *t, const struct piece *p,
		    struct pst_gemm *q)
{
	const struct pst_gemm *g = t->g;
	const bool sums = t->plan.elem_c != t->elem_c;

	*q = *g;
	q->batch = 0;
	q->m = (uint32_t)p->m;
	q->n = (uint32_t)p->n;
	q->dtype_c = sums ? PST_F32 : dtype_c_of(g);
	q->c = p->slot ? p->slot->mem : p->part.at;
	q->ldc = (uint32_t)(p->slot ? p->part.length : p->part.ld);
	q->act = PST_ACT_NONE;
	q->bias = NULL;
	q->bias_tensor = 0;
}

/* The part of the sum from term l on, terms of them. */
static int run_terms(struct tile *t, struct piece *p, uint64_t l,
		     uint64_t terms)
{
	const struct pst_gemm *g = t->g;
	struct slot *sa = NULL, *sb = NULL;
	struct pst_gemm q;
	struct part pa, pb;
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
	}
	if (t->k > 0) {
		pa = part_of(g, t->pa, g->lda, g->transa, t->elem_ab, p->i, l,
			     p->m, terms);
		pb = part_of(g, t->pb, g->ldb, g->transb, t->elem_ab, l, p->j,
			     terms, p->n);
		if ((r = fetch(t, t->b, t->plan.slots_b, &pb, l, p->j, &q.b,
			       &q.ldb, &sb)) < 0 ||
		    (r = fetch(t, t->a, t->plan.slots_a, &pa, p->i, l, &q.a,
			       &q.lda, &sa)) < 0)
			return r;
	}
	r = submit(t, &q);
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
static int run_piece(struct tile *t, struct piece *p, struct piece *before)
{
	const struct pst_gemm *g = t->g;
	uint64_t l = 0, terms;
	int r;

	p->part = part_of(g, t->pc, g->ldc, false, t->elem_c, p->i, p->j, p->m,
			  p->n);
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
static int run_product(struct tile *t)
{
	const struct pst_gemm *g = t->g;
	const struct pst_tile_plan *plan = &t->plan;
	struct piece *p;
	uint64_t i, j;
	int r = 0;

	for (j = 0; j < g->n && r == 0; j += plan->n) {
		for (i = 0; i < g->m && r == 0; i += plan->m) {
			p = &t->pieces[t->n_pieces % 2];
			*p = (struct piece){
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

static int run_batch(struct tile *t)
{
	const struct pst_gemm *g = t->g;
	const uint64_t batch = g->batch ? g->batch : 1;
	uint64_t q;
	unsigned int i;
	int r = 0;

	for (q = 0; q < batch && r == 0; q++) {
		t->pa = (const uint8_t *)g->a + q * g->stride_a * t->elem_ab;
		t->pb = (const uint8_t *)g->b + q * g->stride_b * t->elem_ab;
		t->pc = (uint8_t *)g->c + q * g->stride_c * t->elem_c;
		for (i = 0; i < PST_TILE_SLOTS; i++) {
			t->a[i].filled &= g->stride_a == 0;
			t->b[i].filled &= g->stride_b == 0;
		}
		r = run_product(t);
	}
	return r < 0 ? r : finish_piece(t, &t->pieces[(t->n_pieces + 1) % 2]);
}

/* ---- Setting up -------------------------------------------------------- */

/* Bytes of an operand of all the batch. */
static int operand_bytes(const struct tile *t, bool trans, uint64_t rows,
			 uint64_t cols, uint64_t ld, uint64_t stride,
			 unsigned int elem, uint64_t *ret)
{
	const uint64_t batch = t->g->batch ? t->g->batch : 1;
	uint64_t more;
	int r;

	r = pst_matrix_bytes(t->g->order == PST_COL_MAJOR, trans ? cols : rows,
			     trans ? rows : cols, ld, elem, ret);
	if (r < 0)
		return r;
	if (pst_mul_overflow(batch - 1, stride, &more) ||
	    pst_mul_overflow(more, elem, &more) ||
	    pst_add_overflow(*ret, more, ret))
		return -EOVERFLOW;
	return 0;
}

static bool overlap(const void *x, uint64_t nx, const void *y, uint64_t ny)
{
	return x && y && (uintptr_t)x < (uintptr_t)y + ny &&
	       (uintptr_t)y < (uintptr_t)x + nx;
}

/* What pst_op_check() would say of the whole, which no operation is. */
static int check(struct tile *t)
{
	const struct pst_gemm *g = t->g;
	uint64_t a = 0, b = 0, c, one;
	int r;

	if (t->elem_ab == 0 || t->elem_c == 0 || g->order > PST_COL_MAJOR)
		return fail(t, -EINVAL, "the element type or order is unknown");
	if (g->a_tensor || g->b_tensor || g->c_tensor || g->bias_tensor)
		return fail(t, -EOPNOTSUPP,
			    "resident tensors go together with operands in "
			    "buffers of the connection only");
	if ((r = operand_bytes(t, g->transa, g->m, g->k, g->lda, g->stride_a,
			       t->elem_ab, &a)) < 0 ||
	    (r = operand_bytes(t, g->transb, g->k, g->n, g->ldb, g->stride_b,
			       t->elem_ab, &b)) < 0 ||
	    (r = operand_bytes(t, false, g->m, g->n, g->ldc, g->stride_c,
			       t->elem_c, &c)) < 0 ||
	    (r = pst_matrix_bytes(g->order == PST_COL_MAJOR, g->m, g->n, g->ldc,
				  t->elem_c, &one)) < 0)
		return fail(t, r,
			    r == -EOVERFLOW
				    ? "the size of an operand overflows"
				    : "a leading dimension is too short");
	if (g->batch > 1 && g->stride_c < one / t->elem_c)
		return fail(t, -EINVAL, "the products overlap in c");
	if ((t->k &&
	     (overlap(g->c, c, g->a, a) || overlap(g->c, c, g->b, b))) ||
	    overlap(g->c, c, g->bias, (uint64_t)g->n * t->elem_c))
		return fail(t, -EINVAL, "c overlaps an operand that is read");
	return 0;
}

/* Bytes for the bias in the region: when it is foreign, or of another type
 * than the sums. */
static uint64_t bias_bytes(const struct tile *t)
{
	if (!t->g->bias || (!t->f->bias && t->plan.elem_c == t->elem_c))
		return 0;
	return (uint64_t)t->g->n * t->plan.elem_c;
}

static uint64_t room(const struct tile *t)
{
	const uint64_t n = t->plan.total + bias_bytes(t);

	return n ? n : 1;
}

static void place_slots(struct tile *t)
{
	const struct pst_tile_plan *p = &t->plan;
	uint8_t *at = t->mem;
	unsigned int i;

	for (i = 0; i < p->slots_a; i++, at += p->size_a)
		t->a[i].mem = at;
	for (i = 0; i < p->slots_b; i++, at += p->size_b)
		t->b[i].mem = at;
	for (i = 0; i < p->slots_c; i++, at += p->size_c)
		t->s[i].mem = at;
	if (!bias_bytes(t))
		return;
	t->bias = at;
	if (p->elem_c == t->elem_c)
		memcpy(at, t->g->bias, bias_bytes(t));
	else
		pst_floats_load((float *)(void *)at, t->g->bias,
				dtype_c_of(t->g), t->g->n);
}

/* A plan and its room, as large as the arena gives. */
static int acquire(struct tile *t)
{
	const struct pst_gemm *g = t->g;
	const bool half = t->elem_c == 2;
	const struct pst_tile_job job = {
		.m = g->m,
		.n = g->n,
		.k = t->k,
		.batch = g->batch ? g->batch : 1,
		.elem_ab = t->elem_ab,
		.elem_c = t->elem_c,
		.elem_sum = half ? sizeof(float) : t->elem_c,
		.copy_a = t->f->a,
		.copy_b = t->f->b,
		.copy_c = t->f->c,
	};
	struct pst_info info = {.size = sizeof(info)};
	uint64_t budget = MAX_BUDGET;
	void *mem;
	int r;

	if (pst_get_info(t->c, &info) == 0 && info.max_lease / 4 * 3 < budget)
		budget = info.max_lease / 4 * 3;
	for (;; budget /= 2) {
		if (pst_tile_plan(&job, budget, &t->plan) < 0)
			return fail(t, -ENOSPC,
				    "the arena has no room for pieces of the "
				    "operands");
		r = pst_alloc(t->c, room(t), &mem);
		if (r == 0)
			break;
		if ((r != -ENOSPC && r != -EMSGSIZE) || budget < MIN_BUDGET)
			return r;
	}
	t->mem = mem;
	place_slots(t);
	return 0;
}

int pst_tile_gemm(struct pst *c, const struct pst_gemm *g,
		  const struct pst_foreign *f, uint64_t timeout_ns,
		  struct pst_completion *done)
{
	struct tile t = {
		.c = c,
		.g = g,
		.f = f,
		.deadline_ns = pst_deadline(pst_now_ns(), timeout_ns),
		.elem_ab = pst_dtype_size(g->dtype),
		.elem_c = pst_dtype_size(dtype_c_of(g)),
		.k = g->alpha != 0 ? g->k : 0,
	};
	int r;

	r = check(&t);
	if (r == 0)
		r = acquire(&t);
	if (r < 0)
		return r;
	r = run_batch(&t);
	if (r < 0)
		abandon(&t);
	(void)pst_free(c, t.mem);
	if (r == 0 && done)
		*done = t.sum;
	return r;
}
