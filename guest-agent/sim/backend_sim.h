/* SPDX-License-Identifier: MIT */
/* The sim backend: computes as the cpu backend does, in the time of a card that
 * is described by its rates. For tests of what chooses by time. */
#ifndef PST_GUEST_AGENT_SIM_BACKEND_SIM_H
#define PST_GUEST_AGENT_SIM_BACKEND_SIM_H

#include "guest-agent/exec/backend.h"

/* By type of A and B. */
#define PST_SIM_TYPES (PST_WIRE_I8 + 1)

struct pst_sim_card {
	double flops[PST_SIM_TYPES]; /* a second */
	double h2d, d2h;             /* bytes a second, both at once */
	uint64_t latency_ns;         /* of every operation */
};

/* "f32=6000,f64=190,h2d=11,latency=10us": GFLOPS, GB/s and a duration, all
 * above 0. What is not named, all of NULL, is as of an old card in a fast slot.
 * Returns 0, or -EINVAL with a sentence. */
int pst_sim_parse(const char *options, struct pst_sim_card *ret,
		  struct pst_error *err);

/* As open of struct pst_backend_ops. */
int pst_sim_open(const struct pst_sim_card *card, uint8_t *base, uint64_t size,
		 uint32_t threads, struct pst_backend **ret,
		 struct pst_error *err);

/* All but open. */
extern const struct pst_backend_ops pst_backend_sim;

#endif
