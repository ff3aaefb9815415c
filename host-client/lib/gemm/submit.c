/* SPDX-License-Identifier: MIT */
/* Many operations, of any kind, at once. */
#include <errno.h>

#include "host-client/lib/ops/call.h"

static int prepare_nop(const struct pst *c, const void *args,
		       struct pst_call *call, struct pst_error *err)
{
	call->sqe.op = PST_WIRE_OP_NOP;
	return 0;
}

static pst_prepare_fn *const prepare[] = {
	[PST_OP_NOP] = prepare_nop,
	[PST_OP_GEMM] = pst_gemm_prepare_args,
	[PST_OP_COPY] = pst_copy_prepare_args,
	[PST_OP_INFER] = pst_infer_prepare_args,
};

static int check(const struct pst_submission *s, uint32_t n_queues,
		 struct pst_error *err)
{
	size_t i;

	if (s->op >= PST_ARRAY_SIZE(prepare) || !prepare[s->op])
		return pst_error_set(err, -EINVAL,
				     "op %u of a submission is unknown", s->op);
	if (s->queue >= n_queues)
		return pst_error_set(err, -EINVAL,
				     "a submission to queue %u; the connection "
				     "has %u",
				     s->queue, n_queues);
	if (!s->args.none != (s->op == PST_OP_NOP))
		return pst_error_set(err, -EINVAL,
				     "args of a submission are %s",
				     s->args.none ? "not NULL" : "NULL");
	for (i = 0; i < PST_ARRAY_SIZE(s->reserved); i++)
		if (s->reserved[i])
			return pst_error_set(err, -EINVAL,
					     "reserved of a submission is not "
					     "0: begin with "
					     "PST_SUBMISSION_INIT");
	return 0;
}

static int submit(struct pst *c, const struct pst_submission *s,
		  uint64_t *ret_tag, struct pst_error *err)
{
	struct pst_call call = {
		.user_data = s->user_data,
		.queue = s->queue,
	};
	int r;

	if ((r = check(s, c->conf.n_queues, err)) < 0 ||
	    (r = prepare[s->op](c, s->args.none, &call, err)) < 0)
		return r;
	return pst_call_run_async(c, &call, false, ret_tag, err);
}

int pst_submit(struct pst *c, const struct pst_submission *ops, int n,
	       uint64_t *ret_tags)
{
	struct pst_error err = {0};
	int i, r = 0;

	if (pst_is_forked(c))
		return pst_forked(c);
	if (n < 1)
		return pst_fail(c,
				pst_error_set(&err, -EINVAL,
					      "%d operations to submit", n),
				&err);
	pst_lock(c);
	for (i = 0; i < n; i++) {
		r = submit(c, &ops[i], ret_tags ? &ret_tags[i] : NULL, &err);
		if (r < 0)
			break;
	}
	pst_unlock(c);
	return i ? i : pst_fail(c, r, &err);
}
