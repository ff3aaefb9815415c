/* SPDX-License-Identifier: MIT */
/* Puts a model's layers on its stream, as kernels and products. */
#include "guest-agent/cuda/kernels.h"
#include "guest-agent/cuda/model.h"

/* The input's buffer, which no layer writes, and two that take turns. */
enum { INPUT, PING, PONG, FIRST_SAVED };

/* Whether a later layer adds the output of layer i. */
static bool is_saved(const struct pst_agent_model_plan *p, uint32_t i)
{
	uint32_t j;

	for (j = i + 1; j < p->n_layers; j++)
		if (p->layers[j].type == PST_AGENT_LAYER_ADD &&
		    p->layers[j].from == i)
			return true;
	return false;
}

/* The activation that a product can do with its bias. */
static enum pst_wire_act act_of(enum pst_agent_layer_type t)
{
	switch (t) {
	case PST_AGENT_LAYER_RELU:
		return PST_WIRE_ACT_RELU;
	case PST_AGENT_LAYER_GELU:
		return PST_WIRE_ACT_GELU_ERF;
	case PST_AGENT_LAYER_GELU_TANH:
		return PST_WIRE_ACT_GELU_TANH;
	default:
		return PST_WIRE_ACT_NONE;
	}
}

uint64_t pst_cuda_layers_plan(const struct pst_agent_model_plan *plan,
			      struct pst_cuda_model *m)
{
	uint64_t at = (uint64_t)3 * plan->max_width;
	struct pst_cuda_layer *c;
	uint32_t i, in = INPUT;

	m->buffer[PING] = plan->max_width;
	m->buffer[PONG] = 2ULL * plan->max_width;
	m->n_buffers = FIRST_SAVED;
	for (i = 0; i < plan->n_layers; i++) {
		c = &m->layers[i];
		c->l = plan->layers[i];
		c->in = in;
		c->out = in == PING ? PONG : PING;
		c->act = PST_WIRE_ACT_NONE;
		if (i && m->layers[i - 1].l.type == PST_AGENT_LAYER_LINEAR &&
		    act_of(c->l.type) && !is_saved(plan, i - 1)) {
			/* Written where this layer's output goes. */
			c->skip = true;
			m->layers[i - 1].act = act_of(c->l.type);
			c->out = in;
		}
		if (is_saved(plan, i)) {
			c->out = m->n_buffers++;
			m->buffer[c->out] = at;
			at += c->l.n_out;
			if (c->skip)
				m->layers[i - 1].out = c->out;
		}
		if (c->l.type == PST_AGENT_LAYER_ADD)
			c->addend = c->l.from == PST_AGENT_MODEL_INPUT
					    ? INPUT
					    : m->layers[c->l.from].out;
		in = c->out;
	}
	m->out = in;
	return at;
}

static int linear(struct pst_backend *b, const struct pst_cuda_model *m,
		  const struct pst_cuda_layer *c, uint32_t rows,
		  struct pst_error *err)
{
	const struct pst_cuda_product_env env =
		pst_cuda_env(b, m->stream, m->workspace);
	const bool f32 = c->weight || c->l.weight_dtype == PST_WIRE_F32;
	/* Rows of W, row-major, are columns here: y' = W' x'. */
	const struct pst_cuda_product p = {
		.dtype = f32 ? PST_WIRE_F32 : c->l.weight_dtype,
		.dtype_c = PST_WIRE_F32,
		.act = c->act,
		.transa = true,
		.bias_of_rows = true,
		.own_gelu = b->rough_gelu,
		.m = c->l.n_out,
		.n = rows,
		.k = c->l.n_in,
		.batch = 1,
		.lda = c->l.n_in,
		.ldb = c->l.n_in,
		.ldc = c->l.n_out,
		.alpha = 1,
		.a = c->weight ? (const void *)c->weight
			       : (const uint8_t *)m->weights + c->l.weight,
		.b = f32 ? pst_cuda_buffer(m, c->in) : m->halves,
		.bias = c->bias,
		.c = pst_cuda_buffer(m, c->out),
	};
	int r;

	if (!f32) {
		r = pst_cuda_ok(pst_cuda_k_convert(m->stream, m->halves,
						   (int)c->l.weight_dtype,
						   pst_cuda_buffer(m, c->in),
						   PST_WIRE_F32,
						   (uint64_t)rows * c->l.n_in),
				"starting a conversion", err);
		if (r < 0)
			return r;
	}
	return pst_cuda_product_run(&env, &p, err);
}

static enum pst_cuda_k_unary unary_of(enum pst_agent_layer_type t)
{
	switch (t) {
	case PST_AGENT_LAYER_RELU:
		return PST_CUDA_K_RELU;
	case PST_AGENT_LAYER_GELU:
		return PST_CUDA_K_GELU_ERF;
	case PST_AGENT_LAYER_GELU_TANH:
		return PST_CUDA_K_GELU_TANH;
	case PST_AGENT_LAYER_SILU:
		return PST_CUDA_K_SILU;
	case PST_AGENT_LAYER_TANH:
		return PST_CUDA_K_TANH;
	default:
		return PST_CUDA_K_SIGMOID;
	}
}

static cudaError_t elementwise(const struct pst_cuda_model *m,
			       const struct pst_cuda_layer *c, uint32_t rows)
{
	const uint64_t n = (uint64_t)rows * c->l.n_out;
	const float *x = pst_cuda_buffer(m, c->in);
	float *y = pst_cuda_buffer(m, c->out);

	switch (c->l.type) {
	case PST_AGENT_LAYER_SOFTMAX:
		return pst_cuda_k_softmax(m->stream, y, x, rows, c->l.n_out);
	case PST_AGENT_LAYER_LAYERNORM:
		return pst_cuda_k_layernorm(m->stream, y, x, c->weight, c->bias,
					    c->l.eps, rows, c->l.n_out);
	case PST_AGENT_LAYER_ADD:
		return pst_cuda_k_add(m->stream, y, x,
				      pst_cuda_buffer(m, c->addend), n);
	default:
		return pst_cuda_k_unary(m->stream, unary_of(c->l.type), y, x,
					n);
	}
}

int pst_cuda_layers_run(struct pst_backend *b, const struct pst_cuda_model *m,
			uint32_t rows, struct pst_error *err)
{
	const struct pst_cuda_layer *c;
	uint32_t i;
	int r = 0;

	for (i = 0; i < m->n_layers && r == 0; i++) {
		c = &m->layers[i];
		if (c->skip)
			continue;
		if (c->l.type == PST_AGENT_LAYER_LINEAR)
			r = linear(b, m, c, rows, err);
		else
			r = pst_cuda_ok(elementwise(m, c, rows),
					"starting a layer", err);
	}
	return r;
}
