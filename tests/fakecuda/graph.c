/* SPDX-License-Identifier: MIT */
/* The double's graphs: what a stream was given while it captured. */
#include <stdlib.h>
#include <string.h>

#include "tests/fakecuda/streams.h"

/* A piece of work, and behind it what that touches. */
struct CUgraphNode_st {
	struct CUgraphNode_st *next;
	const struct CUgraphNode_st
		*of; /* in a graph that runs: the captured */
	bool touch;  /* no work, but what the work before it touches */
	struct fakecuda_work work;
	fakecuda_fn *fn;
	size_t size;
	max_align_t arg[];
};

struct fakecuda_capture {
	struct CUgraphNode_st *first, **last;
	cudaGraphNode_t work; /* the last */
	bool broken;          /* by a call that is not allowed meanwhile */
};

struct CUgraph_st {
	struct fakecuda_capture capture;
	struct CUgraph_st *next;
};

struct CUgraphExec_st {
	struct fakecuda_capture capture;
};

/* Of this thread. */
static __thread struct fakecuda_capture *capturing;
static __thread struct CUgraph_st *graphs;

bool fakecuda_capture_breaks(struct fakecuda_capture *c)
{
	if (!c)
		c = capturing;
	if (c)
		c->broken = true;
	return c;
}

cudaError_t fakecuda_capture_add(struct fakecuda_capture *c,
				 const struct fakecuda_work *w, fakecuda_fn *fn,
				 const void *arg, size_t size)
{
	struct CUgraphNode_st *n = calloc(1, sizeof(*n) + size);

	n->touch = !w;
	if (w) {
		n->work = *w;
		c->work = n;
	}
	n->fn = fn;
	n->size = size;
	memcpy(n->arg, arg, size);
	*c->last = n;
	c->last = &n->next;
	return cudaSuccess;
}

static void capture_free(struct fakecuda_capture *c)
{
	struct CUgraphNode_st *n;

	while ((n = c->first)) {
		c->first = n->next;
		free(n);
	}
}

cudaError_t cudaStreamBeginCapture(cudaStream_t s,
				   enum cudaStreamCaptureMode mode)
{
	cudaError_t e = fakecuda_call();
	struct CUgraph_st *g;

	if (e != cudaSuccess)
		return e;
	/* Any thread's call would break a global one: those of NVML's and the
	 * scrubber's too. */
	if (mode != cudaStreamCaptureModeThreadLocal)
		fakecuda_note("a capture that other threads break");
	g = fakecuda_handle(sizeof(*g));
	g->capture.last = &g->capture.first;
	g->next = graphs;
	graphs = g;
	*fakecuda_capture_of(s) = capturing = &g->capture;
	return cudaSuccess;
}

/* All is in one stream, so what comes next depends on the last work only. */
static cudaError_t capture_info(cudaStream_t s,
				enum cudaStreamCaptureStatus *ret_status,
				const cudaGraphNode_t **ret_nodes,
				size_t *ret_n)
{
	struct fakecuda_capture *c = *fakecuda_capture_of(s);
	cudaError_t e = fakecuda_call();

	*ret_status = cudaStreamCaptureStatusNone;
	if (e != cudaSuccess || !c)
		return e;
	*ret_status = c->broken ? cudaStreamCaptureStatusInvalidated
				: cudaStreamCaptureStatusActive;
	*ret_nodes = &c->work;
	*ret_n = c->work != NULL;
	return cudaSuccess;
}

#if CUDART_VERSION >= 13000
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t s,
				     enum cudaStreamCaptureStatus *ret_status,
				     unsigned long long *id, cudaGraph_t *graph,
				     const cudaGraphNode_t **ret_nodes,
				     const cudaGraphEdgeData **edges,
				     size_t *ret_n)
{
	(void)id;
	(void)graph;
	if (!edges)
		fakecuda_note("edges that are not asked for may be an error");
	return capture_info(s, ret_status, ret_nodes, ret_n);
}
#else
cudaError_t
cudaStreamGetCaptureInfo_v2(cudaStream_t s,
			    enum cudaStreamCaptureStatus *ret_status,
			    unsigned long long *id, cudaGraph_t *graph,
			    const cudaGraphNode_t **ret_nodes, size_t *ret_n)
{
	(void)id;
	(void)graph;
	return capture_info(s, ret_status, ret_nodes, ret_n);
}
#endif

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *ret)
{
	cudaError_t e = fakecuda_call();
	struct CUgraph_st *g = (struct CUgraph_st *)*fakecuda_capture_of(s);

	*fakecuda_capture_of(s) = capturing = NULL;
	*ret = NULL;
	if (e == cudaSuccess && g->capture.broken)
		e = fakecuda_error(cudaErrorStreamCaptureInvalidated);
	if (e != cudaSuccess)
		cudaGraphDestroy(g);
	else
		*ret = g;
	return e;
}

cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
	struct CUgraph_st **at = &graphs;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	capture_free(&g->capture);
	fakecuda_drop(g);
	return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *ret, cudaGraph_t g,
					  unsigned long long flags)
{
	cudaError_t e = fakecuda_call();
	struct CUgraphNode_st *n;
	struct CUgraphExec_st *x;

	(void)flags;
	if (e != cudaSuccess)
		return e;
	x = fakecuda_handle(sizeof(*x));
	x->capture.last = &x->capture.first;
	for (n = g->capture.first; n; n = n->next) {
		fakecuda_capture_add(&x->capture, n->touch ? NULL : &n->work,
				     n->fn, n->arg, n->size);
		if (!n->touch)
			x->capture.work->of = n;
	}
	*ret = x;
	return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x)
{
	capture_free(&x->capture);
	fakecuda_drop(x);
	return cudaSuccess;
}

/* Whether a graph that was not destroyed has it. */
static bool is_node(const struct CUgraphNode_st *node)
{
	const struct CUgraphNode_st *n = NULL;
	const struct CUgraph_st *g;

	for (g = graphs; g && !n; g = g->next)
		for (n = g->capture.first; n && n != node; n = n->next)
			;
	return n;
}

cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t x,
					       cudaGraphNode_t node, void *dst,
					       const void *src, size_t n,
					       enum cudaMemcpyKind kind)
{
	cudaError_t e = fakecuda_call();
	struct CUgraphNode_st *at;

	if (e != cudaSuccess)
		return e;
	for (at = x->capture.first; at && (at->touch || at->of != node);
	     at = at->next)
		;
	if (!is_node(node) || !at ||
	    !fakecuda_copy_move(at->fn, at->arg, dst, src, n, kind)) {
		fakecuda_note("a change of what is no copy of that kind of a "
			      "graph");
		return fakecuda_error(cudaErrorInvalidValue);
	}
	/* Behind it: what it reads, and what it writes. */
	fakecuda_touch_move(at->next->arg, src, n);
	fakecuda_touch_move(at->next->next->arg, dst, n);
	return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t s)
{
	cudaError_t e = fakecuda_call();
	struct CUgraphNode_st *n;

	for (n = x->capture.first; n && e == cudaSuccess; n = n->next) {
		if (n->touch)
			fakecuda_access_again(s, n->arg);
		else
			e = fakecuda_enqueue(s, &n->work, n->fn, n->arg,
					     n->size);
	}
	fakecuda_count_graph();
	return e;
}
