/* SPDX-License-Identifier: MIT */
/* Runs a model's layers, cut into slices. */
#ifndef PST_GUEST_AGENT_CPU_INFER_CPU_H
#define PST_GUEST_AGENT_CPU_INFER_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/cpu/hostmem.h"
#include "guest-agent/model/model.h"
#include "transport/base/error.h"
#include "transport/base/util.h"
#include "transport/op.h"

/*
 * All sums are in F32, those of a softmax or a layernorm in F64. Weights of 16
 * bits are converted to F32 once, piece by piece, before the first inference;
 * the model then has them in both forms. Rows are worked through in blocks, so
 * that memory does not grow with the batch.
 */
struct pst_agent_infer_model;

/* One INFER under way. */
struct pst_agent_infer_run;

/*
 * weights: plan->weights_size bytes, aligned to 4, borrowed for the model's
 * life. mem: gives memory for converted weights; borrowed too. Returns 0,
 * -EMSGSIZE (one row's activations are above 64 MiB), -ENOMEM, -EOPNOTSUPP
 * (built without a CBLAS).
 */
PST_MUST_USE int
pst_agent_infer_model_new(const struct pst_agent_model_plan *plan,
			  void *weights, struct pst_agent_hostmem *mem,
			  struct pst_agent_infer_model **ret,
			  struct pst_error *err);

/* No run of it may be left. Does not free the weights. NULL does nothing. */
void pst_agent_infer_model_free(struct pst_agent_infer_model *m);

/* What model_new was given. */
void *pst_agent_infer_model_weights(const struct pst_agent_infer_model *m);

/* Expected nanoseconds for a batch of that many rows. */
uint64_t pst_agent_infer_estimate_ns(const struct pst_agent_infer_model *m,
				     uint32_t rows);

/* Begins a checked INFER; base: wire offset 0. Returns 0, -ENOMEM. */
PST_MUST_USE int pst_agent_infer_begin(struct pst_agent_infer_model *m,
				       const struct pst_op *op, uint8_t *base,
				       struct pst_agent_infer_run **ret,
				       struct pst_error *err);

/* Works for about slice_ns. Returns whether all rows are done. */
bool pst_agent_infer_step(struct pst_agent_infer_run *run, uint64_t slice_ns);

/* Ends a run, done or not. NULL does nothing. */
void pst_agent_infer_end(struct pst_agent_infer_run *run);

#endif
