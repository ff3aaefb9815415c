/* SPDX-License-Identifier: MIT */
/* A matrix product, cut into slices. */
#include "guest-agent/cpu/gemm.h"

#include <math.h>
#include <string.h>

#include "guest-agent/cpu/blas.h"
#include "guest-agent/cpu/epilogue.h"
#include "guest-agent/cpu/gemm_convert.h"
#include "transport/base/util.h"

/* Terms of the sum in one slice, in bytes of a row of A: OpenBLAS and BLIS
 * work through k in blocks of 256 to 384 floats, and two of those keep the
 * cost of packing A and B again for each slice under 2 %. */
#define K_BYTES 2048U
#define MIN_M   64U
#define MIN_N   64U
#define MIN_K   256U
/* Panels are multiples of this, so that kernels see few ragged edges. */
#define GRAIN 64U
/* Sizes up to this multiple of the wanted one stay whole. */
#define SLACK 1.5

/* Products with no longer side are not cut: to plan that takes a tenth of the
 * time of a small one. */
#define WHOLE 64U

/* Elements scaled between two readings of the clock. */
#define SCALE_ELEMS 65536U

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* total cut into equal parts of at most about want, multiples of GRAIN. */
static uint64_t even(uint64_t total, double want)
{
	uint64_t parts;

	if (want >= (double)total)
		return total;
	parts = (uint64_t)ceil((double)total / fmax(want, GRAIN));
	return pst_min_u64(total,
			   pst_round_up((total + parts - 1) / parts, GRAIN));
}

void pst_agent_gemm_plan(uint64_t m, uint64_t n, uint64_t k,
			 unsigned int elem_size, double flops,
			 struct pst_agent_gemm_tile *ret)
{
	const uint64_t k_block = K_BYTES / elem_size;
	double side, area, kb;

	*ret = (struct pst_agent_gemm_tile){m, n, k};
	if (2.0 * (double)m * (double)n * (double)k <= SLACK * flops)
		return;
	/* The whole of C with a part of the sum, if that part is not short. */
	kb = flops / (2.0 * (double)m * (double)n);
	if (kb * SLACK >= (double)k_block) {
		ret->k = even(k, fmax(kb, (double)k_block));
		return;
	}
	if (k > k_block + k_block / 4)
		ret->k = even(k, (double)k_block);
	area = flops / (2.0 * (double)ret->k);
	side = sqrt(area);
	if ((double)m <= side) {
		ret->n = even(n, fmax(area / (double)m, MIN_N));
	} else if ((double)n <= side) {
		ret->m = even(m, fmax(area / (double)n, MIN_M));
	} else {
		ret->m = even(m, fmax(side, MIN_M));
		ret->n = even(n, fmax(area / (double)ret->m, MIN_N));
	}
	kb = flops / (2.0 * (double)ret->m * (double)ret->n);
	if (kb * SLACK < (double)ret->k)
		ret->k = even(k, fmax(kb, MIN_K));
}

bool pst_agent_gemm_is_scale(const struct pst_op *op)
{
	return !pst_op_reads_ab(op);
}

/* Element offset of (row, col) in a matrix. */
static uint64_t at(bool col_major, uint64_t row, uint64_t col, uint64_t ld)
{
	return col_major ? col * ld + row : row * ld + col;
}

static uint8_t *place(uint8_t *base, const struct pst_operand *x,
		      uint64_t elems, unsigned int elem)
{
	return (x->mem ? (uint8_t *)x->mem : base) + x->off + elems * elem;
}

/* The operands of product number batch. */
static struct pst_agent_gemm_data data(const struct pst_op *op, uint8_t *base,
				       uint64_t batch)
{
	const unsigned int elem = pst_dtype_size(op->dtype);
	const unsigned int elem_c = pst_dtype_size(op->dtype_c);

	return (struct pst_agent_gemm_data){
		.a = place(base, &op->a, batch * op->stride_a, elem),
		.b = place(base, &op->b, batch * op->stride_b, elem),
		.c = place(base, &op->c, batch * op->stride_c, elem_c),
		.bias = place(base, &op->bias, 0, elem_c),
	};
}

/* Calls the BLAS for one slice at the cursor. */
static void call(const struct pst_op *op, const struct pst_agent_gemm_data *d,
		 const struct pst_agent_gemm_cursor *cur,
		 const struct pst_agent_gemm_tile *t)
{
	const bool cm = op->col_major;
	const uint64_t a = op->transa ? at(cm, cur->l, cur->i, op->lda)
				      : at(cm, cur->i, cur->l, op->lda);
	const uint64_t b = op->transb ? at(cm, cur->j, cur->l, op->ldb)
				      : at(cm, cur->l, cur->j, op->ldb);
	const uint64_t c = at(cm, cur->i, cur->j, op->ldc);
	const struct pst_agent_blas_gemm g = {
		.col_major = cm,
		.transa = op->transa,
		.transb = op->transb,
		.m = t->m,
		.n = t->n,
		.k = t->k,
		.lda = op->lda,
		.ldb = op->ldb,
		.ldc = op->ldc,
		.alpha = op->alpha,
		/* beta is applied with the first part of the sum; the others
		 * are added. */
		.beta = cur->l ? 1.0 : op->beta,
	};

	if (op->dtype == PST_WIRE_F32)
		pst_agent_blas_gemm_f32(&g, (const float *)d->a + a,
					(const float *)d->b + b,
					(float *)d->c + c);
	else
		pst_agent_blas_gemm_f64(&g, (const double *)d->a + a,
					(const double *)d->b + b,
					(double *)d->c + c);
}

