/* SPDX-License-Identifier: MIT */
/* Sub-operations: the operations that one call of the application is cut into.
 * It does not see them: pst_poll() and another thread's pst_wait() leave them
 * alone. */
#ifndef PST_HOST_CLIENT_LIB_GEMM_SUBOP_H
#define PST_HOST_CLIENT_LIB_GEMM_SUBOP_H

#include "host-client/lib/session/conn.h"

/* All without the lock. Each one that was submitted must be waited for, or
 * abandoned. */

/* As pst_submit_gemm(). */
PST_MUST_USE int pst_subop_gemm(struct pst *c, const struct pst_gemm_args *g,
				uint64_t *ret_tag, struct pst_error *err);

/* As pst_submit_nop(), but a lost session stays lost: -ESTALE. */
PST_MUST_USE int pst_subop_nop(struct pst *c, uint64_t *ret_tag,
			       struct pst_error *err);

/* Waits until one has ended, and with it those before it, without taking
 * it: one sleep and one wake-up for all. -ETIMEDOUT. */
PST_MUST_USE int pst_subop_expect(struct pst *c, uint64_t tag,
				  uint64_t timeout_ns, struct pst_error *err);

/* As pst_wait(). After an error of the wait's own it is still there. */
PST_MUST_USE int pst_subop_wait(struct pst *c, uint64_t tag,
				uint64_t timeout_ns, struct pst_completion *ret,
				struct pst_error *err);

/* Asks the agent to give it up; nobody waits for it any more. */
void pst_subop_abandon(struct pst *c, uint64_t tag);

#endif
