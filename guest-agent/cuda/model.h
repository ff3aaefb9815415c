/* SPDX-License-Identifier: MIT */
/* A model in device memory: declarations for infer.c, graphs.c and
 * layers.c. */
#ifndef PST_GUEST_AGENT_CUDA_MODEL_H
#define PST_GUEST_AGENT_CUDA_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/cuda/context.h"
#include "guest-agent/model/model.h"

/* Kinds of batches whose graph is kept. */
#define PST_CUDA_GRAPHS 8U

/* A layer, and where its input and output lie. */
struct pst_cuda_layer {
	struct pst_agent_layer l;
	bool skip;                /* done by the product before it */
	enum pst_wire_act act;    /* LINEAR: done with it */
	uint32_t in, out, addend; /* buffers */
	/* F32, or NULL. LINEAR has a weight here if the card has no products of
	 * its type. */
	float *weight, *bias;
};

/* Where a batch is copied from or to. */
struct pst_cuda_end {
	bool inside; /* the copy is in the graph; else mem is NULL */
	enum cudaMemcpyKind kind;
	void *mem;
};

/* What was captured of a kind of batch: rows, which copies and of which kind
 * do not change; where they begin and end does. */
struct pst_cuda_graph {
	uint32_t rows; /* 0: free */
	uint32_t seen;
	uint64_t used;
	struct pst_cuda_end in, out;
	cudaGraph_t graph;
	cudaGraphNode_t in_node, out_node;
	cudaGraphExec_t exec; /* NULL: not yet */
};

struct pst_cuda_model {
	void *weights;
	uint32_t n_in, n_out, n_layers;
	struct pst_cuda_layer *layers;
	uint32_t out;  /* buffer of the result */
	uint32_t rows; /* of one piece */
	double flops;  /* of one row */
	cudaStream_t stream;
	struct pst_cuda_mover mover;
	void *workspace;
	float *params;    /* biases and the like, converted */
	float *memory;    /* buffers, then halves */
	uint64_t *buffer; /* start of each, elements times rows */
	uint32_t n_buffers;
	void *halves;   /* an input rounded to 16 bits */
	bool no_graphs; /* the driver refused one */
	bool no_copies; /* it refused one with copies inside */
	uint64_t clock;
	struct pst_cuda_graph graph[PST_CUDA_GRAPHS];
};

static inline float *pst_cuda_buffer(const struct pst_cuda_model *m, uint32_t i)
{
	return m->memory + m->buffer[i] * m->rows;
}

/* layers.c: puts all layers for so many rows on the model's stream: from
 * buffer 0 to buffer m->out. 0 or -errno. */
int pst_cuda_layers_run(struct pst_backend *b, const struct pst_cuda_model *m,
			uint32_t rows, struct pst_error *err);

/*
 * graphs.c: the graph of such batches, copying between in, buffer 0, buffer
 * m->out and out where these are inside; NULL: there is none (yet), run the
 * layers. Valid until the next call.
 */
struct pst_cuda_graph *pst_cuda_graph_get(struct pst_backend *b,
					  struct pst_cuda_model *m,
					  uint32_t rows,
					  const struct pst_cuda_end *in,
					  const struct pst_cuda_end *out);
void pst_cuda_graphs_free(struct pst_cuda_model *m);

/* layers.c: chooses buffers and what is done with the product before it. Fills
 * m->layers, m->out, m->buffer, m->n_buffers; returns elements of a row in all
 * buffers. m->buffer has room for n_layers + 3. */
uint64_t pst_cuda_layers_plan(const struct pst_agent_model_plan *plan,
			      struct pst_cuda_model *m);

#endif
