/* SPDX-License-Identifier: MIT */
/* Runs models on the device: layers and copies as work for one stream, in
 * graphs where batches repeat. */
#include "guest-agent/cuda/infer.h"

#include <errno.h>
#include <stdlib.h>

#include "guest-agent/cuda/kernels.h"
#include "guest-agent/cuda/model.h"
#include "transport/base/util.h"

/* Rows of one piece: enough for the card's rate, few enough to bound memory. */
#define PIECE_ROWS  1024U
#define PIECE_BYTES (256ULL << 20)
/* Parameters begin at multiples of this many floats. */
#define GRAIN 64U
/* Pinned memory of a model whose region is not registered. */
#define STAGED_SIZE (1ULL << 20)
/* How long freeing waits for conversions of weights. */
#define IDLE_NS (2 * PST_NS_PER_S)

static uint64_t grain(uint64_t n)
{
	return pst_round_up(n, GRAIN);
}

/* Weights that are converted when the model is loaded: the few of a layernorm,
 * and all where the card has no products of their type. */
static uint64_t weights_of(const struct pst_backend *b,
			   const struct pst_agent_layer *l)
{
	if (l->weight == PST_AGENT_MODEL_NONE)
		return 0;
	if (l->type == PST_AGENT_LAYER_LAYERNORM)
		return l->n_out;
	if (l->type == PST_AGENT_LAYER_LINEAR &&
	    ((l->weight_dtype == PST_WIRE_F16 && b->lacks.f16) ||
	     (l->weight_dtype == PST_WIRE_BF16 && b->lacks.bf16)))
		return (uint64_t)l->n_out * l->n_in;
	return 0;
}

static uint64_t biases_of(const struct pst_agent_layer *l)
{
	return l->bias != PST_AGENT_MODEL_NONE &&
			       (l->type == PST_AGENT_LAYER_LINEAR ||
				l->type == PST_AGENT_LAYER_LAYERNORM)
		       ? l->n_out
		       : 0;
}

/* One array of parameters to F32; *at moves behind it. */
static int convert(struct pst_cuda_model *m, uint64_t off,
		   enum pst_wire_dtype dtype, uint64_t n, float **at,
		   float **ret, struct pst_error *err)
{
	int r;

	if (!n)
		return 0;
	r = pst_cuda_ok(pst_cuda_k_convert(m->stream, *at, PST_WIRE_F32,
					   (const uint8_t *)m->weights + off,
					   (int)dtype, n),
			"converting weights", err);
	*ret = *at;
	*at += grain(n);
	return r;
}

static int convert_params(struct pst_backend *b, struct pst_cuda_model *m,
			  struct pst_error *err)
{
	float *at = m->params;
	struct pst_cuda_layer *c;
	uint32_t i;
	int r = 0;

	for (i = 0; i < m->n_layers && r == 0; i++) {
		c = &m->layers[i];
		r = convert(m, c->l.weight, c->l.weight_dtype,
			    weights_of(b, &c->l), &at, &c->weight, err);
		if (r == 0)
			r = convert(m, c->l.bias, c->l.bias_dtype,
				    biases_of(&c->l), &at, &c->bias, err);
	}
	return r;
}

static int take_memory(struct pst_backend *b, struct pst_cuda_model *m,
		       const struct pst_agent_model_plan *plan,
		       uint64_t row_elems, struct pst_error *err)
{
	const uint64_t halves = (uint64_t)plan->max_width * 2;
	const uint64_t row = row_elems * sizeof(float) + halves;
	uint64_t rows = PIECE_BYTES / row, n = 0;
	uint32_t i;
	void *p;
	int r;

	if (rows > PIECE_ROWS)
		rows = PIECE_ROWS;
	/* Every buffer, rows of floats, then begins at multiples of 256 bytes,
	 * for which libraries have their fast kernels. */
	if (rows > GRAIN)
		rows &= ~(uint64_t)(GRAIN - 1);
	m->rows = rows ? (uint32_t)rows : 1;
	r = pst_cuda_alloc_scratch(b, row * m->rows, &p, err);
	if (r < 0)
		return r;
	m->memory = p;
	m->halves = m->memory + row_elems * m->rows;
	for (i = 0; i < plan->n_layers; i++)
		n += grain(weights_of(b, &plan->layers[i])) +
		     grain(biases_of(&plan->layers[i]));
	if (n) {
		r = pst_cuda_alloc_scratch(b, n * sizeof(float), &p, err);
		if (r < 0)
			return r;
		m->params = p;
	}
	return pst_cuda_alloc_scratch(b, b->workspace_size, &m->workspace, err);
}

