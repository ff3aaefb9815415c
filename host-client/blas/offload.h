/* SPDX-License-Identifier: MIT */
/* Takes the calls that may be worth it. */
#ifndef PST_HOST_CLIENT_BLAS_OFFLOAD_H
#define PST_HOST_CLIENT_BLAS_OFFLOAD_H

#include "host-client/blas/call.h"

/* Terms from which on a call is looked at; 0 until the first call. */
extern double pst_blas_from[PST_BLAS_N_TYPES];

/*
 * Computes a call, by the agent or by lib, whichever is faster. False: it has
 * done nothing, and the caller passes the call on as it is, since it is small,
 * wrong, made by a BLAS of ours, or nothing is to be offloaded.
 */
bool pst_blas_offload(const struct pst_blas_library *lib,
		      const struct pst_blas_args *x);

#endif
