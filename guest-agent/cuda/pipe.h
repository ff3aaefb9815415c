/* SPDX-License-Identifier: MIT */
/* The pipeline: streams, tile slots and their events; one operation at a
 * time has it. */
#ifndef PST_GUEST_AGENT_CUDA_PIPE_H
#define PST_GUEST_AGENT_CUDA_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda_runtime_api.h>

#include "guest-agent/cuda/mover.h"
#include "guest-agent/cuda/tiles.h"
#include "transport/wire.h"

/* C tiles on the way at once. */
#define PST_CUDA_PIPE_MAX_C 2U

/* Events of a slot: copies wait for used, computing waits for loaded. */
struct pst_cuda_pipe_slot {
	cudaEvent_t loaded;
	cudaEvent_t used;
	bool in_use; /* used was recorded since the pipe was entered */
};

/* Slots of one operand. */
struct pst_cuda_pipe_side {
	uint8_t *mem;
	uint64_t bytes; /* of a slot */
	struct pst_cuda_tile_cache cache;
	struct pst_cuda_pipe_slot slot[PST_CUDA_TILES_MAX_SLOTS];
};

struct pst_cuda_pipe {
	cudaStream_t h2d, compute, d2h;
	struct pst_cuda_mover in, out;
	uint8_t *mem;
	uint64_t size;
	void *workspace;
	struct pst_cuda_pipe_side a, b;
	struct pst_cuda_pipe_slot c[PST_CUDA_PIPE_MAX_C];
	uint8_t *c_mem, *wide_mem, *bias_mem;
	cudaEvent_t turn; /* orders two streams once */
	int owner;        /* a lane, -1: nobody */
	uint64_t since_ns;
	/* Who waits for it, first come first served. */
	uint64_t clock;
	uint64_t ticket[PST_WIRE_MAX_LANES]; /* 0: does not wait */
};

/*
 * Makes streams and takes device memory: size bytes, or half of that and so on
 * if the device has less. Returns 0, -ENOMEM, -EIO; done() frees what there is.
 */
int pst_cuda_pipe_init(struct pst_cuda_pipe *p,
		       const struct pst_cuda_registration *region,
		       uint64_t size, uint64_t workspace_size,
		       uint64_t max_pitch, struct pst_error *err);

/* The streams are idle. A zeroed one is fine. */
void pst_cuda_pipe_done(struct pst_cuda_pipe *p);

/* Gives the lane the pipe. Returns false if it has to wait in line. */
bool pst_cuda_pipe_acquire(struct pst_cuda_pipe *p, uint32_t lane,
			   uint64_t now_ns);

/* Takes the lane off the pipe and its queue. Its streams are idle. */
void pst_cuda_pipe_release(struct pst_cuda_pipe *p, uint32_t lane);

/* Whether the owner has had its share and others wait. */
bool pst_cuda_pipe_wanted(const struct pst_cuda_pipe *p, uint64_t now_ns);

/* Divides the memory by the plan; all slots are empty. The plan's bytes and
 * bias_bytes fit. */
void pst_cuda_pipe_enter(struct pst_cuda_pipe *p,
			 const struct pst_cuda_tiles *t, uint64_t bias_bytes);

#endif
