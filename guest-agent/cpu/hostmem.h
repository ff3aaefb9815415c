/* SPDX-License-Identifier: MIT */
/* Memory of resident tensors for a backend that computes on the CPU. */
#ifndef PST_GUEST_AGENT_CPU_HOSTMEM_H
#define PST_GUEST_AGENT_CPU_HOSTMEM_H

#include <stdint.h>

#include "guest-agent/cpu/reaper.h"
#include "transport/base/error.h"
#include "transport/base/util.h"

/*
 * The kernel overcommits: it hands out large pieces that it may not have when
 * they are touched. So each piece is compared with the available memory less
 * what was handed out and not touched. One thread calls this.
 */
struct pst_agent_hostmem {
	const char *root;   /* of proc and sys: "" but in tests */
	uint64_t promised;  /* bytes of all pieces */
	uint64_t resident0; /* what the process had touched before the first */
	struct pst_agent_reaper
		*reaper; /* unmaps large pieces; NULL until needed */
};

/* No piece is there yet. Borrows root. */
void pst_agent_hostmem_init(struct pst_agent_hostmem *h, const char *root);

/*
 * A piece of size bytes (> 0): zeroed, aligned to 256, in huge pages where it
 * is large and the kernel has some. Costs no more than zeroing 1 MiB. Returns
 * 0, or -ENOMEM with a sentence that says how much there is.
 */
PST_MUST_USE int pst_agent_hostmem_alloc(struct pst_agent_hostmem *h,
					 uint64_t size, void **ret,
					 struct pst_error *err);

/* Frees a piece. A large one is unmapped by a thread of its own, since that
 * takes up to half a second per GiB. */
void pst_agent_hostmem_release(struct pst_agent_hostmem *h, void *mem);

/* All pieces have been freed. Returns when they are unmapped. */
void pst_agent_hostmem_done(struct pst_agent_hostmem *h);

#endif
