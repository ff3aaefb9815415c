/* SPDX-License-Identifier: MIT */
/* Operations on no bytes, or on any: NOP, FILL, CHECKSUM. */
#include <errno.h>

#include "host-client/lib/call.h"

/* Either; elem is FILL's pattern size, 0 for CHECKSUM. */
static int prepare_span(struct pst *c, const void *ptr, size_t n,
			uint64_t pattern, unsigned int elem,
			struct pst_call *call, struct pst_error *err)
{
	struct pst_wire_sqe *s = &call->sqe;
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
	r = pst_call_operand(c, call, PST_SLOT_A, "the span", ptr, &s->off_a,
			     err);
	return r < 0 ? r : pst_call_check(c, call, &op, err);
}

int pst_fill(struct pst *c, void *dst, size_t n, uint64_t pattern,
	     unsigned int pattern_size, uint64_t timeout_ns,
	     struct pst_completion *done)
{
	const struct pst_waiter w = pst_waiter_new(timeout_ns);
	struct pst_call call = {.writes = true};
	struct pst_error err = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = prepare_span(c, dst, n, pattern, pattern_size, &call, &err);
	if (!r)
		r = pst_call_run(c, &call, &w, done, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_checksum(struct pst *c, const void *src, size_t n, uint64_t timeout_ns,
		 struct pst_completion *done)
{
	const struct pst_waiter w = pst_waiter_new(timeout_ns);
	struct pst_error err = {0};
	struct pst_call call = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = prepare_span(c, src, n, 0, 0, &call, &err);
	if (!r)
		r = pst_call_run(c, &call, &w, done, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_submit_fill(struct pst *c, void *dst, size_t n, uint64_t pattern,
		    unsigned int pattern_size, uint64_t *ret_tag)
{
	struct pst_call call = {.writes = true};
	struct pst_error err = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = prepare_span(c, dst, n, pattern, pattern_size, &call, &err);
	if (!r)
		r = pst_call_run_async(c, &call, false, ret_tag, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_submit_checksum(struct pst *c, const void *src, size_t n,
			uint64_t *ret_tag)
{
	struct pst_error err = {0};
	struct pst_call call = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = prepare_span(c, src, n, 0, 0, &call, &err);
	if (!r)
		r = pst_call_run_async(c, &call, false, ret_tag, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

/* A NOP needs no buffer, so it may open a new session (unlocks). */
static int prepare_nop(struct pst *c, uint64_t deadline_ns,
		       struct pst_call *call, struct pst_error *err)
{
	uint64_t max;

	call->sqe.op = PST_WIRE_OP_NOP;
	if (c->session.live)
		return 0;
	max = pst_control_deadline(c);
	return pst_session_ensure(c, deadline_ns < max ? deadline_ns : max,
				  err);
}

int pst_nop(struct pst *c, uint64_t timeout_ns, struct pst_completion *done)
{
	struct pst_call call = {0};
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
	r = prepare_nop(c, reopens ? w.deadline_ns : 0, &call, &err);
	if (!r)
		r = reopens ? pst_call_run(c, &call, &w, done, &err)
			    : pst_call_run_for(c, &call, timeout_ns, done,
					       &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_submit_nop(struct pst *c, uint64_t *ret_tag)
{
	struct pst_error err = {0};
	struct pst_call call = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = prepare_nop(c, UINT64_MAX, &call, &err);
	if (!r)
		r = pst_call_run_async(c, &call, false, ret_tag, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}
