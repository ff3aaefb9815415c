/* SPDX-License-Identifier: MIT */
/* Runs models on the device: layers and copies as work for one stream, in
 * graphs where batches repeat. */
#ifndef PST_GUEST_AGENT_CUDA_INFER_H
#define PST_GUEST_AGENT_CUDA_INFER_H

#include <stdint.h>

#include "guest-agent/exec/backend.h"
#include "guest-agent/model/model.h"

struct pst_cuda_job;

/*
 * Sums and activations are F32; weights stay as they are in the file, and where
 * they have 16 bits the input of their product is rounded to that type, too.
 * Weights of a type that the card has no products of become F32.
 * See model_new and model_free of struct pst_backend_ops.
 */
int pst_cuda_model_new(struct pst_backend *b,
		       const struct pst_agent_model_plan *plan, void *weights,
		       void **ret, struct pst_error *err);
void pst_cuda_model_free(struct pst_backend *b, void *model);

/* Prepares job for a checked INFER; *ret_pieces is what issue is to be called
 * for. 0 or -EIO. */
int pst_cuda_infer_begin(struct pst_backend *b, struct pst_cuda_job *job,
			 const struct pst_op *op, uint64_t *ret_pieces,
			 struct pst_error *err);

/* Puts piece u of it on the device and marks job->flight. 1 or -errno. */
int pst_cuda_infer_issue(struct pst_backend *b, struct pst_cuda_job *job,
			 const struct pst_op *op, uint64_t u,
			 struct pst_error *err);

/* Nanoseconds of so many rows, roughly. */
uint64_t pst_cuda_infer_estimate(const struct pst_backend *b,
				 const struct pst_op *op);

#endif
