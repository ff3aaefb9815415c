/* SPDX-License-Identifier: MIT */
/* Runs a model's layers, cut into slices. */
#include "guest-agent/cpu/infer_cpu.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "guest-agent/cpu/blas.h"
#include "guest-agent/cpu/epilogue.h"
#include "transport/base/util.h"
#include "transport/dtype.h"

/* Elements converted or activated between two readings of the clock: 2 ms of
 * tanh at worst. */
#define PIECE 32768U
/* Elements of a block's activations: 4 MiB, and few enough rows that the
 * weights of a small model are not read more often for it. */
#define BLOCK_ELEMS (1U << 20)
#define BLOCK_ROWS  1024U
/* The most elements that one row's activations may need. */
#define ROW_ELEMS (1U << 24)
/* The least number of columns of a linear layer in one call. */
#define MIN_COLS 16U
/* Up to this number, rows are faster one by one than as a matrix (OpenBLAS, 64
 * to 4096 columns). */
#define FEW_ROWS 3U
/* Until one was timed. */
#define FIRST_RATE 1e9
/* Smaller calls say nothing of the rate. */
#define MIN_RATED_FLOPS 1e6
/* Weight of the newest measurement. */
#define NEWEST 0.3

/* A layer with its weights as floats. */
struct layer {
	struct pst_agent_layer l;
	const float *weight, *bias; /* or NULL */
	uint64_t save; /* where in a run's memory, times rows, the output is
			  kept for a later ADD; NOT_SAVED */
};

#define NOT_SAVED UINT64_MAX

/* Weights that are still to be converted. */
struct convert {
	const void *src;
	float *dst;
	enum pst_wire_dtype dtype;
	uint64_t n;
};

struct pst_agent_infer_model {
	void *weights;
	uint32_t n_in, n_out, max_width, n_layers;
	struct layer *layers;
	struct pst_agent_hostmem *mem;
	void *converted; /* of mem, or NULL */
	unsigned int n_converts;
	struct convert *converts;
	unsigned int convert_at; /* the first one not done */
	uint64_t save_input;     /* as layer.save */
	uint64_t row_elems;      /* of a run's memory */
	uint32_t block;          /* rows */
	double flops;            /* of one row */
	double rate;             /* of them, a second */
	/* One kept for the next INFER. */
	struct pst_agent_infer_run *spare;
};

struct pst_agent_infer_run {
	struct pst_agent_infer_model *model;
	uint32_t max_rows; /* that mem has room for */
	float *mem;
	/* Of this INFER. */
	const float *in;
	float *out;
	uint64_t ld_in, ld_out;
	uint32_t m;
	/* Where it stands. */
	uint32_t row, rows; /* the block; rows 0: it has not begun */
	uint32_t layer;
	uint64_t at; /* columns of a linear layer, elements or rows of others
			that are done */
	float *x, *y;
};

static uint64_t weight_elems(const struct pst_agent_layer *l)
{
	if (l->weight == PST_AGENT_MODEL_NONE)
		return 0;
	return l->type == PST_AGENT_LAYER_LINEAR ? (uint64_t)l->n_out * l->n_in
						 : l->n_out;
}

/* Elements that have to be converted. */
static uint64_t convert_elems(const struct pst_agent_model_plan *plan)
{
	const struct pst_agent_layer *l;
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < plan->n_layers; i++) {
		l = &plan->layers[i];
		if (l->weight_dtype != PST_WIRE_F32)
			n += weight_elems(l);
		if (l->bias != PST_AGENT_MODEL_NONE &&
		    l->bias_dtype != PST_WIRE_F32)
			n += l->n_out;
	}
	return n;
}

/* The floats of a tensor: where they lie, or where they will be. */
static const float *place(struct pst_agent_infer_model *m, uint64_t off,
			  enum pst_wire_dtype dtype, uint64_t n, float **next)
{
	const void *src;

	if (off == PST_AGENT_MODEL_NONE)
		return NULL;
	src = (const uint8_t *)m->weights + off;
	if (dtype == PST_WIRE_F32)
		return src;
	m->converts[m->n_converts++] = (struct convert){src, *next, dtype, n};
	*next += n;
	return *next - n;
}

static void place_layers(struct pst_agent_infer_model *m,
			 const struct pst_agent_model_plan *plan)
{
	float *next = m->converted;
	const struct pst_agent_layer *l;
	uint32_t i;

	for (i = 0; i < m->n_layers; i++) {
		l = &plan->layers[i];
		m->layers[i] = (struct layer){
			.l = *l,
			.weight = place(m, l->weight, l->weight_dtype,
					weight_elems(l), &next),
			.bias = place(m, l->bias, l->bias_dtype, l->n_out,
				      &next),
			.save = NOT_SAVED,
		};
		if (l->type == PST_AGENT_LAYER_LINEAR)
			m->flops += 2.0 * l->n_in * l->n_out;
	}
}

