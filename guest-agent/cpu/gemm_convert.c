/* SPDX-License-Identifier: MIT */
/* Products of types that no CBLAS has: converts them to F32, panel by panel. */
#include "guest-agent/cpu/gemm_convert.h"

#include <assert.h>
#include <string.h>

#include "guest-agent/cpu/blas.h"
#include "guest-agent/cpu/epilogue.h"
#include "transport/dtype.h"

#define PANEL ((uint64_t)PST_AGENT_CONVERT_SIDE * PST_AGENT_CONVERT_SIDE)

/* The parts of a scratch. */
struct scratch {
	float a[PANEL];
	float b[PANEL];
	float product[PANEL]; /* I8: of one slice; others: their sum */
	int32_t sum[PANEL];   /* I8 */
};
static_assert(sizeof(struct scratch) == PST_AGENT_CONVERT_SCRATCH, "");

bool pst_agent_convert_needed(const struct pst_op *op)
{
	return op->compute != PST_WIRE_COMPUTE_DEFAULT ||
	       (op->dtype != PST_WIRE_F32 && op->dtype != PST_WIRE_F64);
}

static void round_inputs(enum pst_wire_compute compute, float *x, uint64_t n)
{
	uint64_t i;

	if (compute == PST_WIRE_COMPUTE_TF32)
		for (i = 0; i < n; i++)
			x[i] = pst_tf32_round(x[i]);
	else if (compute == PST_WIRE_COMPUTE_FAST_F16)
		for (i = 0; i < n; i++)
			x[i] = pst_f16_to_f32(pst_f16_from_f32(x[i]));
}

/*
 * Converts rows x cols of op(X) from (row, col) on, in the order they are
 * stored in, line behind line. Returns the lines' length, the leading
 * dimension of what is in dst.
 */
static uint64_t pack(const struct pst_op *op, const uint8_t *x, uint32_t ld,
		     bool trans, uint64_t row, uint64_t col, uint64_t rows,
		     uint64_t cols, float *dst)
{
	const unsigned int elem = pst_dtype_size(op->dtype);
	/* op(X)'s rows run along the stored lines, or across them. */
	const bool along = op->col_major != trans;
	const uint64_t lines = along ? cols : rows;
	const uint64_t length = along ? rows : cols;
	const uint64_t line = along ? col : row, first = along ? row : col;
	uint64_t q;

	for (q = 0; q < lines; q++)
		pst_floats_load(dst + q * length,
				x + ((line + q) * ld + first) * elem, op->dtype,
				length);
	round_inputs(op->compute, dst, lines * length);
	return length;
}

static void add_products(int32_t *sum, const float *product, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		sum[i] = (int32_t)((uint32_t)sum[i] +
				   (uint32_t)(int32_t)product[i]);
}

void pst_agent_convert_slice(const struct pst_op *op,
			     const struct pst_agent_gemm_data *d,
			     const struct pst_agent_gemm_cursor *cur,
			     const struct pst_agent_gemm_tile *t, void *scratch)
{
	struct scratch *s = scratch;
	const bool i8 = op->dtype == PST_WIRE_I8;
	const struct pst_agent_blas_gemm f = {
		.col_major = op->col_major,
		.transa = op->transa,
		.transb = op->transb,
		.m = t->m,
		.n = t->n,
		.k = t->k,
		.lda = pack(op, d->a, op->lda, op->transa, cur->i, cur->l, t->m,
			    t->k, s->a),
		.ldb = pack(op, d->b, op->ldb, op->transb, cur->l, cur->j, t->k,
			    t->n, s->b),
		.ldc = op->col_major ? t->m : t->n,
		.alpha = 1,
		.beta = cur->l && !i8 ? 1 : 0,
	};

	pst_agent_blas_gemm_f32(&f, s->a, s->b, s->product);
	if (!i8)
		return;
	if (cur->l == 0)
		memset(s->sum, 0, t->m * t->n * sizeof(s->sum[0]));
	add_products(s->sum, s->product, t->m * t->n);
}

/* A product of I8: everything modulo 2^32. */
static void line_i32(const struct pst_op *op, int32_t *c, uint64_t n,
		     const int32_t *bias, unsigned int step, const int32_t *sum)
{
	const uint32_t alpha = (uint32_t)(int32_t)op->alpha;
	const uint32_t beta = (uint32_t)(int32_t)op->beta;
	uint32_t v;
	uint64_t i;

	for (i = 0; i < n; i++) {
		v = sum ? alpha * (uint32_t)sum[i] : 0;
		if (beta)
			v += beta * (uint32_t)c[i];
		if (bias)
			v += (uint32_t)bias[i * step];
		if (op->act == PST_WIRE_ACT_RELU && (int32_t)v < 0)
			v = 0;
		c[i] = (int32_t)v;
	}
}

/* At most PST_AGENT_CONVERT_SIDE elements. */
static void line_float(const struct pst_op *op, uint8_t *c, uint64_t n,
		       const uint8_t *bias, unsigned int step, const float *sum)
{
	const float alpha = (float)op->alpha, beta = (float)op->beta;
	float v[PST_AGENT_CONVERT_SIDE], x[PST_AGENT_CONVERT_SIDE];
	uint64_t i;

	for (i = 0; i < n; i++)
		v[i] = sum ? alpha * sum[i] : 0;
	if (beta != 0) {
		pst_floats_load(x, c, op->dtype_c, n);
		for (i = 0; i < n; i++)
			v[i] += beta * x[i];
	}
	if (bias)
		pst_floats_load(x, bias, op->dtype_c, step ? n : 1);
	pst_agent_epilogue_f32(op->act, v, n, bias ? x : NULL, step);
	pst_floats_store(c, op->dtype_c, v, n);
}

void pst_agent_convert_line(const struct pst_op *op,
			    const struct pst_agent_gemm_data *d, uint64_t i,
			    uint64_t j, uint64_t n, const void *sum)
{
	const unsigned int elem = pst_dtype_size(op->dtype_c);
	const unsigned int step = op->col_major ? 0 : 1;
	uint64_t at = op->col_major ? j * op->ldc + i : i * op->ldc + j;
	uint64_t done, part, b;

	for (done = 0; done < n; done += part) {
		part = n - done < PST_AGENT_CONVERT_SIDE
			       ? n - done
			       : PST_AGENT_CONVERT_SIDE;
		b = (j + done * step) * elem;
		if (op->dtype == PST_WIRE_I8)
			line_i32(op, (int32_t *)d->c + at + done, part,
				 op->has_bias ? (const void *)(d->bias + b)
					      : NULL,
				 step,
				 sum ? (const int32_t *)sum + done : NULL);
		else
			line_float(op, d->c + (at + done) * elem, part,
				   op->has_bias ? d->bias + b : NULL, step,
				   sum ? (const float *)sum + done : NULL);
	}
}

void pst_agent_convert_finish(const struct pst_op *op,
			      const struct pst_agent_gemm_data *d,
			      const struct pst_agent_gemm_cursor *cur,
			      const struct pst_agent_gemm_tile *t,
			      const void *scratch)
{
	const struct scratch *s = scratch;
	const uint64_t lines = op->col_major ? t->n : t->m;
	const uint64_t length = op->col_major ? t->m : t->n;
	uint64_t q;

	for (q = 0; q < lines; q++)
		pst_agent_convert_line(
			op, d, cur->i + (op->col_major ? 0 : q),
			cur->j + (op->col_major ? q : 0), length,
			op->dtype == PST_WIRE_I8
				? (const void *)(s->sum + q * length)
				: (const void *)(s->product + q * length));
}
