/* SPDX-License-Identifier: MIT */
/* The double's cuBLASLt. */
#include <string.h>

#include <cublasLt.h>

#include "tests/fakecuda/gemm.h"
#include "tests/fakecuda/streams.h"

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
struct preference {
	size_t workspace;
	uint32_t align[4]; /* A, B, C, D */
	uint32_t reduction;
};
/* What a heuristic was asked; an algorithm is good for nothing else. */
struct algo {
	uint64_t magic, problem, workspace;
	uint32_t align[4];
	uint32_t reduction, align_bias;
};
_Static_assert(sizeof(struct algo) <= sizeof(cublasLtMatmulAlgo_t), "too long");
#define MAGIC 0x6c746c61ULL

cublasStatus_t cublasLtCreate(cublasLtHandle_t *ret)
{
	cublasStatus_t s = fake_blas_call();

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
	cublasStatus_t s = fake_blas_call();
	struct desc *d;

	if (scale != CUDA_R_32F)
		fakecuda_note("a scale of another type than the sums");
	if (s != CUBLAS_STATUS_SUCCESS)
		return s;
	d = fakecuda_handle(sizeof(*d));
	d->compute = compute;
	d->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
	*ret = (cublasLtMatmulDesc_t)d;
	return s;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
	fakecuda_drop(d);
	return CUBLAS_STATUS_SUCCESS;
}

