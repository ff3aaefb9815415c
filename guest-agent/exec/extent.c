/* SPDX-License-Identifier: MIT */
/* The agent's private map of leased, quarantined and free arena units. */
#include "guest-agent/exec/extent.h"

#include <errno.h>
#include <stdlib.h>

#include "transport/base/util.h"
#include "transport/wire.h"

/*
 * One entry a unit: an arena of 64 GiB has 32768, scanned only on the control
 * path. An extent is the run of units that starts with first set.
 */
struct unit {
	uint64_t owner; /* 0: free; DIRTY */
	uint64_t last;  /* operation that began before it was released */
	bool first;
	bool quarantined;
};

/* No session's: has to be scrubbed. */
#define DIRTY UINT64_MAX
/* Before any that begins when nothing runs. */
#define LAST_OF_ALL (UINT64_MAX - 1)

struct pst_agent_extents {
	uint64_t off;
	uint64_t n;
	uint64_t n_dirty;
	uint64_t changes;
	struct unit unit[];
};

int pst_agent_extents_new(uint64_t off, uint64_t size,
			  struct pst_agent_extents **ret)
{
	struct pst_agent_extents *e;
	uint64_t n = size / PST_WIRE_UNIT;

	if (off % PST_WIRE_UNIT || size % PST_WIRE_UNIT || n == 0 ||
	    size > PST_WIRE_MAX_FILE || off > PST_WIRE_MAX_FILE)
		return -EINVAL;
	e = calloc(1, sizeof(*e) + n * sizeof(e->unit[0]));
	if (!e)
		return -ENOMEM;
	e->off = off;
	e->n = n;
	*ret = e;
	return 0;
}

void pst_agent_extents_free(struct pst_agent_extents *e)
{
	free(e);
}

static void set_run(struct pst_agent_extents *e, uint64_t at, uint64_t n,
		    uint64_t owner)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		e->unit[at + i] = (struct unit){
			.owner = owner,
			.first = i == 0,
		};
}

int pst_agent_extents_lease(struct pst_agent_extents *e, uint64_t owner,
			    uint64_t size, struct pst_span *ret)
{
	uint64_t want, run = 0, i;

	if (size == 0 || owner == 0)
		return -EINVAL;
	if (size > e->n * PST_WIRE_UNIT)
		return -ENOSPC;
	want = pst_round_up(size, PST_WIRE_UNIT) / PST_WIRE_UNIT;
	for (i = 0; i < e->n; i++) {
		run = e->unit[i].owner ? 0 : run + 1;
		if (run < want)
			continue;
		i -= want - 1;
		set_run(e, i, want, owner);
		*ret = (struct pst_span){
			.off = e->off + i * PST_WIRE_UNIT,
			.size = want * PST_WIRE_UNIT,
		};
		return 0;
	}
	return -ENOSPC;
}

/* Units of the extent that starts at unit i. */
static uint64_t extent_units(const struct pst_agent_extents *e, uint64_t i)
{
	uint64_t n = 1;

	while (i + n < e->n && e->unit[i + n].owner == e->unit[i].owner &&
	       !e->unit[i + n].first)
		n++;
	return n;
}

int pst_agent_extents_release(struct pst_agent_extents *e, uint64_t owner,
			      const struct pst_span *span, uint64_t last)
{
	uint64_t i, end;

	if (owner == 0 || span->off < e->off ||
	    (span->off - e->off) % PST_WIRE_UNIT)
		return -ENOENT;
	i = (span->off - e->off) / PST_WIRE_UNIT;
	if (i >= e->n || e->unit[i].owner != owner || !e->unit[i].first ||
	    e->unit[i].quarantined ||
	    span->size != extent_units(e, i) * PST_WIRE_UNIT)
		return -ENOENT;
	e->changes++;
	for (end = i + span->size / PST_WIRE_UNIT; i < end; i++) {
		e->unit[i].quarantined = true;
		e->unit[i].last = last;
	}
	return 0;
}

