/* SPDX-License-Identifier: MIT */
/* Remembers the last product that passed the check, so that the same one needs
 * none. */
#ifndef PST_HOST_CLIENT_LIB_GEMM_MEMO_H
#define PST_HOST_CLIENT_LIB_GEMM_MEMO_H

#include <stdbool.h>

#include "host-client/lib/ops/call.h"
#include "host-client/lib/session/conn.h"

/*
 * With the lock held. True and *call, but for its queue and user_data, when g
 * is that product, in the same session, and no buffer was given back since. The
 * agent checks what it gets anyway.
 */
bool pst_memo_find(const struct pst *c, const struct pst_gemm_args *g,
		   struct pst_call *call);

/* Remembers a product that passed every check; not one with tensors, which end
 * independently of buffers. */
void pst_memo_stash(struct pst *c, const struct pst_gemm_args *g,
		    const struct pst_call *call);

#endif
