/* SPDX-License-Identifier: MIT */
/* A thread that zeroes memory for the serving thread. */
#ifndef PST_GUEST_AGENT_EXEC_SCRUBBER_H
#define PST_GUEST_AGENT_EXEC_SCRUBBER_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/base/util.h"

/* Bytes zeroed at most between two reports to the caller. */
#define PST_AGENT_SCRUBBER_PIECE (32U << 20)

struct pst_agent_scrubber;

/* Starts the thread, with all signals blocked but SIGBUS. Returns 0, -ENOMEM,
 * -errno of pthread_create(). */
PST_MUST_USE int pst_agent_scrubber_start(struct pst_agent_scrubber **ret);

/* Hands over a piece; the one before is done. Does not block. */
void pst_agent_scrubber_give(struct pst_agent_scrubber *s, void *mem,
			     uint64_t size);

/* Whether the piece that was given is zero. */
bool pst_agent_scrubber_done(struct pst_agent_scrubber *s);

/* Ends the thread within 2 MiB, whatever is left. NULL does nothing. */
void pst_agent_scrubber_stop(struct pst_agent_scrubber *s);

#endif
