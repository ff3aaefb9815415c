/* SPDX-License-Identifier: MIT */
/* The CPU's version of guest-agent/cuda/kernels.cu, on the double's streams. */
#include "guest-agent/cuda/kernels.h"

#include <math.h>
#include <stdlib.h>

#include "tests/fakecuda/fakecuda.h"
#include "tests/fakecuda/number.h"
#include "tests/fakecuda/streams.h"
#include "transport/op.h"

static uint64_t span(uint64_t rows, uint64_t cols, uint64_t ld, uint64_t batch,
		     uint64_t stride)
{
	return (batch - 1) * stride + (cols - 1) * ld + rows;
}

static void finish_one(const struct pst_cuda_k_finish *f, uint64_t row,
		       uint64_t col, uint64_t b)
{
	const uint64_t src = b * f->stride_src + col * f->ld_src + row;
	const uint64_t dst = b * f->stride_dst + col * f->ld_dst + row;
	const uint64_t at = f->bias_of_rows ? row : col;
	uint32_t u = 0;
	double x = 0;

	if (f->dst_dtype == PST_WIRE_I32) {
		if (f->scale != 0)
			u = (uint32_t)(int32_t)f->scale *
			    ((const uint32_t *)f->src)[src];
		if (f->bias)
			u += ((const uint32_t *)f->bias)[at];
		if (f->act == PST_WIRE_ACT_RELU && (int32_t)u < 0)
			u = 0;
		((uint32_t *)f->dst)[dst] = u;
		return;
	}
	if (f->scale != 0)
		x = f->scale * number_get(f->src, f->src_dtype, src);
	if (f->bias)
		x += number_get(f->bias, f->dst_dtype, at);
	number_set(f->dst, f->dst_dtype, dst, number_act(x, f->act));
}

static void finish_item(const void *arg)
{
	const struct pst_cuda_k_finish *f = arg;
	const unsigned int d = pst_dtype_size((uint32_t)f->dst_dtype);
	const unsigned int s = pst_dtype_size((uint32_t)f->src_dtype);
	uint64_t row, col, b;

	if (f->rows == 0 || f->cols == 0 || f->batch == 0)
		return;
	if (!fakecuda_touch(
		    f->dst,
		    span(f->rows, f->cols, f->ld_dst, f->batch, f->stride_dst) *
			    d,
		    "a kernel's result"))
		return;
	if (f->scale != 0 && !fakecuda_touch(f->src,
					     span(f->rows, f->cols, f->ld_src,
						  f->batch, f->stride_src) *
						     s,
					     "a kernel's operand"))
		return;
	if (f->bias &&
	    !fakecuda_touch(f->bias, (f->bias_of_rows ? f->rows : f->cols) * d,
			    "a bias"))
		return;
	for (b = 0; b < f->batch; b++)
		for (col = 0; col < f->cols; col++)
			for (row = 0; row < f->rows; row++)
				finish_one(f, row, col, b);
}

static cudaError_t launch(cudaStream_t s, fakecuda_fn *fn, const void *arg,
			  size_t size)
{
	cudaError_t e = fakecuda_call();

	if (e == cudaSuccess && fakecuda_get()->no_code)
		return fakecuda_error(cudaErrorNoKernelImageForDevice);
	return e == cudaSuccess ? fakecuda_enqueue(s, fn, arg, size) : e;
}

cudaError_t pst_cuda_k_finish(cudaStream_t s, const struct pst_cuda_k_finish *f)
{
	return launch(s, finish_item, f, sizeof(*f));
}

static void i8_item(const void *arg)
{
	const struct pst_cuda_k_gemm_i8 *g = arg;
	uint64_t z, i, j, l;
	const int8_t *a, *b;
	uint32_t sum, *c;

	if (!fakecuda_touch(g->a,
			    span(g->transa ? g->k : g->m,
				 g->transa ? g->m : g->k, g->lda, g->batch,
				 g->stride_a),
			    "A of i8") ||
	    !fakecuda_touch(g->b,
			    span(g->transb ? g->n : g->k,
				 g->transb ? g->k : g->n, g->ldb, g->batch,
				 g->stride_b),
			    "B of i8") ||
	    !fakecuda_touch(g->c,
			    4 * span(g->m, g->n, g->ldc, g->batch, g->stride_c),
			    "C of i8"))
		return;
	for (z = 0; z < g->batch; z++) {
		a = g->a + z * g->stride_a;
		b = g->b + z * g->stride_b;
		for (j = 0; j < g->n; j++) {
			for (i = 0; i < g->m; i++) {
				sum = 0;
				for (l = 0; l < g->k; l++)
					sum += (uint32_t)(a[g->transa
								    ? i * g->lda +
									      l
								    : l * g->lda +
									      i] *
							  b[g->transb
								    ? l * g->ldb +
									      j
								    : j * g->ldb +
									      l]);
				c = (uint32_t *)g->c + z * g->stride_c +
				    j * g->ldc + i;
				sum *= (uint32_t)g->alpha;
				if (g->beta)
					sum += (uint32_t)g->beta * *c;
				*c = sum;
			}
		}
	}
}

cudaError_t pst_cuda_k_gemm_i8(cudaStream_t s,
			       const struct pst_cuda_k_gemm_i8 *g)
{
	return launch(s, i8_item, g, sizeof(*g));
}

