/* SPDX-License-Identifier: MIT */
/* The pipeline: streams, tile slots and their events; one operation at a
 * time has it. */
#include "guest-agent/cuda/pipe.h"

#include <errno.h>

#include "guest-agent/cuda/device.h"
#include "guest-agent/cuda/flight.h"
#include "transport/base/util.h"

/* How long an operation keeps the pipe while others wait: giving it up costs
 * the tiles that lie in it. */
#define SHARE_NS (50 * PST_NS_PER_MS)
/* Pinned memory of each direction where the region is not registered. */
#define STAGED_SIZE (8ULL << 20)
/* With less there is no point. */
#define LEAST_SIZE (256ULL << 10)

static int take_memory(struct pst_cuda_pipe *p, uint64_t size,
		       struct pst_error *err)
{
	int r;

	for (;;) {
		r = pst_cuda_ok(cudaMalloc((void **)&p->mem, size),
				"allocating device memory for tiles", err);
		if (r == 0)
			p->size = size;
		size = size / 2 & ~(uint64_t)(PST_CUDA_TILES_ALIGN - 1);
		if (r != -ENOMEM || size < LEAST_SIZE)
			return r;
	}
}

static int slots_init(struct pst_cuda_pipe_slot *s, unsigned int n,
		      struct pst_error *err)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < n && r == 0; i++) {
		r = pst_cuda_event(&s[i].loaded, err);
		if (r == 0)
			r = pst_cuda_event(&s[i].used, err);
	}
	return r;
}

int pst_cuda_pipe_init(struct pst_cuda_pipe *p,
		       const struct pst_cuda_registration *region,
		       uint64_t size, uint64_t workspace_size,
		       uint64_t max_pitch, struct pst_error *err)
{
	int r;

	p->owner = -1;
	if ((r = pst_cuda_stream(&p->h2d, err)) < 0 ||
	    (r = pst_cuda_stream(&p->compute, err)) < 0 ||
	    (r = pst_cuda_stream(&p->d2h, err)) < 0 ||
	    (r = pst_cuda_event(&p->turn, err)) < 0)
		return r;
	/* Now, so that no product waits for it. */
	if ((r = slots_init(p->a.slot, PST_CUDA_TILES_MAX_SLOTS, err)) < 0 ||
	    (r = slots_init(p->b.slot, PST_CUDA_TILES_MAX_SLOTS, err)) < 0 ||
	    (r = slots_init(p->c, PST_CUDA_PIPE_MAX_C, err)) < 0)
		return r;
	pst_cuda_mover_init(&p->in, region, p->h2d, max_pitch, STAGED_SIZE);
	pst_cuda_mover_init(&p->out, region, p->d2h, max_pitch, STAGED_SIZE);
	r = pst_cuda_ok(cudaMalloc(&p->workspace, workspace_size),
			"allocating a workspace", err);
	if (r < 0)
		return r;
	return take_memory(p, size, err);
}

static void slots_done(struct pst_cuda_pipe_slot *s, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (s[i].loaded)
			cudaEventDestroy(s[i].loaded);
		if (s[i].used)
			cudaEventDestroy(s[i].used);
		s[i] = (struct pst_cuda_pipe_slot){0};
	}
}

void pst_cuda_pipe_done(struct pst_cuda_pipe *p)
{
	slots_done(p->a.slot, PST_CUDA_TILES_MAX_SLOTS);
	slots_done(p->b.slot, PST_CUDA_TILES_MAX_SLOTS);
	slots_done(p->c, PST_CUDA_PIPE_MAX_C);
	pst_cuda_mover_done(&p->in);
	pst_cuda_mover_done(&p->out);
	if (p->turn)
		cudaEventDestroy(p->turn);
	if (p->h2d)
		cudaStreamDestroy(p->h2d);
	if (p->compute)
		cudaStreamDestroy(p->compute);
	if (p->d2h)
		cudaStreamDestroy(p->d2h);
	if (p->mem)
		cudaFree(p->mem);
	if (p->workspace)
		cudaFree(p->workspace);
}

bool pst_cuda_pipe_acquire(struct pst_cuda_pipe *p, uint32_t lane,
			   uint64_t now_ns)
{
	unsigned int i;

	if (!p->ticket[lane])
		p->ticket[lane] = ++p->clock;
	if (p->owner >= 0)
		return false;
	for (i = 0; i < PST_WIRE_MAX_LANES; i++)
		if (p->ticket[i] && p->ticket[i] < p->ticket[lane])
			return false;
	p->ticket[lane] = 0;
	p->owner = (int)lane;
	p->since_ns = now_ns;
	return true;
}

void pst_cuda_pipe_release(struct pst_cuda_pipe *p, uint32_t lane)
{
	p->ticket[lane] = 0;
	if (p->owner == (int)lane)
		p->owner = -1;
}

bool pst_cuda_pipe_wanted(const struct pst_cuda_pipe *p, uint64_t now_ns)
{
	unsigned int i;

	if (now_ns - p->since_ns < SHARE_NS)
		return false;
	for (i = 0; i < PST_WIRE_MAX_LANES; i++)
		if (p->ticket[i])
			return true;
	return false;
}

static void side_enter(struct pst_cuda_pipe_side *s, uint8_t *mem,
		       uint64_t bytes, uint32_t n)
{
	uint32_t i;

	s->mem = mem;
	s->bytes = bytes;
	pst_cuda_tile_cache_init(&s->cache, n);
	for (i = 0; i < PST_CUDA_TILES_MAX_SLOTS; i++)
		s->slot[i].in_use = false;
}

void pst_cuda_pipe_enter(struct pst_cuda_pipe *p,
			 const struct pst_cuda_tiles *t, uint64_t bias_bytes)
{
	uint8_t *at = p->mem;
	unsigned int i;

	side_enter(&p->a, at, t->a_bytes, t->n_a);
	at += t->n_a * t->a_bytes;
	side_enter(&p->b, at, t->b_bytes, t->n_b);
	at += t->n_b * t->b_bytes;
	p->c_mem = at;
	at += t->n_c * t->c_bytes;
	p->wide_mem = at;
	at += t->n_c * t->wide_bytes;
	p->bias_mem = bias_bytes ? at : NULL;
	for (i = 0; i < PST_CUDA_PIPE_MAX_C; i++)
		p->c[i].in_use = false;
}
