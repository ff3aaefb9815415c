/* SPDX-License-Identifier: MIT */
/* Cuts a product into pieces of work for the device: in place or through the
 * pipeline. */
#include "guest-agent/cuda/gemm.h"

#include <errno.h>
#include <inttypes.h>

#include "guest-agent/cuda/context.h"
#include "guest-agent/cuda/kernels.h"
#include "transport/base/util.h"

/* Lines of at least this many bytes are padded. */
#define LEAST_PADDED 64U
/* Parts of the first unit begin at multiples of this. */
#define GRAIN 32U

/* A part of an operand: lines of storage, the same of each product of the
 * group. */
struct part {
	const struct pst_operand *x;
	uint64_t off;    /* bytes from the operand's start */
	uint64_t width;  /* bytes of a line */
	uint64_t lines;  /* of one product */
	uint64_t pitch;  /* bytes from line to line */
	uint64_t stride; /* bytes from product to product */
	uint64_t products;
	unsigned int elem;
	/* Of the slot: bytes of its lines, and where in it the part begins. */
	uint64_t slot_width, slot_off;
};

/* Where a part can be computed on. */
struct place {
	uint8_t *mem;
	uint32_t ld;     /* elements */
	uint64_t stride; /* elements */
};

/* One piece: the extent of its tile. */
struct piece {
	struct pst_cuda_unit u;
	uint64_t i0, j0, l0, b0;
	uint64_t mt, nt, kt, products;
	uint64_t k_all, k_at; /* of the unit along k, and where this begins */
};

/* Whether the epilogue comes in a kernel of its own, for which sums of 16-bit
 * results must not be rounded before: that needs room in the pipeline. */
static bool wants_wide(const struct pst_backend *b, const struct pst_op *v,
		       bool bias_of_rows)
{
	struct pst_cuda_product p = {
		.dtype = v->dtype,
		.act = v->act,
		.bias_of_rows = bias_of_rows,
		.own_gelu = b->rough_gelu,
	};

	if (pst_dtype_size(v->dtype_c) != 2 || (!v->act && !v->has_bias))
		return false;
	/* Tiles' biases in the pipeline are aligned. */
	if (v->has_bias)
		p.bias = v->bias.mem || b->region.mapped
				 ? pst_cuda_address(b, &v->bias)
				 : b->pipe.mem;
	return !v->k || b->lacks.lt || !pst_cuda_lt_has(&p);
}

static void plan_problem(const struct pst_backend *b,
			 const struct pst_cuda_gemm_job *g,
			 struct pst_cuda_tiles_problem *p)
{
	const struct pst_op *v = &g->op;
	const double rate = b->calibration.flops[pst_cuda_rate_of(v)];

	*p = (struct pst_cuda_tiles_problem){
		.m = v->m,
		.n = v->n,
		.k = v->k ? v->k : 1,
		.batch = v->batch,
		.elem = pst_dtype_size(v->dtype),
		.elem_c = pst_dtype_size(v->dtype_c),
		.copy_a = g->copy_a,
		.copy_b = g->copy_b,
		.copy_c = g->copy_c,
		.shared_a = v->stride_a == 0,
		.shared_b = v->stride_b == 0,
		.widen = pst_dtype_size(v->dtype_c) == 2,
		.widen_all = g->wide,
		.scattered = v->stride_c != (uint64_t)v->ldc * v->n,
		.whole = g->strategy == PST_CUDA_STRATEGY_WHOLE,
		.multiprocessors = b->calibration.multiprocessors,
		.budget = b->pipe.size - g->bias_bytes,
		.max_flops = rate > 0 ? rate * PST_CUDA_SLICE_S : 1e9,
	};
}

int pst_cuda_gemm_begin(struct pst_backend *b, struct pst_cuda_job *job,
			const struct pst_op *op, uint64_t *ret_pieces,
			struct pst_error *err)
{
	struct pst_cuda_gemm_job *g = &job->gemm;
	struct pst_cuda_tiles_problem p;

