/* SPDX-License-Identifier: MIT */
/* Makes a product's descriptor from its arguments. */
#ifndef PST_HOST_CLIENT_LIB_GEMM_GEMM_OP_H
#define PST_HOST_CLIENT_LIB_GEMM_GEMM_OP_H

#include "host-client/lib/ops/call.h"

/* Where an operand lies. */
enum pst_operand_kind {
	PST_OPERAND_NONE, /* it is neither read nor written */
	PST_OPERAND_REGION,
	PST_OPERAND_TENSOR,
	PST_OPERAND_FOREIGN, /* in the caller's own memory */
};

struct pst_gemm_places {
	enum pst_operand_kind kind[PST_RECORD_BLOCKS]; /* by slot */
	bool foreign;                                  /* one at least */
	bool reads_ab; /* A and B have something to say */
};

/* The type of C's elements, the natural one when none was given. */
uint32_t pst_gemm_dtype_c(const struct pst_gemm_args *g);

/* A caller's arguments: of any header, with leading dimensions. -EINVAL. */
PST_MUST_USE int pst_gemm_take(const struct pst_gemm_args *args,
			       struct pst_gemm_args *ret,
			       struct pst_error *err);

/* All with the lock held, and what was taken. */

/*
 * Looks all operands up and fills in the descriptor: its words for operands
 * are the region's offsets, or addresses when one is foreign, and tensors'
 * handles. -EINVAL, -EFAULT (NULL), and of operands that are not there any more
 * -ENOENT, -ESTALE.
 */
PST_MUST_USE int pst_gemm_resolve(const struct pst_memory *m,
				  const struct pst_gemm_args *g,
				  struct pst_call *call,
				  struct pst_gemm_places *ret,
				  struct pst_error *err);

/* Checks what was resolved. Errors of pst_op_check(). */
PST_MUST_USE int pst_gemm_check(const struct pst_memory *m,
				const struct pst_call *call,
				const struct pst_gemm_places *places,
				struct pst_error *err);

/* Both, for one operation: -EFAULT when an operand is foreign. */
PST_MUST_USE int pst_gemm_prepare(const struct pst_memory *m,
				  const struct pst_gemm_args *g,
				  struct pst_call *call, struct pst_error *err);

#endif
