/* SPDX-License-Identifier: MIT */
/* The memory that sessions hold, from lease to quarantine to free. */
#ifndef PST_GUEST_AGENT_SERVE_HOLDINGS_H
#define PST_GUEST_AGENT_SERVE_HOLDINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/exec/extent.h"
#include "guest-agent/exec/scrubber.h"
#include "guest-agent/exec/tensor.h"
#include "transport/base/error.h"
#include "transport/region/region.h"

/* Released memory is in quarantine until no operation can use it any more, and
 * with a scrubber until it is zero. */
struct pst_agent_holdings {
	struct pst_region *region;
	struct pst_agent_extents *extents;
	struct pst_agent_tensors *tensors;
	struct pst_agent_scrubber *scrubber; /* NULL: there is no scrub */
	struct pst_span scrubbing; /* that it works on; size 0: nothing */
};

/* Gives up the scrubber, then everything else. */
void pst_agent_holdings_done(struct pst_agent_holdings *h);

/* Puts all that a session holds into quarantine. */
void pst_agent_holdings_release(struct pst_agent_holdings *h, uint64_t owner);

/* What a session has in quarantine becomes free, or is scrubbed first, as far
 * as no operation uses it (pst_agent_extents_settle()). Returns whether
 * something is left. */
bool pst_agent_holdings_settle(struct pst_agent_holdings *h, uint64_t owner,
			       uint64_t oldest);

/* Frees what has been scrubbed and scrubs the next piece; call it often. */
void pst_agent_holdings_scrub(struct pst_agent_holdings *h);

/* Whether released memory is being scrubbed. */
static inline bool pst_agent_holdings_scrubs(const struct pst_agent_holdings *h)
{
	return h->scrubbing.size > 0;
}

/*
 * Gives an extent its memory before it is handed out, where the region is
 * sparse. Returns 0, or -ENOSPC with a sentence: the machine, or this process's
 * control group, has no more.
 */
PST_MUST_USE int pst_agent_holdings_back(struct pst_agent_holdings *h,
					 const struct pst_span *span,
					 struct pst_error *err);

#endif
