/* SPDX-License-Identifier: MIT */
/* Products of types that no CBLAS has: converts them to F32, panel by panel. */
#ifndef PST_GUEST_AGENT_CPU_GEMM_CONVERT_H
#define PST_GUEST_AGENT_CPU_GEMM_CONVERT_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/cpu/gemm.h"
#include "transport/op.h"

/* No side of a slice is longer. The products of 512 pairs of I8 also add up
 * in F32 without rounding: 2^9 times 2^14 is below 2^24. */
#define PST_AGENT_CONVERT_SIDE 512U

/* Bytes of a scratch: a part of A, of B, of their product, and the sum. */
#define PST_AGENT_CONVERT_SCRATCH                                              \
	(4ULL * PST_AGENT_CONVERT_SIDE * PST_AGENT_CONVERT_SIDE * 4)

/* Whether the product's operands have to be converted. */
bool pst_agent_convert_needed(const struct pst_op *op);

/*
 * Adds the slice at the cursor, of size t (no side above
 * PST_AGENT_CONVERT_SIDE), to the sum in scratch, which begins anew at l = 0.
 * scratch: PST_AGENT_CONVERT_SCRATCH bytes, aligned to 64, the same one from a
 * panel's first slice to its last.
 */
void pst_agent_convert_slice(const struct pst_op *op,
			     const struct pst_agent_gemm_data *d,
			     const struct pst_agent_gemm_cursor *cur,
			     const struct pst_agent_gemm_tile *t,
			     void *scratch);

/*
 * C = act(alpha sum + beta C + bias) for n elements from (i, j) on along a
 * line (a row, or a column in col-major order). sum: theirs, F32 (I32 for
 * products of I8), or NULL: they are 0 and not multiplied with alpha.
 */
void pst_agent_convert_line(const struct pst_op *op,
			    const struct pst_agent_gemm_data *d, uint64_t i,
			    uint64_t j, uint64_t n, const void *sum);

/* pst_agent_convert_line() for a whole panel of size t at the cursor, whose sum
 * lies in scratch. */
void pst_agent_convert_finish(const struct pst_op *op,
			      const struct pst_agent_gemm_data *d,
			      const struct pst_agent_gemm_cursor *cur,
			      const struct pst_agent_gemm_tile *t,
			      const void *scratch);

#endif
