/* SPDX-License-Identifier: MIT */
/* A model's graphs: its layers and the copies beside them as one launch. */
#include <errno.h>

#include "guest-agent/cuda/model.h"

/* A graph is captured when its kind of batch occurs for this number of times.
 */
#define SEEN_OFTEN 2U

static bool is_same(const struct pst_cuda_end *a, const struct pst_cuda_end *b)
{
	return a->mem == b->mem && a->inside == b->inside && a->kind == b->kind;
}

static void graph_free(struct pst_cuda_graph *g)
{
	if (g->exec)
		cudaGraphExecDestroy(g->exec);
	/* Kept until now: its nodes name what is changed in the other. */
	if (g->graph)
		cudaGraphDestroy(g->graph);
	*g = (struct pst_cuda_graph){0};
}

void pst_cuda_graphs_free(struct pst_cuda_model *m)
{
	unsigned int i;

	for (i = 0; i < PST_CUDA_GRAPHS; i++)
		graph_free(&m->graph[i]);
}

/* The node that was captured last. */
static int last_node(cudaStream_t s, cudaGraphNode_t *ret,
		     struct pst_error *err)
{
	enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
	const cudaGraphNode_t *nodes = NULL;
	size_t n = 0;
	cudaError_t e;

#if CUDART_VERSION >= 13000
	const cudaGraphEdgeData *edges = NULL;

	e = cudaStreamGetCaptureInfo(s, &status, NULL, NULL, &nodes, &edges,
				     &n);
#else
	e = cudaStreamGetCaptureInfo_v2(s, &status, NULL, NULL, &nodes, &n);
#endif
	if (e == cudaSuccess &&
	    (status != cudaStreamCaptureStatusActive || n != 1))
		e = cudaErrorNotSupported;
	if (e == cudaSuccess)
		*ret = nodes[0];
	return pst_cuda_ok(e, "finding a captured copy", err);
}

/* One copy of a batch whose rows lie close together, if it belongs inside. */
static int capture_copy(const struct pst_cuda_model *m,
			const struct pst_cuda_end *end, void *dst,
			const void *src, uint64_t bytes, cudaGraphNode_t *ret,
			struct pst_error *err)
{
	int r;

	if (!end->inside)
		return 0;
	r = pst_cuda_ok(cudaMemcpyAsync(dst, src, bytes, end->kind, m->stream),
			"capturing a copy", err);
	return r < 0 ? r : last_node(m->stream, ret, err);
}

static int capture(struct pst_backend *b, const struct pst_cuda_model *m,
		   struct pst_cuda_graph *g, struct pst_error *err)
{
	int r;

	r = capture_copy(m, &g->in, pst_cuda_buffer(m, 0), g->in.mem,
			 sizeof(float) * g->rows * m->n_in, &g->in_node, err);
	if (r == 0)
		r = pst_cuda_layers_run(b, m, g->rows, err);
	return r < 0 ? r
		     : capture_copy(m, &g->out, g->out.mem,
				    pst_cuda_buffer(m, m->out),
				    sizeof(float) * g->rows * m->n_out,
				    &g->out_node, err);
}

/* Without a graph layers and copies are put on the stream one by one, so
 * failing here is no error: not each call of a library can be captured. Unless
 * memory was short, it is then tried with the copies outside, and then not any
 * more. */
static void make_graph(struct pst_backend *b, struct pst_cuda_model *m,
		       struct pst_cuda_graph *g)
{
	struct pst_error err;
	cudaError_t e;
	int r = 0;

	e = cudaStreamBeginCapture(m->stream, cudaStreamCaptureModeThreadLocal);
	if (e == cudaSuccess) {
		r = capture(b, m, g, &err);
		e = cudaStreamEndCapture(m->stream, &g->graph);
		if (e != cudaSuccess)
			g->graph = NULL;
		else if (r == 0)
			e = cudaGraphInstantiateWithFlags(&g->exec, g->graph,
							  0);
		if (e != cudaSuccess)
			g->exec = NULL;
	}
	cudaGetLastError();
	if (g->exec)
		return;
	if (g->graph)
		cudaGraphDestroy(g->graph);
	g->graph = NULL;
	/* Memory may be there the next time. */
	if (r == -ENOMEM || e == cudaErrorMemoryAllocation)
		return;
	if (g->in.inside || g->out.inside)
		m->no_copies = true;
	else
		m->no_graphs = true;
}

static bool is_for(const struct pst_cuda_graph *g, uint32_t rows,
		   const struct pst_cuda_end *in,
		   const struct pst_cuda_end *out)
{
	return g->rows == rows && g->in.inside == in->inside &&
	       g->in.kind == in->kind && g->out.inside == out->inside &&
	       g->out.kind == out->kind;
}

/* The place of such batches; a new one takes the place of that used longest
 * ago, unless the device may still run it: NULL. */
static struct pst_cuda_graph *find_graph(struct pst_cuda_model *m,
					 uint32_t rows,
					 const struct pst_cuda_end *in,
					 const struct pst_cuda_end *out)
{
	struct pst_cuda_graph *g, *oldest = &m->graph[0];
	unsigned int i;

	for (i = 0; i < PST_CUDA_GRAPHS; i++) {
		g = &m->graph[i];
		if (is_for(g, rows, in, out))
			return g;
		if (g->used < oldest->used)
			oldest = g;
	}
	if (oldest->exec && cudaStreamQuery(m->stream) != cudaSuccess)
		return NULL;
	graph_free(oldest);
	oldest->rows = rows;
	oldest->in = *in;
	oldest->out = *out;
	return oldest;
}

/* Launches from now on copy there; those under way stay as they are. */
static bool move_copy(struct pst_cuda_graph *g, cudaGraphNode_t node,
		      struct pst_cuda_end *end, const struct pst_cuda_end *to,
		      void *dst, const void *src, uint64_t bytes)
{
	if (!end->inside || is_same(end, to))
		return true;
	if (cudaGraphExecMemcpyNodeSetParams1D(g->exec, node, dst, src, bytes,
					       to->kind) != cudaSuccess) {
		cudaGetLastError();
		return false;
	}
	*end = *to;
	return true;
}

static bool move(const struct pst_cuda_model *m, struct pst_cuda_graph *g,
		 const struct pst_cuda_end *in, const struct pst_cuda_end *out)
{
	return move_copy(g, g->in_node, &g->in, in, pst_cuda_buffer(m, 0),
			 in->mem, sizeof(float) * g->rows * m->n_in) &&
	       move_copy(g, g->out_node, &g->out, out, out->mem,
			 pst_cuda_buffer(m, m->out),
			 sizeof(float) * g->rows * m->n_out);
}

struct pst_cuda_graph *pst_cuda_graph_get(struct pst_backend *b,
					  struct pst_cuda_model *m,
					  uint32_t rows,
					  const struct pst_cuda_end *in,
					  const struct pst_cuda_end *out)
{
	struct pst_cuda_graph *g;

	if (m->no_graphs)
		return NULL;
	m->clock++;
	g = find_graph(m, rows, in, out);
	if (!g)
		return NULL;
	g->used = m->clock;
	if (!g->exec && ++g->seen >= SEEN_OFTEN) {
		g->in = *in;
		g->out = *out;
		make_graph(b, m, g);
	}
	if (!g->exec)
		return NULL;
	if (move(m, g, in, out))
		return g;
	/* It would copy elsewhere: from now on copies are outside. */
	m->no_copies = true;
	return NULL;
}
