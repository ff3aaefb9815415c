/* SPDX-License-Identifier: MIT */
/* Products of operands outside the region: cuts them, copies the pieces through
 * the region, and overlaps copies with computing. */
#include "host-client/lib/gemm/foreign.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/lib/gemm/foreign_int.h"
#include "host-client/lib/gemm/gemm_op.h"
#include "host-client/lib/gemm/subop.h"
#include "host-client/lib/ops/staging.h"
#include "host-client/lib/session/session_open.h"
#include "transport/dtype.h"
#include "transport/op.h"

/* Bytes of the region one product takes at most; more would not make it
 * faster. */
#define MAX_BUDGET (64ULL << 20)
#define MIN_BUDGET (256ULL << 10)

/* What is still on its way, after an error, is not waited for. Its slots stay
 * busy until it is over. */
static void abandon(struct pst_foreign *t)
{
	for (; t->finished < t->submitted; t->finished++)
		pst_subop_abandon(t->c,
				  t->tags[t->finished % PST_FOREIGN_PENDING]);
}

/* What no piece can be told. */
static int check_batch(const struct pst_gemm_args *g, struct pst_error *err)
{
	if (g->batch > 1 && (g->c_tensor || (g->a_tensor && g->stride_a) ||
			     (g->b_tensor && g->stride_b)))
		return pst_error_set(
			err, -EOPNOTSUPP,
			"a batch of products, each with its own part of a "
			"resident tensor, wants its other operands in buffers "
			"of the connection");
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
	if (!t->g->bias || (!t->copy_bias && elem_in_region(t) == t->elem_c))
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

/* Those of the agent that will compute: after a loss, of the next one. */
static int get_limits(struct pst_foreign *t, struct pst_wire_limits *ret)
{
	struct pst *c = t->c;
	uint64_t max;
	int r;

	pst_lock(c);
	max = pst_control_deadline(c);
	r = pst_session_ensure(c, t->deadline_ns < max ? t->deadline_ns : max,
			       t->err);
	*ret = c->session.welcome.limits;
	pst_unlock(c);
	return r;
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
	const struct pst_gemm_args *g = t->g;
	struct pst_wire_limits limits;
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
				.copy_a = t->copy_a,
				.copy_b = t->copy_b,
				.copy_c = t->copy_c,
				.whole_m = g->a_tensor || g->c_tensor,
				.whole_n = g->b_tensor || g->c_tensor ||
					   g->bias_tensor,
				.whole_k = g->a_tensor || g->b_tensor,
			},
		.budget = MAX_BUDGET,
	};
	void *mem;
	int r = get_limits(t, &limits);

	if (r < 0)
		return r;
	m.job.max_dim = limits.max_dim;
	if (limits.max_lease / 4 * 3 < m.budget)
		m.budget = limits.max_lease / 4 * 3;
	if (g->m <= limits.max_dim && g->n <= limits.max_dim &&
	    t->k <= limits.max_dim)
		m.whole = pst_foreign_whole_bytes(t);
	if (m.whole > m.budget)
		m.whole = 0;
	r = pst_stage(t->c, smaller_plan, &m, t->deadline_ns, &mem, t->err);
	if (r < 0)
		return r;
	t->mem = mem;
	place(t);
	return 0;
}

/* Whether the caller's memory has all that is missing of C. What lies in a
 * buffer must outlast the session; err: why it does not. */
static bool can_finish(struct pst *c, const struct pst_gemm_args *g,
		       const struct pst_gemm_places *places,
		       struct pst_error *err)
{
	const void *const ptr[] = {
		[PST_SLOT_A] = g->a,
		[PST_SLOT_B] = g->b,
		[PST_SLOT_C] = g->c,
		[PST_SLOT_BIAS] = g->bias,
	};
	struct pst_block *b;
	bool can = places->kind[PST_SLOT_C] == PST_OPERAND_FOREIGN;
	int i;

	pst_lock(c);
	for (i = 0; i < PST_RECORD_BLOCKS; i++) {
		if (places->kind[i] == PST_OPERAND_TENSOR)
			can = false;
		if (places->kind[i] == PST_OPERAND_REGION &&
		    pst_buffer_find(&c->mem, "an operand", ptr[i], 0, &b, err) <
			    0)
			can = false;
	}
	pst_unlock(c);
	return can;
}

/* After an error: whoever calls computes what is missing. Returns how often it
 * was called, or an error. */
static int finish(struct pst_foreign *t, const struct pst_gemm_places *places,
		  const struct pst_foreign_local *local, int error)
{
	struct pst_error err;
	int n;

	if (!can_finish(t->c, t->g, places, &err))
		return error;
	n = pst_foreign_rest(t, local);
	if (n < 0 || can_finish(t->c, t->g, places, &err))
		return n;
	*t->err = err;
	return -ESTALE;
}

int pst_foreign_gemm(struct pst *c, const struct pst_gemm_args *g,
		     const struct pst_gemm_places *places, uint64_t timeout_ns,
		     const struct pst_foreign_local *local,
		     struct pst_completion *done, bool *touched,
		     struct pst_error *err)
{
	const enum pst_operand_kind *kind = places->kind;
	struct pst_foreign t = {
		.c = c,
		.g = g,
		.err = err,
		.touched = touched,
		.copy_a = kind[PST_SLOT_A] == PST_OPERAND_FOREIGN,
		.copy_b = kind[PST_SLOT_B] == PST_OPERAND_FOREIGN,
		.copy_c = kind[PST_SLOT_C] == PST_OPERAND_FOREIGN,
		.copy_bias = kind[PST_SLOT_BIAS] == PST_OPERAND_FOREIGN,
		.deadline_ns = pst_deadline(pst_now_ns(), timeout_ns),
		.elem_ab = pst_dtype_size(g->dtype),
		.elem_c = pst_dtype_size(pst_gemm_dtype_c(g)),
		.k = places->reads_ab ? g->k : 0,
	};
	int r;

	if ((r = check_batch(g, err)) < 0)
		return r;
	r = acquire(&t);
	if (!r)
		r = t.fits ? pst_foreign_whole_run(&t) : pst_foreign_run(&t);
	abandon(&t);
	(void)pst_free(c, t.mem);
	free(t.bounce);
	if (r < 0 && local)
		r = finish(&t, places, local, r);
	if (r >= 0 && done)
		*done = t.sum;
	return r;
}
