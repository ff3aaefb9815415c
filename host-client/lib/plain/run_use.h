/* SPDX-License-Identifier: MIT */
/* What the call of a model with named tensors uses until it is over, and what
 * the agent answers. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_RUN_USE_H
#define PST_HOST_CLIENT_LIB_PLAIN_RUN_USE_H

#include <stddef.h>
#include <stdint.h>

#include "host-client/lib/plain/heap.h"
#include "host-client/penstock.h"
#include "transport/base/error.h"
#include "transport/wire.h"

/* Made by malloc(). */
struct pst_run_use {
	/* Of the outputs, in the region: the agent writes there. */
	const struct pst_wire_io *answers;
	struct pst_io *out; /* the caller's; NULL: nobody asks for answers */
	size_t step;        /* bytes from one of them to the next */
	uint32_t n_out;
	uint64_t room[PST_WIRE_RUN_IO]; /* of the outputs */
	uint8_t dtype[PST_WIRE_RUN_IO];
	uint32_t n_blocks;
	struct pst_block *block[2 * PST_WIRE_RUN_IO + 1];
};

/*
 * Checks what the agent says of an output, in a private copy, when the call
 * has ended with status 0 or -EMSGSIZE, and writes dtype, rank, dim, bytes and
 * flags of ret; of one that was large enough nothing is written after
 * -EMSGSIZE. Returns 0, -EPROTO with a sentence.
 */
PST_MUST_USE int pst_run_use_answer(const struct pst_wire_io *w, uint32_t dtype,
				    uint64_t room, int status,
				    struct pst_io *ret, struct pst_error *err);

/* A call has ended with status: tells the caller, if it asked. Returns what the
 * call's status is then. */
int pst_run_use_end(const struct pst_run_use *u, int status);

#endif
