/* SPDX-License-Identifier: MIT */
/* Products with their epilogue in one kernel of cuBLASLt. */
#include <errno.h>

#include "guest-agent/cuda/device.h"
#include "guest-agent/cuda/lt_cache.h"
#include "guest-agent/cuda/product.h"

/* cuBLASLt reads a bias in vectors of so many bytes. */
#define ALIGN 16U

struct lt {
	cublasLtMatmulDesc_t desc;
	cublasLtMatrixLayout_t a, b, c;
	cublasLtMatmulPreference_t pref;
};

static void lt_done(struct lt *t)
{
	if (t->pref)
		cublasLtMatmulPreferenceDestroy(t->pref);
	if (t->c)
		cublasLtMatrixLayoutDestroy(t->c);
	if (t->b)
		cublasLtMatrixLayoutDestroy(t->b);
	if (t->a)
		cublasLtMatrixLayoutDestroy(t->a);
	if (t->desc)
		cublasLtMatmulDescDestroy(t->desc);
}

/* The epilogue; false when cuBLASLt has none for this. Its bias is one for
 * each row of a column-major result, which is what a row-major C wants; its
 * GELU is the one by tanh. */
static bool epilogue_of(const struct pst_cuda_product *p,
			cublasLtEpilogue_t *ret)
{
	const bool bias = p->bias;

	if (p->dtype == PST_WIRE_F64 || p->dtype == PST_WIRE_I8)
		return false;
	if (bias && (!p->bias_of_rows || (uintptr_t)p->bias % ALIGN))
		return false;
	switch (p->act) {
	case PST_WIRE_ACT_NONE:
		*ret = CUBLASLT_EPILOGUE_BIAS;
		return bias;
	case PST_WIRE_ACT_RELU:
		*ret = bias ? CUBLASLT_EPILOGUE_RELU_BIAS
			    : CUBLASLT_EPILOGUE_RELU;
		return true;
	case PST_WIRE_ACT_GELU_TANH:
		if (p->own_gelu)
			return false;
		*ret = bias ? CUBLASLT_EPILOGUE_GELU_BIAS
			    : CUBLASLT_EPILOGUE_GELU;
		return true;
	default:
		return false;
	}
}

bool pst_cuda_lt_has(const struct pst_cuda_product *p)
{
	cublasLtEpilogue_t e;

	return epilogue_of(p, &e);
}

static cublasStatus_t make_layout(cublasLtMatrixLayout_t *ret,
				  cudaDataType_t type, bool trans,
				  uint64_t rows, uint64_t cols, uint32_t ld,
				  uint32_t batch, uint64_t stride)
{
	const int64_t offset = (int64_t)stride;
	const int32_t count = (int32_t)batch;
	cublasStatus_t s;

	s = cublasLtMatrixLayoutCreate(ret, type, trans ? cols : rows,
				       trans ? rows : cols, ld);
	if (s != CUBLAS_STATUS_SUCCESS || batch == 1)
		return s;
	s = cublasLtMatrixLayoutSetAttribute(*ret,
					     CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
					     &count, sizeof(count));
	if (s != CUBLAS_STATUS_SUCCESS)
		return s;
	return cublasLtMatrixLayoutSetAttribute(
		*ret, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &offset,
		sizeof(offset));
}

static cublasStatus_t make_desc(const struct pst_cuda_product *p,
				cublasLtEpilogue_t epilogue, struct lt *t)
{
	const cublasOperation_t ta = p->transa ? CUBLAS_OP_T : CUBLAS_OP_N;
	const cublasOperation_t tb = p->transb ? CUBLAS_OP_T : CUBLAS_OP_N;
	cublasStatus_t s;

	s = cublasLtMatmulDescCreate(&t->desc, pst_cuda_compute(p), CUDA_R_32F);
	if (s == CUBLAS_STATUS_SUCCESS)
		s = cublasLtMatmulDescSetAttribute(
			t->desc, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof(ta));
	if (s == CUBLAS_STATUS_SUCCESS)
		s = cublasLtMatmulDescSetAttribute(
			t->desc, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof(tb));
	if (s == CUBLAS_STATUS_SUCCESS)
		s = cublasLtMatmulDescSetAttribute(
			t->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
			sizeof(epilogue));
	if (s == CUBLAS_STATUS_SUCCESS && p->bias)
		s = cublasLtMatmulDescSetAttribute(
			t->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias,
			sizeof(p->bias));
	return s;
}

