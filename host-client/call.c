/* SPDX-License-Identifier: MIT */
/* Operations: descriptors from arguments, submission, synchronous calls. */
#include <errno.h>
#include <string.h>

#include "host-client/conn.h"
#include "host-client/tile.h"
#include "transport/op.h"

/* An operation on its way to the lane. */
struct call {
	struct pst_wire_sqe sqe;
	struct pst_block *blocks[PST_RECORD_BLOCKS];
	bool writes;
};

/* Resolves an operand's pointer; the size follows once it is known. */
static int operand(struct pst *c, const char *what, const void *ptr,
		   struct pst_block **block, uint64_t *ret_off,
		   struct pst_error *err)
{
	int r = pst_buffer_find(c, what, ptr, 0, block, err);

	if (r < 0)
		return r;
	*ret_off = (*block)->extent->off +
		   (uint64_t)((const uint8_t *)ptr - (*block)->extent->addr);
	return 0;
}

/* Whether an operand's span ends within its buffer. */
static int operand_fits(const char *what, const struct pst_block *b,
			const struct pst_operand *span, struct pst_error *err)
{
	uint64_t at;

	if (span->size == 0 || !b)
		return 0;
	at = span->off - b->extent->off - b->off;
	if (span->size > b->size - at)
		return pst_error_set(
			err, -EFAULT,
			"%s has %llu bytes, its buffer ends after %llu", what,
			(unsigned long long)span->size,
			(unsigned long long)(b->size - at));
	return 0;
}

/* pst_op_check() asks for extents; buffers, which are smaller, are checked
 * here right after it. */
static bool holds_any(void *arg, const struct pst_span *span)
{
	return true;
}

static uint64_t double_bits(double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	return bits;
}

/* Likewise: the agent knows the session's tensors. */
static int any_tensor(void *arg, uint64_t handle, void **ret_mem,
		      uint64_t *ret_size)
{
	*ret_mem = NULL;
	*ret_size = UINT64_MAX;
	return handle ? 0 : -ENOENT;
}

static uint32_t natural_dtype_c(uint32_t dtype)
{
	return dtype == PST_I8 ? PST_I32 : dtype;
}

static void gemm_sqe(const struct pst_gemm *g, struct pst_wire_sqe *s)
{
	const uint32_t batch = g->batch ? g->batch : 1;
	const bool bias = g->bias || g->bias_tensor;

	*s = (struct pst_wire_sqe){
		.op = batch > 1 ? PST_WIRE_OP_GEMM_STRIDED_BATCHED
				: PST_WIRE_OP_GEMM,
		.order = (uint8_t)g->order,
		.trans = (uint8_t)((g->transa ? PST_WIRE_TRANSA : 0) |
				   (g->transb ? PST_WIRE_TRANSB : 0)),
		.flags = (uint8_t)((g->a_tensor ? PST_WIRE_A_TENSOR : 0) |
				   (g->b_tensor ? PST_WIRE_B_TENSOR : 0) |
				   (g->c_tensor ? PST_WIRE_C_TENSOR : 0) |
				   (g->bias_tensor ? PST_WIRE_BIAS_TENSOR : 0)),
		.dtype = (uint8_t)g->dtype,
		.dtype_c = (uint8_t)(g->dtype_c ? g->dtype_c
						: natural_dtype_c(g->dtype)),
		.compute = (uint8_t)g->compute,
		.epilogue =
			(uint8_t)(g->act | (bias ? PST_WIRE_EPILOGUE_BIAS : 0)),
		.m = g->m,
		.n = g->n,
		.k = g->k,
		.batch = batch,
		.lda = g->lda,
		.ldb = g->ldb,
		.ldc = g->ldc,
		.alpha = double_bits(g->alpha),
		.beta = double_bits(g->beta),
		.stride_a = batch > 1 ? g->stride_a : 0,
		.stride_b = batch > 1 ? g->stride_b : 0,
		.stride_c = batch > 1 ? g->stride_c : 0,
		.off_a = g->a_tensor,
		.off_b = g->b_tensor,
		.off_c = g->c_tensor,
		.off_bias = g->bias_tensor,
	};
}

