/* SPDX-License-Identifier: MIT */
/* Common declarations of the files that call models with named tensors. */
#ifndef PST_HOST_CLIENT_LIB_OPS_RUN_H
#define PST_HOST_CLIENT_LIB_OPS_RUN_H

#include "host-client/lib/session/conn.h"
#include "transport/wire.h"

#define PST_RUN_ALL (2 * PST_WIRE_RUN_IO)

/* A call's tensors as it was made, resolved and checked as far as the
 * description of the model tells: inputs first. */
struct pst_run_operands {
	const struct pst_model_spec *model;
	uint32_t n_in, n_out;
	/* The caller's outputs, whose structures lie step bytes apart. */
	struct pst_io *out;
	size_t step;
	/* index is the model's slot, and dtype set. Of an input bytes is its
	 * size; of an output its room, and where data is NULL a guess. */
	struct pst_io io[PST_RUN_ALL];
};

/* Reads a caller's arguments. Returns 0, or with a sentence that names the
 * tensor -EINVAL, -ENOENT, -EFAULT, -EOVERFLOW. */
PST_MUST_USE int pst_run_take(const struct pst_run_args *args,
			      struct pst_run_operands *ret,
			      struct pst_error *err);

/* What an operand is called in a sentence. */
const char *pst_run_name(const struct pst_run_operands *o, uint32_t i);

#endif
