/* SPDX-License-Identifier: MIT */
/* The agent that computes: connects in the background, gives it products, and
 * leaves it alone for a while after a failure. */
#ifndef PST_HOST_CLIENT_BLAS_AGENT_H
#define PST_HOST_CLIENT_BLAS_AGENT_H

#include "host-client/blas/call.h"

/* Whether a product could be given to an agent now. The first call starts to
 * connect, and does not wait for it unless wait is set. */
bool pst_blas_agent_ready(bool wait);

/* Whether all operands lie in one connection's buffers, as those of
 * penstock.empty() do: nothing is copied then. */
bool pst_blas_agent_owns(const struct pst_blas_args *x);

/* How a product ended. */
enum pst_blas_end {
	PST_BLAS_DONE,     /* the agent has computed it */
	PST_BLAS_FINISHED, /* C is complete, but lib had to compute some of it
			    */
	PST_BLAS_REFUSED,  /* nothing was done */
};

/* A GEMM, once. What the agent does not complete lib computes. */
enum pst_blas_end pst_blas_agent_gemm(const struct pst_blas_library *lib,
				      const struct pst_blas_args *x);

#endif