	*g = (struct pst_cuda_gemm_job){.strategy = PST_CUDA_STRATEGY_AUTO};
	*ret_pieces = 0;
	if (op->c.size == 0)
		return 0;
	pst_cuda_gemm_view(op, &g->op, &g->bias_of_rows);
	g->strategy = pst_cuda_choose(&b->calibration, &g->op, b->region.mapped,
				      b->options.strategy);
	g->wide = wants_wide(b, &g->op, g->bias_of_rows);
	if (g->wide)
		g->strategy = PST_CUDA_STRATEGY_PIPELINED;
	g->piped = g->strategy == PST_CUDA_STRATEGY_PIPELINED ||
		   g->strategy == PST_CUDA_STRATEGY_WHOLE;
	g->copy_a = g->piped && g->op.k && !g->op.a.mem;
	g->copy_b = g->piped && g->op.k && !g->op.b.mem;
	g->copy_c = g->piped && !g->op.c.mem;
	if (g->piped && g->op.bias.size && !g->op.bias.mem)
		g->bias_bytes =
			pst_round_up(g->op.bias.size, PST_CUDA_TILES_ALIGN);
	if (g->bias_bytes > b->pipe.size / 2)
		goto too_large;
	plan_problem(b, g, &p);
	if (pst_cuda_tiles_plan(&p, &g->tiles) < 0)
		goto too_large;
	*ret_pieces = pst_cuda_tiles_count(&g->tiles);
	return 0;
too_large:
	return pst_error_set(err, -ENOMEM,
			     "the %" PRIu64
			     " MiB of device memory for tiles are too "
			     "few for this product",
			     b->pipe.size >> 20);
}

static uint64_t extent(uint64_t total, uint64_t tile, uint64_t index,
		       uint64_t *ret_start)
{
	*ret_start = index * tile;
	return total - *ret_start < tile ? total - *ret_start : tile;
}

static void piece_of(const struct pst_cuda_gemm_job *g, uint64_t u,
		     struct piece *p)
{
	const struct pst_cuda_tiles *t = &g->tiles;

	pst_cuda_tiles_unit(t, u, &p->u);
	p->mt = extent(g->op.m, t->mt, p->u.i, &p->i0);
	p->nt = extent(g->op.n, t->nt, p->u.j, &p->j0);
	p->kt = g->op.k ? extent(g->op.k, t->kt, p->u.l, &p->l0) : 0;
	if (!g->op.k)
		p->l0 = 0;
	p->k_all = p->kt;
	p->k_at = 0;
	if (p->u.parts > 1) {
		p->kt = extent(p->k_all,
			       pst_round_up(p->k_all / p->u.parts + 1, GRAIN),
			       p->u.part, &p->k_at);
		p->l0 += p->k_at;
	}
	p->products = extent(g->op.batch, t->group, p->u.g, &p->b0);
}

/* Rows row.. and columns col.. of op(X). */
static void part_of(const struct pst_operand *x, bool trans, uint64_t row,
		    uint64_t col, uint64_t rows, uint64_t cols, uint32_t ld,
		    uint64_t stride, unsigned int elem, const struct piece *p,
		    struct part *ret)
{
	const uint64_t at = trans ? col + row * ld : row + col * ld;

	*ret = (struct part){
		.x = x,
		.off = (p->b0 * stride + at) * elem,
		.width = (trans ? cols : rows) * elem,
		.lines = trans ? rows : cols,
		.pitch = (uint64_t)ld * elem,
		.stride = stride * elem,
		/* One for all is copied once. */
		.products = stride ? p->products : 1,
		.elem = elem,
		.slot_width = (trans ? cols : rows) * elem,
	};
}

static void place_direct(const struct pst_backend *b, const struct part *p,
			 struct place *ret)
{
	ret->mem = pst_cuda_address(b, p->x) + p->off;
	ret->ld = (uint32_t)(p->pitch / p->elem);
	ret->stride = p->stride / p->elem;
}

