/* SPDX-License-Identifier: MIT */
/* A call of a BLAS's level 3: its size, whether it is valid, and how a library
 * is given it. */
#include "host-client/blas/call.h"

/* Of cblas.h. */
#define COL_MAJOR 102
#define NO_TRANS  111
#define TRANS     112
#define UPPER     121
#define LOWER     122
#define NON_UNIT  131
#define UNIT      132
#define LEFT      141
#define RIGHT     142

double pst_blas_terms(const struct pst_blas_args *x)
{
	const double m = (double)x->m, n = (double)x->n, k = (double)x->k;

	switch (x->routine) {
	case PST_BLAS_GEMM:
		return m * n * k;
	case PST_BLAS_SYMM:
		return m * n * (x->right ? n : m);
	case PST_BLAS_SYRK:
		return n * n * k / 2;
	case PST_BLAS_SYR2K:
		return n * n * k;
	default:
		return m * n * (x->right ? n : m) / 2;
	}
}

static bool is_ld(int64_t ld, int64_t rows)
{
	return ld >= (rows > 1 ? rows : 1) && ld <= UINT32_MAX;
}

static bool is_size(int64_t n)
{
	return n >= 0 && n <= UINT32_MAX;
}

bool pst_blas_is_valid(const struct pst_blas_args *x)
{
	const int64_t side = x->right ? x->n : x->m;

	if (!is_size(x->m) || !is_size(x->n) || !is_size(x->k))
		return false;
	switch (x->routine) {
	case PST_BLAS_GEMM:
		return is_ld(x->lda, x->transa ? x->k : x->m) &&
		       is_ld(x->ldb, x->transb ? x->n : x->k) &&
		       is_ld(x->ldc, x->m);
	case PST_BLAS_SYMM:
		return is_ld(x->lda, side) && is_ld(x->ldb, x->m) &&
		       is_ld(x->ldc, x->m);
	case PST_BLAS_SYR2K:
		if (!is_ld(x->ldb, x->transa ? x->k : x->n))
			return false;
		/* fall through */
	case PST_BLAS_SYRK:
		return is_ld(x->lda, x->transa ? x->k : x->n) &&
		       is_ld(x->ldc, x->n);
	default:
		return is_ld(x->lda, side) && is_ld(x->ldc, x->m);
	}
}

void pst_blas_turn(struct pst_blas_args *x)
{
	const struct pst_blas_args r = *x;

	if (x->routine == PST_BLAS_GEMM) {
		x->a = r.b;
		x->b = r.a;
		x->lda = r.ldb;
		x->ldb = r.lda;
		x->transa = r.transb;
		x->transb = r.transa;
	} else {
		x->lower = !r.lower;
		x->right = !r.right;
	}
	if (x->routine == PST_BLAS_SYRK || x->routine == PST_BLAS_SYR2K) {
		x->transa = !r.transa;
		return;
	}
	x->m = r.n;
	x->n = r.m;
}

/* An integer where Fortran reads it, 32 bits wide or 64: little-endian. */
#define I(v) (&(const int64_t){v})

#define T(flag)   ((flag) ? "T" : "N")
#define SIDE(x)   ((x)->right ? "R" : "L")
#define UPLO(x)   ((x)->lower ? "L" : "U")
#define DIAG(x)   ((x)->unit ? "U" : "N")
#define C_T(flag) ((flag) ? TRANS : NO_TRANS)
#define C_SIDE(x) ((x)->right ? RIGHT : LEFT)
#define C_UPLO(x) ((x)->lower ? LOWER : UPPER)
#define C_DIAG(x) ((x)->unit ? UNIT : NON_UNIT)

/* Integers in a register or a word of the stack: a library of 32-bit ones reads
 * the lower half. The lengths of strings follow in Fortran. */
