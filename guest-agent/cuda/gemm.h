/* SPDX-License-Identifier: MIT */
/* Cuts a product into pieces of work for the device: in place or through the
 * pipeline. */
#ifndef PST_GUEST_AGENT_CUDA_GEMM_H
#define PST_GUEST_AGENT_CUDA_GEMM_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/cuda/choose.h"
#include "guest-agent/cuda/tiles.h"
#include "transport/op.h"

struct pst_backend;
struct pst_cuda_job;

/* The operation in column-major words: a row-major product is the
 * column-major one of the transposes, so A and B change places. */
struct pst_cuda_gemm_job {
	struct pst_op op;
	bool bias_of_rows;
	enum pst_cuda_strategy strategy;
	bool piped; /* through the pipe, by whatever strategy */
	bool copy_a, copy_b, copy_c;
	bool wide;           /* the epilogue works on sums in F32 */
	uint64_t bias_bytes; /* in the pipe's memory */
	struct pst_cuda_tiles tiles;
	bool in_pipe;
};

/* Writes op in column-major words, scaled as the type of its sum scales. */
void pst_cuda_gemm_view(const struct pst_op *op, struct pst_op *ret,
			bool *ret_bias_of_rows);

/*
 * Plans the product in job->gemm; *ret_pieces is what issue is to be called
 * for. Returns 0, -ENOMEM.
 */
int pst_cuda_gemm_begin(struct pst_backend *b, struct pst_cuda_job *job,
			const struct pst_op *op, uint64_t *ret_pieces,
			struct pst_error *err);

/*
 * Puts piece u on the device and marks job->flight. Returns 1; 0: it has to
 * wait for the pipe, call again; -EIO, -ENOMEM, -EOPNOTSUPP.
 */
int pst_cuda_gemm_issue(struct pst_backend *b, struct pst_cuda_job *job,
			uint64_t u, struct pst_error *err);

#endif
