/* SPDX-License-Identifier: MIT */
/* Checks an operation's descriptor: pure functions that both ends use.
 */
#ifndef PST_TRANSPORT_OP_H
#define PST_TRANSPORT_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "transport/base/error.h"
#include "transport/wire.h"

struct pst_run;

/* A span of the region: wire offset and bytes. */
struct pst_span {
	uint64_t off;
	uint64_t size;
};

/* Where an operand lies: in the region or in a resident tensor. */
struct pst_operand {
	uint64_t off;  /* wire offset, or bytes from the tensor's start; 0
			  when size is 0 */
	uint64_t size; /* bytes from first to last; 0: not read, not written */
	void *mem;     /* the backend's memory of the tensor; NULL: region */
};

/* An operation after all checks, in the types computing code uses. Nothing of
 * it is read from shared memory again. */
struct pst_op {
	uint64_t tag;
	enum pst_wire_op op;
	enum pst_wire_dtype dtype, dtype_c;
	enum pst_wire_compute compute;
	enum pst_wire_act act;
	bool col_major;
	bool transa, transb;
	bool has_bias;
	uint32_t m, n, k;
	uint32_t lda, ldb, ldc;
	uint32_t batch; /* products, at least 1 */
	/* Elements; 0 of one product alone, and where size is 0. */
	uint64_t stride_a, stride_b, stride_c;
	double alpha, beta;
	uint64_t pattern;           /* FILL */
	unsigned int pattern_size;  /* FILL: 1, 4 or 8 bytes */
	struct pst_operand a, b, c; /* of all products together */
	struct pst_operand bias;
	void *model; /* INFER: the backend's; RUN: the owner's of the model */
	/* RUN: the call, borrowed until the operation is over, what computes
	 * it (of pst_op_run_model), and the number of its model there. a is
	 * the call block. */
	struct pst_run *run;
	const void *run_device;
	uint64_t run_model;
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

/* Finds a tensor of the session. Returns 0, -ENOENT. */
typedef int pst_op_tensor_fn(void *arg, uint64_t handle, void **ret_mem,
			     uint64_t *ret_size);

/* What INFER is checked against. */
struct pst_op_model {
	void *model; /* the backend's */
	uint32_t n_in, n_out;
	uint32_t max_batch;
};

/* Finds a model. Returns 0, -ENOENT. */
typedef int pst_op_model_fn(void *arg, uint64_t handle,
			    struct pst_op_model *ret);

struct pst_run_model;

/* What RUN is checked against. */
struct pst_op_run_model {
	const struct pst_run_model *shape;
	void *model;        /* as of pst_op_model */
	const void *device; /* for the one who runs it; NULL: a model of rows,
			       which INFER computes */
	uint64_t id;        /* there */
	uint32_t max_batch; /* of a model of rows */
};

/* Finds a model that takes named tensors. Returns 0, -ENOENT. */
typedef int pst_op_run_model_fn(void *arg, uint64_t handle,
				struct pst_op_run_model *ret);

/*
 * Whether no line of x shares a byte with one of y, in memory where lines of
 * both are pitch bytes apart: parts of one larger matrix that lie beside each
 * other. Positions and widths of lines in bytes. false where pitch does not
 * tell: they may overlap.
 */
bool pst_lines_apart(uint64_t x, uint64_t x_width, uint64_t y, uint64_t y_width,
		     uint64_t pitch);

/* What a check asks. */
struct pst_op_env {
	const struct pst_wire_limits *limits;
	/* For every span of the region that is read or written, never for one
	 * of size 0. */
	pst_op_holds_fn *holds;
	pst_op_tensor_fn *tensor; /* NULL: there are none */
	pst_op_model_fn *model;   /* NULL: there are none */
	/* NULL: there are none. Else base is wire offset 0 of the region, run
	 * is room for the call, whose tensors have at most max_run_bytes. */
	pst_op_run_model_fn *run_model;
	const uint8_t *base;
	struct pst_run *run;
	uint64_t max_run_bytes;
	void *arg;
};

/*
 * Checks a private copy of an SQE and fills ret; of a NOP, tag and op, and no
 * operands. C must not overlap an operand that is read; of a single product it
 * may lie beside A or B in one larger matrix (pst_lines_apart()).
 *
 * Returns 0, -EINVAL (malformed; misaligned operand; overlap; a reserved
 * field set), -EOPNOTSUPP (unknown op, or types that do not go together),
 * -EOVERFLOW (sizes wrap), -EMSGSIZE (above a limit), -EFAULT (outside the
 * session's extents, or behind a tensor's end), -ENOENT (no such tensor or
 * model). The sentence in err names the field.
 */
int pst_op_check(const struct pst_wire_sqe *sqe, const struct pst_op_env *env,
		 struct pst_op *ret, struct pst_error *err);

/* Whether it is a NOP that pst_op_check() has nothing to say of. */
static inline bool pst_op_is_nop(const struct pst_wire_sqe *sqe)
{
	uint64_t words[(PST_WIRE_LINE - offsetof(struct pst_wire_sqe, op)) / 8];
	uint64_t rest = 0;
	size_t i;

	memcpy(words, (const char *)sqe + offsetof(struct pst_wire_sqe, op),
	       sizeof(words));
	for (i = 1; i < sizeof(words) / sizeof(*words); i++)
		rest |= words[i];
	return words[0] == PST_WIRE_OP_NOP && !rest;
}

/* Whether the product's inputs are read: C is not empty, k and alpha (in the
 * type the sum has) are not 0. */
bool pst_op_reads_ab(const struct pst_op *op);

/* Floating point operations of a product, 2mnk batch; 0 for others. */
double pst_op_flops(const struct pst_op *op);

#endif
