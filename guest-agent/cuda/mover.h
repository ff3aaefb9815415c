/* SPDX-License-Identifier: MIT */
/* Copies between the region and device memory on one stream, by the copy
 * engine or, for a region that is not registered, through pinned memory. */
#ifndef PST_GUEST_AGENT_CUDA_MOVER_H
#define PST_GUEST_AGENT_CUDA_MOVER_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda_runtime_api.h>

#include "guest-agent/cuda/registration.h"
#include "transport/base/error.h"

struct pst_cuda_mover_job;

struct pst_cuda_mover {
	const struct pst_cuda_registration *region;
	cudaStream_t stream; /* borrowed */
	uint64_t max_pitch;
	uint8_t *pinned; /* staged only, made at the first copy */
	uint64_t pinned_size;
	struct pst_cuda_mover_job *jobs; /* of host functions, used again */
};

/* n lines of width bytes; pitches are bytes from one line to the next. */
struct pst_cuda_lines {
	uint64_t off; /* wire offset of the first, in the region */
	uint64_t pitch;
	uint8_t *dev;
	uint64_t dev_pitch;
	uint64_t width, n;
	bool to_device;
};

/* staged_size: bytes of pinned memory where the region is not registered. */
void pst_cuda_mover_init(struct pst_cuda_mover *m,
			 const struct pst_cuda_registration *region,
			 cudaStream_t stream, uint64_t max_pitch,
			 uint64_t staged_size);

/* The stream has ended what was put on it, or is gone. */
void pst_cuda_mover_done(struct pst_cuda_mover *m);

/*
 * Puts the copy on the stream; never waits. The caller has checked that all
 * lines lie in the region and in device memory. Returns 0, -ENOMEM, -EIO.
 */
int pst_cuda_mover_copy(struct pst_cuda_mover *m,
			const struct pst_cuda_lines *l, struct pst_error *err);

#endif
