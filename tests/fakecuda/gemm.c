/* SPDX-License-Identifier: MIT */
/* The double's matrix product, by plain sums. */
#include "tests/fakecuda/gemm.h"

#include <math.h>
#include <stdlib.h>

#include "tests/fakecuda/streams.h"
#include "transport/op.h"

enum pst_wire_dtype fake_type(cudaDataType_t t)
{
	switch (t) {
	case CUDA_R_64F:
		return PST_WIRE_F64;
	case CUDA_R_16F:
		return PST_WIRE_F16;
	case CUDA_R_16BF:
		return PST_WIRE_BF16;
	case CUDA_R_8I:
		return PST_WIRE_I8;
	case CUDA_R_32I:
		return PST_WIRE_I32;
	case CUDA_R_32F:
		return PST_WIRE_F32;
	default:
		fakecuda_note("a type the double does not know");
		return PST_WIRE_F32;
	}
}

double fake_scale(const void *p, cublasComputeType_t t)
{
	if (t == CUBLAS_COMPUTE_64F)
		return *(const double *)p;
	if (t == CUBLAS_COMPUTE_32I)
		return *(const int32_t *)p;
	return *(const float *)p;
}

static uint64_t bytes(bool trans, int rows, int cols, int64_t ld, int batch,
		      int64_t stride, enum pst_wire_dtype t)
{
	const uint64_t r = (uint64_t)(trans ? cols : rows);
	const uint64_t c = (uint64_t)(trans ? rows : cols);

	return ((uint64_t)(batch - 1) * (uint64_t)stride +
		(c - 1) * (uint64_t)ld + r) *
	       pst_dtype_size(t);
}

cublasStatus_t fake_gemm_check(const struct fake_gemm *g)
{
	const struct fakecuda_config *c = fakecuda_get();

	if (g->m < 1 || g->n < 1 || g->k < 1 || g->batch < 1 ||
	    g->lda < (g->transa ? g->k : g->m) ||
	    g->ldb < (g->transb ? g->n : g->k) || g->ldc < g->m) {
		fakecuda_note("a product with wrong sizes");
		return CUBLAS_STATUS_INVALID_VALUE;
	}
	if (c->no_blas)
		return CUBLAS_STATUS_ARCH_MISMATCH;
	if ((uintptr_t)g->workspace % 256)
		fakecuda_note("a workspace of odd alignment");
	if (g->type == CUDA_R_16BF && c->major < 8)
		return CUBLAS_STATUS_NOT_SUPPORTED;
	if (g->type == CUDA_R_16F && c->major * 10 + c->minor < 53)
		return CUBLAS_STATUS_NOT_SUPPORTED;
	if (g->type != CUDA_R_8I)
		return CUBLAS_STATUS_SUCCESS;
	/* DP4A and its like began there. */
	if (c->major * 10 + c->minor < 61)
		return CUBLAS_STATUS_ARCH_MISMATCH;
	if (c->refuse_i8)
		return CUBLAS_STATUS_NOT_SUPPORTED;
	if (g->lda % 4 || g->ldb % 4 || (uintptr_t)g->a % 4 ||
	    (uintptr_t)g->b % 4) {
		fakecuda_note("a product of i8 with odd alignments");
		return CUBLAS_STATUS_NOT_SUPPORTED;
	}
	if (c->i8_fours && (g->m % 4 || g->k % 4))
		return CUBLAS_STATUS_NOT_SUPPORTED;
	return CUBLAS_STATUS_SUCCESS;
}

/* What the compute mode makes of an input. */
static double rounded(const struct fake_gemm *g, double v)
{
	double s;

	if (g->compute == CUBLAS_COMPUTE_32F_FAST_16F)
		return number_from_f16(number_to_f16(v));
	if (g->compute != CUBLAS_COMPUTE_32F_FAST_TF32 || v == 0 ||
	    !isfinite(v))
		return v;
	s = ldexp(1, 10 - ilogb(v));
	return nearbyint(v * s) / s;
}

/* op(X) as an array of its own, of doubles, columns one after the other. */
static double *unpack(const struct fake_gemm *g, const void *x, bool trans,
		      int rows, int cols, int64_t ld, uint64_t first)
{
	const enum pst_wire_dtype t = fake_type(g->type);
	double *p = malloc((size_t)rows * (size_t)cols * sizeof(*p));
	int r, c;

	for (c = 0; c < cols; c++)
		for (r = 0; r < rows; r++)
			p[(size_t)c * (size_t)rows + (size_t)r] = rounded(
				g,
				number_get(
					x, t,
					first + (uint64_t)(trans ? c + r * ld
								 : r + c * ld)));
	return p;
}

static void store(const struct fake_gemm *g, uint64_t at, int row, double sum)
{
	const enum pst_wire_dtype t = fake_type(g->type_c);
	double v = g->alpha * sum;

	if (g->beta != 0)
		v += g->beta * number_get(g->c, t, at);
	if (g->bias)
		v += number_get(g->bias, t, (uint64_t)row);
	if (t == PST_WIRE_I32)
		v = (int32_t)(uint32_t)(int64_t)v;
	v = number_act(v, g->act);
	if (g->act == PST_WIRE_ACT_GELU_TANH && fakecuda_get()->rough_gelu)
		v *= 1 + ldexp(1, -11);
	number_set(g->c, t, at, v);
}

