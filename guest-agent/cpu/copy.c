/* SPDX-License-Identifier: MIT */
/* COPY between memory that the CPU sees, a slice at a time. */
#include "guest-agent/cpu/copy.h"

#include <string.h>

#include "transport/base/util.h"

/* Bytes copied between two readings of the clock: some 20 us in cached memory,
 * a few ms where the region is uncached. */
#define PIECE (256U << 10)

static uint8_t *place(const struct pst_operand *x, uint8_t *base)
{
	return (x->mem ? (uint8_t *)x->mem : base) + x->off;
}

int pst_agent_copy_slice(const struct pst_op *op, uint8_t *base, uint64_t *done,
			 uint64_t deadline_ns)
{
	const uint8_t *src = place(&op->a, base);
	uint8_t *dst = place(&op->c, base);
	uint64_t n;

	while (*done < op->a.size) {
		n = op->a.size - *done;
		if (n > PIECE)
			n = PIECE;
		memcpy(dst + *done, src + *done, n);
		*done += n;
		if (pst_now_ns() >= deadline_ns)
			break;
	}
	return *done == op->a.size;
}
