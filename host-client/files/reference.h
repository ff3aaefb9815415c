/* SPDX-License-Identifier: MIT */
/* A matrix product on the host, in double precision, to check results by. */
#ifndef PST_HOST_CLIENT_FILES_REFERENCE_H
#define PST_HOST_CLIENT_FILES_REFERENCE_H

#include "host-client/penstock.h"
#include "transport/base/util.h"

struct pst_reference {
	double max_error; /* largest |C - reference|; NaN for a wrong NaN */
	double bound;     /* what is allowed where max_error / bound is worst */
	double ratio;     /* the worst error / bound; at most 1 when verified */
	uint64_t row, col; /* of that element of C */
	bool verified;
};

/*
 * Computes the product that g describes (of F32, F64, F16 to F16 or F32, or
 * I8 to I32; no batch, no tensors) and compares g->c with it. All pointers are
 * private memory of the caller; c0 is what C held before, read only when beta
 * is not 0.
 *
 * An element passes when its error is at most
 *   n u / (1 - n u) (|alpha| |row of op(A)| |column of op(B)| + |beta c0| +
 * |bias|)
 * with Euclidean norms, n = k + 5, u the unit roundoff of the sums' type
 * (twice that for float64, where the reference rounds as much), and the
 * smallest normal number for each term that may underflow. No order of
 * summation exceeds that (Higham, Accuracy and Stability of Numerical
 * Algorithms, 2nd edition, section 3.1, and the Cauchy-Schwarz inequality).
 * Where the reference is NaN, or too large for C's type, C has to be the same.
 * To this come the roundings of inputs (compute modes), of the activation,
 * through which errors grow by 1.13 at most, and of a C narrower than the sums.
 * Integers have to be exact.
 *
 * Returns 0 and *ret, or -ENOMEM, -EINVAL (types).
 */
PST_MUST_USE int pst_reference_check(const struct pst_gemm_args *g,
				     const void *c0, struct pst_reference *ret);

#endif