cudaError_t pst_cuda_k_convert(cudaStream_t s, void *dst, int dst_dtype,
			       const void *src, int src_dtype, uint64_t n)
{
	const struct pst_cuda_k_finish f = {
		.dst = dst,
		.src = src,
		.dst_dtype = dst_dtype,
		.src_dtype = src_dtype,
		.rows = n,
		.cols = 1,
		.batch = 1,
		.ld_dst = n,
		.ld_src = n,
		.scale = 1,
	};

	return pst_cuda_k_finish(s, &f);
}

struct unary {
	enum pst_cuda_k_unary f;
	float *y;
	const float *x;
	uint64_t n;
};

static double unary(enum pst_cuda_k_unary f, double x)
{
	switch (f) {
	case PST_CUDA_K_RELU:
		return number_act(x, PST_WIRE_ACT_RELU);
	case PST_CUDA_K_GELU_ERF:
		return number_act(x, PST_WIRE_ACT_GELU_ERF);
	case PST_CUDA_K_GELU_TANH:
		return number_act(x, PST_WIRE_ACT_GELU_TANH);
	case PST_CUDA_K_SILU:
		return x / (1 + exp(-x));
	case PST_CUDA_K_TANH:
		return tanh(x);
	default:
		return 1 / (1 + exp(-x));
	}
}

static void unary_item(const void *arg)
{
	const struct unary *u = arg;
	uint64_t i;

	if (!fakecuda_touch(u->x, u->n * 4, "a function's operand") ||
	    !fakecuda_touch(u->y, u->n * 4, "a function's result"))
		return;
	for (i = 0; i < u->n; i++)
		u->y[i] = (float)unary(u->f, u->x[i]);
}

cudaError_t pst_cuda_k_unary(cudaStream_t s, enum pst_cuda_k_unary f, float *y,
			     const float *x, uint64_t n)
{
	const struct unary u = {f, y, x, n};

	return launch(s, unary_item, &u, sizeof(u));
}

struct rows {
	float *y;
	const float *x, *z, *w;
	double eps;
	uint64_t rows, n;
};

static bool touch_rows(const struct rows *r)
{
	return fakecuda_touch(r->x, r->rows * r->n * 4, "rows read") &&
	       fakecuda_touch(r->y, r->rows * r->n * 4, "rows written");
}

static void add_item(const void *arg)
{
	const struct rows *r = arg;
	uint64_t i;

	if (!touch_rows(r) || !fakecuda_touch(r->z, r->n * 4, "a summand"))
		return;
	for (i = 0; i < r->n; i++)
		r->y[i] = r->x[i] + r->z[i];
}

cudaError_t pst_cuda_k_add(cudaStream_t s, float *y, const float *x,
			   const float *z, uint64_t n)
{
	const struct rows r = {.y = y, .x = x, .z = z, .rows = 1, .n = n};

	return launch(s, add_item, &r, sizeof(r));
}

static void softmax_row(float *y, const float *x, uint64_t n)
{
	double top = -INFINITY, sum = 0;
	uint64_t i;

	for (i = 0; i < n; i++)
		top = fmax(top, x[i]);
	for (i = 0; i < n; i++)
		sum += exp(x[i] - top);
	for (i = 0; i < n; i++)
		y[i] = (float)(exp(x[i] - top) / sum);
}

static void softmax_item(const void *arg)
{
	const struct rows *r = arg;
	uint64_t i;

	if (!touch_rows(r))
		return;
	for (i = 0; i < r->rows; i++)
		softmax_row(r->y + i * r->n, r->x + i * r->n, r->n);
}

cudaError_t pst_cuda_k_softmax(cudaStream_t s, float *y, const float *x,
			       uint64_t rows, uint64_t n)
{
	const struct rows r = {.y = y, .x = x, .rows = rows, .n = n};

	return launch(s, softmax_item, &r, sizeof(r));
}

static void norm_row(const struct rows *r, float *y, const float *x)
{
	double mean = 0, var = 0;
	uint64_t i;

	for (i = 0; i < r->n; i++)
		mean += x[i];
	mean /= (double)r->n;
	for (i = 0; i < r->n; i++)
		var += (x[i] - mean) * (x[i] - mean);
	var /= (double)r->n;
	for (i = 0; i < r->n; i++)
		y[i] = (float)((x[i] - mean) / sqrt(var + r->eps) *
				       (r->w ? r->w[i] : 1) +
			       (r->z ? r->z[i] : 0));
}

static void norm_item(const void *arg)
{
	const struct rows *r = arg;
	uint64_t i;

	if (!touch_rows(r) ||
	    (r->w && !fakecuda_touch(r->w, r->n * 4, "a norm's weight")) ||
	    (r->z && !fakecuda_touch(r->z, r->n * 4, "a norm's bias")))
		return;
	for (i = 0; i < r->rows; i++)
		norm_row(r, r->y + i * r->n, r->x + i * r->n);
}

cudaError_t pst_cuda_k_layernorm(cudaStream_t s, float *y, const float *x,
				 const float *w, const float *b, double eps,
				 uint64_t rows, uint64_t n)
{
	const struct rows r = {y, x, b, w, eps, rows, n};

	return launch(s, norm_item, &r, sizeof(r));
}
