/* SPDX-License-Identifier: MIT */
/* SYMM, SYRK, SYR2K, TRMM and TRSM by products: blocks on the diagonal are
 * computed here, all others are GEMMs. */
#ifndef PST_HOST_CLIENT_BLAS_LEVEL3_H
#define PST_HOST_CLIENT_BLAS_LEVEL3_H

#include "host-client/blas/call.h"

/* Computes a part that is a smaller call, of GEMM or of the same routine. */
typedef void pst_blas_part(void *arg, const struct pst_blas_args *part);

/* Of any routine but GEMM, in blocks of so many rows. Parts come in the order
 * in which they have to be computed. */
void pst_blas_level3(const struct pst_blas_args *x, int64_t block,
		     pst_blas_part *part, void *arg);

#endif
