/* SPDX-License-Identifier: MIT */
/* One matrix product on addresses the device reaches: cuBLAS, cuBLASLt or our
 * kernels, with the epilogue. */
#include "guest-agent/cuda/product.h"

#include <errno.h>

#include "guest-agent/cuda/device.h"
#include "guest-agent/cuda/kernels.h"

/* act(scale C + bias) in place: what remains to do after a product without
 * epilogue, or all of one that reads neither A nor B. */
static int finish(const struct pst_cuda_product_env *env,
		  const struct pst_cuda_product *p, double scale,
		  struct pst_error *err)
{
	const struct pst_cuda_k_finish f = {
		.dst = p->c,
		.src = p->c,
		.bias = p->bias,
		.dst_dtype = p->dtype_c,
		.src_dtype = p->dtype_c,
		.act = p->act,
		.bias_of_rows = p->bias_of_rows,
		.rows = p->m,
		.cols = p->n,
		.batch = p->batch,
		.ld_dst = p->ldc,
		.ld_src = p->ldc,
		.stride_dst = p->stride_c,
		.stride_src = p->stride_c,
		.scale = scale,
	};

	return pst_cuda_ok(pst_cuda_k_finish(env->stream, &f),
			   "starting a bias or activation", err);
}

static int run_i8(const struct pst_cuda_product_env *env,
		  const struct pst_cuda_product *p, struct pst_error *err)
{
	const struct pst_cuda_k_gemm_i8 g = {
		.a = p->a,
		.b = p->b,
		.c = p->c,
		.transa = p->transa,
		.transb = p->transb,
		.m = p->m,
		.n = p->n,
		.k = p->k,
		.batch = p->batch,
		.lda = p->lda,
		.ldb = p->ldb,
		.ldc = p->ldc,
		.stride_a = p->stride_a,
		.stride_b = p->stride_b,
		.stride_c = p->stride_c,
		.alpha = (int32_t)p->alpha,
		.beta = (int32_t)p->beta,
	};

	return pst_cuda_ok(pst_cuda_k_gemm_i8(env->stream, &g),
			   "starting a product of i8", err);
}

/* cuBLAS: products of i8 want operands and columns that begin at multiples of
 * 4 bytes. */
static bool aligned_for_i8(const struct pst_cuda_product *p)
{
	return (uintptr_t)p->a % 4 == 0 && (uintptr_t)p->b % 4 == 0 &&
	       p->lda % 4 == 0 && p->ldb % 4 == 0 &&
	       (p->batch == 1 ||
		(p->stride_a % 4 == 0 && p->stride_b % 4 == 0));
}

static cublasStatus_t gemm(const struct pst_cuda_product_env *env,
			   const struct pst_cuda_product *p)
{
	const struct pst_cuda_product_scale s = pst_cuda_product_scale(p);
	const cublasOperation_t ta = p->transa ? CUBLAS_OP_T : CUBLAS_OP_N;
	const cublasOperation_t tb = p->transb ? CUBLAS_OP_T : CUBLAS_OP_N;
	const cudaDataType_t t = pst_cuda_dtype(p->dtype);
	const cudaDataType_t tc = pst_cuda_dtype(p->dtype_c);

	if (p->batch == 1)
		return cublasGemmEx(env->blas, ta, tb, (int)p->m, (int)p->n,
				    (int)p->k, &s.alpha, p->a, t, (int)p->lda,
				    p->b, t, (int)p->ldb, &s.beta, p->c, tc,
				    (int)p->ldc, pst_cuda_compute(p),
				    CUBLAS_GEMM_DEFAULT);
	return cublasGemmStridedBatchedEx(
		env->blas, ta, tb, (int)p->m, (int)p->n, (int)p->k, &s.alpha,
		p->a, t, (int)p->lda, (long long)p->stride_a, p->b, t,
		(int)p->ldb, (long long)p->stride_b, &s.beta, p->c, tc,
		(int)p->ldc, (long long)p->stride_c, (int)p->batch,
		pst_cuda_compute(p), CUBLAS_GEMM_DEFAULT);
}

static int plain(const struct pst_cuda_product_env *env,
		 const struct pst_cuda_product *p, struct pst_error *err)
{
	const bool i8 = p->dtype == PST_WIRE_I8;
	cublasStatus_t s;

	if (i8 && !aligned_for_i8(p))
		return run_i8(env, p, err);
	/* The workspace goes back to a shared one with each SetStream. */
	s = cublasSetStream(env->blas, env->stream);
	if (s == CUBLAS_STATUS_SUCCESS)
		s = cublasSetWorkspace(env->blas, env->workspace,
				       env->workspace_size);
	if (s == CUBLAS_STATUS_SUCCESS)
		s = gemm(env, p);
	/* Cards before 6.1 have no instruction for it. */
	if (i8 && (s == CUBLAS_STATUS_NOT_SUPPORTED ||
		   s == CUBLAS_STATUS_ARCH_MISMATCH ||
		   s == CUBLAS_STATUS_INVALID_VALUE)) {
		cudaGetLastError();
		return run_i8(env, p, err);
	}
	return pst_cuda_cublas_ok(s, "starting a product", err);
}

static bool is_16(enum pst_wire_dtype t)
{
	return t == PST_WIRE_F16 || t == PST_WIRE_BF16;
}

/* Memory in the stream's order; without pools the device waits. */
static int scratch(const struct pst_cuda_product_env *env, uint64_t floats,
		   void **ret, struct pst_error *err)
{
	const uint64_t n = (floats ? floats : 1) * sizeof(float);

	return pst_cuda_ok(env->pools ? cudaMallocAsync(ret, n, env->stream)
				      : cudaMalloc(ret, n),
			   "allocating device memory", err);
}