/* Fields that would not survive the descriptor's narrower ones. */
static int check_gemm_enums(const struct pst_gemm *g, struct pst_error *err)
{
	if (g->dtype > UINT8_MAX || g->dtype_c > UINT8_MAX ||
	    g->order > PST_COL_MAJOR)
		return pst_error_set(err, -EINVAL,
				     "dtype %u, %u or order %u is unknown",
				     g->dtype, g->dtype_c, g->order);
	if (g->compute > PST_COMPUTE_FAST_F16 || g->act > PST_ACT_GELU_ERF)
		return pst_error_set(err, -EINVAL,
				     "compute mode %u or activation %u is "
				     "unknown",
				     g->compute, g->act);
	if ((g->a && g->a_tensor) || (g->b && g->b_tensor) ||
	    (g->c && g->c_tensor) || (g->bias && g->bias_tensor))
		return pst_error_set(err, -EINVAL,
				     "an operand is both a pointer and a "
				     "tensor");
	return 0;
}

static int prepare_gemm(struct pst *c, const struct pst_gemm *g,
			struct call *call, struct pst_error *err)
{
	const struct pst_op_env env = {
		.limits = &c->welcome.limits,
		.holds = holds_any,
		.tensor = any_tensor,
	};
	const bool writes = g->m && g->n;
	const bool reads = writes && g->k && g->alpha != 0;
	struct pst_wire_sqe *s = &call->sqe;
	struct pst_block **blocks = call->blocks;
	struct pst_op op;
	int r;

	r = check_gemm_enums(g, err);
	if (r < 0)
		return r;
	gemm_sqe(g, s);
	if ((reads && !g->a_tensor &&
	     (r = operand(c, "a", g->a, &blocks[0], &s->off_a, err)) < 0) ||
	    (reads && !g->b_tensor &&
	     (r = operand(c, "b", g->b, &blocks[1], &s->off_b, err)) < 0) ||
	    (writes && !g->c_tensor &&
	     (r = operand(c, "c", g->c, &blocks[2], &s->off_c, err)) < 0) ||
	    (writes && g->bias &&
	     (r = operand(c, "bias", g->bias, &blocks[3], &s->off_bias, err)) <
		     0))
		return r;
	r = pst_op_check(s, &env, &op, err);
	if (r < 0)
		return r;
	call->writes = true;
	if ((r = operand_fits("a", blocks[0], &op.a, err)) < 0 ||
	    (r = operand_fits("b", blocks[1], &op.b, err)) < 0 ||
	    (r = operand_fits("c", blocks[2], &op.c, err)) < 0)
		return r;
	return operand_fits("bias", blocks[3], &op.bias, err);
}

/* FILL and CHECKSUM; elem is FILL's pattern size, 0 for CHECKSUM. */
static int prepare_span(struct pst *c, const void *ptr, size_t n,
			uint64_t pattern, unsigned int elem, struct call *call,
			struct pst_error *err)
{
	struct pst_wire_sqe *s = &call->sqe;
	const struct pst_op_env env = {
		.limits = &c->welcome.limits,
		.holds = holds_any,
	};
	bool fill = call->writes;
	struct pst_op op;
	int r;

	if (fill && elem != 1 && elem != 4 && elem != 8)
		return pst_error_set(err, -EINVAL,
				     "a pattern of %u bytes; it has 1, 4 or 8",
				     elem);
	*s = (struct pst_wire_sqe){
		.op = fill ? PST_WIRE_OP_FILL : PST_WIRE_OP_CHECKSUM,
		.length = n,
	};
	if (fill) {
		s->alpha = pattern;
		s->dtype = elem == 8   ? PST_WIRE_F64
			   : elem == 4 ? PST_WIRE_F32
				       : PST_WIRE_I8;
	}
	r = operand(c, "the span", ptr, &call->blocks[0], &s->off_a, err);
	if (!r)
		r = pst_op_check(s, &env, &op, err);
	if (!r)
		r = operand_fits("the span", call->blocks[0], &op.a, err);
	return r;
}