static cublasStatus_t make_layouts(const struct pst_cuda_product *p,
				   struct lt *t)
{
	const cudaDataType_t type = pst_cuda_dtype(p->dtype);
	cublasStatus_t s;

	s = make_layout(&t->a, type, p->transa, p->m, p->k, p->lda, p->batch,
			p->stride_a);
	if (s == CUBLAS_STATUS_SUCCESS)
		s = make_layout(&t->b, type, p->transb, p->k, p->n, p->ldb,
				p->batch, p->stride_b);
	if (s == CUBLAS_STATUS_SUCCESS)
		s = make_layout(&t->c, pst_cuda_dtype(p->dtype_c), false, p->m,
				p->n, p->ldc, p->batch, p->stride_c);
	return s;
}

/* The largest power of two up to 256 that divides the address. */
static uint32_t alignment_of(const void *p)
{
	const uintptr_t low = (uintptr_t)p & (~(uintptr_t)p + 1);

	return low == 0 || low > 256 ? 256 : (uint32_t)low;
}

static cublasStatus_t make_preference(const struct pst_cuda_product_env *env,
				      const struct pst_cuda_product *p,
				      struct lt *t)
{
	const uint32_t align[3] = {alignment_of(p->a), alignment_of(p->b),
				   alignment_of(p->c)};
	static const cublasLtMatmulPreferenceAttributes_t which[] = {
		CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
		CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
		CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
	};
	/* By default parts of a sum may be kept in C's type, of 16 bits. */
	static const uint32_t sums = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
	cublasStatus_t s;
	int i;

	s = cublasLtMatmulPreferenceCreate(&t->pref);
	if (s == CUBLAS_STATUS_SUCCESS)
		s = cublasLtMatmulPreferenceSetAttribute(
			t->pref, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
			&sums, sizeof(sums));
	if (s == CUBLAS_STATUS_SUCCESS)
		s = cublasLtMatmulPreferenceSetAttribute(
			t->pref, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
			&env->workspace_size, sizeof(env->workspace_size));
	for (i = 0; i < 3 && s == CUBLAS_STATUS_SUCCESS; i++)
		s = cublasLtMatmulPreferenceSetAttribute(
			t->pref, which[i], &align[i], sizeof(align[i]));
	if (s == CUBLAS_STATUS_SUCCESS)
		s = cublasLtMatmulPreferenceSetAttribute(
			t->pref, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
			&align[2], sizeof(align[2]));
	return s;
}

static struct pst_cuda_lt_key key_of(const struct pst_cuda_product_env *env,
				     const struct pst_cuda_product *p,
				     cublasLtEpilogue_t epilogue)
{
	return (struct pst_cuda_lt_key){
		/* One product has no strides. */
		.stride_a = p->batch > 1 ? p->stride_a : 0,
		.stride_b = p->batch > 1 ? p->stride_b : 0,
		.stride_c = p->batch > 1 ? p->stride_c : 0,
		.workspace = env->workspace_size,
		.m = p->m,
		.n = p->n,
		.k = p->k,
		.batch = p->batch,
		.lda = p->lda,
		.ldb = p->ldb,
		.ldc = p->ldc,
		.type = (uint32_t)pst_cuda_dtype(p->dtype),
		.type_c = (uint32_t)pst_cuda_dtype(p->dtype_c),
		.compute = (uint32_t)pst_cuda_compute(p),
		.epilogue = (uint32_t)epilogue,
		.transa = p->transa,
		.transb = p->transb,
		.align_a = alignment_of(p->a),
		.align_b = alignment_of(p->b),
		.align_c = alignment_of(p->c),
		.align_bias = alignment_of(p->bias),
	};
}

