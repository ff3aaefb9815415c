/* SPDX-License-Identifier: MIT */
/* The kernels of kernels.cu on the CPU, without a check of what they touch. */
#ifndef PST_TESTS_FAKECUDA_KERNELS_H
#define PST_TESTS_FAKECUDA_KERNELS_H

#include "guest-agent/cuda/kernels.h"

cudaError_t fakecuda_k_finish(cudaStream_t s,
			      const struct pst_cuda_k_finish *f);
cudaError_t fakecuda_k_gemm_i8(cudaStream_t s,
			       const struct pst_cuda_k_gemm_i8 *g);
cudaError_t fakecuda_k_spread(cudaStream_t s,
			      const struct pst_cuda_k_spread *p);
cudaError_t fakecuda_k_gather(cudaStream_t s,
			      const struct pst_cuda_k_gather *p);
cudaError_t fakecuda_k_convert(cudaStream_t s, void *dst, int dst_dtype,
			       const void *src, int src_dtype, uint64_t n);
cudaError_t fakecuda_k_unary(cudaStream_t s, enum pst_cuda_k_unary f, float *y,
			     const float *x, uint64_t n);
cudaError_t fakecuda_k_add(cudaStream_t s, float *y, const float *x,
			   const float *z, uint64_t n);
cudaError_t fakecuda_k_softmax(cudaStream_t s, float *y, const float *x,
			       uint64_t rows, uint64_t n);
cudaError_t fakecuda_k_layernorm(cudaStream_t s, float *y, const float *x,
				 const float *w, const float *b, double eps,
				 uint64_t rows, uint64_t n);

#endif
