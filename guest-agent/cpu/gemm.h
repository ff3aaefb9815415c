/* SPDX-License-Identifier: MIT */
/* A matrix product, cut into slices. */
#ifndef PST_GUEST_AGENT_CPU_GEMM_H
#define PST_GUEST_AGENT_CPU_GEMM_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/op.h"

/*
 * Where a product stands. C is cut into panels of mb x nb, and the sum over k
 * of one panel into parts: (i, j) is the panel's first element, l the first
 * of the sum's terms still to add. Zero at start.
 */
struct pst_agent_gemm_cursor {
	uint64_t i, j, l;
	uint64_t mb, nb;
	uint64_t batch; /* of the product in the batch */
};

/* Where one product of a batch has its operands: their first elements. */
struct pst_agent_gemm_data {
	const uint8_t *a;
	const uint8_t *b;
	uint8_t *c;
	const uint8_t *bias;
};

/* Size of one slice. */
struct pst_agent_gemm_tile {
	uint64_t m, n, k;
};

/*
 * How to cut an m x n x k product (all at least 1) into slices of about flops
 * operations each: a pure function. A product up to half above that stays
 * whole; no slice is cut below 64 x 64 x 256, under which a BLAS wastes its
 * time. k is cut first, in parts as long as a BLAS's own blocks, since the
 * sum's order in memory traffic stays the same; then rows and columns.
 * elem_size: 4 or 8.
 */
void pst_agent_gemm_plan(uint64_t m, uint64_t n, uint64_t k,
			 unsigned int elem_size, double flops,
			 struct pst_agent_gemm_tile *ret);

/* Whether the product is only act(beta C + bias), since k or alpha is 0. A and
 * B are not read. */
bool pst_agent_gemm_is_scale(const struct pst_op *op);

/*
 * Does the next slice, of about flops operations, of a product (or a batch)
 * that is no scale, with bias and activation on what it completes. base: wire
 * offset 0. scratch: for pst_agent_convert_slice(), NULL if
 * pst_agent_convert_needed() is false. Returns the operations done; *ret_done
 * tells whether that was the last slice. Built without a CBLAS it does nothing.
 */
double pst_agent_gemm_slice(const struct pst_op *op, uint8_t *base,
			    struct pst_agent_gemm_cursor *cur, double flops,
			    void *scratch, bool *ret_done);

/*
 * Makes C act(beta C + bias), line by line, until deadline_ns (pst_now_ns()
 * clock); beta = 0 does not read C. Between ldc's lines nothing is touched.
 * Returns whether all is done.
 */
bool pst_agent_gemm_scale(const struct pst_op *op, uint8_t *base,
			  struct pst_agent_gemm_cursor *cur,
			  uint64_t deadline_ns);

#endif
