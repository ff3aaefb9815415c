/* SPDX-License-Identifier: MIT */
/* The cpu backend: the system's CBLAS, on the region in place. */
#include "guest-agent/cpu/backend_cpu.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "guest-agent/cpu/blas.h"
#include "guest-agent/cpu/copy.h"
#include "guest-agent/cpu/gemm.h"
#include "guest-agent/cpu/gemm_convert.h"
#include "guest-agent/cpu/infer_cpu.h"
#include "transport/base/util.h"

/* The time of a step. Other operations wait for no longer. */
#define SLICE_NS (10 * PST_NS_PER_MS)
/* Bytes filled or read between two readings of the clock: 10 us in cached
 * memory, a few ms in uncached. */
#define PIECE (256U << 10)
/* Longer slices while there is one lane only: a product of up to 30 ms stays
 * whole then, and the end of a slice costs 3 to 5 us. A client that comes
 * meanwhile waits for it once. */
#define ALONE 2.0
/* For the first estimates only. */
#define BYTES_PER_S 4e9
/* Below this number of operations, a slice's time is mostly overhead and tells
 * nothing about the rate. */
#define MIN_RATED_FLOPS 2e6
/* Weight of the newest measurement in the rate. */
#define NEWEST 0.3
/* A product with a shorter side than this runs at a lower rate. */
#define THIN 48U
/* Side of the product timed at start. */
#define PROBE_N 192U

/* Products whose rates are alike. */
enum kind { SINGLE, DOUBLE, CONVERTED, N_KINDS };
enum shape { FAT, THINNER, N_SHAPES };

static_assert((int)N_KINDS == PST_AGENT_CPU_KINDS &&
		      (int)N_SHAPES == PST_AGENT_CPU_SHAPES,
	      "there is a rate of each");
static_assert(sizeof(struct pst_agent_gemm_cursor) <=
		      sizeof(((struct pst_backend_op *)NULL)->cursor),
	      "the cursor lies in the operation");

static double *rate_of(struct pst_backend *b, const struct pst_op *op)
{
	const bool thin = op->m < THIN || op->n < THIN || op->k < THIN;
	enum kind kind = SINGLE;

	if (pst_agent_convert_needed(op))
		kind = CONVERTED;
	else if (op->dtype == PST_WIRE_F64)
		kind = DOUBLE;
	return &b->rate[kind][thin ? THINNER : FAT];
}

static void rate_seen(double *rate, double flops, uint64_t ns)
{
	if (flops < MIN_RATED_FLOPS || ns == 0)
		return;
	*rate += NEWEST * (flops / (double)ns * (double)PST_NS_PER_S - *rate);
}

/* Times one product in private memory, which also lets the BLAS set itself up
 * before the first client comes. */
static int probe(struct pst_backend *b, struct pst_error *err)
{
	const uint64_t elems = (uint64_t)PROBE_N * PROBE_N;
	struct pst_op op = {
		.op = PST_WIRE_OP_GEMM,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.batch = 1,
		.m = PROBE_N,
		.n = PROBE_N,
		.k = PROBE_N,
		.lda = PROBE_N,
		.ldb = PROBE_N,
		.ldc = PROBE_N,
		.alpha = 1,
		.b = {.off = elems * sizeof(float)},
		.c = {.off = 2 * elems * sizeof(float)},
	};
	PST_CLEANUP_FREE float *mem = calloc(3 * elems, sizeof(float));
	struct pst_agent_gemm_cursor cur;
	uint64_t start;
	double rate = 1e9;
	bool done;
	int i;

	if (!mem)
		return pst_oom(err);
	for (i = 0; i < 2; i++) {
		memset(&cur, 0, sizeof(cur));
		start = pst_now_ns();
		pst_agent_gemm_slice(&op, (uint8_t *)mem, &cur, 1e18, NULL,
				     &done);
		rate = pst_op_flops(&op) * (double)PST_NS_PER_S /
		       (double)(pst_now_ns() - start + 1);
	}
	b->rate[SINGLE][FAT] = rate;
	b->rate[DOUBLE][FAT] = b->rate[CONVERTED][FAT] = rate / 2;
	for (i = 0; i < N_KINDS; i++)
		b->rate[i][THINNER] = b->rate[i][FAT] / 16;
	return 0;
}

static int cpu_open(uint8_t *base, uint64_t size, uint32_t threads,
		    struct pst_backend **ret, struct pst_error *err)
{
	struct pst_backend *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return pst_oom(err);
	pst_agent_hostmem_init(&b->mem, "");
	b->base = base;
	b->slice_ns = SLICE_NS;
	b->threads = pst_agent_blas_set_threads(threads);
	r = probe(b, err);
	if (r < 0) {
		free(b);
		return r;
	}
	*ret = b;
	return 0;
}

static void cpu_close(struct pst_backend *b)
{
	pst_agent_hostmem_done(&b->mem);
	free(b->spare_scratch);
	free(b);
}

