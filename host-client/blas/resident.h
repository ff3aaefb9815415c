/* SPDX-License-Identifier: MIT */
/* Operands that come again stay in tensors of the agent, and only pages that
 * were written since go to it again (PENSTOCK_BLAS_RESIDENT). */
#ifndef PST_HOST_CLIENT_BLAS_RESIDENT_H
#define PST_HOST_CLIENT_BLAS_RESIDENT_H

#include "host-client/blas/call.h"
#include "host-client/penstock.h"

/* Remembers the operands of a product, wherever it is computed. Returns how
 * many bytes of them would not have to be copied. */
double pst_blas_resident_see(const struct pst_blas_args *x);

/* Puts tensors with the contents of A and B in their places, where there are
 * any. Returns whether there is one. */
bool pst_blas_resident_use(struct pst *c, const struct pst_blas_args *x,
			   struct pst_gemm_args *g);

/* After an error, or when the connection is closed: none is left. */
void pst_blas_resident_forget(struct pst *c);

/* In a child, which has no part in its parent's tensors. */
void pst_blas_resident_forked(void);

/* A line for PENSTOCK_BLAS_STATS. */
void pst_blas_resident_print(void);

#endif
