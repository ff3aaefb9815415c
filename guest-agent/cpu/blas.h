/* SPDX-License-Identifier: MIT */
/* The system's CBLAS. Built without one, its products do nothing. */
#ifndef PST_GUEST_AGENT_CPU_BLAS_H
#define PST_GUEST_AGENT_CPU_BLAS_H

#include <stdbool.h>
#include <stdint.h>

/* C = alpha op(A) op(B) + beta C; leading dimensions in elements. F32 takes
 * alpha and beta rounded to it. */
struct pst_agent_blas_gemm {
	bool col_major, transa, transb;
	uint64_t m, n, k;
	uint64_t lda, ldb, ldc;
	double alpha, beta;
};

/* Whether there is one. */
bool pst_agent_blas_exists(void);

void pst_agent_blas_gemm_f32(const struct pst_agent_blas_gemm *g,
			     const float *a, const float *b, float *c);
void pst_agent_blas_gemm_f64(const struct pst_agent_blas_gemm *g,
			     const double *a, const double *b, double *c);

/* y = A x + beta y, A m x n in rows one behind the other: for one row a
 * product of matrices takes several times as long. */
void pst_agent_blas_gemv_f32(uint64_t m, uint64_t n, const float *a,
			     const float *x, float beta, float *y);

/* Its name and version, "none" when built without. */
const char *pst_agent_blas_library(void);

/* Sets its threads; 0: as many as there are CPUs to run on. Returns the
 * number. Call it before any product. */
uint32_t pst_agent_blas_set_threads(uint32_t threads);

#endif
