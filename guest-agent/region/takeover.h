/* SPDX-License-Identifier: MIT */
/* Takes a region over: checks that no other agent serves it, then writes a new
 * epoch. */
#ifndef PST_GUEST_AGENT_REGION_TAKEOVER_H
#define PST_GUEST_AGENT_REGION_TAKEOVER_H

#include <stdint.h>

#include "transport/base/error.h"
#include "transport/region/region.h"

/* How long LEASE is held back after a region was taken over: the client library
 * reads the epoch word every 200 ms, and removes its mapping when it has
 * changed. */
#define PST_AGENT_CLAIM_SETTLE_MS 500U

struct pst_agent_claim {
	uint64_t epoch;
	/* pst_now_ns() time before which nothing may be leased; 0: at once. */
	uint64_t settled_ns;
};

/*
 * Formats the region that r has open (its lock covers agents of this kernel
 * only). When it already carries a format line, watches that one's heartbeat
 * for 2.5 of its periods first: if it moves, an agent in another kernel
 * serves the same memory.
 *
 * Returns 0, -EBUSY (such an agent; the sentence has its epoch and pid),
 * -errno of pst_region_format().
 */
int pst_agent_claim_region(struct pst_region *r, uint32_t n_lanes,
			   const struct pst_wire_limits *limits,
			   uint32_t heartbeat_ms, struct pst_agent_claim *ret,
			   struct pst_error *err);

#endif
