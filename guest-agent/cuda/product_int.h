/* SPDX-License-Identifier: MIT */
/* What the files of a product share: plain products, integers, scratch memory.
 */
#ifndef PST_GUEST_AGENT_CUDA_PRODUCT_INT_H
#define PST_GUEST_AGENT_CUDA_PRODUCT_INT_H

#include "guest-agent/cuda/product.h"

/* product_blas.c: the product without its epilogue, by cuBLAS. Returns 0,
 * -EOPNOTSUPP (refused, nothing was put on the stream), -EIO, -ENOMEM. */
int pst_cuda_blas_run(const struct pst_cuda_product_env *env,
		      const struct pst_cuda_product *p, struct pst_error *err);

/* product_blas.c: act(scale C + bias) in place: what remains to do after a
 * product without epilogue, or all of one that reads neither A nor B. */
int pst_cuda_product_finish(const struct pst_cuda_product_env *env,
			    const struct pst_cuda_product *p, double scale,
			    struct pst_error *err);

/* product_blas.c: memory in the stream's order; without pools the device waits.
 * NULL may be dropped. */
int pst_cuda_scratch(const struct pst_cuda_product_env *env, uint64_t bytes,
		     void **ret, struct pst_error *err);
void pst_cuda_scratch_drop(const struct pst_cuda_product_env *env, void *mem);

/*
 * product_i8.c: a whole product of i8, exact modulo 2^32, by cuBLAS in place or
 * on padded copies, by sums in F32 that cannot be rounded, or by our kernel.
 * What is tried in vain has not touched C. Returns 0, -EIO, -ENOMEM.
 */
int pst_cuda_i8_run(const struct pst_cuda_product_env *env,
		    const struct pst_cuda_product *p, struct pst_error *err);

/* product_i8.c: the sides of padded copies, which cuBLAS takes on every card;
 * false where they are more than it can be told. */
struct pst_cuda_i8_sides {
	uint32_t m, n, k;
};
bool pst_cuda_i8_padded(const struct pst_cuda_product *p,
			struct pst_cuda_i8_sides *ret);

#endif
