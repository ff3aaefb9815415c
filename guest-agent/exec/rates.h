/* SPDX-License-Identifier: MIT */
/* How fast products of each type were computed, by any backend, for INFO. Of
 * the serving thread. */
#ifndef PST_GUEST_AGENT_EXEC_RATES_H
#define PST_GUEST_AGENT_EXEC_RATES_H

#include "transport/base/util.h"
#include "transport/op.h"

/* Shorter products say more of what every operation costs. */
#define PST_AGENT_RATE_MIN_NS (200 * PST_NS_PER_US)
#define PST_AGENT_RATE_TYPES  8U

struct pst_agent_rate {
	double gflops;
	uint64_t n; /* products it comes from; 0: none yet */
};

/* By type of A and B. */
struct pst_agent_rates {
	struct pst_agent_rate of[PST_AGENT_RATE_TYPES];
};

/* Adds a product that took so long. One that was slow, since another program
 * had the device, weighs an eighth; a faster one all. */
void pst_agent_rates_learn(struct pst_agent_rates *r, const struct pst_op *op,
			   uint64_t compute_ns);

static inline void pst_agent_rates_add(struct pst_agent_rates *r,
				       const struct pst_op *op,
				       uint64_t compute_ns)
{
	if (__builtin_expect(compute_ns >= PST_AGENT_RATE_MIN_NS, 0))
		pst_agent_rates_learn(r, op, compute_ns);
}

#endif
