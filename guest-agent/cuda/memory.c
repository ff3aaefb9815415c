/* SPDX-License-Identifier: MIT */
/* Device memory of resident tensors. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "guest-agent/cuda/context.h"
#include "transport/base/util.h"

/* Of uploads. */
#define PINNED (1ULL << 20)

static int no_memory(struct pst_backend *b, uint64_t size,
		     struct pst_error *err)
{
	size_t free_bytes = 0, total = 0;

	if (cudaMemGetInfo(&free_bytes, &total) != cudaSuccess)
		cudaGetLastError();
	return pst_error_set(err, -ENOMEM,
			     "%s has %zu MiB of %zu MiB free, not the %" PRIu64
			     " MiB "
			     "asked for",
			     b->device.name, free_bytes >> 20, total >> 20,
			     (size + (1U << 20) - 1) >> 20);
}

static int take(struct pst_backend *b, uint64_t size, bool zero, void **ret,
		struct pst_error *err)
{
	void *mem = NULL;
	int r;

	if (b->lost)
		return pst_error_set(err, -EIO, "%s", b->why.text);
	/* In the order of a stream, freeing does not wait for the device. */
	r = pst_cuda_ok(b->device.pools
				? cudaMallocAsync(&mem, size, b->mem_stream)
				: cudaMalloc(&mem, size),
			"allocating device memory", err);
	if (r == -ENOMEM)
		return no_memory(b, size, err);
	if (r == 0 && zero)
		r = pst_cuda_ok(cudaMemsetAsync(mem, 0, size, b->mem_stream),
				"zeroing device memory", err);
	if (r == 0)
		r = pst_cuda_ok(cudaEventRecord(b->mem_ready, b->mem_stream),
				"recording an event", err);
	if (r < 0) {
		if (!pst_cuda_check_lost(b, err) && mem)
			pst_cuda_release(b, mem);
		return r;
	}
	b->has_memory = true;
	*ret = mem;
	return 0;
}

int pst_cuda_alloc(struct pst_backend *b, uint64_t size, void **ret,
		   struct pst_error *err)
{
	return take(b, size, true, ret, err);
}

int pst_cuda_alloc_scratch(struct pst_backend *b, uint64_t size, void **ret,
			   struct pst_error *err)
{
	return take(b, size, false, ret, err);
}

void pst_cuda_release(struct pst_backend *b, void *mem)
{
	cudaError_t e = b->device.pools ? cudaFreeAsync(mem, b->mem_stream)
					: cudaFree(mem);

	if (e != cudaSuccess)
		cudaGetLastError();
	b->released = b->device.pools;
}

static int upload(struct pst_backend *b, uint8_t *dev, const uint8_t *data,
		  uint64_t n, struct pst_error *err)
{
	uint64_t at, part;
	int r = 0;

	if (!b->pinned)
		r = pst_cuda_ok(
			cudaHostAlloc(&b->pinned, PINNED, cudaHostAllocDefault),
			"allocating pinned memory", err);
	for (at = 0; r == 0 && at < n; at += part) {
		part = pst_min_u64(n - at, PINNED);
		memcpy(b->pinned, data + at, part);
		r = pst_cuda_ok(cudaMemcpyAsync(dev + at, b->pinned, part,
						cudaMemcpyHostToDevice,
						b->mem_stream),
				"copying to the device", err);
		if (r == 0)
			r = pst_cuda_ok(cudaStreamSynchronize(b->mem_stream),
					"copying to the device", err);
	}
	return r;
}

int pst_cuda_upload(struct pst_backend *b, void *mem, uint64_t off,
		    const void *data, uint64_t n, struct pst_error *err)
{
	int r;

	if (b->lost)
		return pst_error_set(err, -EIO, "%s", b->why.text);
	r = upload(b, (uint8_t *)mem + off, data, n, err);
	if (r < 0)
		pst_cuda_check_lost(b, err);
	return r;
}

void pst_cuda_trim(struct pst_backend *b)
{
	cudaMemPool_t pool;

	if (!b->released || b->lost ||
	    cudaStreamQuery(b->mem_stream) != cudaSuccess)
		return;
	b->released = false;
	if (cudaDeviceGetDefaultMemPool(&pool, b->device.ordinal) !=
		    cudaSuccess ||
	    cudaMemPoolTrimTo(pool, 0) != cudaSuccess)
		cudaGetLastError();
}

int pst_cuda_wait_memory(struct pst_backend *b, cudaStream_t s,
			 struct pst_error *err)
{
	if (!b->has_memory)
		return 0;
	return pst_cuda_ok(cudaStreamWaitEvent(s, b->mem_ready, 0),
			   "waiting for an event", err);
}
