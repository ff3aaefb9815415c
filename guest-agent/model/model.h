/* SPDX-License-Identifier: MIT */
/* A model as a checked list of layers: what a backend is given to run. */
#ifndef PST_GUEST_AGENT_MODEL_MODEL_H
#define PST_GUEST_AGENT_MODEL_MODEL_H

#include <stdint.h>

#include "transport/base/error.h"
#include "transport/wire.h"

#define PST_MODEL_MAX_LAYERS 256U
/* Elements of the widest activation. */
#define PST_MODEL_MAX_WIDTH (1U << 20)
/* The largest batch of one INFER, and the elements that its widest activation
 * may have: 1 GiB of F32. */
#define PST_MODEL_MAX_BATCH 65536U
#define PST_MODEL_MAX_ELEMS (1U << 28)
/* layer.from: the model's input row. */
#define PST_MODEL_INPUT UINT32_MAX
/* An offset that is not there. */
#define PST_MODEL_NONE UINT64_MAX

enum pst_layer_type {
	PST_LAYER_LINEAR, /* y = x W^T + bias, W is n_out x n_in, row-major */
	PST_LAYER_RELU,   /* max(x, 0) */
	PST_LAYER_GELU,   /* by erf */
	PST_LAYER_GELU_TANH, /* by tanh */
	PST_LAYER_SILU,      /* x / (1 + exp(-x)) */
	PST_LAYER_TANH,
	PST_LAYER_SIGMOID,
	PST_LAYER_SOFTMAX,   /* over the row */
	PST_LAYER_LAYERNORM, /* over the row: (x-mean)/sqrt(var+eps)*w + bias */
	PST_LAYER_ADD,       /* x + the output of layer from */
	PST_N_LAYERS
};

/* One layer. Its input is the output of the one before it, the first one's the
 * model's input. */
struct pst_layer {
	enum pst_layer_type type;
	uint32_t n_in, n_out;
	/* LINEAR, LAYERNORM: F32, F16 or BF16, of weight and bias each. */
	enum pst_wire_dtype weight_dtype, bias_dtype;
	/* Bytes from the start of the weights; PST_MODEL_NONE: no bias (of
	 * LAYERNORM: no weight either). Aligned to the element. */
	uint64_t weight, bias;
	double eps;    /* LAYERNORM */
	uint32_t from; /* ADD: an earlier layer, or PST_MODEL_INPUT */
};

/* Owns layers. All offsets lie within weights_size. */
struct pst_model_plan {
	uint32_t n_in, n_out;
	uint32_t max_width;        /* widest activation, input included */
	enum pst_wire_dtype dtype; /* of the first LINEAR's weight */
	uint64_t weights_size;     /* bytes of the data section */
	uint32_t n_layers;         /* at least 1 */
	struct pst_layer *layers;
};

/* Rows that one INFER on the plan may have: at least 256. */
static inline uint32_t pst_model_max_batch(const struct pst_model_plan *plan)
{
	const uint32_t rows = PST_MODEL_MAX_ELEMS / plan->max_width;

	return rows < PST_MODEL_MAX_BATCH ? rows : PST_MODEL_MAX_BATCH;
}

#endif
