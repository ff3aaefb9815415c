/* SPDX-License-Identifier: MIT */
/* Products: one operation where all operands are in the region or are tensors,
 * else by way of the region. */
#include <errno.h>

#include "host-client/lib/gemm/foreign.h"
#include "host-client/lib/gemm/gemm_op.h"
#include "host-client/lib/gemm/memo.h"

/* What was just prepared is taken as it was. */
static int prepare_again(struct pst *c, const struct pst_gemm *g,
			 struct pst_call *call, struct pst_error *err)
{
	int r;

	if (pst_memo_find(c, g, call))
		return 0;
	r = pst_gemm_prepare(c, g, call, err);
	if (!r)
		pst_memo_keep(c, g, call);
	return r;
}

int pst_gemm(struct pst *c, const struct pst_gemm *g, uint64_t timeout_ns,
	     struct pst_completion *done)
{
	struct pst_foreign_set foreign;
	struct pst_call call = {0};
	struct pst_error err;
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_error_clear(&err);
	pst_lock(c);
	r = prepare_again(c, g, &call, &err);
	if (r == -EFAULT && pst_foreign_find(c, g, &foreign)) {
		pst_unlock(c);
		return pst_foreign_gemm(c, g, &foreign, timeout_ns, done);
	}
	if (!r)
		r = pst_call_run_for(c, &call, timeout_ns, done, &err);
	pst_unlock(c);
	if (pst_fail(c, r, &err) < 0 && call.submitted)
		pst_fail_touched(c);
	return r;
}

int pst_submit_gemm(struct pst *c, const struct pst_gemm *g, uint64_t *ret_tag)
{
	struct pst_error err = {0};
	struct pst_call call = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = pst_gemm_prepare(c, g, &call, &err);
	if (!r)
		r = pst_call_run_async(c, &call, false, ret_tag, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}
