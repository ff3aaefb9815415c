/* SPDX-License-Identifier: MIT */
/* The cuda backend: opening, operations from begin to end, description. */
#include "guest-agent/cuda/context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/cuda/copyop.h"
#include "guest-agent/cuda/infer.h"
#include "guest-agent/cuda/module.h"
#include "guest-agent/cuda/nvml.h"
#include "guest-agent/cuda/options.h"
#include "transport/base/util.h"

/* cuBLAS's advice: 32 MiB for Hopper, 4 MiB before. */
#define WORKSPACE_LARGE (32ULL << 20)
#define WORKSPACE_SMALL (4ULL << 20)
/* Tiles: a third of the card's memory, up to a useful maximum. */
#define TILES_MOST (8ULL << 30)
/* Pinned memory of a lane whose region is not registered. */
#define LANE_STAGED (2ULL << 20)
/* How long closing waits for the device. */
#define CLOSING_NS (200 * PST_NS_PER_MS)

static void lane_free(struct pst_cuda_lane *l)
{
	if (!l)
		return;
	pst_cuda_flight_done(&l->flight);
	pst_cuda_mover_done(&l->mover);
	if (l->stream)
		cudaStreamDestroy(l->stream);
	if (l->workspace)
		cudaFree(l->workspace);
	free(l);
}

static int lane_get(struct pst_backend *b, uint32_t index,
		    struct pst_cuda_lane **ret, struct pst_error *err)
{
	struct pst_cuda_lane *l = b->lanes[index];
	int r;

	if (l) {
		*ret = l;
		return 0;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		return pst_oom(err);
	l->index = index;
	/* A small product does not wait behind another lane's tiles. From the
	 * pool the workspace comes without the device's waiting. */
	if ((r = pst_cuda_stream_first(&l->stream, err)) < 0 ||
	    (r = pst_cuda_flight_init(&l->flight, err)) < 0 ||
	    (r = pst_cuda_ok(
		     b->device.pools
			     ? cudaMallocAsync(&l->workspace, b->workspace_size,
					       l->stream)
			     : cudaMalloc(&l->workspace, b->workspace_size),
		     "allocating a workspace", err)) < 0) {
		lane_free(l);
		return r;
	}
	pst_cuda_mover_init(&l->mover, &b->region, l->stream,
			    b->device.max_pitch, LANE_STAGED);
	b->lanes[index] = l;
	*ret = l;
	return 0;
}

/* Whether a stream is idle: 1, 0, or -EIO if the driver cannot tell. */
static int idle(cudaStream_t s)
{
	cudaError_t e = cudaStreamQuery(s);

	if (e == cudaSuccess)
		return 1;
	if (e == cudaErrorNotReady)
		return 0;
	cudaGetLastError();
	return -EIO;
}

/* Whether the lane's operation cannot write any more. A lost context cannot. */
static bool lane_idle(struct pst_backend *b, struct pst_cuda_lane *l)
{
	const bool piped = b->pipe.owner == (int)l->index;
	int r = idle(l->stream);

	if (r > 0 && l->other)
		r = idle(l->other);
	if (r > 0 && piped)
		r = idle(b->pipe.h2d);
	if (r > 0 && piped)
		r = idle(b->pipe.compute);
	if (r > 0 && piped)
		r = idle(b->pipe.d2h);
	if (r < 0)
		return pst_cuda_check_lost(b, NULL);
	return r > 0;
}

static void lane_end(struct pst_backend *b, struct pst_cuda_lane *l)
{
	l->flight.n = 0;
	l->other = NULL;
	pst_cuda_pipe_release(&b->pipe, l->index);
}

static uint64_t tiles_memory(const struct pst_backend *b)
{
	size_t free_bytes = 0, total = 0;
	uint64_t size = b->options.memory;

	if (size)
		return size & ~(uint64_t)(PST_CUDA_TILES_ALIGN - 1);
	if (cudaMemGetInfo(&free_bytes, &total) != cudaSuccess)
		cudaGetLastError();
	size = free_bytes / 3;
	if (size > TILES_MOST)
		size = TILES_MOST;
	return size & ~(uint64_t)(PST_CUDA_TILES_ALIGN - 1);
}

static int open_libraries(struct pst_backend *b, struct pst_error *err)
{
	int v = 0, r;

	r = pst_cuda_cublas_ok(cublasCreate(&b->blas), "opening cuBLAS", err);
	if (r < 0)
		return r;
	r = pst_cuda_cublas_ok(cublasGetVersion(b->blas, &v),
			       "asking for cuBLAS's version", err);
	if (r < 0)
		return r;
	snprintf(b->cublas_text, sizeof(b->cublas_text), "%d.%d.%d", v / 10000,
		 v / 100 % 100, v % 100);
	/* F32 stays F32 and sums of F16 are not rounded to it on the way. */
	r = pst_cuda_cublas_ok(
		cublasSetMathMode(
			b->blas,
			CUBLAS_DEFAULT_MATH |
				CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION),
		"setting cuBLAS's mode", err);
	if (r < 0)
		return r;
	return pst_cuda_cublas_ok(cublasLtCreate(&b->lt), "opening cuBLASLt",
				  err);
}

static int open_device(struct pst_backend *b, struct pst_error *err)
{
	int r;

	r = pst_cuda_device_open(b->options.gpu, &b->device, err);
	if (r < 0)
		return r;
	b->workspace_size =
		b->device.major >= 9 ? WORKSPACE_LARGE : WORKSPACE_SMALL;
	if ((r = pst_cuda_stream(&b->mem_stream, err)) < 0 ||
	    (r = pst_cuda_event(&b->mem_ready, err)) < 0 ||
	    (r = open_libraries(b, err)) < 0)
		return r;
	pst_cuda_registration_open(b->base, b->size, b->options.registration,
				   &b->region);
	r = pst_cuda_pipe_init(&b->pipe, &b->region, tiles_memory(b),
			       b->workspace_size, b->device.max_pitch, err);
	if (r < 0)
		return r;
	return pst_cuda_calibrate(b, err);
}

static void free_all(struct pst_backend *b)
{
	unsigned int i;

	for (i = 0; i < PST_WIRE_MAX_LANES; i++)
		lane_free(b->lanes[i]);
	pst_cuda_pipe_done(&b->pipe);
	if (b->lt)
		cublasLtDestroy(b->lt);
	if (b->blas)
		cublasDestroy(b->blas);
	if (b->mem_ready)
		cudaEventDestroy(b->mem_ready);
	if (b->mem_stream)
		cudaStreamDestroy(b->mem_stream);
	pst_cuda_registration_close(&b->region);
	cudaGetLastError();
	free(b);
}

static int cuda_open(uint8_t *base, uint64_t size, uint32_t threads,
		     struct pst_backend **ret, struct pst_error *err)
{
	struct pst_backend *b = calloc(1, sizeof(*b));
	bool taken;
	int r;

