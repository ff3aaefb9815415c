/* SPDX-License-Identifier: MIT */
/* Translates a product's types to those of cuBLAS. */
#include "guest-agent/cuda/product.h"

cudaDataType_t pst_cuda_dtype(enum pst_wire_dtype t)
{
	switch (t) {
	case PST_WIRE_F64:
		return CUDA_R_64F;
	case PST_WIRE_F16:
		return CUDA_R_16F;
	case PST_WIRE_BF16:
		return CUDA_R_16BF;
	case PST_WIRE_I8:
		return CUDA_R_8I;
	case PST_WIRE_I32:
		return CUDA_R_32I;
	default:
		return CUDA_R_32F;
	}
}

cublasComputeType_t pst_cuda_compute(const struct pst_cuda_product *p)
{
	if (p->dtype == PST_WIRE_F64)
		return CUBLAS_COMPUTE_64F;
	if (p->dtype == PST_WIRE_I8)
		return CUBLAS_COMPUTE_32I;
	if (p->compute == PST_WIRE_COMPUTE_TF32)
		return CUBLAS_COMPUTE_32F_FAST_TF32;
	if (p->compute == PST_WIRE_COMPUTE_FAST_F16)
		return CUBLAS_COMPUTE_32F_FAST_16F;
	/* Without TF32: the handle's math mode is the default one. */
	return CUBLAS_COMPUTE_32F;
}

struct pst_cuda_product_scale
pst_cuda_product_scale(const struct pst_cuda_product *p)
{
	struct pst_cuda_product_scale s = {{0}, {0}};

	if (p->dtype == PST_WIRE_F64) {
		s.alpha.f64 = p->alpha;
		s.beta.f64 = p->beta;
	} else if (p->dtype == PST_WIRE_I8) {
		s.alpha.i32 = (int32_t)p->alpha;
		s.beta.i32 = (int32_t)p->beta;
	} else {
		s.alpha.f32 = (float)p->alpha;
		s.beta.f32 = (float)p->beta;
	}
	return s;
}
