/* SPDX-License-Identifier: MIT */
/* A model of rows on its way from a safetensors file into the backend. */
#ifndef PST_GUEST_AGENT_SERVE_ROWS_H
#define PST_GUEST_AGENT_SERVE_ROWS_H

#include <stdint.h>

#include "guest-agent/exec/backend.h"
#include "guest-agent/exec/models.h"
#include "transport/base/error.h"
#include "transport/base/util.h"

struct pst_rows;

/* Reads and checks the header of a file of size bytes, which fd is and which
 * stays the caller's on failure. Returns 0, or with a sentence what
 * pst_agent_models_plan() returns, -errno. */
PST_MUST_USE int pst_rows_new(const struct pst_backend_use *use, int fd,
			      uint64_t size, struct pst_rows **ret,
			      struct pst_error *err);

/* Closes the file, and gives the memory back that is no model's. NULL does
 * nothing. */
void pst_rows_free(struct pst_rows *r);

/* Bytes of the weights. */
uint64_t pst_rows_size(const struct pst_rows *r);

/* Brings a piece of the weights to the backend, in about a millisecond, and
 * after the last one makes the model of a handle of the table. Returns 1: there
 * is more, 0: it is ready, or -errno with a sentence. */
PST_MUST_USE int pst_rows_step(struct pst_rows *r, struct pst_agent_models *m,
			       uint64_t handle, struct pst_wire_model *ret,
			       struct pst_error *err);

#endif