	(void)threads;
	if (!b)
		return pst_oom(err);
	/* Of whoever started the agent: both change results. */
	unsetenv("NVIDIA_TF32_OVERRIDE");
	unsetenv("CUBLAS_EMULATE_SINGLE_PRECISION");
	b->base = base;
	b->size = size;
	b->pipe.owner = -1;
	r = pst_cuda_options_read(&b->options, err);
	if (r == 0)
		r = open_device(b, err);
	if (r < 0) {
		taken = b->device.taken;
		free_all(b);
		/* The context alone has some 400 MB of the card. */
		if (taken && cudaDeviceReset() != cudaSuccess)
			cudaGetLastError();
		return r;
	}
	b->nvml = pst_cuda_nvml_open(pst_cuda_nvml_library(), b->device.pci);
	*ret = b;
	return 0;
}

/* Whether the stream becomes idle before the deadline. It may be busy for a
 * moment, since memory is freed in the order of a stream. */
static bool soon_idle(cudaStream_t s, uint64_t end_ns)
{
	int r;

	do {
		r = idle(s);
	} while (r == 0 && pst_now_ns() < end_ns);
	return r > 0;
}

static bool all_idle(struct pst_backend *b)
{
	const uint64_t end_ns = pst_now_ns() + CLOSING_NS;
	struct pst_cuda_lane *l;
	unsigned int i;

	if (b->lost || !soon_idle(b->mem_stream, end_ns) ||
	    !soon_idle(b->pipe.h2d, end_ns) ||
	    !soon_idle(b->pipe.compute, end_ns) ||
	    !soon_idle(b->pipe.d2h, end_ns))
		return false;
	for (i = 0; i < PST_WIRE_MAX_LANES; i++) {
		l = b->lanes[i];
		if (l && (!soon_idle(l->stream, end_ns) ||
			  (l->other && !soon_idle(l->other, end_ns))))
			return false;
	}
	return true;
}

static void cuda_close(struct pst_backend *b)
{
	pst_cuda_nvml_close(b->nvml);
	b->nvml = NULL;
	/* Freeing waits for the device. If the device hangs or is lost, the
	 * agent could not end. Then the process's end frees everything. */
	if (all_idle(b))
		free_all(b);
}

static void cuda_describe(struct pst_backend *b, char *buf, size_t size)
{
	snprintf(buf, size, "cuda: %s, cuBLAS %s, %s", b->device.name,
		 b->cublas_text, pst_cuda_registration_name(b->region.how));
}

static const char *cuda_registration(struct pst_backend *b)
{
	return pst_cuda_registration_name(b->region.how);
}

static const char *cuda_registration_why(struct pst_backend *b)
{
	return b->region.why;
}

static uint32_t cuda_threads(struct pst_backend *b)
{
	(void)b;
	return 1;
}

static void format_cuda(int v, char *buf, size_t size)
{
	snprintf(buf, size, "%d.%d", v / 1000, v % 1000 / 10);
}

static int cuda_device_info(struct pst_backend *b,
			    struct pst_backend_device *ret,
			    struct pst_error *err)
{
	const struct pst_cuda_device *d = &b->device;

