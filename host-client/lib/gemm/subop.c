/* SPDX-License-Identifier: MIT */
/* Sub-operations: the operations that one call of the application is cut
 * into. */
#include "host-client/lib/gemm/subop.h"

#include <errno.h>

#include "host-client/lib/gemm/gemm_op.h"
#include "host-client/lib/ops/call.h"
#include "host-client/lib/session/wait.h"

int pst_subop_gemm(struct pst *c, const struct pst_gemm_args *g,
		   uint64_t *ret_tag, struct pst_error *err)
{
	struct pst_call call = {0};
	int r;

	pst_lock(c);
	r = pst_gemm_prepare(&c->mem, g, &call, err);
	if (!r)
		r = pst_call_run_async(c, &call, true, ret_tag, err);
	pst_unlock(c);
	return r;
}

int pst_subop_nop(struct pst *c, uint64_t *ret_tag, struct pst_error *err)
{
	struct pst_call call;
	int r;

	pst_call_nop(&call, 0, 0);
	pst_lock(c);
	r = pst_call_run_async(c, &call, true, ret_tag, err);
	pst_unlock(c);
	return r;
}

int pst_subop_expect(struct pst *c, uint64_t tag, uint64_t timeout_ns,
		     struct pst_error *err)
{
	struct pst_waiter w = pst_waiter_new(timeout_ns);
	struct pst_record *rec;
	int r = 0;

	w.unarmed = true;
	pst_lock(c);
	rec = pst_record_find(c, tag);
	if (rec)
		r = pst_wait_done(c, rec, &w, err);
	pst_unlock(c);
	return r;
}

int pst_subop_wait(struct pst *c, uint64_t tag, uint64_t timeout_ns,
		   struct pst_completion *ret, struct pst_error *err)
{
	const struct pst_waiter w = pst_waiter_new(timeout_ns);
	struct pst_record *rec;
	int r;

	pst_lock(c);
	rec = pst_record_find(c, tag);
	if (rec)
		r = pst_wait_done(c, rec, &w, err);
	else
		r = pst_error_set(err, -ENOENT,
				  "a sub-operation of the call is unknown");
	if (!r)
		r = pst_call_collect(c, rec, &w, ret, err);
	pst_unlock(c);
	return r;
}

void pst_subop_abandon(struct pst *c, uint64_t tag)
{
	struct pst_record *rec;

	(void)pst_cancel(c, tag);
	pst_lock(c);
	rec = pst_record_find(c, tag);
	if (rec)
		pst_queue_give_up(pst_queue_of(c, rec), rec);
	pst_unlock(c);
}
