/* SPDX-License-Identifier: MIT */
/* Checks the call of a model with named tensors: pure functions over bytes. */
#ifndef PST_TRANSPORT_RUN_H
#define PST_TRANSPORT_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/base/error.h"
#include "transport/base/util.h"
#include "transport/op.h"
#include "transport/wire.h"

/* A tensor that a model takes or gives. */
struct pst_run_tensor {
	char name[128];
	uint32_t dtype; /* enum pst_wire_dtype */
	uint32_t rank;
	int64_t dim[PST_WIRE_RUN_RANK]; /* -1: any */
	/* Dimensions of one number are equal; 0: it is equal to none. */
	uint16_t symbol[PST_WIRE_RUN_RANK];
};

#define PST_RUN_SYMBOLS PST_WIRE_RUN_SYMBOLS

/* What a model takes and gives. */
struct pst_run_model {
	uint32_t n_in, n_out;
	uint32_t n_symbols;
	struct pst_run_tensor io[2 * PST_WIRE_RUN_IO]; /* inputs first */
	char symbol[PST_RUN_SYMBOLS][64];              /* symbol n is n - 1 */
};

/* A tensor of a call, after pst_run_parse(). */
struct pst_run_io {
	uint32_t slot;
	uint32_t dtype;
	uint32_t rank;
	bool any; /* an output of any shape; dim means nothing */
	struct pst_span span;
	uint64_t dim[PST_WIRE_RUN_RANK];
	/* Of an output that was computed, with rank and dim. */
	uint64_t bytes;
	uint32_t flags; /* PST_WIRE_IO_IN_PLACE, PST_WIRE_IO_TOO_SMALL */
};

/* A call. Nothing of it is read from shared memory again. */
struct pst_run {
	uint32_t n_in, n_out;
	uint64_t deadline_ns;
	struct pst_run_io io[2 * PST_WIRE_RUN_IO]; /* inputs first */
};

/* Bytes of a call block; 0: too many tensors. */
static inline uint64_t pst_run_block_size(uint32_t n_in, uint32_t n_out)
{
	if (n_in > PST_WIRE_RUN_IO || n_out > PST_WIRE_RUN_IO)
		return 0;
	return sizeof(struct pst_wire_call) +
	       (uint64_t)(n_in + n_out) * sizeof(struct pst_wire_io);
}

/* Bytes of one element of a RUN's tensor; 0 for an unknown type. */
unsigned int pst_run_dtype_size(uint32_t dtype);

/* Bytes of a packed tensor. Returns 0, -EOVERFLOW, -EOPNOTSUPP (the type),
 * -EINVAL (more than 8 dimensions). */
PST_MUST_USE int pst_run_bytes(uint32_t dtype, uint32_t rank,
			       const uint64_t *dim, uint64_t *ret);

/*
 * Parses a private copy of a call block of size bytes. Counts, ranks, types,
 * alignment and the inputs' sizes are right afterwards, and no output overlaps
 * another tensor. Whether the session holds the spans, and the model takes
 * such tensors, is not checked here. Returns 0, or with a sentence that names
 * the tensor: -EINVAL, -EOPNOTSUPP, -EOVERFLOW.
 */
PST_MUST_USE int pst_run_parse(const void *block, uint64_t size,
			       struct pst_run *ret, struct pst_error *err);

/*
 * Whether a model takes a call: each input is there once, with its type and
 * its fixed dimensions, equal symbols are equal, no output twice, and a shape
 * that is asked of an output is one that it may have. Returns 0, or -EINVAL,
 * -EOPNOTSUPP with a sentence that names the tensor.
 */
PST_MUST_USE int pst_run_check(const struct pst_run *run,
			       const struct pst_run_model *model,
			       struct pst_error *err);

/*
 * RUN's part of pst_op_check(): reads the call block once, and checks it, where
 * its tensors lie, and the model. Fills run, run_device, run_model, model and a
 * of op.
 */
PST_MUST_USE int pst_run_op_check(const struct pst_wire_sqe *sqe,
				  const struct pst_op_env *env,
				  struct pst_op *op, struct pst_error *err);

/*
 * Writes what is known of the outputs of a call into its block, of which block
 * is the address in the region: rank, dimensions, bytes and flags.
 */
void pst_run_answer(const struct pst_run *run, uint8_t *block);

/*
 * Whether a description can be one: names are distinct text, types and ranks
 * known, symbols in bounds. What a peer says of a model is checked with it
 * before anything else. Returns 0, -EPROTO with a sentence.
 */
PST_MUST_USE int pst_run_model_check(const struct pst_run_model *model,
				     struct pst_error *err);

#endif
