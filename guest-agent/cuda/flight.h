/* SPDX-License-Identifier: MIT */
/* Counts the pieces of work that a device has not finished. */
#ifndef PST_GUEST_AGENT_CUDA_FLIGHT_H
#define PST_GUEST_AGENT_CUDA_FLIGHT_H

#include <cuda_runtime_api.h>

#include "transport/base/error.h"

/* Pieces of one operation on the device at once: enough that it never idles
 * between two polls of the executor. */
#define PST_CUDA_FLIGHT_MAX 8U

/* Marks behind pieces, oldest first. */
struct pst_cuda_flight {
	cudaEvent_t event[PST_CUDA_FLIGHT_MAX];
	unsigned int first, n;
};

/* An event without timing. Returns 0, -EIO, -ENOMEM. */
int pst_cuda_event(cudaEvent_t *ret, struct pst_error *err);

/* A stream that waits for no other. Returns 0, -EIO, -ENOMEM. */
int pst_cuda_stream(cudaStream_t *ret, struct pst_error *err);

/* The same, before the work of other streams that has not begun. */
int pst_cuda_stream_first(cudaStream_t *ret, struct pst_error *err);

/* After a failure, done() frees what there is; so for a zeroed one. */
int pst_cuda_flight_init(struct pst_cuda_flight *f, struct pst_error *err);
void pst_cuda_flight_done(struct pst_cuda_flight *f);

/* Marks all that is on the stream now. n < PST_CUDA_FLIGHT_MAX. 0 or -EIO. */
int pst_cuda_flight_mark(struct pst_cuda_flight *f, cudaStream_t s,
			 struct pst_error *err);

/* Forgets marks that the device has passed. Returns how many are left, or
 * -EIO. */
int pst_cuda_flight_poll(struct pst_cuda_flight *f, struct pst_error *err);

/* Makes stream then wait for what is on stream first now, by the event. 0 or
 * -EIO. */
int pst_cuda_after(cudaStream_t first, cudaEvent_t event, cudaStream_t then,
		   struct pst_error *err);

#endif
