/* SPDX-License-Identifier: MIT */
/* One matrix product on addresses the device reaches: cuBLAS, cuBLASLt or our
 * kernels, with the epilogue. */
#ifndef PST_GUEST_AGENT_CUDA_PRODUCT_H
#define PST_GUEST_AGENT_CUDA_PRODUCT_H

#include <stdbool.h>
#include <stdint.h>

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include "transport/base/error.h"
#include "transport/op.h"

/* D = act(alpha op(A) op(B) + beta C + bias), column-major, D in C's place;
 * batch times. Sizes and leading dimensions are at most INT32_MAX. */
struct pst_cuda_product {
	enum pst_wire_dtype dtype, dtype_c;
	enum pst_wire_compute compute;
	enum pst_wire_act act;
	bool transa, transb;
	/* bias has an element for each row of C, else for each column. */
	bool bias_of_rows;
	bool own_gelu; /* not cuBLASLt's: it was found too rough */
	bool native;   /* not by F32: to find out what there is */
	uint32_t m, n, k, batch;
	uint32_t lda, ldb, ldc;
	uint64_t stride_a, stride_b, stride_c; /* elements */
	double alpha, beta;
	const void *a, *b, *bias; /* bias NULL: none */
	void *c;
};

struct pst_cuda_lt_cache;

/* What the library was found not to have, on this card. */
struct pst_cuda_lacks {
	bool lt;            /* cuBLASLt runs nothing here */
	bool f16, bf16, i8; /* products of these are made by F32 */
};

/* Where it runs. */
struct pst_cuda_product_env {
	cublasHandle_t blas;
	cublasLtHandle_t lt;
	struct pst_cuda_lt_cache *lt_cache;
	cudaStream_t stream;
	void *workspace; /* of the stream; device memory, 256-byte aligned */
	size_t workspace_size;
	struct pst_cuda_lacks *lacks; /* grows */
	bool pools;                   /* cudaMallocAsync */
	uint64_t scratch_most;        /* bytes beside C that are worth it */
};

/*
 * Puts a product on the stream; never waits. k = 0 or alpha = 0 reads neither
 * A nor B, beta = 0 does not read C. m, n or batch 0: nothing.
 * A result is rounded to its type once, after the epilogue. What the library
 * has not of 16-bit types and i8, for this shape or at all, is made by F32 or
 * by our kernels, with device memory of the moment. Returns 0, -EOPNOTSUPP
 * (neither library nor kernels have it), -EIO, -ENOMEM; after an error C may be
 * written in part.
 */
int pst_cuda_product_run(const struct pst_cuda_product_env *env,
			 const struct pst_cuda_product *p,
			 struct pst_error *err);

/* The library's name of a type and of a compute mode. */
cudaDataType_t pst_cuda_dtype(enum pst_wire_dtype t);
cublasComputeType_t pst_cuda_compute(const struct pst_cuda_product *p);

/* alpha and beta in the type that cuBLAS wants them in. */
struct pst_cuda_product_scale {
	union {
		float f32;
		double f64;
		int32_t i32;
	} alpha, beta;
};
struct pst_cuda_product_scale
pst_cuda_product_scale(const struct pst_cuda_product *p);

/* lt.c: whether cuBLASLt has such an epilogue. It may still refuse a product.
 */
bool pst_cuda_lt_has(const struct pst_cuda_product *p);

/*
 * lt.c: the product with its epilogue in one kernel of cuBLASLt. Returns 1
 * when it was put on the stream, 0 when cuBLASLt has no such thing, in whatever
 * words (nothing was done); -EIO, -ENOMEM.
 */
int pst_cuda_lt_run(const struct pst_cuda_product_env *env,
		    const struct pst_cuda_product *p, struct pst_error *err);

#endif