/* Lines that follow one another need no padding, and are one copy. But cuBLAS
 * has no products of i8 whose lines do not begin at multiples of 4 bytes; of
 * short lines it is the copy that would take long. */
static uint64_t slot_pitch(const struct part *p)
{
	const bool odd = p->elem == 1 && p->slot_width % 4 &&
			 p->slot_width >= LEAST_PADDED;

	return p->pitch == p->slot_width && !odd
		       ? p->slot_width
		       : pst_cuda_tiles_pitch(p->slot_width / p->elem, p->elem);
}

/* A part of a unit along k lies in that unit's slot: in its first lines, or at
 * the begin of all lines, and so on. */
static void place_in_slot(struct part *p, bool k_is_lines,
			  const struct piece *piece)
{
	if (!k_is_lines)
		p->slot_width = piece->k_all * p->elem;
	p->slot_off = piece->k_at * (k_is_lines ? slot_pitch(p) : p->elem);
}

static void place_slot(uint8_t *mem, const struct part *p, struct place *ret)
{
	ret->mem = mem + p->slot_off;
	ret->ld = (uint32_t)(slot_pitch(p) / p->elem);
	ret->stride = p->stride ? slot_pitch(p) * p->lines / p->elem : 0;
}

static int copy_part(struct pst_cuda_mover *m, const struct part *p,
		     uint8_t *mem, bool to_device, struct pst_error *err)
{
	const uint64_t dev_pitch = slot_pitch(p);
	struct pst_cuda_lines l = {
		.off = p->x->off + p->off,
		.pitch = p->pitch,
		.dev = mem,
		.dev_pitch = dev_pitch,
		.width = p->width,
		.n = p->lines,
		.to_device = to_device,
	};
	uint64_t i;
	int r = 0;

	if (p->stride == p->pitch * p->lines || p->products == 1) {
		l.n = p->lines * p->products;
		return pst_cuda_mover_copy(m, &l, err);
	}
	for (i = 0; i < p->products && r == 0; i++) {
		r = pst_cuda_mover_copy(m, &l, err);
		l.off += p->stride;
		l.dev += dev_pitch * p->lines;
	}
	return r;
}

static int stream_wait(cudaStream_t s, cudaEvent_t e, struct pst_error *err)
{
	return pst_cuda_ok(cudaStreamWaitEvent(s, e, 0), "waiting for an event",
			   err);
}

static int record(cudaEvent_t e, cudaStream_t s, struct pst_error *err)
{
	return pst_cuda_ok(cudaEventRecord(e, s), "recording an event", err);
}

/* The part is in device memory before the compute stream goes on. more: of a
 * tile of which parts lie there. */
static int fetch(struct pst_cuda_pipe *pipe, struct pst_cuda_pipe_side *side,
		 uint64_t key, bool more, const struct part *p,
		 struct place *ret, struct pst_cuda_pipe_slot **ret_slot,
		 struct pst_error *err)
{
	struct pst_cuda_pipe_slot *slot;
	uint32_t i;
	bool hit;
	int r;

	i = pst_cuda_tile_cache_get(&side->cache, key, &hit);
	slot = &side->slot[i];
	place_slot(side->mem + i * side->bytes, p, ret);
	*ret_slot = slot;
	if (!hit || more) {
		r = 0;
		if (slot->in_use && !more)
			r = stream_wait(pipe->h2d, slot->used, err);
		if (r == 0)
			r = copy_part(&pipe->in, p, ret->mem, true, err);
		if (r == 0)
			r = record(slot->loaded, pipe->h2d, err);
		if (r < 0)
			return r;
	}
	return stream_wait(pipe->compute, slot->loaded, err);
}

