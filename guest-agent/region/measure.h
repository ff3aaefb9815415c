/* SPDX-License-Identifier: MIT */
/* Measures how fast the region's mapping is, and names the remedy if it is
 * slow. */
#ifndef PST_GUEST_AGENT_REGION_MEASURE_H
#define PST_GUEST_AGENT_REGION_MEASURE_H

#include <stddef.h>

#include "transport/region/region.h"

/* Longest remedy, with its NUL. */
#define PST_AGENT_MEASURE_REMEDY 320

/* GB/s of copying 32 KiB out of the arena and into it, the fastest of many:
 * other work on the machine does not make a mapping slow. */
struct pst_agent_measure {
	double read_gbps;
	double write_gbps;
	double plain_gbps; /* the same with ordinary memory, to compare */
};

/*
 * Measures the arena's first MiB in at most 30 ms. What was there is written
 * back as it was; nobody may hold a lease meanwhile.
 */
void pst_agent_measure_region(const struct pst_region *r,
			      struct pst_agent_measure *ret);

/* The remedy for a slow mapping, in one sentence; empty if it is not slow. */
void pst_agent_measure_remedy(const struct pst_region *r,
			      const struct pst_agent_measure *m,
			      char ret[PST_AGENT_MEASURE_REMEDY]);

#endif