/* Copies an attribute, whose size has to be its type's. */
static void set(void *dst, size_t size, const void *v, size_t given)
{
	if (given != size)
		fakecuda_note("an attribute of another size");
	else
		memcpy(dst, v, size);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
					      cublasLtMatmulDescAttributes_t a,
					      const void *v, size_t size)
{
	struct desc *d = (struct desc *)desc;

	switch (a) {
	case CUBLASLT_MATMUL_DESC_TRANSA:
		set(&d->ta, sizeof(d->ta), v, size);
		break;
	case CUBLASLT_MATMUL_DESC_TRANSB:
		set(&d->tb, sizeof(d->tb), v, size);
		break;
	case CUBLASLT_MATMUL_DESC_EPILOGUE:
		set(&d->epilogue, sizeof(d->epilogue), v, size);
		break;
	case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
		set(&d->bias, sizeof(d->bias), v, size);
		break;
	default:
		fakecuda_note("an attribute the double does not know");
	}
	return fake_blas_call();
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *ret,
					  cudaDataType type, uint64_t rows,
					  uint64_t cols, int64_t ld)
{
	cublasStatus_t s = fake_blas_call();
	struct layout *l;

	if (s != CUBLAS_STATUS_SUCCESS)
		return s;
	if (ld < (int64_t)rows)
		fakecuda_note("a leading dimension below the rows");
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
		set(&l->batch, sizeof(l->batch), v, size);
	else if (a == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET)
		set(&l->stride, sizeof(l->stride), v, size);
	else
		fakecuda_note("an attribute the double does not know");
	return fake_blas_call();
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *ret)
{
	cublasStatus_t s = fake_blas_call();
	struct preference *p;

	if (s != CUBLAS_STATUS_SUCCESS)
		return s;
	p = fakecuda_handle(sizeof(*p));
	/* The defaults of cublasLt.h: no workspace, 256 bytes, any scheme. */
	*p = (struct preference){
		.align = {256, 256, 256, 256},
		.reduction = CUBLASLT_REDUCTION_SCHEME_MASK,
	};
	*ret = (cublasLtMatmulPreference_t)p;
	return s;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
	fakecuda_drop(p);
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref,
				     cublasLtMatmulPreferenceAttributes_t a,
				     const void *v, size_t size)
{
	struct preference *p = (struct preference *)pref;

	switch (a) {
	case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
		set(&p->workspace, sizeof(p->workspace), v, size);
		break;
	case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
		set(&p->reduction, sizeof(p->reduction), v, size);
		break;
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
		set(&p->align[a - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES],
		    sizeof(p->align[0]), v, size);
		break;
	default:
		fakecuda_note("a preference the double does not know");
	}
	return fake_blas_call();
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static uint64_t mix_layout(uint64_t h, const struct layout *l)
{
	h = mix(mix(h, l->type), l->rows);
	h = mix(mix(h, l->cols), (uint64_t)l->ld);
	return mix(mix(h, (uint64_t)l->stride), (uint64_t)l->batch);
}

static uint64_t problem_of(const struct desc *d, const struct layout *a,
			   const struct layout *b, const struct layout *c)
{
	uint64_t h = mix(mix(1, d->compute), d->epilogue);

	h = mix(mix(h, d->ta), d->tb);
	return mix_layout(mix_layout(mix_layout(h, a), b), c);
}

static uint32_t alignment_of(const void *p)
{
	const uintptr_t low = (uintptr_t)p & (~(uintptr_t)p + 1);

	return low == 0 || low > 256 ? 256 : (uint32_t)low;
}

/* A, B and C are those of one product. */
static void check_sides(const struct desc *d, const struct layout *a,
			const struct layout *b, const struct layout *c)
{
	const bool ta = d->ta != CUBLAS_OP_N, tb = d->tb != CUBLAS_OP_N;

	if ((ta ? a->cols : a->rows) != c->rows ||
	    (tb ? b->rows : b->cols) != c->cols ||
	    (ta ? a->rows : a->cols) != (tb ? b->cols : b->rows) ||
	    a->batch != c->batch || b->batch != c->batch || a->type != b->type)
		fakecuda_note("layouts that are not of one product");
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
	cublasLtHandle_t h, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
	cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
	cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t pref, int n,
	cublasLtMatmulHeuristicResult_t results[], int *ret_n)
{
	const struct preference *p = (const struct preference *)pref;
	const struct layout *la = (const struct layout *)a;
	const struct layout *lc = (const struct layout *)c;
	struct algo algo = {
		.magic = MAGIC,
		.problem = problem_of((const struct desc *)desc, la,
				      (const struct layout *)b, lc),
		.workspace = p->workspace,
		.reduction = p->reduction,
		.align_bias = alignment_of(((const struct desc *)desc)->bias),
	};
	cublasStatus_t s = fake_blas_call(), refused;

	(void)h;
	*ret_n = 0;
	if (s != CUBLAS_STATUS_SUCCESS)
		return s;
	check_sides((const struct desc *)desc, la, (const struct layout *)b,
		    lc);
	if (c != d || n < 1)
		fakecuda_note("an odd question to a heuristic");
	fakecuda_count_heuristic();
	if (fakecuda_refused(FAKECUDA_HEURISTIC, la->type, lc->type, lc->cols,
			     &refused))
		return refused;
	if (fakecuda_get()->refuse_lt)
		return s;
	memcpy(algo.align, p->align, sizeof(algo.align));
	memset(results, 0, sizeof(*results));
	memcpy(&results->algo, &algo, sizeof(algo));
	*ret_n = 1;
	return s;
}

static int act_of(uint32_t epilogue, bool *ret_bias)
{
	*ret_bias = epilogue & CUBLASLT_EPILOGUE_BIAS;
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

/* What the algorithm was chosen for holds now. */
static void check_algo(const cublasLtMatmulAlgo_t *given, uint64_t problem,
		       const struct fake_gemm *g, const void *c)
{
	const void *const p[4] = {g->a, g->b, c, g->c};
	struct algo a;
	int i;

	memcpy(&a, given, sizeof(a));
	if (a.magic != MAGIC || a.problem != problem)
		fakecuda_note("an algorithm of another product");
	if (a.workspace != g->workspace_size)
		fakecuda_note("another workspace than the preference says");
	for (i = 0; i < 4; i++)
		if (!a.align[i] || (uintptr_t)p[i] % a.align[i])
			fakecuda_note("an operand less aligned than the "
				      "preference says");
	if ((uintptr_t)g->bias % a.align_bias)
		fakecuda_note("a bias less aligned than the heuristic saw");
	/* Parts of a sum kept in 16 bits. */
	if ((g->type_c == CUDA_R_16F || g->type_c == CUDA_R_16BF) &&
	    a.reduction & (CUBLASLT_REDUCTION_SCHEME_INPLACE |
			   CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE))
		fakecuda_note("sums that may be rounded to 16 bits on the way");
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
	struct fake_gemm g = {
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
		.workspace = workspace,
		.workspace_size = workspace_size,
	};
	cublasStatus_t s = fake_blas_call(), refused;
	bool bias;

	(void)h;
	if (s != CUBLAS_STATUS_SUCCESS)
		return s;
	g.act = act_of(x->epilogue, &bias);
	check_sides(x, ra, rb, rc);
	check_algo(algo, problem_of(x, ra, rb, rc), &g, c);
	if (c != d || lc != ld || (uintptr_t)x->bias % 16 ||
	    bias != (x->bias != NULL))
		fakecuda_note("an odd product of cuBLASLt");
	if (fakecuda_refused(FAKECUDA_MATMUL, g.type, g.type_c, (uint64_t)g.n,
			     &refused))
		return refused;
	fakecuda_count_lt();
	return fake_gemm_start(stream, &g);
}