/* The C tile: its slot is free, and holds C where that is read. */
static int prepare_c(struct pst_backend *b, struct pst_cuda_gemm_job *g,
		     struct pst_cuda_pipe_slot *slot, const struct part *p,
		     uint8_t *mem, struct pst_error *err)
{
	struct pst_cuda_pipe *pipe = &b->pipe;
	int r = 0;

	if (g->op.beta == 0)
		return slot->in_use
			       ? stream_wait(pipe->compute, slot->used, err)
			       : 0;
	if (slot->in_use)
		r = stream_wait(pipe->h2d, slot->used, err);
	if (r == 0)
		r = copy_part(&pipe->in, p, mem, true, err);
	if (r == 0)
		r = record(slot->loaded, pipe->h2d, err);
	if (r == 0)
		r = stream_wait(pipe->compute, slot->loaded, err);
	return r;
}

/* The C tile goes home. */
static int return_c(struct pst_backend *b, struct pst_cuda_pipe_slot *slot,
		    const struct part *p, uint8_t *mem, struct pst_error *err)
{
	struct pst_cuda_pipe *pipe = &b->pipe;
	int r;

	r = pst_cuda_after(pipe->compute, pipe->turn, pipe->d2h, err);
	if (r == 0)
		r = copy_part(&pipe->out, p, mem, false, err);
	if (r == 0)
		r = record(slot->used, pipe->d2h, err);
	slot->in_use = true;
	return r;
}

/* All that one piece needs. */
struct issue {
	struct pst_backend *b;
	struct pst_cuda_job *job;
	struct pst_cuda_gemm_job *g;
	struct piece p;
	struct part a, b_, c;
	struct place at_a, at_b, at_c;
	struct pst_cuda_pipe_slot *slot_a, *slot_b, *slot_c;
	struct pst_cuda_product_env env;
	float *wide; /* sums of parts; NULL: in C itself */
};

static int place_inputs(struct issue *s, struct pst_error *err)
{
	struct pst_cuda_gemm_job *g = s->g;
	const struct pst_cuda_unit *u = &s->p.u;
	const struct pst_cuda_tiles *t = &g->tiles;
	const uint64_t ga = g->op.stride_a ? u->g : 0;
	const uint64_t gb = g->op.stride_b ? u->g : 0;
	int r = 0;

	if (g->copy_a)
		r = fetch(&s->b->pipe, &s->b->pipe.a,
			  1 + (ga * t->n_i + u->i) * t->n_l + u->l, u->part,
			  &s->a, &s->at_a, &s->slot_a, err);
	else if (g->op.k)
		place_direct(s->b, &s->a, &s->at_a);
	if (r == 0 && g->copy_b)
		r = fetch(&s->b->pipe, &s->b->pipe.b,
			  1 + (gb * t->n_j + u->j) * t->n_l + u->l, u->part,
			  &s->b_, &s->at_b, &s->slot_b, err);
	else if (g->op.k)
		place_direct(s->b, &s->b_, &s->at_b);
	return r;
}

static int place_output(struct issue *s, struct pst_error *err)
{
	struct pst_cuda_gemm_job *g = s->g;
	const struct pst_cuda_tiles *t = &g->tiles;
	struct pst_cuda_pipe *pipe = &s->b->pipe;
	const struct pst_cuda_unit *u = &s->p.u;
	uint64_t i = 0;

	if (t->n_c)
		i = ((u->g * t->n_i + u->i) * t->n_j + u->j) % t->n_c;
	if (t->wide_bytes)
		s->wide = (float *)(void *)(pipe->wide_mem + i * t->wide_bytes);
	if (!g->copy_c) {
		place_direct(s->b, &s->c, &s->at_c);
		return 0;
	}
	s->slot_c = &pipe->c[i];
	place_slot(pipe->c_mem + i * t->c_bytes, &s->c, &s->at_c);
	return u->first ? prepare_c(s->b, g, s->slot_c, &s->c, s->at_c.mem, err)
			: 0;
}