uint64_t pst_agent_extents_release_owner(struct pst_agent_extents *e,
					 uint64_t owner)
{
	uint64_t i, moved = 0;

	if (owner == 0)
		return 0;
	e->changes++;
	for (i = 0; i < e->n; i++) {
		if (e->unit[i].owner != owner || e->unit[i].quarantined)
			continue;
		e->unit[i].quarantined = true;
		e->unit[i].last = LAST_OF_ALL;
		moved += PST_WIRE_UNIT;
	}
	return moved;
}

/* Owner becomes nobody, or DIRTY. */
static bool settle(struct pst_agent_extents *e, uint64_t owner, uint64_t oldest,
		   uint64_t next)
{
	bool left = false;
	uint64_t i;

	if (owner == 0)
		return false;
	for (i = 0; i < e->n; i++) {
		if (e->unit[i].owner != owner || !e->unit[i].quarantined)
			continue;
		if (e->unit[i].last >= oldest) {
			left = true;
			continue;
		}
		e->unit[i] = (struct unit){
			.owner = next,
			.quarantined = next == DIRTY,
		};
		e->n_dirty += next == DIRTY;
	}
	return left;
}

bool pst_agent_extents_settle(struct pst_agent_extents *e, uint64_t owner,
			      uint64_t oldest)
{
	return settle(e, owner, oldest, 0);
}

bool pst_agent_extents_settle_dirty(struct pst_agent_extents *e, uint64_t owner,
				    uint64_t oldest)
{
	return settle(e, owner, oldest, DIRTY);
}

bool pst_agent_extents_dirty(const struct pst_agent_extents *e, uint64_t max,
			     struct pst_span *ret)
{
	uint64_t i, n = 0;

	if (e->n_dirty == 0)
		return false;
	for (i = 0; e->unit[i].owner != DIRTY; i++)
		;
	while (i + n < e->n && e->unit[i + n].owner == DIRTY &&
	       n < max / PST_WIRE_UNIT)
		n++;
	*ret = (struct pst_span){
		.off = e->off + i * PST_WIRE_UNIT,
		.size = n * PST_WIRE_UNIT,
	};
	return true;
}

void pst_agent_extents_scrubbed(struct pst_agent_extents *e,
				const struct pst_span *span)
{
	const uint64_t at = (span->off - e->off) / PST_WIRE_UNIT;
	const uint64_t n = span->size / PST_WIRE_UNIT;
	uint64_t i;

	for (i = at; i < at + n; i++)
		e->unit[i] = (struct unit){0};
	e->n_dirty -= n;
}

bool pst_agent_extents_holds(const struct pst_agent_extents *e, uint64_t owner,
			     const struct pst_span *span)
{
	uint64_t i, end;

	if (owner == 0 || span->size == 0 || span->off < e->off ||
	    pst_add_overflow(span->off - e->off, span->size, &end) ||
	    end > e->n * PST_WIRE_UNIT)
		return false;
	for (i = (span->off - e->off) / PST_WIRE_UNIT;
	     i <= (end - 1) / PST_WIRE_UNIT; i++)
		if (e->unit[i].owner != owner || e->unit[i].quarantined)
			return false;
	return true;
}

uint64_t pst_agent_extents_changes(const struct pst_agent_extents *e)
{
	return e->changes;
}

uint64_t pst_agent_extents_leased(const struct pst_agent_extents *e,
				  uint64_t owner)
{
	uint64_t i, n = 0;

	for (i = 0; i < e->n; i++)
		n += owner && e->unit[i].owner == owner &&
		     !e->unit[i].quarantined;
	return n * PST_WIRE_UNIT;
}

void pst_agent_extents_stats(const struct pst_agent_extents *e,
			     struct pst_agent_extents_stats *ret)
{
	uint64_t i, run = 0, longest = 0;

	*ret = (struct pst_agent_extents_stats){.total = e->n * PST_WIRE_UNIT};
	for (i = 0; i < e->n; i++) {
		if (!e->unit[i].owner) {
			if (++run > longest)
				longest = run;
			continue;
		}
		run = 0;
		if (e->unit[i].quarantined)
			ret->quarantined += PST_WIRE_UNIT;
		else
			ret->leased += PST_WIRE_UNIT;
	}
	ret->largest_free = longest * PST_WIRE_UNIT;
}
