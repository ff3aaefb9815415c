/* SPDX-License-Identifier: MIT */
/* Ends the agent with a message when the region's memory is taken away. */
#ifndef PST_GUEST_AGENT_REGION_FAULT_H
#define PST_GUEST_AGENT_REGION_FAULT_H

#include "transport/base/error.h"
#include "transport/region/region.h"

/*
 * From now on a SIGBUS in the region (its device was unbound, its file cut
 * short) writes one line and ends the process with status 1; any other ends it
 * as before. One region a process. Returns 0 or -errno.
 */
int pst_agent_fault_watch(const struct pst_region *r, struct pst_error *err);

#endif