/* Hands a prepared operation to the agent. */
static int submit(struct pst *c, struct call *call, bool claimed,
		  struct pst_record **ret, struct pst_error *err)
{
	struct pst_record *rec;
	int i;

	if (c->control_only)
		return pst_error_set(err, -EINVAL,
				     "the connection was opened for questions "
				     "only");
	if (!c->live)
		return pst_session_gone(c, err);
	rec = pst_optab_new(&c->ops, claimed);
	if (!rec) {
		/* Completions of abandoned operations make room. */
		pst_reap(c);
		if (!c->live)
			return pst_session_gone(c, err);
		rec = pst_optab_new(&c->ops, claimed);
	}
	if (!rec)
		return pst_error_set(err, -EAGAIN,
				     "%u operations are outstanding",
				     PST_WIRE_SLOTS);
	call->sqe.tag = rec->done.tag;
	if (pst_lane_client_submit(&c->lane, &call->sqe) < 0) {
		pst_optab_put(&c->ops, rec);
		return pst_error_set(err, -EAGAIN,
				     "%u operations are outstanding",
				     PST_WIRE_SLOTS);
	}
	rec->writes = call->writes;
	for (i = 0; i < PST_RECORD_BLOCKS; i++) {
		rec->blocks[i] = call->blocks[i];
		if (rec->blocks[i])
			rec->blocks[i]->busy++;
	}
	*ret = rec;
	if (pst_lane_client_must_wake(&c->lane))
		pst_wake(c);
	return 0;
}

/* Waits for a claimed record and hands its completion over. */
static int finish(struct pst *c, struct pst_record *rec,
		  const struct pst_waiter *w, struct pst_completion *done,
		  struct pst_error *err)
{
	int r = pst_wait_record(c, rec, w, err);

	if (r < 0)
		return r;
	if (done)
		*done = rec->done;
	r = rec->done.status;
	if (r < 0 && rec->lost)
		pst_error_set(err, r, "the operation was lost: %s",
			      c->lost.text);
	else if (r < 0)
		pst_error_set(err, r, "the agent's answer: %s",
			      pst_errno_text(r));
	pst_optab_put(&c->ops, rec);
	return r;
}

static int run(struct pst *c, struct call *call, const struct pst_waiter *w,
	       struct pst_completion *done, struct pst_error *err)
{
	struct pst_record *rec;
	int r = submit(c, call, true, &rec, err);

	return r < 0 ? r : finish(c, rec, w, done, err);
}

static int run_async(struct pst *c, struct call *call, uint64_t *ret_tag,
		     struct pst_error *err)
{
	struct pst_record *rec;
	int r = submit(c, call, false, &rec, err);

	if (!r)
		*ret_tag = rec->done.tag;
	return r;
}

static struct pst_waiter waiter(uint64_t timeout_ns)
{
	uint64_t now = pst_now_ns();

	return (struct pst_waiter){
		.start_ns = now,
		.deadline_ns = pst_deadline(now, timeout_ns),
	};
}

/* A NOP needs no buffer, so it may open a new session (unlocks). */
static int prepare_nop(struct pst *c, uint64_t deadline_ns, struct call *call,
		       struct pst_error *err)
{
	uint64_t max = pst_deadline(pst_now_ns(), c->timeout_ns);

	call->sqe.op = PST_WIRE_OP_NOP;
	return pst_session_ensure(c, deadline_ns < max ? deadline_ns : max,
				  err);
}

