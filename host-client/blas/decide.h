/* SPDX-License-Identifier: MIT */
/* Whether a product is faster by the agent than here: measured rates, corrected
 * by every call. Numbers only; connects to nothing. */
#ifndef PST_HOST_CLIENT_BLAS_DECIDE_H
#define PST_HOST_CLIENT_BLAS_DECIDE_H

#include "host-client/blas/call.h"

/* Where a product is computed. */
enum pst_blas_side { PST_BLAS_HERE, PST_BLAS_AGENT, PST_BLAS_N_SIDES };

/* Flops a second of one side, before a call was measured; 0: unknown. */
void pst_blas_set_rate(enum pst_blas_type type, enum pst_blas_side side,
		       double flops_per_s);

/* Bytes a second to and from the agent, and seconds of a call that does
 * nothing. */
void pst_blas_set_way(double bytes_per_s, double call_s);

/* Which side is expected to be faster, for terms of sums and the bytes that
 * would be copied. */
enum pst_blas_side pst_blas_decide(enum pst_blas_type type, double terms,
				   double bytes);

/* What a call took. */
void pst_blas_learn(enum pst_blas_type type, enum pst_blas_side side,
		    double terms, double seconds);

/* Seconds that the other side would have taken; 0: unknown. */
double pst_blas_expect(enum pst_blas_type type, enum pst_blas_side side,
		       double terms, double bytes);

#endif
