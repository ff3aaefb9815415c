/* SPDX-License-Identifier: MIT */
/* Products of operands that do not lie in the region: cut, copied through it
 * and computed there, with copies and computing overlapped. */
#include "host-client/lib/gemm/foreign.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/lib/gemm/foreign_int.h"
#include "host-client/lib/gemm/gemm_op.h"
#include "host-client/lib/gemm/subop.h"
#include "host-client/lib/staging.h"
#include "transport/dtype.h"
#include "transport/op.h"

/* Bytes of the region one product takes at most; more would not make it
 * faster. */
#define MAX_BUDGET (64ULL << 20)
#define MIN_BUDGET (256ULL << 10)

bool pst_foreign_find(struct pst *c, const struct pst_gemm *g,
		      struct pst_foreign_set *ret)
{
	const bool writes = g->m && g->n;
	const bool reads = writes && g->k && g->alpha != 0;

	*ret = (struct pst_foreign_set){
		.a = reads && g->a && !pst_heap_find(&c->mem.heap, g->a, 0),
		.b = reads && g->b && !pst_heap_find(&c->mem.heap, g->b, 0),
		.c = writes && g->c && !pst_heap_find(&c->mem.heap, g->c, 0),
		.bias = writes && g->bias &&
			!pst_heap_find(&c->mem.heap, g->bias, 0),
	};
	return ret->a || ret->b || ret->c || ret->bias;
}

static int fail(struct pst_foreign *t, int r, const char *sentence)
{
	struct pst_error err;

	return pst_fail(t->c, pst_error_set(&err, r, "%s", sentence), &err);
}

/* After an error: what is on its way is not waited for. Its slots stay busy
 * until it is over. Keeps the sentence of what went wrong. */
static void abandon(struct pst_foreign *t)
{
	struct pst_error err = {0};

	if (t->submitted == t->finished)
		return;
	pst_last_error(t->c, err.text, sizeof(err.text));
	for (; t->finished < t->submitted; t->finished++)
		pst_subop_abandon(t->c,
				  t->tags[t->finished % PST_FOREIGN_PENDING]);
	(void)pst_fail(t->c, -EIO, &err);
}

/* Bytes of an operand of all the batch. */
static int operand_bytes(const struct pst_foreign *t, bool trans, uint64_t rows,
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

/* Whether C shares a byte with A or B, which may lie beside it in one larger
 * matrix. */
static bool overlap_c(const struct pst_foreign *t, uint64_t c, const void *x,
		      uint64_t nx, uint32_t inner, uint32_t ld)
{
	const struct pst_gemm *g = t->g;
	const uint64_t pitch = (uint64_t)ld * t->elem_ab;

	if (!overlap(g->c, c, x, nx))
		return false;
	return g->batch > 1 || pitch != (uint64_t)g->ldc * t->elem_c ||
	       !pst_lines_apart((uintptr_t)g->c,
				(uint64_t)(g->order ? g->m : g->n) * t->elem_c,
				(uintptr_t)x, (uint64_t)inner * t->elem_ab,
				pitch);
}

/* What pst_op_check() would say of the whole, which no operation is. */
static int check(struct pst_foreign *t)
{
	const struct pst_gemm *g = t->g;
	uint64_t a = 0, b = 0, c, one;
	int r;

	if (t->elem_ab == 0 || t->elem_c == 0 || g->order > PST_COL_MAJOR)
		return fail(t, -EINVAL, "the element type or order is unknown");
	if (g->batch > 1 && (g->c_tensor || (g->a_tensor && g->stride_a) ||
			     (g->b_tensor && g->stride_b)))
		return fail(t, -EOPNOTSUPP,
			    "a batch of products, each with its own part of a "
			    "resident tensor, wants its other operands in "
			    "buffers of the connection");
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
	     (overlap_c(t, c, g->a, a, !g->order != !g->transa ? g->m : g->k,
			g->lda) ||
	      overlap_c(t, c, g->b, b, !g->order != !g->transb ? g->k : g->n,
			g->ldb))) ||
	    overlap(g->c, c, g->bias, (uint64_t)g->n * t->elem_c))
		return fail(t, -EINVAL, "c overlaps an operand that is read");
	return 0;
}

/* Elements of C in the region: sums of 16-bit elements are of another type. */
static unsigned int elem_in_region(const struct pst_foreign *t)
{
	return t->fits ? t->elem_c : t->plan.elem_c;
}

/* Bytes for the bias in the region: when it is foreign, or of another type
 * than the sums. */
static uint64_t bias_bytes(const struct pst_foreign *t)
{
	if (!t->g->bias || (!t->f->bias && elem_in_region(t) == t->elem_c))
		return 0;
	return (uint64_t)t->g->n * elem_in_region(t);
}

