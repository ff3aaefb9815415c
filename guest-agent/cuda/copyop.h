/* SPDX-License-Identifier: MIT */
/* COPY, FILL and CHECKSUM. */
#ifndef PST_GUEST_AGENT_CUDA_COPYOP_H
#define PST_GUEST_AGENT_CUDA_COPYOP_H

#include "guest-agent/exec/backend.h"

struct pst_cuda_job;

/* Pieces of a COPY that has a tensor at one end. */
uint64_t pst_cuda_copy_pieces(const struct pst_op *op);

/* Puts piece u of it on the device and marks job->flight. 1 or -errno. */
int pst_cuda_copy_issue(struct pst_backend *b, struct pst_cuda_job *job,
			const struct pst_op *op, uint64_t u,
			struct pst_error *err);

/* Whether the CPU does it: FILL, CHECKSUM, COPY within the region. */
bool pst_cuda_host_has(const struct pst_op *op);

/* The CPU's operations, as a backend's: about 10 ms of it. host_begin returns
 * 0 or -ENOMEM, host_step PST_AGENT_STEP_MORE or PST_AGENT_STEP_DONE. */
int pst_cuda_host_begin(struct pst_backend_op *bop, struct pst_error *err);
int pst_cuda_host_step(struct pst_backend *b, struct pst_backend_op *bop);

/* Frees what host_begin took. */
void pst_cuda_host_end(struct pst_backend_op *bop);

#endif
