/* SPDX-License-Identifier: MIT */
/* Products of operands that do not lie in the region: cut, copied through it
 * and computed there, with copies and computing overlapped. */
#ifndef PST_HOST_CLIENT_LIB_GEMM_FOREIGN_H
#define PST_HOST_CLIENT_LIB_GEMM_FOREIGN_H

#include <stdbool.h>

#include "host-client/lib/conn.h"

/* Which operands of a product lie outside the connection's buffers. */
struct pst_foreign_set {
	bool a, b, c, bias;
};

/* Looks the operands that are used up in the heap; the lock is held. Returns
 * whether there is a foreign one. */
bool pst_foreign_find(struct pst *c, const struct pst_gemm *g,
		      struct pst_foreign_set *ret);

/*
 * Computes g, some operands of which are foreign; without the lock. Blocks
 * until it is done, timeout_ns have passed (-ETIMEDOUT: the foreign C is not
 * written to any more), or an error as of pst_gemm(), pst_alloc(). The
 * sentence is the calling thread's last error on c. done (may be NULL) gets
 * the sums of the pieces' times.
 */
int pst_foreign_gemm(struct pst *c, const struct pst_gemm *g,
		     const struct pst_foreign_set *f, uint64_t timeout_ns,
		     struct pst_completion *done);

#endif
