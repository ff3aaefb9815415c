/* SPDX-License-Identifier: MIT */
/* The agent's private map of the arena: which session leases which 2 MiB units.
 */
#ifndef PST_GUEST_AGENT_EXEC_EXTENT_H
#define PST_GUEST_AGENT_EXEC_EXTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/op.h"

struct pst_agent_extents;

struct pst_agent_extents_stats {
	uint64_t total; /* bytes of the arena */
	uint64_t leased;
	uint64_t quarantined;
	uint64_t largest_free; /* bytes of the longest free run */
};

/*
 * For an arena at wire offset off, size bytes, both multiples of
 * PST_WIRE_UNIT. Returns 0, -EINVAL, -ENOMEM.
 */
int pst_agent_extents_new(uint64_t off, uint64_t size,
			  struct pst_agent_extents **ret);
void pst_agent_extents_free(struct pst_agent_extents *e);

/*
 * Leases size bytes, rounded up to units, contiguous, to owner (not 0).
 * Returns 0, -EINVAL (size 0), -ENOSPC (no run that long), -ENOMEM.
 */
int pst_agent_extents_lease(struct pst_agent_extents *e, uint64_t owner,
			    uint64_t size, struct pst_span *ret);

/*
 * Takes an extent back into quarantine; it is leased to nobody until
 * pst_agent_extents_settle(). last: the operation that began last
 * (pst_agent_executor_begun()). Returns 0, or -ENOENT unless owner holds
 * exactly this extent, offset and size.
 */
int pst_agent_extents_release(struct pst_agent_extents *e, uint64_t owner,
			      const struct pst_span *span, uint64_t last);

/* All of owner's extents into quarantine, until nothing of it runs any more.
 * Returns the bytes moved. */
uint64_t pst_agent_extents_release_owner(struct pst_agent_extents *e,
					 uint64_t owner);

/*
 * Quarantined units that were owner's become free where nothing can write to
 * them any more: those released before operation oldest began, the oldest one
 * of owner that runs; UINT64_MAX: all. Returns whether others are left.
 */
bool pst_agent_extents_settle(struct pst_agent_extents *e, uint64_t owner,
			      uint64_t oldest);

/* The same, but they have to be scrubbed first: they are nobody's, and stay in
 * quarantine until pst_agent_extents_scrubbed(). */
bool pst_agent_extents_settle_dirty(struct pst_agent_extents *e, uint64_t owner,
				    uint64_t oldest);

/* A run of units that have to be scrubbed, of at most max bytes (a multiple of
 * PST_WIRE_UNIT). Returns false when there are none. */
bool pst_agent_extents_dirty(const struct pst_agent_extents *e, uint64_t max,
			     struct pst_span *ret);

/* Such a run becomes free. */
void pst_agent_extents_scrubbed(struct pst_agent_extents *e,
				const struct pst_span *span);

/* Whether owner's live extents cover all of span (it may cross from one
 * extent into an adjacent one of the same owner). */
bool pst_agent_extents_holds(const struct pst_agent_extents *e, uint64_t owner,
			     const struct pst_span *span);

/* Grows whenever something is taken from an owner: what was held at one value
 * is held as long as the value is the same. */
uint64_t pst_agent_extents_changes(const struct pst_agent_extents *e);

/* Bytes leased to owner. */
uint64_t pst_agent_extents_leased(const struct pst_agent_extents *e,
				  uint64_t owner);

void pst_agent_extents_stats(const struct pst_agent_extents *e,
			     struct pst_agent_extents_stats *ret);

#endif