	snprintf(ret->name, sizeof(ret->name), "%s", d->name);
	snprintf(ret->uuid, sizeof(ret->uuid), "%s", d->uuid);
	snprintf(ret->pci, sizeof(ret->pci), "%s", d->pci);
	if (d->driver_text[0])
		snprintf(ret->driver, sizeof(ret->driver), "%s",
			 d->driver_text);
	else
		format_cuda(d->driver, ret->driver, sizeof(ret->driver));
	format_cuda(d->runtime, ret->runtime, sizeof(ret->runtime));
	snprintf(ret->cublas, sizeof(ret->cublas), "%s", b->cublas_text);
	ret->sm_major = d->major;
	ret->sm_minor = d->minor;
	ret->multiprocessors = d->multiprocessors;
	ret->mem_total = d->mem_total;
	ret->known = PST_AGENT_DEVICE_SM | PST_AGENT_DEVICE_MULTIPROCESSORS |
		     PST_AGENT_DEVICE_MEM_TOTAL;
	pst_cuda_trim(b);
	pst_cuda_nvml_read(b->nvml, ret);
	if (b->lost)
		return pst_error_set(err, -EIO, "%s", b->why.text);
	return 0;
}

static bool cuda_lost(struct pst_backend *b, struct pst_error *why)
{
	if (b->lost && why)
		*why = b->why;
	return b->lost;
}

static bool cuda_can(struct pst_backend *b,
		     const struct pst_agent_gemm_kind *kind,
		     struct pst_error *why)
{
	const struct pst_op op = {.dtype = kind->dtype,
				  .compute = kind->compute};
	const enum pst_cuda_rate which = pst_cuda_rate_of(&op);
	const char *what = NULL;

	if (b->no_rate[which])
		what = b->refusal[which].text[0] ? b->refusal[which].text
						 : "has no such products";
	else if (kind->dtype_c == PST_WIRE_I32 && kind->act > PST_WIRE_ACT_RELU)
		what = "has no GELU of i32";
	if (!what)
		return true;
	pst_error_set(why, -EOPNOTSUPP,
		      "%s (compute capability %u.%u, cuBLAS %s)%s %s",
		      b->device.name, b->device.major, b->device.minor,
		      b->cublas_text,
		      b->no_rate[which] && b->refusal[which].text[0] ? ":" : "",
		      what);
	return false;
}

static bool uses_memory(const struct pst_op *op)
{
	return op->a.mem || op->b.mem || op->c.mem || op->bias.mem || op->model;
}

static int begin_pieces(struct pst_backend *b, struct pst_cuda_lane *l,
			const struct pst_op *op, struct pst_error *err)
{
	switch (op->op) {
	case PST_WIRE_OP_GEMM:
	case PST_WIRE_OP_GEMM_STRIDED_BATCHED:
		return pst_cuda_gemm_begin(b, l, op, &l->count, err);
	case PST_WIRE_OP_COPY:
		l->count = pst_cuda_copy_pieces(op);
		return 0;
	case PST_WIRE_OP_INFER:
		return pst_cuda_infer_begin(b, l, op, &l->count, err);
	default:
		return pst_error_set(err, -EOPNOTSUPP,
				     "the cuda backend has no such operation");
	}
}

static int cuda_begin(struct pst_backend *b, struct pst_backend_op *bop,
		      struct pst_error *err)
{
	struct pst_cuda_lane *l = NULL;
	int r;

