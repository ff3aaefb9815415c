/* SPDX-License-Identifier: MIT */
/* A thread that unmaps memory for the serving thread. */
#ifndef PST_GUEST_AGENT_CPU_REAPER_H
#define PST_GUEST_AGENT_CPU_REAPER_H

#include <stdint.h>

#include "transport/base/util.h"

struct pst_agent_reaper;

/* Starts the thread, with all signals blocked but SIGBUS. Returns 0, -ENOMEM,
 * -errno of pthread_create(). */
PST_MUST_USE int pst_agent_reaper_start(struct pst_agent_reaper **ret);

/* Hands over a mapping of size bytes; does not block. Returns 0, or -EAGAIN
 * (many wait already) and it is still the caller's. */
PST_MUST_USE int pst_agent_reaper_give(struct pst_agent_reaper *r, void *mem,
				       uint64_t size);

/* Unmaps what is left and ends the thread. NULL does nothing. */
void pst_agent_reaper_stop(struct pst_agent_reaper *r);

#endif