static void one(const struct fake_gemm *g, int64_t z)
{
	/* A transposed, so that both run along k. */
	double *a = unpack(g, g->a, !g->transa, g->k, g->m, g->lda,
			   (uint64_t)(z * g->stride_a));
	double *b = unpack(g, g->b, g->transb, g->k, g->n, g->ldb,
			   (uint64_t)(z * g->stride_b));
	const double *x, *y;
	double sum;
	int i, j, l;

	for (j = 0; j < g->n; j++) {
		for (i = 0; i < g->m; i++) {
			x = a + (size_t)i * (size_t)g->k;
			y = b + (size_t)j * (size_t)g->k;
			sum = 0;
			for (l = 0; l < g->k; l++)
				sum += x[l] * y[l];
			store(g, (uint64_t)(z * g->stride_c + j * g->ldc + i),
			      i, sum);
		}
	}
	free(a);
	free(b);
}

static void gemm_item(const void *arg)
{
	const struct fake_gemm *g = arg;
	const enum pst_wire_dtype t = fake_type(g->type);
	const enum pst_wire_dtype tc = fake_type(g->type_c);
	int z;

	if (!fakecuda_touch(g->a,
			    bytes(g->transa, g->m, g->k, g->lda, g->batch,
				  g->stride_a, t),
			    "A of a product") ||
	    !fakecuda_touch(g->b,
			    bytes(g->transb, g->k, g->n, g->ldb, g->batch,
				  g->stride_b, t),
			    "B of a product") ||
	    !fakecuda_touch(
		    g->c,
		    bytes(false, g->m, g->n, g->ldc, g->batch, g->stride_c, tc),
		    "C of a product") ||
	    (g->bias &&
	     !fakecuda_touch(g->bias, (uint64_t)g->m * pst_dtype_size(tc),
			     "a bias")) ||
	    !fakecuda_touch(g->workspace, g->workspace_size, "a workspace"))
		return;
	for (z = 0; z < g->batch; z++)
		one(g, z);
}

/* Blocks of a kernel of BLAS, each on one multiprocessor at a time. */
#define BLOCK 128

static struct fakecuda_work work_of(const struct fake_gemm *g)
{
	const struct fakecuda_card *c = fakecuda_get()->card;
	const double sm = fakecuda_get()->multiprocessors;
	const double blocks = ceil((double)g->m / BLOCK) *
			      ceil((double)g->n / BLOCK) * g->batch;
	const double flops = 2.0 * g->m * g->n * g->k * g->batch;

	if (!c)
		return (struct fakecuda_work){FAKECUDA_COMPUTE, 0};
	/* The last round of blocks leaves multiprocessors idle. */
	return (struct fakecuda_work){
		FAKECUDA_COMPUTE,
		c->kernel_ns + (uint64_t)(flops / c->flops * 1e9 *
					  (ceil(blocks / sm) * sm / blocks))};
}

static void touch(cudaStream_t s, const void *p, bool trans, int rows, int cols,
		  int64_t ld, int batch, int64_t stride, enum pst_wire_dtype t,
		  bool write, const char *what)
{
	const unsigned int e = pst_dtype_size(t);
	const struct fakecuda_shape shape = {
		.p = p,
		.width = (uint64_t)(trans ? cols : rows) * e,
		.n = (uint64_t)(trans ? rows : cols),
		.pitch = (uint64_t)ld * e,
		.batch = stride ? (uint64_t)batch : 1,
		.stride = (uint64_t)stride * e,
	};

	fakecuda_access(s, &shape, write, what);
}

static void touch_all(cudaStream_t s, const struct fake_gemm *g)
{
	const enum pst_wire_dtype t = fake_type(g->type);
	const enum pst_wire_dtype tc = fake_type(g->type_c);
	/* All of it may be used. */
	const struct fakecuda_shape space = {
		g->workspace, g->workspace_size, 1, g->workspace_size, 1, 0};

	touch(s, g->a, g->transa, g->m, g->k, g->lda, g->batch, g->stride_a, t,
	      false, "A of a product");
	touch(s, g->b, g->transb, g->k, g->n, g->ldb, g->batch, g->stride_b, t,
	      false, "B of a product");
	touch(s, g->c, false, g->m, g->n, g->ldc, g->batch, g->stride_c, tc,
	      true, "C of a product");
	if (g->bias)
		touch(s, g->bias, false, g->m, 1, g->m, 1, 0, tc, false,
		      "a product's bias");
	if (g->workspace)
		fakecuda_access(s, &space, true, "a product's workspace");
}

cublasStatus_t fake_gemm_start(cudaStream_t s, const struct fake_gemm *g)
{
	const struct fakecuda_work w = work_of(g);
	cublasStatus_t r = fake_gemm_check(g);

	if (r != CUBLAS_STATUS_SUCCESS)
		return r;
	if (fakecuda_get()->no_capture && *fakecuda_capture_of(s))
		return CUBLAS_STATUS_EXECUTION_FAILED;
	if (fakecuda_enqueue(s, &w, gemm_item, g, sizeof(*g)) != cudaSuccess)
		return CUBLAS_STATUS_EXECUTION_FAILED;
	touch_all(s, g);
	return CUBLAS_STATUS_SUCCESS;
}
