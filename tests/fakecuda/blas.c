/* SPDX-License-Identifier: MIT */
/* The double's cuBLAS and cuBLASLt. */
#include <string.h>

#include <cublasLt.h>

#include "tests/fakecuda/fakecuda.h"
#include "tests/fakecuda/gemm.h"

struct cublasContext {
	cudaStream_t stream;
	void *workspace;
};

static cublasStatus_t call(void)
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
	cublasStatus_t s = call();

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
	return call();
}

cublasStatus_t cublasSetMathMode(cublasHandle_t h, cublasMath_t mode)
{
	(void)h;
	if (mode & CUBLAS_TF32_TENSOR_OP_MATH)
		fakecuda_note("TF32 as the default");
	return call();
}

cublasStatus_t cublasSetStream(cublasHandle_t h, cudaStream_t s)
{
	h->stream = s;
	h->workspace = NULL;
	return call();
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t h, void *mem, size_t size)
{
	(void)size;
	h->workspace = mem;
	return call();
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
	};
	cublasStatus_t s = call();

	(void)algo;
	if (s != CUBLAS_STATUS_SUCCESS)
		return s;
	if (!h->workspace)
		fakecuda_note("a product without a workspace of its stream");
	if (type_a != type_b)
		fakecuda_note("a product of two types");
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

/* The opaque structs of cublasLt.h are our room. */
struct desc {
	cublasComputeType_t compute;
	cublasOperation_t ta, tb;
	uint32_t epilogue;
	const void *bias;
};
struct layout {
	cudaDataType_t type;
	uint64_t rows, cols;
	int64_t ld, stride;
	int32_t batch;
};

cublasStatus_t cublasLtCreate(cublasLtHandle_t *ret)
{
	cublasStatus_t s = call();

	if (s == CUBLAS_STATUS_SUCCESS)
		*ret = fakecuda_handle(1);
	return s;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t h)
{
	fakecuda_drop(h);
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *ret,
					cublasComputeType_t compute,
					cudaDataType_t scale)
{
	cublasStatus_t s = call();
	struct desc *d;

	(void)scale;
	if (s != CUBLAS_STATUS_SUCCESS)
		return s;
	d = fakecuda_handle(sizeof(*d));
	d->compute = compute;
	*ret = (cublasLtMatmulDesc_t)d;
	return s;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
	fakecuda_drop(d);
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
					      cublasLtMatmulDescAttributes_t a,
					      const void *v, size_t size)
{
	struct desc *d = (struct desc *)desc;

	switch (a) {
	case CUBLASLT_MATMUL_DESC_TRANSA:
		memcpy(&d->ta, v, size);
		break;
	case CUBLASLT_MATMUL_DESC_TRANSB:
		memcpy(&d->tb, v, size);
		break;
	case CUBLASLT_MATMUL_DESC_EPILOGUE:
		memcpy(&d->epilogue, v, size);
		break;
	case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
		memcpy(&d->bias, v, size);
		break;
	default:
		fakecuda_note("an attribute the double does not know");
	}
	return call();
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *ret,
					  cudaDataType type, uint64_t rows,
					  uint64_t cols, int64_t ld)
{
	cublasStatus_t s = call();
	struct layout *l;

	if (s != CUBLAS_STATUS_SUCCESS)
		return s;
	l = fakecuda_handle(sizeof(*l));
	*l = (struct layout){type, rows, cols, ld, 0, 1};
	*ret = (cublasLtMatrixLayout_t)l;
	return s;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
	fakecuda_drop(l);
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
				 cublasLtMatrixLayoutAttribute_t a,
				 const void *v, size_t size)
{
	struct layout *l = (struct layout *)layout;

	if (a == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT)
		memcpy(&l->batch, v, size);
	else if (a == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET)
		memcpy(&l->stride, v, size);
	else
		fakecuda_note("an attribute the double does not know");
	return call();
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *ret)
{
	cublasStatus_t s = call();

	if (s == CUBLAS_STATUS_SUCCESS)
		*ret = fakecuda_handle(1);
	return s;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
	fakecuda_drop(p);
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
				     cublasLtMatmulPreferenceAttributes_t a,
				     const void *v, size_t size)
{
	(void)p;
	(void)a;
	(void)v;
	(void)size;
	return call();
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
	cublasLtHandle_t h, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a,
	cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
	cublasLtMatrixLayout_t dd, cublasLtMatmulPreference_t p, int n,
	cublasLtMatmulHeuristicResult_t results[], int *ret_n)
{
	(void)h;
	(void)d;
	(void)a;
	(void)b;
	(void)c;
	(void)dd;
	(void)p;
	(void)n;
	memset(results, 0, sizeof(*results));
	*ret_n = fakecuda_get()->refuse_lt ? 0 : 1;
	return call();
}

static int act_of(uint32_t epilogue)
{
	switch (epilogue) {
	case CUBLASLT_EPILOGUE_RELU:
	case CUBLASLT_EPILOGUE_RELU_BIAS:
		return PST_WIRE_ACT_RELU;
	case CUBLASLT_EPILOGUE_GELU:
	case CUBLASLT_EPILOGUE_GELU_BIAS:
		return PST_WIRE_ACT_GELU_TANH;
	case CUBLASLT_EPILOGUE_BIAS:
		return PST_WIRE_ACT_NONE;
	default:
		fakecuda_note("an epilogue the double does not know");
		return PST_WIRE_ACT_NONE;
	}
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t h, cublasLtMatmulDesc_t desc,
			      const void *alpha, const void *a,
			      cublasLtMatrixLayout_t la, const void *b,
			      cublasLtMatrixLayout_t lb, const void *beta,
			      const void *c, cublasLtMatrixLayout_t lc, void *d,
			      cublasLtMatrixLayout_t ld,
			      const cublasLtMatmulAlgo_t *algo, void *workspace,
			      size_t workspace_size, cudaStream_t stream)
{
	const struct desc *x = (const struct desc *)desc;
	const struct layout *ra = (const struct layout *)la;
	const struct layout *rb = (const struct layout *)lb;
	const struct layout *rc = (const struct layout *)lc;
	const struct fake_gemm g = {
		.transa = x->ta != CUBLAS_OP_N,
		.transb = x->tb != CUBLAS_OP_N,
		.m = (int)rc->rows,
		.n = (int)rc->cols,
		.k = (int)(x->ta != CUBLAS_OP_N ? ra->rows : ra->cols),
		.batch = rc->batch,
		.type = ra->type,
		.type_c = rc->type,
		.compute = x->compute,
		.alpha = fake_scale(alpha, x->compute),
		.beta = fake_scale(beta, x->compute),
		.a = a,
		.b = b,
		.bias = x->bias,
		.c = d,
		.lda = ra->ld,
		.ldb = rb->ld,
		.ldc = rc->ld,
		.stride_a = ra->stride,
		.stride_b = rb->stride,
		.stride_c = rc->stride,
		.act = act_of(x->epilogue),
		.workspace = workspace,
	};
	cublasStatus_t s = call();

	(void)h;
	(void)algo;
	(void)workspace_size;
	if (s != CUBLAS_STATUS_SUCCESS)
		return s;
	if (c != d || lc != ld || (uintptr_t)x->bias % 16)
		fakecuda_note("an odd product of cuBLASLt");
	fakecuda_count_lt();
	return fake_gemm_start(stream, &g);
}
