/* SPDX-License-Identifier: MIT */
/* A product's descriptor from its arguments. */
#ifndef PST_HOST_CLIENT_LIB_GEMM_GEMM_OP_H
#define PST_HOST_CLIENT_LIB_GEMM_GEMM_OP_H

#include "host-client/lib/call.h"

/* The type of C's elements, the natural one when none was given. */
uint32_t pst_gemm_dtype_c(const struct pst_gemm *g);

/* Fills in a product's descriptor and checks it. */
PST_MUST_USE int pst_gemm_prepare(struct pst *c, const struct pst_gemm *g,
				  struct pst_call *call, struct pst_error *err);

#endif