/* The size of the next slice; a panel's is chosen with its first one. */
static struct pst_agent_gemm_tile next_tile(const struct pst_op *op,
					    struct pst_agent_gemm_cursor *cur,
					    double flops, uint64_t max_side)
{
	const uint64_t m = pst_min_u64(op->m - cur->i, max_side);
	const uint64_t n = pst_min_u64(op->n - cur->j, max_side);
	const uint64_t k = pst_min_u64(op->k - cur->l, max_side);
	unsigned int elem = pst_dtype_size(op->dtype);
	struct pst_agent_gemm_tile t;

	if (op->m <= WHOLE && op->n <= WHOLE && op->k <= WHOLE) {
		cur->mb = op->m;
		cur->nb = op->n;
		return (struct pst_agent_gemm_tile){op->m, op->n, op->k};
	}
	if (max_side != UINT64_MAX)
		elem = sizeof(float);
	if (cur->l == 0) {
		/* A panel's size is fixed until its sum is complete, and the
		 * height of a row of panels until the row is. */
		pst_agent_gemm_plan(cur->j ? cur->mb : m, n, k, elem, flops,
				    &t);
		if (cur->j == 0)
			cur->mb = t.m;
		cur->nb = t.n;
	} else {
		pst_agent_gemm_plan(cur->mb, cur->nb, k, elem, flops, &t);
	}
	t.m = cur->mb;
	t.n = cur->nb;
	t.k = pst_min_u64(t.k, k);
	return t;
}

/* A panel's sum is whole. */
static void finish_panel(const struct pst_op *op,
			 const struct pst_agent_gemm_data *d,
			 const struct pst_agent_gemm_cursor *cur,
			 const struct pst_agent_gemm_tile *t,
			 const void *scratch)
{
	uint64_t q;

	if (scratch) {
		pst_agent_convert_finish(op, d, cur, t, scratch);
		return;
	}
	if (!pst_agent_epilogue_needed(op))
		return;
	for (q = 0; q < (op->col_major ? t->n : t->m); q++)
		pst_agent_epilogue_line(op, d->c, d->bias,
					cur->i + (op->col_major ? 0 : q),
					cur->j + (op->col_major ? q : 0),
					op->col_major ? t->m : t->n);
}

double pst_agent_gemm_slice(const struct pst_op *op, uint8_t *base,
			    struct pst_agent_gemm_cursor *cur, double flops,
			    void *scratch, bool *ret_done)
{
	const struct pst_agent_gemm_data d = data(op, base, cur->batch);
	const struct pst_agent_gemm_tile t = next_tile(
		op, cur, flops, scratch ? PST_AGENT_CONVERT_SIDE : UINT64_MAX);

	if (scratch)
		pst_agent_convert_slice(op, &d, cur, &t, scratch);
	else
		call(op, &d, cur, &t);
	cur->l += t.k;
	if (cur->l == op->k) {
		finish_panel(op, &d, cur, &t, scratch);
		cur->l = 0;
		cur->j += cur->nb;
	}
	if (cur->j == op->n) {
		cur->j = 0;
		cur->i += cur->mb;
	}
	if (cur->i == op->m) {
		cur->i = 0;
		cur->batch++;
	}
	*ret_done = cur->batch == op->batch;
	return 2.0 * (double)t.m * (double)t.n * (double)t.k;
}

static void scale_f32(float *c, uint64_t n, float beta)
{
	uint64_t i;

	if (beta == 0)
		memset(c, 0, n * sizeof(*c));
	else
		for (i = 0; i < n; i++)
			c[i] *= beta;
}

static void scale_f64(double *c, uint64_t n, double beta)
{
	uint64_t i;

	if (beta == 0)
		memset(c, 0, n * sizeof(*c));
	else
		for (i = 0; i < n; i++)
			c[i] *= beta;
}

/* n elements from (i, j) on along a line. */
static void scale_line(const struct pst_op *op,
		       const struct pst_agent_gemm_data *d, uint64_t i,
		       uint64_t j, uint64_t n)
{
	const uint64_t off = at(op->col_major, i, j, op->ldc);

	if (pst_agent_convert_needed(op)) {
		pst_agent_convert_line(op, d, i, j, n, NULL);
		return;
	}
	if (op->dtype == PST_WIRE_F32)
		scale_f32((float *)d->c + off, n, (float)op->beta);
	else
		scale_f64((double *)d->c + off, n, op->beta);
	if (pst_agent_epilogue_needed(op))
		pst_agent_epilogue_line(op, d->c, d->bias, i, j, n);
}

bool pst_agent_gemm_scale(const struct pst_op *op, uint8_t *base,
			  struct pst_agent_gemm_cursor *cur,
			  uint64_t deadline_ns)
{
	const uint64_t lines = op->col_major ? op->n : op->m;
	const uint64_t length = op->col_major ? op->m : op->n;
	struct pst_agent_gemm_data d = data(op, base, cur->batch);
	uint64_t n, done = 0;

	if (lines == 0 || length == 0 ||
	    (op->beta == 1 && !pst_agent_epilogue_needed(op)))
		return true;
	while (cur->batch < op->batch) {
		n = pst_min_u64(length - cur->j, SCALE_ELEMS);
		scale_line(op, &d, op->col_major ? cur->j : cur->i,
			   op->col_major ? cur->i : cur->j, n);
		cur->j += n;
		if (cur->j == length) {
			cur->j = 0;
			cur->i++;
		}
		if (cur->i == lines) {
			cur->i = 0;
			cur->batch++;
			d = data(op, base, cur->batch);
		}
		done += max_u64(n, GRAIN);
		if (done < SCALE_ELEMS)
			continue;
		done = 0;
		if (pst_now_ns() >= deadline_ns)
			break;
	}
	return cur->batch == op->batch;
}