/* Gives every output that a later ADD reads a place of its own. */
static void place_saved(struct pst_agent_infer_model *m)
{
	uint64_t *save;
	uint32_t i, from;

	m->save_input = NOT_SAVED;
	m->row_elems = 2ULL * m->max_width;
	for (i = 0; i < m->n_layers; i++) {
		if (m->layers[i].l.type != PST_AGENT_LAYER_ADD)
			continue;
		from = m->layers[i].l.from;
		save = from == PST_AGENT_MODEL_INPUT ? &m->save_input
						     : &m->layers[from].save;
		if (*save != NOT_SAVED)
			continue;
		*save = m->row_elems;
		m->row_elems += m->layers[i].l.n_in;
	}
}

static int allocate(struct pst_agent_infer_model *m,
		    const struct pst_agent_model_plan *plan,
		    struct pst_error *err)
{
	const uint64_t n = convert_elems(plan);

	m->layers = calloc(plan->n_layers, sizeof(*m->layers));
	m->converts = calloc(2ULL * plan->n_layers, sizeof(*m->converts));
	if (!m->layers || !m->converts)
		return pst_oom(err);
	return n ? pst_agent_hostmem_alloc(m->mem, n * sizeof(float),
					   &m->converted, err)
		 : 0;
}

int pst_agent_infer_model_new(const struct pst_agent_model_plan *plan,
			      void *weights, struct pst_agent_hostmem *mem,
			      struct pst_agent_infer_model **ret,
			      struct pst_error *err)
{
	struct pst_agent_infer_model *m;
	int r;

	if (!pst_agent_blas_exists())
		return pst_error_set(err, -EOPNOTSUPP,
				     "the agent was built without a CBLAS, "
				     "which models need on the cpu backend");
	m = calloc(1, sizeof(*m));
	if (!m)
		return pst_oom(err);
	m->mem = mem;
	r = allocate(m, plan, err);
	if (r < 0) {
		pst_agent_infer_model_free(m);
		return r;
	}
	m->weights = weights;
	m->n_in = plan->n_in;
	m->n_out = plan->n_out;
	m->max_width = plan->max_width;
	m->n_layers = plan->n_layers;
	m->rate = FIRST_RATE;
	place_layers(m, plan);
	place_saved(m);
	m->block =
		(uint32_t)pst_min_u64(BLOCK_ELEMS / m->max_width, BLOCK_ROWS);
	m->block = (uint32_t)pst_min_u64(m->block, ROW_ELEMS / m->row_elems);
	if (m->block == 0)
		r = pst_error_set(err, -EMSGSIZE,
				  "the activations of one row need %" PRIu64 " "
				  "elements, above %u",
				  m->row_elems, ROW_ELEMS);
	if (r < 0)
		pst_agent_infer_model_free(m);
	else
		*ret = m;
	return r;
}

static void free_run(struct pst_agent_infer_run *run)
{
	if (run)
		free(run->mem);
	free(run);
}

void pst_agent_infer_model_free(struct pst_agent_infer_model *m)
{
	if (!m)
		return;
	free_run(m->spare);
	free(m->layers);
	free(m->converts);
	if (m->converted)
		pst_agent_hostmem_release(m->mem, m->converted);
	free(m);
}

void *pst_agent_infer_model_weights(const struct pst_agent_infer_model *m)
{
	return m->weights;
}

uint64_t pst_agent_infer_estimate_ns(const struct pst_agent_infer_model *m,
				     uint32_t rows)
{
	return (uint64_t)(m->flops * rows / m->rate * (double)PST_NS_PER_S);
}

int pst_agent_infer_begin(struct pst_agent_infer_model *m,
			  const struct pst_op *op, uint8_t *base,
			  struct pst_agent_infer_run **ret,
			  struct pst_error *err)
{
	const uint32_t rows = (uint32_t)pst_min_u64(op->m, m->block);
	struct pst_agent_infer_run *run = m->spare;

	m->spare = NULL;
	if (run && run->max_rows < rows) {
		free_run(run);
		run = NULL;
	}
	if (!run) {
		run = calloc(1, sizeof(*run));
		if (run)
			run->mem = malloc(m->row_elems * rows * sizeof(float));
		if (!run || !run->mem) {
			free_run(run);
			return pst_error_set(err, -ENOMEM,
					     "no memory for the activations of "
					     "%u rows",
					     rows);
		}
		run->model = m;
		run->max_rows = rows;
	}
	run->in = (const float *)(base + op->a.off);
	run->out = (float *)(base + op->c.off);
	run->ld_in = op->lda;
	run->ld_out = op->ldc;
	run->m = op->m;
	run->row = run->rows = run->layer = 0;
	run->at = 0;
	*ret = run;
	return 0;
}

