/* SPDX-License-Identifier: MIT */
/* The double's cuBLAS. */
#include <string.h>

#include <cublas_v2.h>

#include "tests/fakecuda/gemm.h"
#include "tests/fakecuda/streams.h"

struct cublasContext {
	cudaStream_t stream;
	void *workspace;
	size_t workspace_size;
};

cublasStatus_t fake_blas_call(void)
{
	switch (fakecuda_call()) {
	case cudaSuccess:
		return CUBLAS_STATUS_SUCCESS;
	case cudaErrorMemoryAllocation:
		return CUBLAS_STATUS_ALLOC_FAILED;
	default:
		return CUBLAS_STATUS_EXECUTION_FAILED;
	}
}

cublasStatus_t cublasCreate(cublasHandle_t *ret)
{
	cublasStatus_t s = fake_blas_call();

	if (s == CUBLAS_STATUS_SUCCESS)
		*ret = fakecuda_handle(sizeof(**ret));
	return s;
}

cublasStatus_t cublasDestroy(cublasHandle_t h)
{
	fakecuda_drop(h);
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion(cublasHandle_t h, int *ret)
{
	(void)h;
	*ret = 130100;
	return fake_blas_call();
}

cublasStatus_t cublasSetMathMode(cublasHandle_t h, cublasMath_t mode)
{
	(void)h;
	if (mode & CUBLAS_TF32_TENSOR_OP_MATH)
		fakecuda_note("TF32 as the default");
	return fake_blas_call();
}

cublasStatus_t cublasSetStream(cublasHandle_t h, cudaStream_t s)
{
	h->stream = s;
	h->workspace = NULL;
	return fake_blas_call();
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t h, void *mem, size_t size)
{
	h->workspace = mem;
	h->workspace_size = size;
	return fake_blas_call();
}

const char *cublasGetStatusString(cublasStatus_t s)
{
	switch (s) {
	case CUBLAS_STATUS_NOT_SUPPORTED:
		return "not supported";
	case CUBLAS_STATUS_ALLOC_FAILED:
		return "allocation failed";
	default:
		return "execution failed";
	}
}

cublasStatus_t cublasGemmStridedBatchedEx(
	cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m,
	int n, int k, const void *alpha, const void *a, cudaDataType type_a,
	int lda, long long int stride_a, const void *b, cudaDataType type_b,
	int ldb, long long int stride_b, const void *beta, void *c,
	cudaDataType type_c, int ldc, long long int stride_c, int batch,
	cublasComputeType_t compute, cublasGemmAlgo_t algo)
{
	const struct fake_gemm g = {
		.transa = ta != CUBLAS_OP_N,
		.transb = tb != CUBLAS_OP_N,
		.m = m,
		.n = n,
		.k = k,
		.batch = batch,
		.type = type_a,
		.type_c = type_c,
		.compute = compute,
		.alpha = fake_scale(alpha, compute),
		.beta = fake_scale(beta, compute),
		.a = a,
		.b = b,
		.c = c,
		.lda = lda,
		.ldb = ldb,
		.ldc = ldc,
		.stride_a = stride_a,
		.stride_b = stride_b,
		.stride_c = stride_c,
		.workspace = h->workspace,
		.workspace_size = h->workspace_size,
	};
	cublasStatus_t s = fake_blas_call(), refused;

	(void)algo;
	if (s != CUBLAS_STATUS_SUCCESS)
		return s;
	if (!h->workspace)
		fakecuda_note("a product without a workspace of its stream");
	if (type_a != type_b)
		fakecuda_note("a product of two types");
	if (fakecuda_refused(FAKECUDA_GEMM, type_a, type_c, (uint64_t)n,
			     &refused))
		return refused;
	s = fake_gemm_start(h->stream, &g);
	if (s == CUBLAS_STATUS_SUCCESS)
		fakecuda_count_blas();
	return s;
}

cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t ta,
			    cublasOperation_t tb, int m, int n, int k,
			    const void *alpha, const void *a,
			    cudaDataType type_a, int lda, const void *b,
			    cudaDataType type_b, int ldb, const void *beta,
			    void *c, cudaDataType type_c, int ldc,
			    cublasComputeType_t compute, cublasGemmAlgo_t algo)
{
	return cublasGemmStridedBatchedEx(h, ta, tb, m, n, k, alpha, a, type_a,
					  lda, 0, b, type_b, ldb, 0, beta, c,
					  type_c, ldc, 0, 1, compute, algo);
}
