/* SPDX-License-Identifier: MIT */
/* What cuBLAS lacks, behind plain C: kernels.cu has it for the device,
 * tests/fakecuda/emu.h runs it on the CPU. */
#ifndef PST_GUEST_AGENT_CUDA_KERNELS_H
#define PST_GUEST_AGENT_CUDA_KERNELS_H

#include <stdint.h>

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * All of these only put work on a stream: they return what launching says.
 * dtype and act are numbers of enum pst_wire_dtype and enum pst_wire_act;
 * matrices are column-major, leading dimensions and strides in elements.
 */

/* dst = act(scale src + bias), rows x cols, batch times. */
struct pst_cuda_k_finish {
	void *dst;
	const void *src;          /* may be dst; not read when scale is 0 */
	const void *bias;         /* of dst's type; NULL: none */
	int dst_dtype, src_dtype; /* I32 only with I32 */
	int act;                  /* I32: none or relu */
	int bias_of_rows; /* bias has an element for each row, else column */
	uint64_t rows, cols, batch;
	uint64_t ld_dst, ld_src, stride_dst, stride_src;
	double scale;
};
cudaError_t pst_cuda_k_finish(cudaStream_t s,
			      const struct pst_cuda_k_finish *f);

/* C = alpha op(A) op(B) + beta C, i8 to i32 modulo 2^32, where cuBLAS has no
 * such product or wants other alignments. C is not read when beta is 0. */
struct pst_cuda_k_gemm_i8 {
	const int8_t *a, *b;
	int32_t *c;
	int transa, transb;
	uint64_t m, n, k, batch;
	uint64_t lda, ldb, ldc, stride_a, stride_b, stride_c;
	int32_t alpha, beta;
};
cudaError_t pst_cuda_k_gemm_i8(cudaStream_t s,
			       const struct pst_cuda_k_gemm_i8 *g);

/* A matrix of i8 with zeros around it, as I8 or F32, its columns close
 * together: dst_rows x dst_cols, each at least that of src; batch times. */
struct pst_cuda_k_spread {
	void *dst;
	const int8_t *src;
	int dst_dtype;
	uint64_t rows, cols, dst_rows, dst_cols, batch;
	uint64_t ld_src, stride_src;
};
cudaError_t pst_cuda_k_spread(cudaStream_t s,
			      const struct pst_cuda_k_spread *p);

/* dst = act(alpha src + beta dst + bias) modulo 2^32, of I32 or of whole
 * numbers in F32. dst is not read when beta is 0; src is another. */
struct pst_cuda_k_gather {
	int32_t *dst;
	const void *src;
	const int32_t *bias; /* NULL: none */
	int src_dtype, act, bias_of_rows;
	uint64_t rows, cols, batch;
	uint64_t ld_dst, ld_src, stride_dst, stride_src;
	int32_t alpha, beta;
};
cudaError_t pst_cuda_k_gather(cudaStream_t s,
			      const struct pst_cuda_k_gather *p);

/* n elements from one of F32, F16, BF16 to another, one after the other. */
cudaError_t pst_cuda_k_convert(cudaStream_t s, void *dst, int dst_dtype,
			       const void *src, int src_dtype, uint64_t n);

/* Functions of one value, for models; numbers of their own. */
enum pst_cuda_k_unary {
	PST_CUDA_K_RELU,
	PST_CUDA_K_GELU_ERF,
	PST_CUDA_K_GELU_TANH,
	PST_CUDA_K_SILU,
	PST_CUDA_K_TANH,
	PST_CUDA_K_SIGMOID,
};
/* y[i] = f(x[i]), F32; y may be x. */
cudaError_t pst_cuda_k_unary(cudaStream_t s, enum pst_cuda_k_unary f, float *y,
			     const float *x, uint64_t n);

/* y[i] = x[i] + z[i], F32; y may be x. */
cudaError_t pst_cuda_k_add(cudaStream_t s, float *y, const float *x,
			   const float *z, uint64_t n);

/* Each of rows rows of n F32 (row-major, close together); y may be x. */
cudaError_t pst_cuda_k_softmax(cudaStream_t s, float *y, const float *x,
			       uint64_t rows, uint64_t n);

/* Layernorm of each of rows rows: (x - mean) / sqrt(var + eps) * w + b; w, b
 * NULL: 1, 0. */
cudaError_t pst_cuda_k_layernorm(cudaStream_t s, float *y, const float *x,
				 const float *w, const float *b, double eps,
				 uint64_t rows, uint64_t n);

#ifdef __cplusplus
}
#endif

#endif
