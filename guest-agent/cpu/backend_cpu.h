/* SPDX-License-Identifier: MIT */
/* The cpu backend's state, for backend_cpu.c and tests. */
#ifndef PST_GUEST_AGENT_CPU_BACKEND_CPU_H
#define PST_GUEST_AGENT_CPU_BACKEND_CPU_H

#include <stdint.h>

#include "guest-agent/cpu/hostmem.h"
#include "guest-agent/exec/backend.h"

/* Products whose rates are alike: by type, and by shape. */
#define PST_AGENT_CPU_KINDS  3
#define PST_AGENT_CPU_SHAPES 2

/* For backend_cpu.c, and for tests, which shorten slice_ns. */
struct pst_backend {
	struct pst_agent_hostmem mem;
	uint8_t *base;
	uint32_t threads;
	uint64_t slice_ns; /* what a step aims at */
	/* Operations a second. */
	double rate[PST_AGENT_CPU_KINDS][PST_AGENT_CPU_SHAPES];
	/* Cached for the next operation: it is large, and fresh memory costs
	 * more than a small product. */
	void *spare_scratch;
};

#endif