static const void *bias_at(const struct issue *s)
{
	const struct pst_cuda_gemm_job *g = s->g;
	const struct pst_operand *x = &g->op.bias;
	const uint8_t *bias;

	if (!x->size)
		return NULL;
	bias = g->bias_bytes ? s->b->pipe.bias_mem : pst_cuda_address(s->b, x);
	return bias + (g->bias_of_rows ? s->p.i0 : s->p.j0) * s->c.elem;
}

/* From C's tile to the wide sums (scale: beta), or back with the epilogue. */
static int convert(const struct issue *s, bool back, double scale,
		   struct pst_error *err)
{
	const struct pst_op *v = &s->g->op;
	struct pst_cuda_k_finish f = {
		.dst = back ? (void *)s->at_c.mem : s->wide,
		.src = back ? (const void *)s->wide : s->at_c.mem,
		.bias = back ? bias_at(s) : NULL,
		.dst_dtype = back ? v->dtype_c : PST_WIRE_F32,
		.src_dtype = back ? PST_WIRE_F32 : v->dtype_c,
		.act = back ? v->act : PST_WIRE_ACT_NONE,
		.bias_of_rows = s->g->bias_of_rows,
		.rows = s->p.mt,
		.cols = s->p.nt,
		.batch = s->p.products,
		.ld_dst = back ? s->at_c.ld : s->p.mt,
		.ld_src = back ? s->p.mt : s->at_c.ld,
		.stride_dst = back ? s->at_c.stride : s->p.mt * s->p.nt,
		.stride_src = back ? s->p.mt * s->p.nt : s->at_c.stride,
		.scale = scale,
	};

	return pst_cuda_ok(pst_cuda_k_finish(s->env.stream, &f),
			   "starting a conversion", err);
}

static int compute(const struct issue *s, struct pst_error *err)
{
	const struct pst_op *v = &s->g->op;
	const struct pst_cuda_unit *u = &s->p.u;
	const bool finish = u->last && !s->wide;
	struct pst_cuda_product p = {
		.dtype = v->dtype,
		.dtype_c = s->wide ? PST_WIRE_F32 : v->dtype_c,
		.compute = v->compute,
		.act = finish ? v->act : PST_WIRE_ACT_NONE,
		.transa = v->transa,
		.transb = v->transb,
		.bias_of_rows = s->g->bias_of_rows,
		.own_gelu = s->b->rough_gelu,
		.m = (uint32_t)s->p.mt,
		.n = (uint32_t)s->p.nt,
		.k = (uint32_t)s->p.kt,
		.batch = (uint32_t)s->p.products,
		.lda = s->at_a.ld,
		.ldb = s->at_b.ld,
		.ldc = s->wide ? (uint32_t)s->p.mt : s->at_c.ld,
		.stride_a = s->at_a.stride,
		.stride_b = s->at_b.stride,
		.stride_c = s->wide ? s->p.mt * s->p.nt : s->at_c.stride,
		.alpha = v->alpha,
		.beta = u->first ? v->beta : 1,
		.a = s->at_a.mem,
		.b = s->at_b.mem,
		.bias = finish ? bias_at(s) : NULL,
		.c = s->wide ? (void *)s->wide : s->at_c.mem,
	};
	int r = 0;

	if (s->wide && u->first && v->beta != 0) {
		r = convert(s, false, v->beta, err);
		p.beta = 1;
	}
	if (r == 0)
		r = pst_cuda_product_run(&s->env, &p, err);
	if (r == 0 && s->wide && u->last)
		r = convert(s, true, 1, err);
	return r;
}

/* Slots may be filled again when this piece has been computed. */
static int used(struct pst_cuda_pipe_slot *slot, cudaStream_t s,
		struct pst_error *err)
{
	if (!slot)
		return 0;
	slot->in_use = true;
	return record(slot->used, s, err);
}