static void drop(const struct pst_cuda_product_env *env, void *mem)
{
	cudaError_t e = cudaSuccess;

	if (mem)
		e = env->pools ? cudaFreeAsync(mem, env->stream)
			       : cudaFree(mem);
	if (e != cudaSuccess)
		cudaGetLastError();
}

/* Lines of one operand in F32, close together. */
struct f32 {
	void *mem;
	uint32_t ld;
	uint64_t stride;
};

/* From a matrix of 16 bits to F32, times scale. */
static int widen(const struct pst_cuda_product_env *env,
		 enum pst_wire_dtype dtype, const void *src, uint64_t rows,
		 uint64_t cols, uint32_t ld, uint64_t stride, uint32_t batch,
		 double scale, struct f32 *ret, struct pst_error *err)
{
	struct pst_cuda_k_finish f = {
		.src = src,
		.dst_dtype = PST_WIRE_F32,
		.src_dtype = dtype,
		.rows = rows,
		.cols = cols,
		.batch = stride ? batch : 1,
		.ld_dst = rows,
		.ld_src = ld,
		.stride_dst = stride ? rows * cols : 0,
		.stride_src = stride,
		.scale = scale,
	};
	int r;

	r = scratch(env, rows * cols * f.batch, &ret->mem, err);
	if (r < 0)
		return r;
	ret->ld = (uint32_t)rows;
	ret->stride = f.stride_dst;
	f.dst = ret->mem;
	/* A C that is not read needs the room only. */
	return scale == 0 ? 0
			  : pst_cuda_ok(pst_cuda_k_finish(env->stream, &f),
					"starting a conversion", err);
}

/* The product with its sums, and with inputs its operands too, in F32 on the
 * device: a result of 16 bits is rounded once, at the end. */
static int by_f32(const struct pst_cuda_product_env *env,
		  const struct pst_cuda_product *p, bool inputs,
		  struct pst_error *err)
{
	const bool wide_c = is_16(p->dtype_c);
	struct pst_cuda_product q = *p;
	struct pst_cuda_k_finish f = {
		.dst = p->c,
		.bias = p->bias,
		.dst_dtype = p->dtype_c,
		.src_dtype = PST_WIRE_F32,
		.act = p->act,
		.bias_of_rows = p->bias_of_rows,
		.rows = p->m,
		.cols = p->n,
		.batch = p->batch,
		.ld_dst = p->ldc,
		.stride_dst = p->stride_c,
		.scale = 1,
	};
	struct f32 a = {0}, b = {0}, c = {p->c, p->ldc, p->stride_c};
	int r = 0;

	if (inputs)
		r = widen(env, p->dtype, p->a, p->transa ? p->k : p->m,
			  p->transa ? p->m : p->k, p->lda, p->stride_a,
			  p->batch, 1, &a, err);
	if (r == 0 && inputs)
		r = widen(env, p->dtype, p->b, p->transb ? p->n : p->k,
			  p->transb ? p->k : p->n, p->ldb, p->stride_b,
			  p->batch, 1, &b, err);
	if (r == 0 && wide_c) {
		c.mem = NULL;
		/* A batch of one has no stride that would tell. */
		r = widen(env, p->dtype_c, p->c, p->m, p->n, p->ldc,
			  p->batch > 1 ? p->stride_c : 0, p->batch, p->beta, &c,
			  err);
		q.beta = p->beta != 0;
	}
	q.dtype_c = PST_WIRE_F32;
	q.act = PST_WIRE_ACT_NONE;
	q.bias = NULL;
	if (inputs) {
		q.dtype = PST_WIRE_F32;
		q.a = a.mem;
		q.lda = a.ld;
		q.stride_a = a.stride;
		q.b = b.mem;
		q.ldb = b.ld;
		q.stride_b = b.stride;
	}
	q.c = c.mem;
	q.ldc = c.ld;
	q.stride_c = c.stride;
	if (r == 0)
		r = plain(env, &q, err);
	f.src = c.mem;
	f.ld_src = c.ld;
	f.stride_src = c.stride;
	if (r == 0 && (wide_c || p->act || p->bias))
		r = pst_cuda_ok(pst_cuda_k_finish(env->stream, &f),
				"starting a conversion", err);
	drop(env, a.mem);
	drop(env, b.mem);
	if (wide_c)
		drop(env, c.mem);
	return r;
}

static bool lacks_type(const struct pst_cuda_product_env *env,
		       enum pst_wire_dtype t)
{
	return (t == PST_WIRE_F16 && env->lacks->f16) ||
	       (t == PST_WIRE_BF16 && env->lacks->bf16);
}

int pst_cuda_product_run(const struct pst_cuda_product_env *env,
			 const struct pst_cuda_product *p,
			 struct pst_error *err)
{
	int r;

	if (p->m == 0 || p->n == 0 || p->batch == 0)
		return 0;
	if (p->k == 0 || p->alpha == 0)
		return finish(env, p, p->beta, err);
	if (lacks_type(env, p->dtype))
		return by_f32(env, p, true, err);
	if (p->act || p->bias) {
		r = pst_cuda_lt_run(env, p, err);
		if (r)
			return r < 0 ? r : 0;
	}
	if ((p->act || p->bias) && is_16(p->dtype_c))
		r = by_f32(env, p, false, err);
	else
		r = plain(env, p, err);
	/* The library may have a type, and not for each shape. */
	if (r == -EOPNOTSUPP && is_16(p->dtype) && !p->native)
		return by_f32(env, p, true, err);
	if (r == 0 && (p->act || p->bias) && !is_16(p->dtype_c))
		r = finish(env, p, 1, err);
	return r;
}
