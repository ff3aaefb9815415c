/* SPDX-License-Identifier: MIT */
/* Operations of lanes from begin to end: on a lane's stream one may follow the
 * other. */
#ifndef PST_GUEST_AGENT_CUDA_JOBS_H
#define PST_GUEST_AGENT_CUDA_JOBS_H

#include <cuda_runtime_api.h>

#include "guest-agent/exec/backend.h"

struct pst_cuda_lane;

/* See struct pst_backend_ops. */
int pst_cuda_begin(struct pst_backend *b, struct pst_backend_op *bop,
		   struct pst_error *err);
int pst_cuda_step(struct pst_backend *b, struct pst_backend_op *bop,
		  struct pst_error *err);
int pst_cuda_cancel(struct pst_backend *b, struct pst_backend_op *bop);

/* Its stream is idle. NULL does nothing. */
void pst_cuda_lane_free(struct pst_cuda_lane *l);

/* Whether a stream is idle: 1, 0, or -EIO if the driver cannot tell. */
int pst_cuda_idle(cudaStream_t s);

#endif
