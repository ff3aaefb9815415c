/* SPDX-License-Identifier: MIT */
/* Products of operands outside the region: cuts them, copies the pieces through
 * the region, and overlaps copies with computing. */
#ifndef PST_HOST_CLIENT_LIB_GEMM_FOREIGN_H
#define PST_HOST_CLIENT_LIB_GEMM_FOREIGN_H

#include "host-client/lib/gemm/gemm_op.h"

/* Who computes what the agent has not, or an error; see pst_gemm_or(). */
struct pst_foreign_local {
	int (*fn)(void *arg, const struct pst_gemm_args *piece);
	void *arg;
};

/*
 * Computes g, some operands of which are foreign, and which was checked;
 * without the lock. Blocks until it is done, timeout_ns have passed
 * (-ETIMEDOUT: the foreign C is not written to any more), or an error as of
 * pst_gemm(), pst_alloc(). *touched: C may have been written. done (may be
 * NULL) gets the sums of the pieces' times. local (may be NULL) finishes after
 * an error: the call then returns how many calls that took, and err says why.
 */
PST_MUST_USE int pst_foreign_gemm(struct pst *c, const struct pst_gemm_args *g,
				  const struct pst_gemm_places *places,
				  uint64_t timeout_ns,
				  const struct pst_foreign_local *local,
				  struct pst_completion *done, bool *touched,
				  struct pst_error *err);

#endif
