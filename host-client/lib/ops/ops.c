/* SPDX-License-Identifier: MIT */
/* The operations NOP, FILL and CHECKSUM. */
#include <errno.h>

#include "host-client/lib/ops/call.h"
#include "host-client/lib/session/session_open.h"
#include "host-client/lib/session/wait.h"

/* Either's arguments. */
struct span {
	const void *ptr;
	size_t n;
	bool fill;
	uint64_t pattern;
	unsigned int elem; /* the pattern's size */
};

static int prepare_span(struct pst *c, const void *arg, struct pst_call *call,
			struct pst_error *err)
{
	struct pst_wire_sqe *s = &call->sqe;
	const struct span *x = arg;
	struct pst_op op;
	int r;

	if (x->fill && x->elem != 1 && x->elem != 4 && x->elem != 8)
		return pst_error_set(err, -EINVAL,
				     "a pattern of %u bytes; it has 1, 4 or 8",
				     x->elem);
	call->writes = x->fill;
	*s = (struct pst_wire_sqe){
		.op = x->fill ? PST_WIRE_OP_FILL : PST_WIRE_OP_CHECKSUM,
		.length = x->n,
	};
	if (x->fill) {
		s->alpha = x->pattern;
		s->dtype = x->elem == 8   ? PST_WIRE_F64
			   : x->elem == 4 ? PST_WIRE_F32
					  : PST_WIRE_I8;
	}
	r = pst_call_operand(&c->mem, call, PST_SLOT_A, "the span", x->ptr,
			     &s->off_a, err);
	return r < 0 ? r : pst_call_check(&c->mem, call, &op, err);
}

int pst_fill(struct pst *c, void *dst, size_t n, uint64_t pattern,
	     unsigned int pattern_size, uint64_t timeout_ns,
	     struct pst_completion *done)
{
	const struct span x = {dst, n, true, pattern, pattern_size};

	return pst_call_sync(c, prepare_span, &x, timeout_ns, done);
}

int pst_checksum(struct pst *c, const void *src, size_t n, uint64_t timeout_ns,
		 struct pst_completion *done)
{
	const struct span x = {.ptr = src, .n = n};

	return pst_call_sync(c, prepare_span, &x, timeout_ns, done);
}

int pst_submit_fill(struct pst *c, void *dst, size_t n, uint64_t pattern,
		    unsigned int pattern_size, uint64_t user_data,
		    uint64_t *ret_tag)
{
	const struct span x = {dst, n, true, pattern, pattern_size};

	return pst_call_async(c, prepare_span, &x, user_data, ret_tag);
}

int pst_submit_checksum(struct pst *c, const void *src, size_t n,
			uint64_t user_data, uint64_t *ret_tag)
{
	const struct span x = {.ptr = src, .n = n};

	return pst_call_async(c, prepare_span, &x, user_data, ret_tag);
}

/* A NOP needs no buffer, so it may open a new session (unlocks). */
static int ensure_session(struct pst *c, uint64_t deadline_ns,
			  struct pst_error *err)
{
	uint64_t max;

	if (c->session.live)
		return 0;
	max = pst_control_deadline(c);
	return pst_session_ensure(c, deadline_ns < max ? deadline_ns : max,
				  err);
}

int pst_nop(struct pst *c, uint64_t timeout_ns, struct pst_completion *done)
{
	struct pst_call call;
	struct pst_waiter w;
	struct pst_error err;
	bool reopens;
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_error_clear(&err);
	pst_lock(c);
	reopens = !c->session.live;
	if (reopens)
		w = pst_waiter_new(timeout_ns);
	pst_call_nop(&call, 0, 0);
	r = ensure_session(c, reopens ? w.deadline_ns : 0, &err);
	if (!r)
		r = reopens ? pst_call_run(c, &call, &w, done, &err)
			    : pst_call_run_for(c, &call, timeout_ns, done,
					       &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

/* With the lock held, which it gives back. */
static __attribute__((noinline)) int
submit_nop_or_fail(struct pst *c, uint64_t user_data, uint64_t *ret_tag)
{
	struct pst_error err = {0};
	struct pst_call call;
	int r;

	pst_call_nop(&call, 0, user_data);
	r = ensure_session(c, UINT64_MAX, &err);
	if (!r)
		r = pst_call_run_async(c, &call, false, ret_tag, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_submit_nop(struct pst *c, uint64_t user_data, uint64_t *ret_tag)
{
	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	if (!pst_call_put_nop(c, 0, user_data, ret_tag))
		return submit_nop_or_fail(c, user_data, ret_tag);
	pst_call_tell(c, &c->queue[0], 1);
	pst_unlock(c);
	return 0;
}
