/* SPDX-License-Identifier: MIT */
/* The memory that sessions hold, from lease to quarantine to free. */
#include "guest-agent/serve/state/holdings.h"

#include <errno.h>
#include <inttypes.h>

#include "transport/base/meminfo.h"

void pst_agent_holdings_done(struct pst_agent_holdings *h)
{
	pst_agent_scrubber_stop(h->scrubber);
	pst_agent_tensors_free(h->tensors);
	pst_agent_extents_free(h->extents);
	*h = (struct pst_agent_holdings){0};
}

void pst_agent_holdings_release(struct pst_agent_holdings *h, uint64_t owner)
{
	pst_agent_extents_release_owner(h->extents, owner);
	pst_agent_tensors_release_owner(h->tensors, owner);
}

bool pst_agent_holdings_settle(struct pst_agent_holdings *h, uint64_t owner,
			       uint64_t oldest)
{
	bool left = pst_agent_tensors_settle(h->tensors, owner, oldest);

	if (h->scrubber) {
		left |= pst_agent_extents_settle_dirty(h->extents, owner,
						       oldest);
		pst_agent_holdings_scrub(h);
	} else {
		left |= pst_agent_extents_settle(h->extents, owner, oldest);
	}
	return left;
}

void pst_agent_holdings_scrub(struct pst_agent_holdings *h)
{
	struct pst_span *s = &h->scrubbing;

	if (!h->scrubber)
		return;
	if (s->size) {
		if (!pst_agent_scrubber_done(h->scrubber))
			return;
		pst_agent_extents_scrubbed(h->extents, s);
		s->size = 0;
	}
	if (pst_agent_extents_dirty(h->extents, PST_AGENT_SCRUBBER_PIECE, s))
		pst_agent_scrubber_give(h->scrubber, h->region->base + s->off,
					s->size);
}

int pst_agent_holdings_back(struct pst_agent_holdings *h,
			    const struct pst_span *span, struct pst_error *err)
{
	const uint64_t n = pst_region_unbacked(h->region, span);
	struct pst_error why;
	uint64_t room;

	if (!n)
		return 0;
	/* Filling more memory than is available calls the OOM killer. */
	if (pst_meminfo_available("", &room) == 0 && n > room)
		return pst_error_set(err, -ENOSPC,
				     "%" PRIu64
				     " MiB of memory are wanted, %" PRIu64
				     " MiB are available",
				     n >> 20, room >> 20);
	if (pst_region_back(h->region, span, &why) < 0)
		return pst_error_set(err, -ENOSPC, "%s", why.text);
	return 0;
}
