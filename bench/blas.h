/* SPDX-License-Identifier: MIT */
/* Loads the CBLAS of the cpu backend into this process, as a reference. */
#ifndef PST_BENCH_BLAS_H
#define PST_BENCH_BLAS_H

#include <stdint.h>

struct pst_bench_blas {
	char name[64]; /* library and version */
	void *library;
	void (*sgemm)(int order, int transa, int transb, int m, int n, int k,
		      float alpha, const float *a, int lda, const float *b,
		      int ldb, float beta, float *c, int ldc);
};

/*
 * Loads it when it is first needed, not with the program: a CBLAS starts
 * threads as soon as it is there. threads: those it may use, 0 for its own
 * choice. Returns 0, -EOPNOTSUPP (built without one), -ENOENT (this machine
 * has it not).
 */
int pst_bench_blas_open(struct pst_bench_blas *b, uint32_t threads);

/* C = A B, row-major, without padding. */
void pst_bench_blas_product(const struct pst_bench_blas *b, uint32_t m,
			    uint32_t n, uint32_t k, const float *a_in,
			    const float *b_in, float *c_out);

#endif
