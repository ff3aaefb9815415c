/* SPDX-License-Identifier: MIT */
/* The memory that sessions hold, and its way back to being free. */
#include "guest-agent/serve/holdings.h"

#include <errno.h>

#include "guest-agent/exec/memory.h"

void pst_holdings_done(struct pst_holdings *h)
{
	pst_scrubber_stop(h->scrubber);
	pst_tensors_free(h->tensors);
	pst_extents_free(h->extents);
	*h = (struct pst_holdings){0};
}

void pst_holdings_release(struct pst_holdings *h, uint64_t owner)
{
	pst_extents_release_owner(h->extents, owner);
	pst_tensors_release_owner(h->tensors, owner);
}

void pst_holdings_settle(struct pst_holdings *h, uint64_t owner)
{
	if (h->scrubber) {
		pst_extents_settle_dirty(h->extents, owner);
		pst_holdings_scrub(h);
	} else {
		pst_extents_settle(h->extents, owner);
	}
	pst_tensors_settle(h->tensors, owner);
}

void pst_holdings_scrub(struct pst_holdings *h)
{
	struct pst_span *s = &h->scrubbing;

	if (!h->scrubber)
		return;
	if (s->size) {
		if (!pst_scrubber_done(h->scrubber))
			return;
		pst_extents_scrubbed(h->extents, s);
		s->size = 0;
	}
	if (pst_extents_dirty(h->extents, PST_SCRUBBER_PIECE, s))
		pst_scrubber_give(h->scrubber, h->region->base + s->off,
				  s->size);
}

int pst_holdings_back(struct pst_holdings *h, const struct pst_span *span,
		      struct pst_error *err)
{
	const uint64_t n = pst_region_unbacked(h->region, span);
	struct pst_error why;
	uint64_t room;

	if (!n)
		return 0;
	/* Filling it where there is no room calls the OOM killer. */
	if (pst_memory_available("", &room) == 0 && n > room)
		return pst_error_set(
			err, -ENOSPC,
			"%llu MiB of memory are wanted, %llu MiB are available",
			(unsigned long long)n >> 20,
			(unsigned long long)room >> 20);
	if (pst_region_back(h->region, span, &why) < 0)
		return pst_error_set(err, -ENOSPC, "%s", why.text);
	return 0;
}
