/* SPDX-License-Identifier: MIT */
/* The check of an operation's descriptor: pure functions, both ends use them.
 */
#ifndef PST_TRANSPORT_OP_H
#define PST_TRANSPORT_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/error.h"
#include "transport/wire.h"

/* A span of the region: wire offset and bytes. */
struct pst_span {
	uint64_t off;
	uint64_t size;
};

/* An operation after all checks, in the types computing code uses. Nothing of
 * it is read from shared memory again. */
struct pst_op {
	uint64_t tag;
	enum pst_wire_op op;
	enum pst_wire_dtype dtype;
	bool col_major;
	bool transa, transb;
	uint32_t m, n, k;
	uint32_t lda, ldb, ldc;
	double alpha, beta;
	uint64_t pattern;          /* FILL */
	unsigned int pattern_size; /* FILL: 1, 4 or 8 bytes */
	struct pst_span a, b, c;   /* size 0: not read, not written */
};

/* Bytes of one element; 0 for an unknown type. */
unsigned int pst_dtype_size(uint32_t dtype);

/*
 * Bytes from the first to behind the last element of a rows x cols matrix
 * with leading dimension ld: 0 if rows or cols is 0.
 * Returns 0, -EINVAL (ld shorter than a row, or a column for col_major),
 * -EOVERFLOW.
 */
int pst_matrix_bytes(bool col_major, uint64_t rows, uint64_t cols, uint64_t ld,
		     unsigned int elem_size, uint64_t *ret);

/* Whether [span.off, +size) lies within memory the session holds. */
typedef bool pst_op_holds_fn(void *arg, const struct pst_span *span);

/*
 * Checks a private copy of an SQE and fills ret.
 * limits: the agent's; holds: asked for every span that will be read or
 * written (b, c, a likewise; never for a span of size 0).
 * C must not overlap A or B.
 *
 * Returns 0, -EINVAL (malformed; misaligned operand; overlap; a reserved
 * field set), -EOPNOTSUPP (unknown op or dtype), -EOVERFLOW (sizes wrap),
 * -EMSGSIZE (above a limit), -EFAULT (outside the session's extents). The
 * sentence in err names the field.
 */
int pst_op_check(const struct pst_wire_sqe *sqe,
		 const struct pst_wire_limits *limits, pst_op_holds_fn *holds,
		 void *arg, struct pst_op *ret, struct pst_error *err);

/* Floating point operations of a GEMM, 2mnk, saturating; 0 for others. */
double pst_op_flops(const struct pst_op *op);

#endif
