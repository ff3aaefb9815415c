/* SPDX-License-Identifier: MIT */
/* Common declarations of the cuda backend's files. */
#ifndef PST_GUEST_AGENT_CUDA_CONTEXT_H
#define PST_GUEST_AGENT_CUDA_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/cuda/choose.h"
#include "guest-agent/cuda/device.h"
#include "guest-agent/cuda/flight.h"
#include "guest-agent/cuda/gemm.h"
#include "guest-agent/cuda/lt_cache.h"
#include "guest-agent/cuda/mover.h"
#include "guest-agent/cuda/pipe.h"
#include "guest-agent/cuda/product.h"
#include "guest-agent/cuda/registration.h"
#include "guest-agent/exec/backend.h"

/* The time of one piece of an operation on the device. */
#define PST_CUDA_SLICE_S 0.01

/* Operations of a lane at once. */
#define PST_CUDA_JOBS (PST_BACKEND_MAX_AHEAD + 1)

/* From the environment; see penstock-agent(8). */
struct pst_cuda_options {
	enum pst_cuda_strategy strategy;
	enum pst_cuda_registration_how registration;
	uint64_t memory; /* bytes of device memory for tiles; 0: chosen */
	const char *gpu; /* UUID or PCI address; NULL: the first */
};

/* An operation of a lane, from its begin to its end. */
struct pst_cuda_job {
	struct pst_cuda_lane *lane;
	struct pst_cuda_flight flight;
	cudaStream_t other; /* a model's, too; NULL: none */
	uint64_t begun_ns;
	uint64_t next, count; /* pieces */
	int failed;           /* -errno: end it when the device is idle */
	struct pst_error why;
	struct pst_cuda_gemm_job gemm;
};

/* The operations of a lane, oldest first, and its own stream. Made when the
 * lane's first operation begins. */
struct pst_cuda_lane {
	uint32_t index;
	cudaStream_t stream;
	void *workspace;
	struct pst_cuda_mover mover;
	unsigned int first, n;
	struct pst_cuda_job job[PST_CUDA_JOBS];
	uint64_t ended_ns; /* the last of those that are over */
};

struct pst_cuda_nvml;

struct pst_backend {
	uint8_t *base;
	uint64_t size;
	struct pst_cuda_options options;
	struct pst_cuda_device device;
	struct pst_cuda_registration region;
	struct pst_cuda_calibration calibration;
	cublasHandle_t blas;
	cublasLtHandle_t lt;
	struct pst_cuda_lt_cache lt_cache;
	char cublas_text[32];
	struct pst_cuda_pipe pipe;
	uint64_t workspace_size;
	struct pst_cuda_lane *lanes[PST_WIRE_MAX_LANES];
	/* Resident tensors: made and zeroed on a stream of their own. */
	cudaStream_t mem_stream;
	cudaEvent_t mem_ready;
	bool has_memory; /* mem_ready was recorded */
	void *pinned;    /* for uploads; NULL: there was none */
	bool released;   /* memory, which the pool may still hold */
	/* Kinds of products that the library refused at start, by rate. */
	bool no_rate[PST_CUDA_N_RATES];
	struct pst_error refusal[PST_CUDA_N_RATES]; /* in its words, or empty */
	struct pst_cuda_lacks lacks;
	bool rough_gelu;            /* cuBLASLt's is less precise than ours */
	struct pst_cuda_nvml *nvml; /* NULL: there is none */
	bool lost; /* the context is gone: nothing works any more */
	struct pst_error why;
};

/*
 * After a failure, checks whether the context is lost, and records that with
 * the reason. Returns whether it is.
 */
bool pst_cuda_check_lost(struct pst_backend *b, const struct pst_error *why);

/* Device memory of resident tensors: see struct pst_backend_ops. */
int pst_cuda_alloc(struct pst_backend *b, uint64_t size, void **ret,
		   struct pst_error *err);
void pst_cuda_release(struct pst_backend *b, void *mem);
int pst_cuda_upload(struct pst_backend *b, void *mem, uint64_t off,
		    const void *data, uint64_t n, struct pst_error *err);

/* The same without zeros, for what is written before it is read. */
int pst_cuda_alloc_scratch(struct pst_backend *b, uint64_t size, void **ret,
			   struct pst_error *err);

/* Gives the card what was released and is free by now; else the pool holds it
 * until something synchronises, which nothing here does. */
void pst_cuda_trim(struct pst_backend *b);

/* Makes the stream see all of alloc's zeroing. 0 or -EIO. */
int pst_cuda_wait_memory(struct pst_backend *b, cudaStream_t s,
			 struct pst_error *err);

/* Address of an operand in place: resident, or the mapped region's. */
static inline uint8_t *pst_cuda_address(const struct pst_backend *b,
					const struct pst_operand *x)
{
	return (x->mem ? (uint8_t *)x->mem : b->region.mapped) + x->off;
}

/* Where products of this stream run. */
static inline struct pst_cuda_product_env
pst_cuda_env(struct pst_backend *b, cudaStream_t stream, void *workspace)
{
	return (struct pst_cuda_product_env){
		.blas = b->blas,
		.lt = b->lt,
		.lt_cache = &b->lt_cache,
		.stream = stream,
		.workspace = workspace,
		.workspace_size = b->workspace_size,
		.lacks = &b->lacks,
		.pools = b->device.pools,
		.scratch_most = b->pipe.size,
	};
}

/* What was measured: see struct pst_backend_ops. */
void pst_cuda_calibration(struct pst_backend *b,
			  struct pst_backend_figure *ret);

/* Measures bandwidth, latency and rates, and which products there are. Blocks
 * for a part of a second. Returns 0, -ENODEV (no code for this card), -EIO. */
int pst_cuda_calibrate(struct pst_backend *b, struct pst_error *err);

#endif
