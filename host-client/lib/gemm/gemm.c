/* SPDX-License-Identifier: MIT */
/* Products: one operation if no operand is foreign, else through the region. */
#include <errno.h>

#include "host-client/lib/gemm/foreign.h"
#include "host-client/lib/gemm/gemm_op.h"
#include "host-client/lib/gemm/memo.h"
#include "host-client/lib/ops/call.h"

/* What was just checked is taken as it was; else *own is what was taken. */
static int prepare(struct pst *c, const struct pst_gemm_args *g,
		   struct pst_gemm_args *own, struct pst_call *call,
		   struct pst_gemm_places *places, struct pst_error *err)
{
	int r;

	if (pst_memo_find(c, g, call)) {
		places->foreign = false;
		return 0;
	}
	if ((r = pst_gemm_take(g, own, err)) < 0 ||
	    (r = pst_gemm_resolve(&c->mem, own, call, places, err)) < 0 ||
	    (r = pst_gemm_check(&c->mem, call, places, err)) < 0)
		return r;
	if (!places->foreign)
		pst_memo_stash(c, g, call);
	return 0;
}

static int run(struct pst *c, const struct pst_gemm_args *g,
	       uint64_t timeout_ns, const struct pst_foreign_local *local,
	       struct pst_completion *done)
{
	struct pst_gemm_places places;
	struct pst_call call = {0};
	struct pst_record *rec;
	struct pst_gemm_args own;
	struct pst_waiter w;
	struct pst_error err;
	bool touched = false;
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_error_clear(&err);
	pst_lock(c);
	r = prepare(c, g, &own, &call, &places, &err);
	if (!r && !places.foreign)
		r = pst_call_submit(c, &call, true, &rec, &err);
	if (!r && !places.foreign) {
		touched = true;
		/* While the agent works on it. */
		w = pst_waiter_new(timeout_ns);
		r = pst_call_finish(c, rec, &w, done, &err);
	}
	pst_unlock(c);
	if (!r && places.foreign)
		r = pst_foreign_gemm(c, &own, &places, timeout_ns, local, done,
				     &touched, &err);
	/* What the caller has finished failed, too. */
	pst_fail(c, r > 0 ? err.code : r, &err);
	if (r > 0 && done)
		done->status = err.code;
	if (r < 0 && touched)
		pst_fail_touched(c);
	return r;
}

int pst_gemm(struct pst *c, const struct pst_gemm_args *g, uint64_t timeout_ns,
	     struct pst_completion *done)
{
	return run(c, g, timeout_ns, NULL, done);
}

int pst_gemm_or(struct pst *c, const struct pst_gemm_args *g,
		uint64_t timeout_ns,
		int (*local)(void *arg, const struct pst_gemm_args *piece),
		void *arg, struct pst_completion *done)
{
	const struct pst_foreign_local l = {local, arg};

	return run(c, g, timeout_ns, &l, done);
}

int pst_gemm_prepare_args(struct pst *c, const void *args,
			  struct pst_call *call, struct pst_error *err)
{
	const struct pst_gemm_args *g = args;
	struct pst_gemm_args own;
	int r;

	if (pst_memo_find(c, g, call))
		return 0;
	if ((r = pst_gemm_take(g, &own, err)) < 0 ||
	    (r = pst_gemm_prepare(&c->mem, &own, call, err)) < 0)
		return r;
	pst_memo_stash(c, g, call);
	return 0;
}

int pst_submit_gemm(struct pst *c, const struct pst_gemm_args *g,
		    uint64_t user_data, uint64_t *ret_tag)
{
	return pst_call_async(c, pst_gemm_prepare_args, g, user_data, ret_tag);
}