#define COMPUTE(NAME, REAL)                                                    \
	static void NAME##_fortran(void *fn, const struct pst_blas_args *x)    \
	{                                                                      \
		const REAL alpha = (REAL)x->alpha, beta = (REAL)x->beta;       \
		typedef const char *S;                                         \
		typedef const void *P;                                         \
		const size_t one = 1;                                          \
		union {                                                        \
			void *any;                                             \
			void (*gemm)(S, S, P, P, P, P, P, P, P, P, P, void *,  \
				     P, size_t, size_t);                       \
			void (*symm)(S, S, P, P, P, P, P, P, P, P, void *, P,  \
				     size_t, size_t);                          \
			void (*syrk)(S, S, P, P, P, P, P, P, void *, P,        \
				     size_t, size_t);                          \
			void (*syr2k)(S, S, P, P, P, P, P, P, P, P, void *, P, \
				      size_t, size_t);                         \
			void (*tr)(S, S, S, S, P, P, P, P, P, void *, P,       \
				   size_t, size_t, size_t, size_t);            \
		} f = {fn};                                                    \
                                                                               \
		switch (x->routine) {                                          \
		case PST_BLAS_GEMM:                                            \
			f.gemm(T(x->transa), T(x->transb), I(x->m), I(x->n),   \
			       I(x->k), &alpha, x->a, I(x->lda), x->b,         \
			       I(x->ldb), &beta, x->c, I(x->ldc), one, one);   \
			break;                                                 \
		case PST_BLAS_SYMM:                                            \
			f.symm(SIDE(x), UPLO(x), I(x->m), I(x->n), &alpha,     \
			       x->a, I(x->lda), x->b, I(x->ldb), &beta, x->c,  \
			       I(x->ldc), one, one);                           \
			break;                                                 \
		case PST_BLAS_SYRK:                                            \
			f.syrk(UPLO(x), T(x->transa), I(x->n), I(x->k),        \
			       &alpha, x->a, I(x->lda), &beta, x->c,           \
			       I(x->ldc), one, one);                           \
			break;                                                 \
		case PST_BLAS_SYR2K:                                           \
			f.syr2k(UPLO(x), T(x->transa), I(x->n), I(x->k),       \
				&alpha, x->a, I(x->lda), x->b, I(x->ldb),      \
				&beta, x->c, I(x->ldc), one, one);             \
			break;                                                 \
		default:                                                       \
			f.tr(SIDE(x), UPLO(x), T(x->transa), DIAG(x), I(x->m), \
			     I(x->n), &alpha, x->a, I(x->lda), x->c,           \
			     I(x->ldc), one, one, one, one);                   \
		}                                                              \
	}                                                                      \
                                                                               \
	static void NAME##_cblas(void *fn, const struct pst_blas_args *x)      \
	{                                                                      \
		const REAL alpha = (REAL)x->alpha, beta = (REAL)x->beta;       \
		typedef int64_t N;                                             \
		typedef const void *P;                                         \
		const int o = COL_MAJOR;                                       \
		union {                                                        \
			void *any;                                             \
			void (*gemm)(int, int, int, N, N, N, REAL, P, N, P, N, \
				     REAL, void *, N);                         \
			void (*symm)(int, int, int, N, N, REAL, P, N, P, N,    \
				     REAL, void *, N);                         \
			void (*syrk)(int, int, int, N, N, REAL, P, N, REAL,    \
				     void *, N);                               \
			void (*tr)(int, int, int, int, int, N, N, REAL, P, N,  \
				   void *, N);                                 \
		} f = {fn};                                                    \
                                                                               \
		switch (x->routine) {                                          \
		case PST_BLAS_GEMM:                                            \
			f.gemm(o, C_T(x->transa), C_T(x->transb), x->m, x->n,  \
			       x->k, alpha, x->a, x->lda, x->b, x->ldb, beta,  \
			       x->c, x->ldc);                                  \
			break;                                                 \
		case PST_BLAS_SYMM:                                            \
			f.symm(o, C_SIDE(x), C_UPLO(x), x->m, x->n, alpha,     \
			       x->a, x->lda, x->b, x->ldb, beta, x->c,         \
			       x->ldc);                                        \
			break;                                                 \
		case PST_BLAS_SYRK:                                            \
			f.syrk(o, C_UPLO(x), C_T(x->transa), x->n, x->k,       \
			       alpha, x->a, x->lda, beta, x->c, x->ldc);       \
			break;                                                 \
		case PST_BLAS_SYR2K: /* called as SYMM is */                   \
			f.symm(o, C_UPLO(x), C_T(x->transa), x->n, x->k,       \
			       alpha, x->a, x->lda, x->b, x->ldb, beta, x->c,  \
			       x->ldc);                                        \
			break;                                                 \
		default:                                                       \
			f.tr(o, C_SIDE(x), C_UPLO(x), C_T(x->transa),          \
			     C_DIAG(x), x->m, x->n, alpha, x->a, x->lda, x->c, \
			     x->ldc);                                          \
		}                                                              \
	}

COMPUTE(f32, float)
COMPUTE(f64, double)

void pst_blas_compute(const struct pst_blas_library *lib,
		      const struct pst_blas_args *x)
{
	static void (*const compute[PST_BLAS_N_TYPES][2])(
		void *fn, const struct pst_blas_args *x) = {
		[PST_BLAS_F32] = {f32_fortran, f32_cblas},
		[PST_BLAS_F64] = {f64_fortran, f64_cblas},
		[PST_BLAS_BF16] = {f32_fortran, f32_cblas},
	};

	compute[lib->type][lib->cblas](lib->fn[x->routine], x);
}