static void cpu_describe(struct pst_backend *b, char *buf, size_t size)
{
	snprintf(buf, size, "cpu: %s, %u thread%s", pst_agent_blas_library(),
		 b->threads, b->threads == 1 ? "" : "s");
}

static uint32_t cpu_threads(struct pst_backend *b)
{
	return b->threads;
}

static bool cpu_can(struct pst_backend *b,
		    const struct pst_agent_gemm_kind *kind,
		    struct pst_error *why)
{
	if (!pst_agent_blas_exists()) {
		pst_error_set(why, -EOPNOTSUPP,
			      "the agent was built without a CBLAS");
		return false;
	}
	/* The descriptor's check refuses all other kinds. */
	if (kind->dtype != PST_WIRE_I8 || kind->act == PST_WIRE_ACT_NONE ||
	    kind->act == PST_WIRE_ACT_RELU)
		return true;
	pst_error_set(why, -EOPNOTSUPP,
		      "the cpu backend (%s) has no gelu of integers",
		      pst_agent_blas_library());
	return false;
}

/* What converting needs. */
static int begin_gemm(struct pst_backend *b, struct pst_backend_op *bop,
		      struct pst_error *err)
{
	if (!pst_agent_convert_needed(&bop->op) ||
	    pst_agent_gemm_is_scale(&bop->op))
		return 0;
	bop->priv = b->spare_scratch;
	b->spare_scratch = NULL;
	if (!bop->priv)
		bop->priv =
			aligned_alloc(PST_WIRE_LINE, PST_AGENT_CONVERT_SCRATCH);
	return bop->priv ? 0 : pst_oom(err);
}

static int cpu_begin(struct pst_backend *b, struct pst_backend_op *bop,
		     struct pst_error *err)
{
	switch (bop->op.op) {
	case PST_WIRE_OP_NOP:
	case PST_WIRE_OP_FILL:
	case PST_WIRE_OP_COPY:
		return 0;
	case PST_WIRE_OP_CHECKSUM:
		if (bop->op.a.size <= PIECE)
			return 0;
		bop->priv = XXH3_createState();
		if (!bop->priv)
			return pst_oom(err);
		XXH3_64bits_reset(bop->priv);
		return 0;
	case PST_WIRE_OP_GEMM:
	case PST_WIRE_OP_GEMM_STRIDED_BATCHED:
		return begin_gemm(b, bop, err);
	case PST_WIRE_OP_INFER:
		return pst_agent_infer_begin(
			bop->op.model, &bop->op, b->base,
			(struct pst_agent_infer_run **)&bop->priv, err);
	default:
		break;
	}
	return pst_error_set(err, -EOPNOTSUPP,
			     "the cpu backend has no such operation");
}

/* *ret_flops: the operations done, if they count for the rate. */
static int step_gemm(struct pst_backend *b, struct pst_backend_op *bop,
		     uint64_t start_ns, double *ret_flops)
{
	struct pst_agent_gemm_cursor *cur =
		(struct pst_agent_gemm_cursor *)bop->cursor;
	const double *rate = rate_of(b, &bop->op);
	double want, flops = 0;
	bool done;

	if (bop->op.m == 0 || bop->op.n == 0)
		return 1;
	if (pst_agent_gemm_is_scale(&bop->op))
		return pst_agent_gemm_scale(&bop->op, b->base, cur,
					    start_ns + b->slice_ns);
	want = *rate * (double)b->slice_ns / (double)PST_NS_PER_S;
	if (bop->alone)
		want *= ALONE;
	/* Slices of a large product take the whole time, the many products of
	 * a batch little of it. */
	do {
		flops += pst_agent_gemm_slice(&bop->op, b->base, cur, want,
					      bop->priv, &done);
	} while (!done && pst_now_ns() - start_ns < b->slice_ns / 2);
	*ret_flops = flops;
	return done;
}

/* Pattern widths are 1, 4 and 8; 64 bytes of it repeat at every multiple. */
static int step_fill(struct pst_backend *b, struct pst_backend_op *bop,
		     uint64_t deadline_ns)
{
	const struct pst_op *op = &bop->op;
	uint8_t *dst = b->base + op->a.off;
	uint8_t line[64];
	uint64_t n, i;

	for (i = 0; i < sizeof(line); i += op->pattern_size)
		memcpy(line + i, &op->pattern, op->pattern_size);
	while (bop->cursor[0] < op->a.size) {
		n = op->a.size - bop->cursor[0];
		if (n > PIECE)
			n = PIECE;
		for (i = 0; i + sizeof(line) <= n; i += sizeof(line))
			memcpy(dst + bop->cursor[0] + i, line, sizeof(line));
		memcpy(dst + bop->cursor[0] + i, line, n - i);
		bop->cursor[0] += n;
		if (pst_now_ns() >= deadline_ns)
			break;
	}
	return bop->cursor[0] == op->a.size;
}

