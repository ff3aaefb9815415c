/* SPDX-License-Identifier: MIT */
/* Plans how a foreign product is cut into pieces that fit: a pure function of
 * sizes. */
#ifndef PST_HOST_CLIENT_LIB_GEMM_FOREIGN_PLAN_H
#define PST_HOST_CLIENT_LIB_GEMM_FOREIGN_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/base/util.h"

/* Pieces in flight: one computes while the next is copied. */
#define PST_FOREIGN_SLOTS 2U

struct pst_foreign_job {
	uint64_t m, n, k; /* at least 1, k may be 0 */
	uint64_t batch;   /* products, at least 1 */
	unsigned int elem_ab;
	unsigned int elem_c; /* of C's pieces when k is whole */
	/* When k is cut; sums of 16-bit elements are kept in F32. */
	unsigned int elem_sum;
	bool copy_a, copy_b, copy_c; /* not in the region */
	/* Sides that are not cut, since an operand with them is a resident
	 * tensor, of which no part can be named. */
	bool whole_m, whole_n, whole_k;
	uint64_t max_dim; /* sides of a piece; the agent's limit */
};

struct pst_foreign_plan {
	uint64_t m, n, k;    /* of a piece */
	bool copy_c;         /* the job's, or sums of another type are kept */
	unsigned int elem_c; /* of C's pieces */
	/* Slots of each operand and the bytes of one; 0: used in place. */
	unsigned int slots_a, slots_b, slots_c;
	uint64_t size_a, size_b, size_c;
	uint64_t total; /* bytes of all slots */
};

/*
 * The plan for at most budget bytes that copies least, with pieces small
 * enough that copies overlap with computing. Returns 0, or -ENOSPC when budget
 * does not hold the smallest pieces (64 x 64 x 64, or as long as a side that is
 * whole).
 */
PST_MUST_USE int pst_foreign_plan(const struct pst_foreign_job *job,
				  uint64_t budget,
				  struct pst_foreign_plan *ret);

/* Bytes that executing a plan copies into the region, C's not counted. */
uint64_t pst_foreign_traffic(const struct pst_foreign_job *job,
			     const struct pst_foreign_plan *plan);

#endif
