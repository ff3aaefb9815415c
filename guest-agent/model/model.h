/* SPDX-License-Identifier: MIT */
/* A model as a checked list of layers, ready for a backend. */
#ifndef PST_GUEST_AGENT_MODEL_MODEL_H
#define PST_GUEST_AGENT_MODEL_MODEL_H

#include <stdint.h>

#include "transport/base/error.h"
#include "transport/wire.h"

#define PST_AGENT_MODEL_MAX_LAYERS 256U
/* Elements of the widest activation. */
#define PST_AGENT_MODEL_MAX_WIDTH (1U << 20)
/* The largest batch of one INFER, and the elements that its widest activation
 * may have: 1 GiB of F32. */
#define PST_AGENT_MODEL_MAX_BATCH 65536U
#define PST_AGENT_MODEL_MAX_ELEMS (1U << 28)
/* layer.from: the model's input row. */
#define PST_AGENT_MODEL_INPUT UINT32_MAX
/* An offset that is not there. */
#define PST_AGENT_MODEL_NONE UINT64_MAX

enum pst_agent_layer_type {
	PST_AGENT_LAYER_LINEAR,    /* y = x W^T + bias, W is n_out x n_in,
				      row-major */
	PST_AGENT_LAYER_RELU,      /* max(x, 0) */
	PST_AGENT_LAYER_GELU,      /* by erf */
	PST_AGENT_LAYER_GELU_TANH, /* by tanh */
	PST_AGENT_LAYER_SILU,      /* x / (1 + exp(-x)) */
	PST_AGENT_LAYER_TANH,
	PST_AGENT_LAYER_SIGMOID,
	PST_AGENT_LAYER_SOFTMAX,   /* over the row */
	PST_AGENT_LAYER_LAYERNORM, /* over the row: (x-mean)/sqrt(var+eps)*w +
				      bias */
	PST_AGENT_LAYER_ADD,       /* x + the output of layer from */
	PST_AGENT_N_LAYERS
};

/* One layer. Its input is the output of the one before it, the first one's the
 * model's input. */
struct pst_agent_layer {
	enum pst_agent_layer_type type;
	uint32_t n_in, n_out;
	/* LINEAR, LAYERNORM: F32, F16 or BF16, of weight and bias each. */
	enum pst_wire_dtype weight_dtype, bias_dtype;
	/* Bytes from the start of the weights; PST_AGENT_MODEL_NONE: no bias
	 * (of LAYERNORM: no weight either). Aligned to the element. */
	uint64_t weight, bias;
	double eps;    /* LAYERNORM */
	uint32_t from; /* ADD: an earlier layer, or PST_AGENT_MODEL_INPUT */
};

/* Owns layers. All offsets lie within weights_size. */
struct pst_agent_model_plan {
	uint32_t n_in, n_out;
	uint32_t max_width;        /* widest activation, input included */
	enum pst_wire_dtype dtype; /* of the first LINEAR's weight */
	uint64_t weights_size;     /* bytes of the data section */
	uint32_t n_layers;         /* at least 1 */
	struct pst_agent_layer *layers;
};

/* Rows that one INFER on the plan may have: at least 256. */
static inline uint32_t
pst_agent_model_max_batch(const struct pst_agent_model_plan *plan)
{
	const uint32_t rows = PST_AGENT_MODEL_MAX_ELEMS / plan->max_width;

	return rows < PST_AGENT_MODEL_MAX_BATCH ? rows
						: PST_AGENT_MODEL_MAX_BATCH;
}

#endif