static int step_checksum(struct pst_backend *b, struct pst_backend_op *bop,
			 uint64_t deadline_ns)
{
	const struct pst_operand *span = &bop->op.a;
	const uint8_t *src = b->base + span->off;
	uint64_t n;

	if (!bop->priv) {
		bop->result = XXH3_64bits(src, span->size);
		return 1;
	}
	while (bop->cursor[0] < span->size) {
		n = span->size - bop->cursor[0];
		if (n > PIECE)
			n = PIECE;
		XXH3_64bits_update(bop->priv, src + bop->cursor[0], n);
		bop->cursor[0] += n;
		if (pst_now_ns() >= deadline_ns)
			break;
	}
	if (bop->cursor[0] < span->size)
		return 0;
	bop->result = XXH3_64bits_digest(bop->priv);
	return 1;
}

/* Of an operation that has ended. */
static void forget(struct pst_backend *b, struct pst_backend_op *bop)
{
	if (bop->op.op == PST_WIRE_OP_CHECKSUM) {
		XXH3_freeState(bop->priv);
	} else if (bop->op.op == PST_WIRE_OP_INFER) {
		pst_agent_infer_end(bop->priv);
	} else if (!b->spare_scratch) {
		b->spare_scratch = bop->priv;
	} else {
		free(bop->priv);
	}
	bop->priv = NULL;
}

static int cpu_step(struct pst_backend *b, struct pst_backend_op *bop,
		    struct pst_error *err)
{
	const uint64_t start = bop->begin_ns ? bop->begin_ns : pst_now_ns();
	double flops = 0;
	uint64_t used;
	int r = 1;

	switch (bop->op.op) {
	case PST_WIRE_OP_NOP:
		break;
	case PST_WIRE_OP_GEMM:
	case PST_WIRE_OP_GEMM_STRIDED_BATCHED:
		r = step_gemm(b, bop, start, &flops);
		break;
	case PST_WIRE_OP_FILL:
		r = step_fill(b, bop, start + b->slice_ns);
		break;
	case PST_WIRE_OP_CHECKSUM:
		r = step_checksum(b, bop, start + b->slice_ns);
		break;
	case PST_WIRE_OP_COPY:
		r = pst_agent_copy_slice(&bop->op, b->base, bop->cursor,
					 start + b->slice_ns);
		break;
	case PST_WIRE_OP_INFER:
		r = pst_agent_infer_step(bop->priv, b->slice_ns);
		break;
	default:
		/* begin() let nothing else in. */
		break;
	}
	bop->end_ns = pst_now_ns();
	used = bop->end_ns - start;
	bop->compute_ns += used;
	if (flops > 0)
		rate_seen(rate_of(b, &bop->op), flops, used);
	if (r)
		forget(b, bop);
	return r;
}

static int cpu_cancel(struct pst_backend *b, struct pst_backend_op *bop)
{
	/* Between two steps nothing runs. */
	forget(b, bop);
	return 1;
}

static uint64_t cpu_estimate_ns(struct pst_backend *b, const struct pst_op *op)
{
	double s = (double)(op->a.size + op->b.size + op->c.size) / BYTES_PER_S;

	if (op->op == PST_WIRE_OP_INFER)
		return pst_agent_infer_estimate_ns(op->model, op->m);
	if (pst_op_flops(op) > 0)
		s += pst_op_flops(op) / *rate_of(b, op);
	return (uint64_t)(s * (double)PST_NS_PER_S);
}

static int cpu_alloc(struct pst_backend *b, uint64_t size, void **ret,
		     struct pst_error *err)
{
	return pst_agent_hostmem_alloc(&b->mem, size, ret, err);
}

static void cpu_release(struct pst_backend *b, void *mem)
{
	pst_agent_hostmem_release(&b->mem, mem);
}

static int cpu_model_new(struct pst_backend *b,
			 const struct pst_agent_model_plan *plan, void *weights,
			 void **ret, struct pst_error *err)
{
	return pst_agent_infer_model_new(plan, weights, &b->mem,
					 (struct pst_agent_infer_model **)ret,
					 err);
}

static void cpu_model_free(struct pst_backend *b, void *model)
{
	void *weights = pst_agent_infer_model_weights(model);

	pst_agent_infer_model_free(model);
	pst_agent_hostmem_release(&b->mem, weights);
}

static int cpu_upload(struct pst_backend *b, void *mem, uint64_t off,
		      const void *data, uint64_t n, struct pst_error *err)
{
	(void)b;
	(void)err;
	memcpy((uint8_t *)mem + off, data, n);
	return 0;
}

const struct pst_backend_ops pst_backend_cpu = {
	.abi = PST_BACKEND_ABI,
	.name = "cpu",
	.open = cpu_open,
	.close = cpu_close,
	.describe = cpu_describe,
	.threads = cpu_threads,
	.can = cpu_can,
	.begin = cpu_begin,
	.step = cpu_step,
	.cancel = cpu_cancel,
	.estimate_ns = cpu_estimate_ns,
	.model_new = cpu_model_new,
	.model_free = cpu_model_free,
	.alloc = cpu_alloc,
	.release = cpu_release,
	.upload = cpu_upload,
};