void pst_agent_infer_end(struct pst_agent_infer_run *run)
{
	if (!run)
		return;
	if (run->model->spare)
		free_run(run);
	else
		run->model->spare = run;
}

/* Converts weights until the deadline. Returns whether all are. */
static bool convert_some(struct pst_agent_infer_model *m, uint64_t deadline_ns)
{
	struct convert *c;
	uint64_t n;

	while (m->convert_at < m->n_converts) {
		c = &m->converts[m->convert_at];
		n = pst_min_u64(c->n, PIECE);
		pst_floats_load(c->dst, c->src, c->dtype, n);
		c->src = (const uint8_t *)c->src + n * pst_dtype_size(c->dtype);
		c->dst += n;
		c->n -= n;
		if (c->n == 0)
			m->convert_at++;
		if (pst_now_ns() >= deadline_ns)
			break;
	}
	return m->convert_at == m->n_converts;
}

/* Computes some columns of a linear layer for all rows of the block. Returns
 * whether the layer is complete. */
static bool linear(struct pst_agent_infer_run *run, const struct layer *layer,
		   uint64_t slice_ns)
{
	struct pst_agent_infer_model *m = run->model;
	const struct pst_agent_layer *l = &layer->l;
	const double want = m->rate * (double)slice_ns / 4 / PST_NS_PER_S;
	const double column = 2.0 * run->rows * l->n_in;
	const uint64_t left = l->n_out - run->at;
	const uint64_t cols = (double)left <= fmax(want / column, MIN_COLS)
				      ? left
				      : (uint64_t)fmax(want / column, MIN_COLS);
	const struct pst_agent_blas_gemm g = {
		.transb = true,
		.m = run->rows,
		.n = cols,
		.k = l->n_in,
		.lda = l->n_in,
		.ldb = l->n_in,
		.ldc = l->n_out,
		.alpha = 1,
		.beta = layer->bias ? 1 : 0,
	};
	const bool few = run->rows <= FEW_ROWS;
	const uint64_t start = pst_now_ns();
	uint64_t ns;
	uint32_t i;

	for (i = 0; layer->bias && i < run->rows; i++)
		memcpy(run->y + (uint64_t)i * l->n_out + run->at,
		       layer->bias + run->at, cols * sizeof(float));
	for (i = 0; few && i < run->rows; i++)
		pst_agent_blas_gemv_f32(
			cols, l->n_in, layer->weight + run->at * l->n_in,
			run->x + (uint64_t)i * l->n_in, (float)g.beta,
			run->y + (uint64_t)i * l->n_out + run->at);
	if (!few)
		pst_agent_blas_gemm_f32(&g, run->x,
					layer->weight + run->at * l->n_in,
					run->y + run->at);
	ns = pst_now_ns() - start;
	if (column * (double)cols >= MIN_RATED_FLOPS && ns)
		m->rate += NEWEST *
			   (column * (double)cols / (double)ns * PST_NS_PER_S -
			    m->rate);
	run->at += cols;
	return run->at == l->n_out;
}

/* An activation of n elements, in place. */
static void activate(enum pst_agent_layer_type type, float *x, uint64_t n)
{
	uint64_t i;

	switch (type) {
	case PST_AGENT_LAYER_RELU:
		pst_agent_epilogue_f32(PST_WIRE_ACT_RELU, x, n, NULL, 0);
		break;
	case PST_AGENT_LAYER_GELU:
		pst_agent_epilogue_f32(PST_WIRE_ACT_GELU_ERF, x, n, NULL, 0);
		break;
	case PST_AGENT_LAYER_GELU_TANH:
		pst_agent_epilogue_f32(PST_WIRE_ACT_GELU_TANH, x, n, NULL, 0);
		break;
	case PST_AGENT_LAYER_SILU:
		for (i = 0; i < n; i++)
			x[i] /= 1 + expf(-x[i]);
		break;
	case PST_AGENT_LAYER_TANH:
		for (i = 0; i < n; i++)
			x[i] = tanhf(x[i]);
		break;
	default: /* PST_AGENT_LAYER_SIGMOID */
		for (i = 0; i < n; i++)
			x[i] = 1 / (1 + expf(-x[i]));
	}
}

static void softmax(float *x, uint64_t n)
{
	float max = -INFINITY;
	double sum = 0;
	uint64_t i;

	for (i = 0; i < n; i++)
		max = fmaxf(max, x[i]);
	for (i = 0; i < n; i++) {
		x[i] = expf(x[i] - max);
		sum += (double)x[i];
	}
	for (i = 0; i < n; i++)
		x[i] = (float)((double)x[i] / sum);
}

