/* SPDX-License-Identifier: MIT */
/* COPY between memory that the CPU sees, a slice at a time. */
#ifndef PST_GUEST_AGENT_CPU_COPY_H
#define PST_GUEST_AGENT_CPU_COPY_H

#include <stdint.h>

#include "transport/op.h"

/*
 * Continues a checked COPY: *done bytes are copied, 0 at first. base: wire
 * offset 0, for operands that lie in the region; memory of a tensor is a CPU
 * pointer. Stops at deadline_ns (pst_now_ns()), at least one piece further.
 * Returns 1 when all is copied, 0 when there is more to do.
 */
int pst_agent_copy_slice(const struct pst_op *op, uint8_t *base, uint64_t *done,
			 uint64_t deadline_ns);

#endif