/* From here on the pipe is this operation's. */
static int enter_pipe(struct pst_backend *b, struct pst_cuda_gemm_job *g,
		      struct pst_error *err)
{
	struct pst_cuda_pipe *pipe = &b->pipe;
	const struct pst_cuda_lines bias = {
		.off = g->op.bias.off,
		.pitch = g->op.bias.size,
		.dev_pitch = g->op.bias.size,
		.width = g->op.bias.size,
		.n = 1,
		.to_device = true,
	};
	struct pst_cuda_lines l = bias;
	int r;

	pst_cuda_pipe_enter(pipe, &g->tiles, g->bias_bytes);
	g->in_pipe = true;
	r = pst_cuda_wait_memory(b, pipe->compute, err);
	if (r < 0 || !g->bias_bytes)
		return r;
	l.dev = pipe->bias_mem;
	r = pst_cuda_mover_copy(&pipe->in, &l, err);
	return r < 0 ? r
		     : pst_cuda_after(pipe->h2d, pipe->turn, pipe->compute,
				      err);
}

/* Returns 1 when pieces can be put on the device, 0 to wait. */
static int get_pipe(struct pst_backend *b, struct pst_cuda_job *job,
		    const struct pst_cuda_unit *u, struct pst_error *err)
{
	struct pst_cuda_gemm_job *g = &job->gemm;
	const uint64_t now = pst_now_ns();
	int r;

	if (g->in_pipe) {
		/* Between two tiles of C others may have it. */
		if (!u->first || !pst_cuda_pipe_wanted(&b->pipe, now))
			return 1;
		if (job->flight.n)
			return 0;
		pst_cuda_pipe_release(&b->pipe, job->lane->index);
		g->in_pipe = false;
	}
	if (!pst_cuda_pipe_acquire(&b->pipe, job->lane->index, now))
		return 0;
	r = enter_pipe(b, g, err);
	return r < 0 ? r : 1;
}

static void issue_init(struct issue *s, bool piped)
{
	struct pst_backend *b = s->b;
	const struct pst_op *v = &s->g->op;
	const unsigned int e = pst_dtype_size(v->dtype);
	const struct piece *p = &s->p;

	s->env = pst_cuda_env(b, piped ? b->pipe.compute : s->job->lane->stream,
			      piped ? b->pipe.workspace
				    : s->job->lane->workspace);
	part_of(&v->a, v->transa, p->i0, p->l0, p->mt, p->kt, v->lda,
		v->stride_a, e, p, &s->a);
	part_of(&v->b, v->transb, p->l0, p->j0, p->kt, p->nt, v->ldb,
		v->stride_b, e, p, &s->b_);
	part_of(&v->c, false, p->i0, p->j0, p->mt, p->nt, v->ldc, v->stride_c,
		pst_dtype_size(v->dtype_c), p, &s->c);
	place_in_slot(&s->a, !v->transa, p);
	place_in_slot(&s->b_, v->transb, p);
	/* A batch of one has no stride that would tell. */
	s->c.products = p->products;
}

int pst_cuda_gemm_issue(struct pst_backend *b, struct pst_cuda_job *job,
			uint64_t u, struct pst_error *err)
{
	const bool piped = job->gemm.piped;
	struct issue s = {.b = b, .job = job, .g = &job->gemm};
	cudaStream_t end;
	int r = 1;

	piece_of(&job->gemm, u, &s.p);
	if (piped)
		r = get_pipe(b, job, &s.p.u, err);
	if (r <= 0)
		return r;
	issue_init(&s, piped);
	end = s.env.stream;
	if ((r = place_inputs(&s, err)) < 0 ||
	    (r = place_output(&s, err)) < 0 || (r = compute(&s, err)) < 0 ||
	    (r = used(s.slot_a, end, err)) < 0 ||
	    (r = used(s.slot_b, end, err)) < 0)
		return r;
	if (s.slot_c && s.p.u.last) {
		r = return_c(b, s.slot_c, &s.c, s.at_c.mem, err);
		end = b->pipe.d2h;
	}
	if (r == 0)
		r = pst_cuda_flight_mark(&job->flight, end, err);
	return r < 0 ? r : 1;
}
