/* SPDX-License-Identifier: MIT */
/* Copies between the region and device memory on one stream, by the copy
 * engine or, for a region that is not registered, through pinned memory. */
#include "guest-agent/cuda/mover.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/cuda/device.h"
#include "transport/base/util.h"

/* What a host function copies, in the order of the stream. */
struct pst_cuda_mover_job {
	struct pst_cuda_mover_job *next;
	atomic_bool busy; /* from putting it on the stream to its end there */
	uint8_t *dst;
	const uint8_t *src;
	uint64_t dst_pitch, src_pitch, width, n;
};

void pst_cuda_mover_init(struct pst_cuda_mover *m,
			 const struct pst_cuda_registration *region,
			 cudaStream_t stream, uint64_t max_pitch,
			 uint64_t staged_size)
{
	*m = (struct pst_cuda_mover){
		.region = region,
		.stream = stream,
		.max_pitch = max_pitch,
		.pinned_size = staged_size,
	};
}

void pst_cuda_mover_done(struct pst_cuda_mover *m)
{
	struct pst_cuda_mover_job *j;

	if (m->pinned)
		cudaFreeHost(m->pinned);
	m->pinned = NULL;
	while ((j = m->jobs)) {
		m->jobs = j->next;
		free(j);
	}
}

/* Runs on a thread of the driver: no CUDA call is allowed there. */
static void CUDART_CB copy_lines(void *arg)
{
	struct pst_cuda_mover_job *j = arg;
	uint64_t i;

	for (i = 0; i < j->n; i++)
		memcpy(j->dst + i * j->dst_pitch, j->src + i * j->src_pitch,
		       j->width);
	/* Partner: the acquire in job_get(). */
	atomic_store_explicit(&j->busy, false, memory_order_release);
}

/* A free job. The list grows to the largest number that was on the stream at
 * once. */
static struct pst_cuda_mover_job *job_get(struct pst_cuda_mover *m)
{
	struct pst_cuda_mover_job *j;

	for (j = m->jobs; j; j = j->next)
		/* Partner: the release in copy_lines(). */
		if (!atomic_load_explicit(&j->busy, memory_order_acquire))
			break;
	if (!j) {
		j = calloc(1, sizeof(*j));
		if (!j)
			return NULL;
		j->next = m->jobs;
		m->jobs = j;
	}
	return j;
}

static int host_copy(struct pst_cuda_mover *m,
		     const struct pst_cuda_mover_job *what,
		     struct pst_error *err)
{
	struct pst_cuda_mover_job *j = job_get(m);
	int r;

	if (!j)
		return pst_oom(err);
	j->dst = what->dst;
	j->src = what->src;
	j->dst_pitch = what->dst_pitch;
	j->src_pitch = what->src_pitch;
	j->width = what->width;
	j->n = what->n;
	atomic_store_explicit(&j->busy, true, memory_order_relaxed);
	r = pst_cuda_ok(cudaLaunchHostFunc(m->stream, copy_lines, j),
			"starting a staged copy", err);
	if (r < 0)
		atomic_store_explicit(&j->busy, false, memory_order_relaxed);
	return r;
}

/* Between the pinned memory, where lines follow one another, and the device. */
static int copy_pinned(struct pst_cuda_mover *m, const struct pst_cuda_lines *l,
		       struct pst_error *err)
{
	const bool dense = l->n == 1 || l->dev_pitch == l->width;
	const enum cudaMemcpyKind kind =
		l->to_device ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost;
	uint8_t *const dst = l->to_device ? l->dev : m->pinned;
	const uint8_t *const src = l->to_device ? m->pinned : l->dev;
	cudaError_t e;

	/* Lines may be longer than the longest pitch. */
	if (dense)
		e = cudaMemcpyAsync(dst, src, l->width * l->n, kind, m->stream);
	else
		e = cudaMemcpy2DAsync(
			dst, l->to_device ? l->dev_pitch : l->width, src,
			l->to_device ? l->width : l->dev_pitch, l->width, l->n,
			kind, m->stream);
	return pst_cuda_ok(e,
			   l->to_device ? "copying to the device"
					: "copying from the device",
			   err);
}

/* Lines that fit the pinned memory. */
static int stage(struct pst_cuda_mover *m, const struct pst_cuda_lines *l,
		 struct pst_error *err)
{
	struct pst_cuda_mover_job j = {.width = l->width, .n = l->n};
	uint8_t *const region = m->region->base + l->off;
	int r;