static double flops_of(const struct pst_agent_model_plan *plan)
{
	double n = 0;
	uint32_t i;

	for (i = 0; i < plan->n_layers; i++)
		if (plan->layers[i].type == PST_AGENT_LAYER_LINEAR)
			n += 2.0 * plan->layers[i].n_in * plan->layers[i].n_out;
	return n;
}

static int model_init(struct pst_backend *b, struct pst_cuda_model *m,
		      const struct pst_agent_model_plan *plan, void *weights,
		      struct pst_error *err)
{
	uint64_t row_elems;
	int r;

	m->layers = calloc(plan->n_layers, sizeof(*m->layers));
	m->buffer = calloc(plan->n_layers + 3ULL, sizeof(*m->buffer));
	if (!m->layers || !m->buffer)
		return pst_oom(err);
	m->weights = weights;
	m->n_in = plan->n_in;
	m->n_out = plan->n_out;
	m->n_layers = plan->n_layers;
	m->flops = flops_of(plan);
	row_elems = pst_cuda_layers_plan(plan, m);
	r = pst_cuda_stream(&m->stream, err);
	if (r < 0)
		return r;
	pst_cuda_mover_init(&m->mover, &b->region, m->stream,
			    b->device.max_pitch, STAGED_SIZE);
	r = take_memory(b, m, plan, row_elems, err);
	if (r == 0)
		r = pst_cuda_wait_memory(b, m->stream, err);
	return r < 0 ? r : convert_params(b, m, err);
}

/* Whether the model's stream is idle, soon: no INFER is under way, only
 * conversions may be. What uses memory is not to be freed under it, since that
 * happens in the order of another stream. */
static bool is_idle(const struct pst_cuda_model *m)
{
	const uint64_t end = pst_now_ns() + IDLE_NS;
	cudaError_t e;

	do {
		e = cudaStreamQuery(m->stream);
	} while (e == cudaErrorNotReady && pst_now_ns() < end);
	if (e != cudaSuccess)
		cudaGetLastError();
	return e == cudaSuccess;
}

/* Frees all but the weights. Memory of a lost or hanging card is freed by the
 * process's end. */
static void model_done(struct pst_backend *b, struct pst_cuda_model *m)
{
	if (b->lost || (m->stream && !is_idle(m)))
		return;
	pst_cuda_graphs_free(m);
	pst_cuda_mover_done(&m->mover);
	if (m->memory)
		pst_cuda_release(b, m->memory);
	if (m->params)
		pst_cuda_release(b, m->params);
	if (m->workspace)
		pst_cuda_release(b, m->workspace);
	if (m->stream)
		cudaStreamDestroy(m->stream);
	free(m->layers);
	free(m->buffer);
	free(m);
}

int pst_cuda_model_new(struct pst_backend *b,
		       const struct pst_agent_model_plan *plan, void *weights,
		       void **ret, struct pst_error *err)
{
	struct pst_cuda_model *m;
	int r;

	if (b->lost)
		return pst_error_set(err, -EIO, "%s", b->why.text);
	m = calloc(1, sizeof(*m));
	if (!m)
		return pst_oom(err);
	r = model_init(b, m, plan, weights, err);
	if (r < 0) {
		pst_cuda_check_lost(b, err);
		model_done(b, m);
		return r;
	}
	*ret = m;
	return 0;
}

void pst_cuda_model_free(struct pst_backend *b, void *model)
{
	struct pst_cuda_model *m = model;

	if (b->lost || !is_idle(m))
		return;
	pst_cuda_release(b, m->weights);
	model_done(b, m);
}

int pst_cuda_infer_begin(struct pst_backend *b, struct pst_cuda_job *job,
			 const struct pst_op *op, uint64_t *ret_pieces,
			 struct pst_error *err)
{
	struct pst_cuda_model *m = op->model;

