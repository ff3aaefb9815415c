/* SPDX-License-Identifier: MIT */
/* A call of a BLAS's level 3, whichever way it was spelled. */
#ifndef PST_HOST_CLIENT_BLAS_CALL_H
#define PST_HOST_CLIENT_BLAS_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pst_blas_routine {
	PST_BLAS_GEMM,
	PST_BLAS_SYMM,
	PST_BLAS_SYRK,
	PST_BLAS_SYR2K,
	PST_BLAS_TRMM,
	PST_BLAS_TRSM,
	PST_BLAS_N_ROUTINES
};

/* BF16: of A and B, with a C of F32. GEMM alone has it. */
enum pst_blas_type {
	PST_BLAS_F32,
	PST_BLAS_F64,
	PST_BLAS_BF16,
	PST_BLAS_N_TYPES
};

/* A spelling of a routine's name, and so how it is called. */
struct pst_blas_name {
	const char *text;
	enum pst_blas_routine routine;
	enum pst_blas_type type;
	bool cblas;
	bool wide; /* 64-bit integers by its name; else by the library */
};

/* A library's routines under names of one spelling, all of one type. */
struct pst_blas_library {
	void *fn[PST_BLAS_N_ROUTINES]; /* NULL: it has none */
	enum pst_blas_type type;
	bool cblas, wide;
};

/*
 * In column-major order and Fortran's terms: C is m x n, or n x n of SYRK and
 * SYR2K. TRMM and TRSM have C where Fortran has B. Only what the routine has is
 * set.
 */
struct pst_blas_args {
	enum pst_blas_routine routine;
	enum pst_blas_type type;
	bool right, lower, transa, transb, unit;
	int64_t m, n, k, lda, ldb, ldc;
	double alpha, beta;
	const void *a, *b;
	void *c;
};

/* Bytes of an element of C. */
static inline size_t pst_blas_elem_c(enum pst_blas_type type)
{
	return type == PST_BLAS_F64 ? sizeof(double) : sizeof(float);
}

/* The same of A and B. */
static inline size_t pst_blas_elem(enum pst_blas_type type)
{
	return type == PST_BLAS_BF16 ? sizeof(uint16_t) : pst_blas_elem_c(type);
}

/* Terms of all sums: half of the floating-point operations. */
double pst_blas_terms(const struct pst_blas_args *x);

/* Whether the reference BLAS would take them, and they fit into 32 bits. */
bool pst_blas_is_valid(const struct pst_blas_args *x);

/* The same in column-major order, of a call in row-major. */
void pst_blas_turn(struct pst_blas_args *x);

/* Has a library compute it. Its routine is there. */
void pst_blas_compute(const struct pst_blas_library *lib,
		      const struct pst_blas_args *x);

#endif