	if (l->to_device) {
		j.dst = m->pinned;
		j.dst_pitch = l->width;
		j.src = region;
		j.src_pitch = l->pitch;
		r = host_copy(m, &j, err);
		return r < 0 ? r : copy_pinned(m, l, err);
	}
	r = copy_pinned(m, l, err);
	if (r < 0)
		return r;
	j.dst = region;
	j.dst_pitch = l->pitch;
	j.src = m->pinned;
	j.src_pitch = l->width;
	return host_copy(m, &j, err);
}

/* One line longer than the pinned memory, in pieces. */
static int stage_line(struct pst_cuda_mover *m, const struct pst_cuda_lines *l,
		      struct pst_error *err)
{
	struct pst_cuda_lines piece = *l;
	uint64_t at;
	int r = 0;

	piece.n = 1;
	for (at = 0; at < l->width && r == 0; at += m->pinned_size) {
		piece.off = l->off + at;
		piece.dev = l->dev + at;
		piece.width = l->width - at;
		if (piece.width > m->pinned_size)
			piece.width = m->pinned_size;
		r = stage(m, &piece, err);
	}
	return r;
}

static int copy_staged(struct pst_cuda_mover *m, const struct pst_cuda_lines *l,
		       struct pst_error *err)
{
	struct pst_cuda_lines part = *l;
	const uint64_t fit = m->pinned_size / l->width;
	uint64_t i, n;
	int r = 0;

	if (!m->pinned) {
		r = pst_cuda_ok(cudaHostAlloc((void **)&m->pinned,
					      m->pinned_size,
					      cudaHostAllocPortable),
				"allocating pinned memory", err);
		if (r < 0)
			return r;
	}
	for (i = 0; i < l->n && r == 0; i += n) {
		n = fit && l->dev_pitch <= m->max_pitch ? fit : 1;
		if (n > l->n - i)
			n = l->n - i;
		part.off = l->off + i * l->pitch;
		part.dev = l->dev + i * l->dev_pitch;
		part.n = n;
		r = fit ? stage(m, &part, err) : stage_line(m, &part, err);
	}
	return r;
}

static int copy_1d(struct pst_cuda_mover *m, uint8_t *dev, uint64_t off,
		   uint64_t bytes, bool to_device, struct pst_error *err)
{
	uint8_t *host = m->region->base + off;

	if (to_device)
		return pst_cuda_ok(cudaMemcpyAsync(dev, host, bytes,
						   cudaMemcpyHostToDevice,
						   m->stream),
				   "copying to the device", err);
	return pst_cuda_ok(cudaMemcpyAsync(host, dev, bytes,
					   cudaMemcpyDeviceToHost, m->stream),
			   "copying from the device", err);
}

static int copy_2d(struct pst_cuda_mover *m, const struct pst_cuda_lines *l,
		   struct pst_error *err)
{
	uint8_t *host = m->region->base + l->off;

	if (l->to_device)
		return pst_cuda_ok(cudaMemcpy2DAsync(l->dev, l->dev_pitch, host,
						     l->pitch, l->width, l->n,
						     cudaMemcpyHostToDevice,
						     m->stream),
				   "copying to the device", err);
	return pst_cuda_ok(cudaMemcpy2DAsync(host, l->pitch, l->dev,
					     l->dev_pitch, l->width, l->n,
					     cudaMemcpyDeviceToHost, m->stream),
			   "copying from the device", err);
}

int pst_cuda_mover_copy(struct pst_cuda_mover *m,
			const struct pst_cuda_lines *l, struct pst_error *err)
{
	uint64_t i;
	int r = 0;

	if (l->width == 0 || l->n == 0)
		return 0;
	if (!m->region->mapped)
		return copy_staged(m, l, err);
	if (l->n == 1 || (l->pitch == l->width && l->dev_pitch == l->width))
		return copy_1d(m, l->dev, l->off, l->width * l->n, l->to_device,
			       err);
	if (l->pitch <= m->max_pitch && l->dev_pitch <= m->max_pitch)
		return copy_2d(m, l, err);
	/* Lines so far apart are few. */
	for (i = 0; i < l->n && r == 0; i++)
		r = copy_1d(m, l->dev + i * l->dev_pitch, l->off + i * l->pitch,
			    l->width, l->to_device, err);
	return r;
}