static void layernorm(const struct layer *layer, float *x, uint64_t n)
{
	double mean = 0, var = 0, scale, d;
	uint64_t i;

	for (i = 0; i < n; i++)
		mean += (double)x[i];
	mean /= (double)n;
	for (i = 0; i < n; i++) {
		d = (double)x[i] - mean;
		var += d * d;
	}
	scale = 1 / sqrt(var / (double)n + layer->l.eps);
	for (i = 0; i < n; i++) {
		d = ((double)x[i] - mean) * scale;
		if (layer->weight)
			d *= (double)layer->weight[i];
		if (layer->bias)
			d += (double)layer->bias[i];
		x[i] = (float)d;
	}
}

/* Computes some rows of a layer that works row by row. */
static bool by_rows(struct pst_agent_infer_run *run, const struct layer *layer)
{
	const uint64_t width = layer->l.n_out;
	uint64_t n = pst_min_u64(run->rows - run->at, PIECE / width + 1);

	for (; n; n--, run->at++) {
		if (layer->l.type == PST_AGENT_LAYER_SOFTMAX)
			softmax(run->x + run->at * width, width);
		else
			layernorm(layer, run->x + run->at * width, width);
	}
	return run->at == run->rows;
}

static float *saved(struct pst_agent_infer_run *run, uint64_t save)
{
	return run->mem + save * run->max_rows;
}

/* Computes some elements of a layer that works element by element. */
static bool by_elements(struct pst_agent_infer_run *run,
			const struct layer *layer)
{
	const uint64_t all = (uint64_t)run->rows * layer->l.n_out;
	const uint64_t n = pst_min_u64(all - run->at, PIECE);
	float *x = run->x + run->at;
	const float *other;
	uint64_t i;

	if (layer->l.type == PST_AGENT_LAYER_ADD) {
		other = saved(run,
			      layer->l.from == PST_AGENT_MODEL_INPUT
				      ? run->model->save_input
				      : run->model->layers[layer->l.from].save);
		for (i = 0; i < n; i++)
			x[i] += other[run->at + i];
	} else {
		activate(layer->l.type, x, n);
	}
	run->at += n;
	return run->at == all;
}

static void save(struct pst_agent_infer_run *run, uint64_t where,
		 uint64_t width)
{
	if (where != NOT_SAVED)
		memcpy(saved(run, where), run->x,
		       run->rows * width * sizeof(float));
}

static void begin_block(struct pst_agent_infer_run *run)
{
	const struct pst_agent_infer_model *m = run->model;
	uint32_t i;

	run->rows = (uint32_t)pst_min_u64(run->m - run->row, run->max_rows);
	run->x = run->mem;
	run->y = run->mem + (uint64_t)m->max_width * run->max_rows;
	for (i = 0; i < run->rows; i++)
		memcpy(run->x + (uint64_t)i * m->n_in,
		       run->in + (run->row + (uint64_t)i) * run->ld_in,
		       m->n_in * sizeof(float));
	save(run, m->save_input, m->n_in);
	run->layer = 0;
	run->at = 0;
}

static void end_block(struct pst_agent_infer_run *run)
{
	const struct pst_agent_infer_model *m = run->model;
	uint32_t i;

	for (i = 0; i < run->rows; i++)
		memcpy(run->out + (run->row + (uint64_t)i) * run->ld_out,
		       run->x + (uint64_t)i * m->n_out,
		       m->n_out * sizeof(float));
	run->row += run->rows;
	run->rows = 0;
}

/* Computes the current layer for a few milliseconds at most. */
static void step_layer(struct pst_agent_infer_run *run, uint64_t slice_ns)
{
	const struct layer *layer = &run->model->layers[run->layer];
	float *x = run->x;
	bool done;

	switch (layer->l.type) {
	case PST_AGENT_LAYER_LINEAR:
		done = linear(run, layer, slice_ns);
		if (done) {
			run->x = run->y;
			run->y = x;
		}
		break;
	case PST_AGENT_LAYER_SOFTMAX:
	case PST_AGENT_LAYER_LAYERNORM:
		done = by_rows(run, layer);
		break;
	default:
		done = by_elements(run, layer);
	}
	if (!done)
		return;
	save(run, layer->save, layer->l.n_out);
	run->layer++;
	run->at = 0;
}

bool pst_agent_infer_step(struct pst_agent_infer_run *run, uint64_t slice_ns)
{
	const uint64_t deadline_ns = pst_now_ns() + slice_ns;

	if (!convert_some(run->model, deadline_ns))
		return false;
	while (run->row < run->m) {
		if (run->rows == 0)
			begin_block(run);
		else if (run->layer < run->model->n_layers)
			step_layer(run, slice_ns);
		else
			end_block(run);
		if (pst_now_ns() >= deadline_ns)
			break;
	}
	return run->row == run->m;
}
