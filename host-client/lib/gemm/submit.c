/* SPDX-License-Identifier: MIT */
/* Many operations, of any kind, at once. */
#include <errno.h>

#include "host-client/lib/ops/call.h"
#include "host-client/lib/plain/args.h"

/* Of a NOP there is none: pst_call_nop(). */
static pst_prepare_fn *const prepare[] = {
	[PST_OP_GEMM] = pst_gemm_prepare_args,
	[PST_OP_COPY] = pst_copy_prepare_args,
	[PST_OP_INFER] = pst_infer_prepare_args,
};

/* A run has memory of its caller to write to, and may lease. */
static int unknown(uint32_t op, struct pst_error *err)
{
	return pst_error_set(err, -EINVAL,
			     op == PST_WIRE_OP_RUN
				     ? "op %u of a submission is unknown: "
				       "pst_submit_run() runs a model with "
				       "named tensors"
				     : "op %u of a submission is unknown",
			     op);
}

static int check(const struct pst_submission *s, uint32_t n_queues,
		 struct pst_error *err)
{
	if (s->op >= PST_ARRAY_SIZE(prepare) ||
	    (!prepare[s->op] && s->op != PST_OP_NOP))
		return unknown(s->op, err);
	if (s->queue >= n_queues)
		return pst_error_set(err, -EINVAL,
				     "a submission to queue %u; the connection "
				     "has %u",
				     s->queue, n_queues);
	if (!s->args.none != (s->op == PST_OP_NOP))
		return pst_error_set(err, -EINVAL,
				     "args of a submission are %s",
				     s->args.none ? "not NULL" : "NULL");
	return 0;
}

static int put(struct pst *c, const struct pst_submission *s, uint64_t *ret_tag,
	       struct pst_error *err)
{
	static const struct pst_args_kind kind = {
		.init = "PST_SUBMISSION_INIT",
		.size = sizeof(*s),
		.least = sizeof(*s),
	};
	struct pst_submission known;
	struct pst_call call;
	int r;

	if (s->size != sizeof(*s)) {
		r = pst_args_take(&kind, s, &known, err);
		if (r < 0)
			return r;
		s = &known;
	}
	r = check(s, c->conf.n_queues, err);
	if (r < 0)
		return r;
	if (s->op == PST_OP_NOP &&
	    pst_call_put_nop(c, s->queue, s->user_data, ret_tag))
		return 0;
	pst_call_nop(&call, s->queue, s->user_data);
	if (s->op != PST_OP_NOP) {
		call = (struct pst_call){
			.queue = s->queue,
			.user_data = s->user_data,
		};
		r = prepare[s->op](c, s->args.none, &call, err);
		if (r < 0)
			return r;
	}
	return pst_call_put_async(c, &call, false, ret_tag, err);
}

/* One look at whether the agent sleeps, for all n that were put into a queue.
 */
static void tell(struct pst *c, unsigned int n)
{
	uint32_t i;

	for (i = 0; c->session.live && i < c->conf.n_queues; i++)
		if (c->queue[i].lane.owes)
			pst_call_tell(c, &c->queue[i], n);
}

int pst_submit(struct pst *c, const struct pst_submission *ops, int n,
	       uint64_t *ret_tags)
{
	const struct pst_submission *op = ops;
	struct pst_error err;
	int i, r = 0;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_error_clear(&err);
	if (n < 1)
		return pst_fail(c,
				pst_error_set(&err, -EINVAL,
					      "%d operations to submit", n),
				&err);
	pst_lock(c);
	for (i = 0; i < n; i++) {
		r = put(c, op, ret_tags ? &ret_tags[i] : NULL, &err);
		if (r < 0)
			break;
		/* As far apart as the caller's header has them. */
		op = (const void *)((const char *)op + ops->size);
	}
	tell(c, (unsigned int)i);
	pst_unlock(c);
	return i ? i : pst_fail(c, r, &err);
}
