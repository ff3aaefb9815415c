/* SPDX-License-Identifier: MIT */
/* The thread that increments the heartbeat in the region's header. */
#ifndef PST_GUEST_AGENT_REGION_HEARTBEAT_H
#define PST_GUEST_AGENT_REGION_HEARTBEAT_H

#include <stdint.h>

#include "transport/base/error.h"
#include "transport/wire.h"

struct pst_agent_heartbeat;

/*
 * Starts a thread, all signals blocked, that adds 1 to word every period_ms.
 * It runs apart from the serving thread, so that no computation delays it.
 * word stays mapped until pst_agent_heartbeat_stop(). Returns 0, -ENOMEM,
 * -errno.
 */
int pst_agent_heartbeat_start(struct pst_wire_word *word, uint32_t period_ms,
			      struct pst_agent_heartbeat **ret,
			      struct pst_error *err);

/* Beats so far. */
uint64_t pst_agent_heartbeat_count(const struct pst_agent_heartbeat *h);

/* Ends the thread at once. NULL does nothing. */
void pst_agent_heartbeat_stop(struct pst_agent_heartbeat *h);

#endif