	if (b->lost)
		return pst_error_set(err, -EIO, "%s", b->why.text);
	if (pst_cuda_host_has(&bop->op))
		return pst_cuda_host_begin(bop, err);
	r = lane_get(b, bop->lane, &l, err);
	if (r < 0)
		goto failed;
	l->begun_ns = pst_now_ns();
	l->next = 0;
	l->count = 0;
	l->failed = 0;
	l->other = NULL;
	r = begin_pieces(b, l, &bop->op, err);
	if (r == 0 && uses_memory(&bop->op))
		r = pst_cuda_wait_memory(b, l->stream, err);
	if (r == 0)
		return 0;
	/* Nothing was issued; a model's stream may end with the model. */
	lane_end(b, l);
failed:
	pst_cuda_check_lost(b, err);
	return r;
}

static int issue_one(struct pst_backend *b, struct pst_cuda_lane *l,
		     const struct pst_op *op, struct pst_error *err)
{
	switch (op->op) {
	case PST_WIRE_OP_COPY:
		return pst_cuda_copy_issue(b, l, op, l->next, err);
	case PST_WIRE_OP_INFER:
		return pst_cuda_infer_issue(b, l, op, l->next, err);
	default:
		return pst_cuda_gemm_issue(b, l, l->next, err);
	}
}

/* Issues pieces to the device, up to the limit. */
static int issue(struct pst_backend *b, struct pst_cuda_lane *l,
		 const struct pst_op *op, struct pst_error *err)
{
	int r = 1;

	while (r > 0 && l->next < l->count &&
	       l->flight.n < PST_CUDA_FLIGHT_MAX) {
		r = issue_one(b, l, op, err);
		if (r > 0)
			l->next++;
	}
	return r < 0 ? r : 0;
}

/* The first failure is stored. The operation ends when the device has stopped
 * writing. */
static void fail(struct pst_backend *b, struct pst_cuda_lane *l, int r,
		 const struct pst_error *why)
{
	l->failed = r;
	l->why = *why;
	if (pst_cuda_check_lost(b, why))
		l->failed = -EIO;
}

static int step_device(struct pst_backend *b, struct pst_backend_op *bop,
		       struct pst_error *err)
{
	struct pst_cuda_lane *l = b->lanes[bop->lane];
	int r;

	if (!l->failed) {
		r = pst_cuda_flight_poll(&l->flight, err);
		if (r >= 0)
			r = issue(b, l, &bop->op, err);
		if (r < 0)
			fail(b, l, r, err);
	}
	if (l->failed) {
		if (!lane_idle(b, l))
			return PST_AGENT_STEP_WAIT;
		*err = l->why;
		lane_end(b, l);
		return l->failed;
	}
	if (l->next < l->count || l->flight.n)
		return PST_AGENT_STEP_WAIT;
	lane_end(b, l);
	bop->compute_ns += pst_now_ns() - l->begun_ns;
	return PST_AGENT_STEP_DONE;
}

static int cuda_step(struct pst_backend *b, struct pst_backend_op *bop,
		     struct pst_error *err)
{
	uint64_t start;
	int r;

	if (!pst_cuda_host_has(&bop->op))
		return step_device(b, bop, err);
	start = pst_now_ns();
	r = pst_cuda_host_step(b, bop);
	bop->compute_ns += pst_now_ns() - start;
	if (r == PST_AGENT_STEP_DONE)
		pst_cuda_host_end(bop);
	return r;
}

static int cuda_cancel(struct pst_backend *b, struct pst_backend_op *bop)
{
	struct pst_cuda_lane *l;

	if (pst_cuda_host_has(&bop->op)) {
		pst_cuda_host_end(bop);
		return 1;
	}
	l = b->lanes[bop->lane];
	if (!lane_idle(b, l))
		return 0;
	lane_end(b, l);
	return 1;
}

static uint64_t cuda_estimate_ns(struct pst_backend *b, const struct pst_op *op)
{
	double s = (double)(op->a.size + op->b.size + op->c.size) /
		   (b->calibration.h2d + 1);

	if (op->op == PST_WIRE_OP_GEMM ||
	    op->op == PST_WIRE_OP_GEMM_STRIDED_BATCHED)
		return (uint64_t)pst_cuda_cost_pipelined(&b->calibration, op);
	if (op->op == PST_WIRE_OP_INFER)
		return pst_cuda_infer_estimate(b, op);
	return (uint64_t)(s * (double)PST_NS_PER_S);
}

const struct pst_backend_ops pst_backend_cuda_module = {
	.abi = PST_BACKEND_ABI,
	.name = "cuda",
	.open = cuda_open,
	.close = cuda_close,
	.describe = cuda_describe,
	.registration = cuda_registration,
	.registration_why = cuda_registration_why,
	.device_info = cuda_device_info,
	.lost = cuda_lost,
	.threads = cuda_threads,
	.can = cuda_can,
	.begin = cuda_begin,
	.step = cuda_step,
	.cancel = cuda_cancel,
	.estimate_ns = cuda_estimate_ns,
	.alloc = pst_cuda_alloc,
	.release = pst_cuda_release,
	.model_new = pst_cuda_model_new,
	.model_free = pst_cuda_model_free,
};