/* What no later question would change. */
static bool is_final(cublasStatus_t s)
{
	return s == CUBLAS_STATUS_NOT_SUPPORTED ||
	       s == CUBLAS_STATUS_INVALID_VALUE;
}

static cublasStatus_t choose(const struct pst_cuda_product_env *env,
			     const struct pst_cuda_product *p, struct lt *t,
			     const struct pst_cuda_lt_key *key,
			     struct pst_cuda_lt_choice **ret)
{
	cublasLtMatmulHeuristicResult_t h;
	cublasStatus_t s;
	int n = 0;

	*ret = NULL;
	s = make_preference(env, p, t);
	if (s == CUBLAS_STATUS_SUCCESS) {
		s = cublasLtMatmulAlgoGetHeuristic(env->lt, t->desc, t->a, t->b,
						   t->c, t->c, t->pref, 1, &h,
						   &n);
		if (s == CUBLAS_STATUS_SUCCESS && n == 0)
			s = CUBLAS_STATUS_NOT_SUPPORTED;
	}
	if (s == CUBLAS_STATUS_SUCCESS || is_final(s))
		*ret = pst_cuda_lt_cache_put(
			env->lt_cache, key,
			s == CUBLAS_STATUS_SUCCESS ? &h.algo : NULL);
	return s;
}

static cublasStatus_t launch(const struct pst_cuda_product_env *env,
			     const struct pst_cuda_product *p,
			     cublasLtEpilogue_t epilogue, struct lt *t)
{
	const struct pst_cuda_product_scale scale = pst_cuda_product_scale(p);
	const struct pst_cuda_lt_key key = key_of(env, p, epilogue);
	struct pst_cuda_lt_choice *x =
		pst_cuda_lt_cache_get(env->lt_cache, &key);
	cublasStatus_t s;

	if (x && x->refused)
		return CUBLAS_STATUS_NOT_SUPPORTED;
	s = make_desc(p, epilogue, t);
	if (s == CUBLAS_STATUS_SUCCESS)
		s = make_layouts(p, t);
	if (s == CUBLAS_STATUS_SUCCESS && !x)
		s = choose(env, p, t, &key, &x);
	if (s != CUBLAS_STATUS_SUCCESS)
		return s;
	s = cublasLtMatmul(env->lt, t->desc, &scale.alpha, p->a, t->a, p->b,
			   t->b, &scale.beta, p->c, t->c, p->c, t->c, &x->algo,
			   env->workspace, env->workspace_size, env->stream);
	x->refused = is_final(s);
	return s;
}

int pst_cuda_lt_run(const struct pst_cuda_product_env *env,
		    const struct pst_cuda_product *p, struct pst_error *err)
{
	cublasLtEpilogue_t epilogue;
	struct lt t = {0};
	cublasStatus_t s;

	if (env->lacks->lt || !epilogue_of(p, &epilogue))
		return 0;
	s = launch(env, p, epilogue, &t);
	lt_done(&t);
	switch (s) {
	case CUBLAS_STATUS_SUCCESS:
		return 1;
	case CUBLAS_STATUS_EXECUTION_FAILED:
	case CUBLAS_STATUS_ALLOC_FAILED:
		return pst_cuda_cublas_ok(s, "starting a product with epilogue",
					  err);
	case CUBLAS_STATUS_ARCH_MISMATCH:
		env->lacks->lt = true;
		break;
	default:
		break;
	}
	/* Refused before anything was launched: there is another way. */
	cudaGetLastError();
	return 0;
}
