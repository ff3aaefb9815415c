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

int pst_cuda_product_run(const struct pst_cuda_product_env *env,
			 const struct pst_cuda_product *p,
			 struct pst_error *err)
{
	int r;

	if (p->m == 0 || p->n == 0 || p->batch == 0)
		return 0;
	if (p->k == 0 || p->alpha == 0)
		return finish(env, p, p->beta, err);
	if (p->act || p->bias) {
		r = pst_cuda_lt_run(env, p, err);
		if (r)
			return r < 0 ? r : 0;
	}
	r = plain(env, p, err);
	if (r == 0 && (p->act || p->bias))
		r = finish(env, p, 1, err);
	return r;
}