static uint8_t *place_slots(struct pst_foreign *t)
{
	const struct pst_foreign_plan *p = &t->plan;
	uint8_t *at = t->mem;
	unsigned int i;

	for (i = 0; i < p->slots_a; i++, at += p->size_a)
		t->a[i].mem = at;
	for (i = 0; i < p->slots_b; i++, at += p->size_b)
		t->b[i].mem = at;
	for (i = 0; i < p->slots_c; i++, at += p->size_c)
		t->s[i].mem = at;
	return at;
}

static void place(struct pst_foreign *t)
{
	uint8_t *at = t->fits ? pst_foreign_whole_place(t) : place_slots(t);

	if (!bias_bytes(t))
		return;
	t->bias = at;
	if (elem_in_region(t) == t->elem_c)
		memcpy(at, t->g->bias, bias_bytes(t));
	else
		pst_floats_load((float *)(void *)at, t->g->bias,
				pst_gemm_dtype_c(t->g), t->g->n);
}

/* What the agent says of its limits; zeros when the session is lost, for then
 * nobody knows yet. */
static struct pst_info limits(struct pst *c)
{
	struct pst_info info = {.size = sizeof(info)};

	if (pst_get_info(c, &info) < 0)
		info = (struct pst_info){0};
	return info;
}

/* How large a plan may be, and for what. */
struct room {
	struct pst_foreign *t;
	struct pst_foreign_job job;
	uint64_t budget;
	uint64_t whole; /* bytes for whole operands; 0: they are cut */
};

/* Bytes for whole operands, then for ever smaller pieces of them. */
static uint64_t smaller_plan(void *arg, unsigned int tries)
{
	const struct room *m = arg;
	struct pst_foreign *t = m->t;
	uint64_t n;

	t->fits = m->whole && tries == 0;
	if (t->fits)
		return m->whole + bias_bytes(t);
	if (m->whole)
		tries--;
	if (tries && m->budget >> (tries - 1) < MIN_BUDGET)
		return 0;
	if (pst_foreign_plan(&m->job, m->budget >> tries, &t->plan) < 0)
		return 0;
	n = t->plan.total + bias_bytes(t);
	return n ? n : 1;
}

/* A plan and its room, as large as the arena gives. */
static int acquire(struct pst_foreign *t)
{
	const struct pst_info info = limits(t->c);
	const struct pst_gemm *g = t->g;
	struct room m = {
		.t = t,
		.job =
			{
				.m = g->m,
				.n = g->n,
				.k = t->k,
				.batch = g->batch ? g->batch : 1,
				.elem_ab = t->elem_ab,
				.elem_c = t->elem_c,
				.elem_sum = t->elem_c == 2 ? sizeof(float)
							   : t->elem_c,
				.copy_a = t->f->a,
				.copy_b = t->f->b,
				.copy_c = t->f->c,
				.whole_m = g->a_tensor || g->c_tensor,
				.whole_n = g->b_tensor || g->c_tensor ||
					   g->bias_tensor,
				.whole_k = g->a_tensor || g->b_tensor,
				.max_dim = info.max_dim ? info.max_dim
							: UINT32_MAX,
			},
		.budget = MAX_BUDGET,
	};
	const uint64_t max_dim = m.job.max_dim;
	struct pst_error err = {0};
	void *mem;
	int r;

	if (info.max_lease && info.max_lease / 4 * 3 < m.budget)
		m.budget = info.max_lease / 4 * 3;
	if (g->m <= max_dim && g->n <= max_dim && t->k <= max_dim)
		m.whole = pst_foreign_whole_bytes(t);
	if (m.whole > m.budget)
		m.whole = 0;
	r = pst_stage(t->c, smaller_plan, &m, t->deadline_ns, &mem, &err);
	if (r < 0)
		return pst_fail(t->c, r, &err);
	t->mem = mem;
	place(t);
	return 0;
}

/* What was copied out of the region was the result, unless the session was
 * lost before the last copy and its memory replaced. */
static int still_there(const struct pst_foreign *t)
{
	uint8_t byte;

	return t->f->c ? pst_take(t->c, &byte, t->mem, 1) : 0;
}

int pst_foreign_gemm(struct pst *c, const struct pst_gemm *g,
		     const struct pst_foreign_set *f, uint64_t timeout_ns,
		     struct pst_completion *done)
{
	struct pst_foreign t = {
		.c = c,
		.g = g,
		.f = f,
		.deadline_ns = pst_deadline(pst_now_ns(), timeout_ns),
		.elem_ab = pst_dtype_size(g->dtype),
		.elem_c = pst_dtype_size(pst_gemm_dtype_c(g)),
		.k = g->alpha != 0 ? g->k : 0,
	};
	int r;

	r = check(&t);
	if (r == 0)
		r = acquire(&t);
	if (r < 0)
		return r;
	r = t.fits ? pst_foreign_whole_run(&t) : pst_foreign_run(&t);
	if (r < 0)
		abandon(&t);
	else
		r = still_there(&t);
	(void)pst_free(c, t.mem);
	if (r < 0 && t.touched)
		pst_fail_touched(c);
	if (r == 0 && done)
		*done = t.sum;
	return r;
}
