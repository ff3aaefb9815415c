/* SPDX-License-Identifier: MIT */
/* Finishes products of arrays in a connection's buffers (penstock.empty()) that
 * an agent has left half done, which pst_gemm_or() does not. */
#ifndef PST_HOST_CLIENT_BLAS_FINISH_H
#define PST_HOST_CLIENT_BLAS_FINISH_H

#include "host-client/blas/call.h"

/* What C is before a product; NULL without memory, or where it is not read. To
 * be freed. */
void *pst_blas_keep(const struct pst_blas_args *x);
void pst_blas_put_back(const struct pst_blas_args *x, const void *before);

/* Computes a product by lib once the agent writes no more to C, which has its
 * contents from before if it was not touched, else those of before. Where an
 * operand is lost with its agent the result is NaN. */
void pst_blas_finish(const struct pst_blas_library *lib,
		     const struct pst_blas_args *x, const void *before,
		     bool touched);

/* After a call that was computed here: NaN, and a line, if an operand is lost
 * with its agent, and was possibly zeros. */
void pst_blas_spoil_lost(const struct pst_blas_args *x);

#endif
