/* SPDX-License-Identifier: MIT */
/* Fetches the reason of a failed operation from the agent. */
#ifndef PST_HOST_CLIENT_LIB_OPS_FAILURE_H
#define PST_HOST_CLIENT_LIB_OPS_FAILURE_H

#include <stdint.h>

#include "host-client/lib/session/conn.h"

/* The sentence of an operation that the agent completed with status r: asks
 * for it until deadline_ns at most, and not longer than a control call may
 * take (unlocks); a general one if that fails. */
void pst_failure_explain(struct pst *c, uint64_t tag, int r,
			 uint64_t deadline_ns, struct pst_error *err);

#endif