	job->other = m->stream;
	*ret_pieces = (op->m + m->rows - 1ULL) / m->rows;
	return pst_cuda_wait_memory(b, m->stream, err);
}

/* Rows between an operand and a buffer, whose rows lie close together. */
static int copy_rows(struct pst_cuda_model *m, const struct pst_operand *x,
		     uint64_t first, uint32_t rows, uint32_t ld, uint32_t width,
		     float *buffer, bool in, struct pst_error *err)
{
	const uint64_t pitch = ld * sizeof(float),
		       dense = width * sizeof(float);
	const struct pst_cuda_lines l = {
		.off = x->off + first * pitch,
		.pitch = pitch,
		.dev = (uint8_t *)buffer,
		.dev_pitch = dense,
		.width = dense,
		.n = rows,
		.to_device = in,
	};
	uint8_t *mem;

	if (!x->mem)
		return pst_cuda_mover_copy(&m->mover, &l, err);
	mem = (uint8_t *)x->mem + l.off;
	return pst_cuda_ok(
		cudaMemcpy2DAsync(in ? l.dev : mem, in ? dense : pitch,
				  in ? mem : l.dev, in ? pitch : dense, dense,
				  rows, cudaMemcpyDeviceToDevice, m->stream),
		"copying on the device", err);
}

/* Where a copy of rows begins or ends; into a graph goes one whose rows lie
 * close together in memory that the card reaches. */
static struct pst_cuda_end end_of(const struct pst_backend *b,
				  const struct pst_cuda_model *m,
				  const struct pst_operand *x, uint64_t first,
				  uint32_t rows, uint32_t ld, uint32_t width,
				  bool in)
{
	const uint64_t off = x->off + first * ld * sizeof(float);
	struct pst_cuda_end end = {.kind = cudaMemcpyDeviceToDevice};

	if (m->no_copies || (rows > 1 && ld != width) ||
	    (!x->mem && !b->region.mapped))
		return end;
	end.inside = true;
	end.mem = (x->mem ? (uint8_t *)x->mem : b->region.base) + off;
	if (!x->mem)
		end.kind = in ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost;
	return end;
}

int pst_cuda_infer_issue(struct pst_backend *b, struct pst_cuda_job *job,
			 const struct pst_op *op, uint64_t u,
			 struct pst_error *err)
{
	struct pst_cuda_model *m = op->model;
	const uint64_t first = u * m->rows;
	const uint32_t rows =
		op->m - first < m->rows ? (uint32_t)(op->m - first) : m->rows;
	const struct pst_cuda_end in =
		end_of(b, m, &op->a, first, rows, op->lda, m->n_in, true);
	const struct pst_cuda_end out =
		end_of(b, m, &op->c, first, rows, op->ldc, m->n_out, false);
	const struct pst_cuda_graph *g =
		pst_cuda_graph_get(b, m, rows, &in, &out);
	int r = 0;

	if (!g || !g->in.inside)
		r = copy_rows(m, &op->a, first, rows, op->lda, m->n_in,
			      pst_cuda_buffer(m, 0), true, err);
	if (r == 0 && g)
		r = pst_cuda_ok(cudaGraphLaunch(g->exec, m->stream),
				"starting a model's graph", err);
	else if (r == 0)
		r = pst_cuda_layers_run(b, m, rows, err);
	if (r == 0 && (!g || !g->out.inside))
		r = copy_rows(m, &op->c, first, rows, op->ldc, m->n_out,
			      pst_cuda_buffer(m, m->out), false, err);
	if (r == 0)
		r = pst_cuda_flight_mark(&job->flight, m->stream, err);
	return r < 0 ? r : 1;
}

uint64_t pst_cuda_infer_estimate(const struct pst_backend *b,
				 const struct pst_op *op)
{
	const struct pst_cuda_model *m = op->model;
	const double rate = b->calibration.flops[PST_CUDA_RATE_F32];

	return (uint64_t)(b->calibration.launch_ns +
			  (rate > 0 ? m->flops * op->m / rate * 1e9 : 0));
}
