/* SPDX-License-Identifier: MIT */
/* The double's matrix product, by plain sums. */
#ifndef PST_TESTS_FAKECUDA_GEMM_H
#define PST_TESTS_FAKECUDA_GEMM_H

#include <cublas_v2.h>

#include "tests/fakecuda/number.h"

struct fake_gemm {
	bool transa, transb;
	int m, n, k, batch;
	cudaDataType_t type, type_c;
	cublasComputeType_t compute;
	double alpha, beta;
	const void *a, *b, *bias;
	void *c;
	int64_t lda, ldb, ldc, stride_a, stride_b, stride_c;
	int act;
	const void *workspace;
	size_t workspace_size;
};

enum pst_wire_dtype fake_type(cudaDataType_t t);

/* Whether cuBLAS has it: types, sizes, alignments. */
cublasStatus_t fake_gemm_check(const struct fake_gemm *g);

/* Puts it on the stream. */
cublasStatus_t fake_gemm_start(cudaStream_t s, const struct fake_gemm *g);

/* Counts a call of cuBLAS; what it should return instead of its work. */
cublasStatus_t fake_blas_call(void);

/* alpha or beta as the compute type has them. */
double fake_scale(const void *p, cublasComputeType_t t);

#endif