int pst_nop(struct pst *c, uint64_t timeout_ns, struct pst_completion *done)
{
	const struct pst_waiter w = waiter(timeout_ns);
	struct pst_error err = {0};
	struct call call = {0};
	int r;

	pst_lock(c);
	r = prepare_nop(c, w.deadline_ns, &call, &err);
	if (!r)
		r = run(c, &call, &w, done, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_gemm(struct pst *c, const struct pst_gemm *g, uint64_t timeout_ns,
	     struct pst_completion *done)
{
	const struct pst_waiter w = waiter(timeout_ns);
	struct pst_foreign foreign;
	struct pst_error err = {0};
	struct call call = {0};
	int r;

	pst_lock(c);
	r = prepare_gemm(c, g, &call, &err);
	if (r == -EFAULT && pst_tile_foreign(c, g, &foreign)) {
		pst_unlock(c);
		return pst_tile_gemm(c, g, &foreign, timeout_ns, done);
	}
	if (!r)
		r = run(c, &call, &w, done, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_fill(struct pst *c, void *dst, size_t n, uint64_t pattern,
	     unsigned int pattern_size, uint64_t timeout_ns,
	     struct pst_completion *done)
{
	const struct pst_waiter w = waiter(timeout_ns);
	struct call call = {.writes = true};
	struct pst_error err = {0};
	int r;

	pst_lock(c);
	r = prepare_span(c, dst, n, pattern, pattern_size, &call, &err);
	if (!r)
		r = run(c, &call, &w, done, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_checksum(struct pst *c, const void *src, size_t n, uint64_t timeout_ns,
		 struct pst_completion *done)
{
	const struct pst_waiter w = waiter(timeout_ns);
	struct pst_error err = {0};
	struct call call = {0};
	int r;

	pst_lock(c);
	r = prepare_span(c, src, n, 0, 0, &call, &err);
	if (!r)
		r = run(c, &call, &w, done, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_submit_nop(struct pst *c, uint64_t *ret_tag)
{
	struct pst_error err = {0};
	struct call call = {0};
	int r;

	pst_lock(c);
	r = prepare_nop(c, UINT64_MAX, &call, &err);
	if (!r)
		r = run_async(c, &call, ret_tag, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_submit_gemm(struct pst *c, const struct pst_gemm *g, uint64_t *ret_tag)
{
	struct pst_error err = {0};
	struct call call = {0};
	int r;

	pst_lock(c);
	r = prepare_gemm(c, g, &call, &err);
	if (!r)
		r = run_async(c, &call, ret_tag, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_submit_fill(struct pst *c, void *dst, size_t n, uint64_t pattern,
		    unsigned int pattern_size, uint64_t *ret_tag)
{
	struct call call = {.writes = true};
	struct pst_error err = {0};
	int r;

	pst_lock(c);
	r = prepare_span(c, dst, n, pattern, pattern_size, &call, &err);
	if (!r)
		r = run_async(c, &call, ret_tag, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_submit_checksum(struct pst *c, const void *src, size_t n,
			uint64_t *ret_tag)
{
	struct pst_error err = {0};
	struct call call = {0};
	int r;

	pst_lock(c);
	r = prepare_span(c, src, n, 0, 0, &call, &err);
	if (!r)
		r = run_async(c, &call, ret_tag, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_wait(struct pst *c, uint64_t tag, uint64_t timeout_ns,
	     struct pst_completion *ret)
{
	const struct pst_waiter w = waiter(timeout_ns);
	struct pst_error err = {0};
	struct pst_record *rec;
	int r;

	pst_lock(c);
	rec = pst_optab_find(&c->ops, tag);
	if (!rec || rec->claimed) {
		r = pst_error_set(&err, -ENOENT,
				  "no operation of this tag is outstanding");
	} else {
		pst_optab_claim(&c->ops, rec);
		r = finish(c, rec, &w, ret, &err);
	}
	pst_unlock(c);
	return pst_fail(c, r, &err);
}
