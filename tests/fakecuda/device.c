/* SPDX-License-Identifier: MIT */
/* The double's card, versions, error texts and graphs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fakecuda/streams.h"

cudaError_t cudaRuntimeGetVersion(int *ret)
{
	*ret = fakecuda_get()->runtime;
	return fakecuda_call();
}

cudaError_t cudaDriverGetVersion(int *ret)
{
	*ret = fakecuda_get()->driver;
	return fakecuda_call();
}

cudaError_t cudaGetDeviceCount(int *ret)
{
	const struct fakecuda_config *c = fakecuda_get();
	cudaError_t e = fakecuda_call();

	*ret = c->n_devices;
	if (e != cudaSuccess)
		return e;
	if (c->driver < c->runtime / 1000 * 1000)
		return fakecuda_error(cudaErrorInsufficientDriver);
	return c->n_devices ? cudaSuccess : fakecuda_error(cudaErrorNoDevice);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
	const struct fakecuda_config *c = fakecuda_get();

	memset(p, 0, sizeof(*p));
	snprintf(p->name, sizeof(p->name), "Fake GPU 9000");
	p->uuid.bytes[0] = (char)(0x12 + device);
	p->pciBusID = 1 + device;
	p->totalGlobalMem = c->memory;
	p->major = c->major;
	p->minor = c->minor;
	p->multiProcessorCount = c->multiprocessors;
	return fakecuda_call();
}

cudaError_t cudaDeviceGetAttribute(int *ret, enum cudaDeviceAttr a, int device)
{
	(void)device;
	switch (a) {
	case cudaDevAttrMaxPitch:
		/* Small, so that tests get beyond it. */
		*ret = FAKECUDA_MAX_PITCH;
		break;
	case cudaDevAttrMemoryPoolsSupported:
		*ret = !fakecuda_get()->no_pools;
		break;
	default:
		fakecuda_note("an attribute the double does not know");
		*ret = 0;
	}
	return fakecuda_call();
}

cudaError_t cudaDeviceReset(void)
{
	fakecuda_count_reset();
	return cudaSuccess;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *ret, int device)
{
	(void)device;
	*ret = NULL;
	return fakecuda_call();
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t keep)
{
	(void)pool;
	(void)keep;
	fakecuda_count_trim();
	return fakecuda_call();
}

const char *cudaGetErrorString(cudaError_t e)
{
	switch (e) {
	case cudaSuccess:
		return "no error";
	case cudaErrorMemoryAllocation:
		return "out of memory";
	case cudaErrorNotSupported:
		return "operation not supported";
	case cudaErrorInvalidValue:
		return "invalid argument";
	case cudaErrorUnknown:
		return "unknown error";
	case cudaErrorLaunchFailure:
		return "unspecified launch failure";
	case cudaErrorIllegalAddress:
		return "an illegal memory access was encountered";
	case cudaErrorECCUncorrectable:
		return "uncorrectable ECC error encountered";
	default:
		return "some error";
	}
}

const char *cudaGetErrorName(cudaError_t e)
{
	switch (e) {
	case cudaSuccess:
		return "cudaSuccess";
	case cudaErrorMemoryAllocation:
		return "cudaErrorMemoryAllocation";
	case cudaErrorNotSupported:
		return "cudaErrorNotSupported";
	case cudaErrorInvalidValue:
		return "cudaErrorInvalidValue";
	case cudaErrorUnknown:
		return "cudaErrorUnknown";
	case cudaErrorLaunchFailure:
		return "cudaErrorLaunchFailure";
	case cudaErrorIllegalAddress:
		return "cudaErrorIllegalAddress";
	case cudaErrorECCUncorrectable:
		return "cudaErrorECCUncorrectable";
	default:
		return "cudaErrorSome";
	}
}

/* Graphs: what a stream was given while it captured. */
struct node {
	struct node *next;
	bool touch; /* no work, but what the work before it touches */
	struct fakecuda_work work;
	fakecuda_fn *fn;
	size_t size;
	max_align_t arg[];
};

struct fakecuda_capture {
	struct node *first, **last;
	bool broken; /* by a call that is not allowed meanwhile */
};

struct CUgraph_st {
	struct fakecuda_capture capture;
};

struct CUgraphExec_st {
	struct fakecuda_capture capture;
};

/* Of this thread. */
static __thread struct fakecuda_capture *capturing;

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
	struct node *n = calloc(1, sizeof(*n) + size);

	n->touch = !w;
	if (w)
		n->work = *w;
	n->fn = fn;
	n->size = size;
	memcpy(n->arg, arg, size);
	*c->last = n;
	c->last = &n->next;
	return cudaSuccess;
}

static void capture_free(struct fakecuda_capture *c)
{
	struct node *n;

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
	*fakecuda_capture_of(s) = capturing = &g->capture;
	return cudaSuccess;
}

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
	capture_free(&g->capture);
	fakecuda_drop(g);
	return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *ret, cudaGraph_t g,
					  unsigned long long flags)
{
	cudaError_t e = fakecuda_call();
	struct CUgraphExec_st *x;
	struct node *n;

	(void)flags;
	if (e != cudaSuccess)
		return e;
	x = fakecuda_handle(sizeof(*x));
	x->capture.last = &x->capture.first;
	for (n = g->capture.first; n; n = n->next)
		fakecuda_capture_add(&x->capture, n->touch ? NULL : &n->work,
				     n->fn, n->arg, n->size);
	*ret = x;
	return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x)
{
	capture_free(&x->capture);
	fakecuda_drop(x);
	return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t s)
{
	cudaError_t e = fakecuda_call();
	struct node *n;

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
