/* SPDX-License-Identifier: MIT */
/* Plain products by cuBLAS, and what is done before and after them. */
#include "guest-agent/cuda/device.h"
#include "guest-agent/cuda/kernels.h"
#include "guest-agent/cuda/product_int.h"

int pst_cuda_product_finish(const struct pst_cuda_product_env *env,
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

int pst_cuda_blas_run(const struct pst_cuda_product_env *env,
		      const struct pst_cuda_product *p, struct pst_error *err)
{
	cublasStatus_t s;

	/* The workspace goes back to a shared one with each SetStream. */
	s = cublasSetStream(env->blas, env->stream);
	if (s == CUBLAS_STATUS_SUCCESS)
		s = cublasSetWorkspace(env->blas, env->workspace,
				       env->workspace_size);
	if (s == CUBLAS_STATUS_SUCCESS)
		s = gemm(env, p);
	/* Some cards' words for what they lack. */
	if (s == CUBLAS_STATUS_INVALID_VALUE)
		s = CUBLAS_STATUS_NOT_SUPPORTED;
	return pst_cuda_cublas_ok(s, "starting a product", err);
}

int pst_cuda_scratch(const struct pst_cuda_product_env *env, uint64_t bytes,
		     void **ret, struct pst_error *err)
{
	return pst_cuda_ok(env->pools ? cudaMallocAsync(ret, bytes, env->stream)
				      : cudaMalloc(ret, bytes),
			   "allocating device memory", err);
}

void pst_cuda_scratch_drop(const struct pst_cuda_product_env *env, void *mem)
{
	cudaError_t e = cudaSuccess;

	if (mem)
		e = env->pools ? cudaFreeAsync(mem, env->stream)
			       : cudaFree(mem);
	if (e != cudaSuccess)
		cudaGetLastError();
}
