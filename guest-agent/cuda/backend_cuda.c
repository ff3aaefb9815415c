/* SPDX-License-Identifier: MIT */
/* The cuda backend: opening, closing, description. */
#include "guest-agent/cuda/context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/cuda/infer.h"
#include "guest-agent/cuda/jobs.h"
#include "guest-agent/cuda/module.h"
#include "guest-agent/cuda/nvml.h"
#include "guest-agent/cuda/options.h"
#include "transport/base/util.h"

/* cuBLAS's advice: 32 MiB for Hopper, 4 MiB before. */
#define WORKSPACE_LARGE (32ULL << 20)
#define WORKSPACE_SMALL (4ULL << 20)
/* Tiles: a third of the card's memory, up to a useful maximum. */
#define TILES_MOST (8ULL << 30)
/* How long closing waits for the device. */
#define CLOSING_NS (200 * PST_NS_PER_MS)

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
		pst_cuda_lane_free(b->lanes[i]);
	pst_cuda_pipe_done(&b->pipe);
	if (b->lt)
		cublasLtDestroy(b->lt);
	if (b->blas)
		cublasDestroy(b->blas);
	if (b->mem_ready)
		cudaEventDestroy(b->mem_ready);
	if (b->mem_stream)
		cudaStreamDestroy(b->mem_stream);
	if (b->pinned)
		cudaFreeHost(b->pinned);
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
		r = pst_cuda_idle(s);
	} while (r == 0 && pst_now_ns() < end_ns);
	return r > 0;
}

static bool all_idle(struct pst_backend *b)
{
	const uint64_t end_ns = pst_now_ns() + CLOSING_NS;
	struct pst_cuda_lane *l;
	unsigned int i, j;

	if (b->lost || !soon_idle(b->mem_stream, end_ns) ||
	    !soon_idle(b->pipe.h2d, end_ns) ||
	    !soon_idle(b->pipe.compute, end_ns) ||
	    !soon_idle(b->pipe.d2h, end_ns))
		return false;
	for (i = 0; i < PST_WIRE_MAX_LANES; i++) {
		l = b->lanes[i];
		if (l && !soon_idle(l->stream, end_ns))
			return false;
		for (j = 0; l && j < PST_CUDA_JOBS; j++)
			if (l->job[j].other &&
			    !soon_idle(l->job[j].other, end_ns))
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
	.ahead = PST_BACKEND_MAX_AHEAD,
	.open = cuda_open,
	.close = cuda_close,
	.describe = cuda_describe,
	.registration = cuda_registration,
	.registration_why = cuda_registration_why,
	.device_info = cuda_device_info,
	.calibration = pst_cuda_calibration,
	.lost = cuda_lost,
	.threads = cuda_threads,
	.can = cuda_can,
	.begin = pst_cuda_begin,
	.step = pst_cuda_step,
	.cancel = pst_cuda_cancel,
	.estimate_ns = cuda_estimate_ns,
	.alloc = pst_cuda_alloc,
	.release = pst_cuda_release,
	.upload = pst_cuda_upload,
	.model_new = pst_cuda_model_new,
	.model_free = pst_cuda_model_free,
};
