/* SPDX-License-Identifier: MIT */
/* Epilogues: adds a bias to the elements of a product, and applies an
 * activation. */
#ifndef PST_GUEST_AGENT_CPU_EPILOGUE_H
#define PST_GUEST_AGENT_CPU_EPILOGUE_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/op.h"

/* Whether there is anything to do. */
bool pst_agent_epilogue_needed(const struct pst_op *op);

/*
 * x[i] = act(x[i] + bias) for n elements of one line of C of F32. bias is
 * the line's first bias element, and step the number of elements to the next
 * one's: 1 along a row, 0 along a column. NULL: none.
 */
void pst_agent_epilogue_f32(enum pst_wire_act act, float *x, uint64_t n,
			    const float *bias, unsigned int step);

/*
 * The same for the elements from (i, j) on, n of them along a line (a row, or
 * a column in col-major order), of a C of F32 or F64 in place. c and bias are
 * the whole operands.
 */
void pst_agent_epilogue_line(const struct pst_op *op, void *c, const void *bias,
			     uint64_t i, uint64_t j, uint64_t n);

#endif
