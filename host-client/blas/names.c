/* SPDX-License-Identifier: MIT */
/* The names that programs call: each goes to the next BLAS as it came, unless
 * it is large enough to be looked at. */
#include "host-client/blas/offload.h"
#include "host-client/blas/route.h"

#define EXPORT __attribute__((visibility("default")))
#define IN(p)  (lib->wide ? *(const int64_t *)(p) : *(const int32_t *)(p))
/* A register or a word of the stack, of which a 32-bit caller sets half. */
#define IV(v) (lib->wide ? (v) : (int64_t)(int32_t)(v))

/* What a letter or a number of cblas.h says; -1: nothing. */
static int flag_of(char c, char no, char yes, char also)
{
	c = (char)(c | ' ');
	return c == no ? 0 : c == yes || c == also ? 1 : -1;
}

#define TRANS(p)   flag_of(*(p), 'n', 't', 'c')
#define SIDE(p)    flag_of(*(p), 'l', 'r', 'r')
#define UPLO(p)    flag_of(*(p), 'u', 'l', 'l')
#define DIAG(p)    flag_of(*(p), 'n', 'u', 'u')
#define C_TRANS(v) ((v) == 111 ? 0 : (v) == 112 || (v) == 113 ? 1 : -1)
#define C_UPLO(v)  ((v) == 121 ? 0 : (v) == 122 ? 1 : -1)
#define C_DIAG(v)  ((v) == 131 ? 0 : (v) == 132 ? 1 : -1)
#define C_SIDE(v)  ((v) == 141 ? 0 : (v) == 142 ? 1 : -1)

/* Sets flags of x that a routine has, all others 0. False: one is wrong. */
static bool flags(struct pst_blas_args *x, int side, int uplo, int transa,
		  int transb, int diag)
{
	x->right = side > 0;
	x->lower = uplo > 0;
	x->transa = transa > 0;
	x->transb = transb > 0;
	x->unit = diag > 0;
	return side >= 0 && uplo >= 0 && transa >= 0 && transb >= 0 &&
	       diag >= 0;
}

/* Of cblas.h: 101 by rows, 102 by columns. */
static bool order(struct pst_blas_args *x, int value)
{
	if (value == 101)
		pst_blas_turn(x);
	return value == 101 || value == 102;
}

static inline bool is_large(enum pst_blas_type type, int64_t m, int64_t n,
			    int64_t k)
{
	return __builtin_expect(
		(double)m * (double)n * (double)k >= pst_blas_from[type], 0);
}

/* Declared and defined from one list of arguments. */
#define DEFINE(NAME, ARGS)                                                     \
	EXPORT void NAME ARGS;                                                 \
	EXPORT void NAME ARGS

/* The name's constant, where calls of it go, and what they are passed on to. */
#define BEGIN(NAME, ARGS, R, T, C, W)                                          \
	static const struct pst_blas_name name_ = {#NAME, R, T, C, W};         \
	const struct pst_blas_library *lib =                                   \
		pst_blas_route(&name_, __builtin_return_address(0));           \
	union {                                                                \
		void *any;                                                     \
		void(*fn) ARGS;                                                \
	} next = {lib->fn[R]};                                                 \
	struct pst_blas_args x = {.routine = R, .type = T}

#define F_GEMM_ARGS(REAL)                                                      \
	(const char *ta, const char *tb, const void *m, const void *n,         \
	 const void *k, const REAL *alpha, const void *a, const void *lda,     \
	 const void *b, const void *ldb, const REAL *beta, void *c,            \
	 const void *ldc, size_t l0, size_t l1)

#define F_GEMM(NAME, REAL, T, W)                                               \
	DEFINE(NAME, F_GEMM_ARGS(REAL))                                        \
	{                                                                      \
		BEGIN(NAME, F_GEMM_ARGS(REAL), PST_BLAS_GEMM, T, false, W);    \
                                                                               \
		if (is_large(T, IN(m), IN(n), IN(k)) &&                        \
		    flags(&x, 0, 0, TRANS(ta), TRANS(tb), 0)) {                \
			x.m = IN(m);                                           \
			x.n = IN(n);                                           \
			x.k = IN(k);                                           \
			x.lda = IN(lda);                                       \
			x.ldb = IN(ldb);                                       \
			x.ldc = IN(ldc);                                       \
			x.alpha = *alpha;                                      \
			x.beta = *beta;                                        \
			x.a = a;                                               \
			x.b = b;                                               \
			x.c = c;                                               \
			if (pst_blas_offload(lib, &x))                         \
				return;                                        \
		}                                                              \
		next.fn(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc,  \
			l0, l1);                                               \
	}

#define F_SYMM_ARGS(REAL)                                                      \
	(const char *side, const char *uplo, const void *m, const void *n,     \
	 const REAL *alpha, const void *a, const void *lda, const void *b,     \
	 const void *ldb, const REAL *beta, void *c, const void *ldc,          \
	 size_t l0, size_t l1)

#define F_SYMM(NAME, REAL, T, W)                                               \
	DEFINE(NAME, F_SYMM_ARGS(REAL))                                        \
	{                                                                      \
		BEGIN(NAME, F_SYMM_ARGS(REAL), PST_BLAS_SYMM, T, false, W);    \
                                                                               \
		if (is_large(T, IN(m), IN(n),                                  \
			     IN(m) > IN(n) ? IN(m) : IN(n)) &&                 \
		    flags(&x, SIDE(side), UPLO(uplo), 0, 0, 0)) {              \
			x.m = IN(m);                                           \
			x.n = IN(n);                                           \
			x.lda = IN(lda);                                       \
			x.ldb = IN(ldb);                                       \
			x.ldc = IN(ldc);                                       \
			x.alpha = *alpha;                                      \
			x.beta = *beta;                                        \
			x.a = a;                                               \
			x.b = b;                                               \
			x.c = c;                                               \
			if (pst_blas_offload(lib, &x))                         \
				return;                                        \
		}                                                              \
		next.fn(side, uplo, m, n, alpha, a, lda, b, ldb, beta, c, ldc, \
			l0, l1);                                               \
	}

#define F_SYRK_ARGS(REAL)                                                      \
	(const char *uplo, const char *t, const void *n, const void *k,        \
	 const REAL *alpha, const void *a, const void *lda, const REAL *beta,  \
	 void *c, const void *ldc, size_t l0, size_t l1)

#define F_SYRK(NAME, REAL, T, W)                                               \
	DEFINE(NAME, F_SYRK_ARGS(REAL))                                        \
	{                                                                      \
		BEGIN(NAME, F_SYRK_ARGS(REAL), PST_BLAS_SYRK, T, false, W);    \
                                                                               \
		if (is_large(T, IN(n), IN(n), IN(k)) &&                        \
		    flags(&x, 0, UPLO(uplo), TRANS(t), 0, 0)) {                \
			x.n = IN(n);                                           \
			x.k = IN(k);                                           \
			x.lda = IN(lda);                                       \
			x.ldc = IN(ldc);                                       \
			x.alpha = *alpha;                                      \
			x.beta = *beta;                                        \
			x.a = a;                                               \
			x.c = c;                                               \
			if (pst_blas_offload(lib, &x))                         \
				return;                                        \
		}                                                              \
		next.fn(uplo, t, n, k, alpha, a, lda, beta, c, ldc, l0, l1);   \
	}

#define F_SYR2K_ARGS(REAL)                                                     \
	(const char *uplo, const char *t, const void *n, const void *k,        \
	 const REAL *alpha, const void *a, const void *lda, const void *b,     \
	 const void *ldb, const REAL *beta, void *c, const void *ldc,          \
	 size_t l0, size_t l1)

#define F_SYR2K(NAME, REAL, T, W)                                              \
	DEFINE(NAME, F_SYR2K_ARGS(REAL))                                       \
	{                                                                      \
		BEGIN(NAME, F_SYR2K_ARGS(REAL), PST_BLAS_SYR2K, T, false, W);  \
                                                                               \
		if (is_large(T, IN(n), IN(n), IN(k)) &&                        \
		    flags(&x, 0, UPLO(uplo), TRANS(t), 0, 0)) {                \
			x.n = IN(n);                                           \
			x.k = IN(k);                                           \
			x.lda = IN(lda);                                       \
			x.ldb = IN(ldb);                                       \
			x.ldc = IN(ldc);                                       \
			x.alpha = *alpha;                                      \
			x.beta = *beta;                                        \
			x.a = a;                                               \
			x.b = b;                                               \
			x.c = c;                                               \
			if (pst_blas_offload(lib, &x))                         \
				return;                                        \
		}                                                              \
		next.fn(uplo, t, n, k, alpha, a, lda, b, ldb, beta, c, ldc,    \
			l0, l1);                                               \
	}

#define F_TR_ARGS(REAL)                                                        \
	(const char *side, const char *uplo, const char *t, const char *diag,  \
	 const void *m, const void *n, const REAL *alpha, const void *a,       \
	 const void *lda, void *b, const void *ldb, size_t l0, size_t l1,      \
	 size_t l2, size_t l3)

#define F_TR(NAME, REAL, R, T, W)                                              \
	DEFINE(NAME, F_TR_ARGS(REAL))                                          \
	{                                                                      \
		BEGIN(NAME, F_TR_ARGS(REAL), R, T, false, W);                  \
                                                                               \
		if (is_large(T, IN(m), IN(n),                                  \
			     IN(m) > IN(n) ? IN(m) : IN(n)) &&                 \
		    flags(&x, SIDE(side), UPLO(uplo), TRANS(t), 0,             \
			  DIAG(diag))) {                                       \
			x.m = IN(m);                                           \
			x.n = IN(n);                                           \
			x.lda = IN(lda);                                       \
			x.alpha = *alpha;                                      \
			x.a = a;                                               \
			x.c = b;                                               \
			x.ldc = IN(ldb);                                       \
			if (pst_blas_offload(lib, &x))                         \
				return;                                        \
		}                                                              \
		next.fn(side, uplo, t, diag, m, n, alpha, a, lda, b, ldb, l0,  \
			l1, l2, l3);                                           \
	}

#define F_TRMM(NAME, REAL, T, W) F_TR(NAME, REAL, PST_BLAS_TRMM, T, W)

#define F_TRSM(NAME, REAL, T, W) F_TR(NAME, REAL, PST_BLAS_TRSM, T, W)

#define C_GEMM_ARGS(REAL)                                                      \
	(int o, int ta, int tb, int64_t m, int64_t n, int64_t k, REAL alpha,   \
	 const void *a, int64_t lda, const void *b, int64_t ldb, REAL beta,    \
	 void *c, int64_t ldc)

#define C_GEMM(NAME, REAL, T, W)                                               \
	DEFINE(NAME, C_GEMM_ARGS(REAL))                                        \
	{                                                                      \
		BEGIN(NAME, C_GEMM_ARGS(REAL), PST_BLAS_GEMM, T, true, W);     \
                                                                               \
		if (is_large(T, IV(m), IV(n), IV(k)) &&                        \
		    flags(&x, 0, 0, C_TRANS(ta), C_TRANS(tb), 0)) {            \
			x.m = IV(m);                                           \
			x.n = IV(n);                                           \
			x.k = IV(k);                                           \
			x.lda = IV(lda);                                       \
			x.ldb = IV(ldb);                                       \
			x.ldc = IV(ldc);                                       \
			x.alpha = alpha;                                       \
			x.beta = beta;                                         \
			x.a = a;                                               \
			x.b = b;                                               \
			x.c = c;                                               \
			if (order(&x, o) && pst_blas_offload(lib, &x))         \
				return;                                        \
		}                                                              \
		next.fn(o, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c,    \
			ldc);                                                  \
	}

#define C_SYMM_ARGS(REAL)                                                      \
	(int o, int side, int uplo, int64_t m, int64_t n, REAL alpha,          \
	 const void *a, int64_t lda, const void *b, int64_t ldb, REAL beta,    \
	 void *c, int64_t ldc)

#define C_SYMM(NAME, REAL, T, W)                                               \
	DEFINE(NAME, C_SYMM_ARGS(REAL))                                        \
	{                                                                      \
		BEGIN(NAME, C_SYMM_ARGS(REAL), PST_BLAS_SYMM, T, true, W);     \
                                                                               \
		if (is_large(T, IV(m), IV(n),                                  \
			     IV(m) > IV(n) ? IV(m) : IV(n)) &&                 \
		    flags(&x, C_SIDE(side), C_UPLO(uplo), 0, 0, 0)) {          \
			x.m = IV(m);                                           \
			x.n = IV(n);                                           \
			x.lda = IV(lda);                                       \
			x.ldb = IV(ldb);                                       \
			x.ldc = IV(ldc);                                       \
			x.alpha = alpha;                                       \
			x.beta = beta;                                         \
			x.a = a;                                               \
			x.b = b;                                               \
			x.c = c;                                               \
			if (order(&x, o) && pst_blas_offload(lib, &x))         \
				return;                                        \
		}                                                              \
		next.fn(o, side, uplo, m, n, alpha, a, lda, b, ldb, beta, c,   \
			ldc);                                                  \
	}

#define C_SYRK_ARGS(REAL)                                                      \
	(int o, int uplo, int t, int64_t n, int64_t k, REAL alpha,             \
	 const void *a, int64_t lda, REAL beta, void *c, int64_t ldc)

#define C_SYRK(NAME, REAL, T, W)                                               \
	DEFINE(NAME, C_SYRK_ARGS(REAL))                                        \
	{                                                                      \
		BEGIN(NAME, C_SYRK_ARGS(REAL), PST_BLAS_SYRK, T, true, W);     \
                                                                               \
		if (is_large(T, IV(n), IV(n), IV(k)) &&                        \
		    flags(&x, 0, C_UPLO(uplo), C_TRANS(t), 0, 0)) {            \
			x.n = IV(n);                                           \
			x.k = IV(k);                                           \
			x.lda = IV(lda);                                       \
			x.ldc = IV(ldc);                                       \
			x.alpha = alpha;                                       \
			x.beta = beta;                                         \
			x.a = a;                                               \
			x.c = c;                                               \
			if (order(&x, o) && pst_blas_offload(lib, &x))         \
				return;                                        \
		}                                                              \
		next.fn(o, uplo, t, n, k, alpha, a, lda, beta, c, ldc);        \
	}

#define C_SYR2K_ARGS(REAL)                                                     \
	(int o, int uplo, int t, int64_t n, int64_t k, REAL alpha,             \
	 const void *a, int64_t lda, const void *b, int64_t ldb, REAL beta,    \
	 void *c, int64_t ldc)

#define C_SYR2K(NAME, REAL, T, W)                                              \
	DEFINE(NAME, C_SYR2K_ARGS(REAL))                                       \
	{                                                                      \
		BEGIN(NAME, C_SYR2K_ARGS(REAL), PST_BLAS_SYR2K, T, true, W);   \
                                                                               \
		if (is_large(T, IV(n), IV(n), IV(k)) &&                        \
		    flags(&x, 0, C_UPLO(uplo), C_TRANS(t), 0, 0)) {            \
			x.n = IV(n);                                           \
			x.k = IV(k);                                           \
			x.lda = IV(lda);                                       \
			x.ldb = IV(ldb);                                       \
			x.ldc = IV(ldc);                                       \
			x.alpha = alpha;                                       \
			x.beta = beta;                                         \
			x.a = a;                                               \
			x.b = b;                                               \
			x.c = c;                                               \
			if (order(&x, o) && pst_blas_offload(lib, &x))         \
				return;                                        \
		}                                                              \
		next.fn(o, uplo, t, n, k, alpha, a, lda, b, ldb, beta, c,      \
			ldc);                                                  \
	}

#define C_TR_ARGS(REAL)                                                        \
	(int o, int side, int uplo, int t, int diag, int64_t m, int64_t n,     \
	 REAL alpha, const void *a, int64_t lda, void *b, int64_t ldb)

#define C_TR(NAME, REAL, R, T, W)                                              \
	DEFINE(NAME, C_TR_ARGS(REAL))                                          \
	{                                                                      \
		BEGIN(NAME, C_TR_ARGS(REAL), R, T, true, W);                   \
                                                                               \
		if (is_large(T, IV(m), IV(n),                                  \
			     IV(m) > IV(n) ? IV(m) : IV(n)) &&                 \
		    flags(&x, C_SIDE(side), C_UPLO(uplo), C_TRANS(t), 0,       \
			  C_DIAG(diag))) {                                     \
			x.m = IV(m);                                           \
			x.n = IV(n);                                           \
			x.lda = IV(lda);                                       \
			x.alpha = alpha;                                       \
			x.a = a;                                               \
			x.c = b;                                               \
			x.ldc = IV(ldb);                                       \
			if (order(&x, o) && pst_blas_offload(lib, &x))         \
				return;                                        \
		}                                                              \
		next.fn(o, side, uplo, t, diag, m, n, alpha, a, lda, b, ldb);  \
	}

#define C_TRMM(NAME, REAL, T, W) C_TR(NAME, REAL, PST_BLAS_TRMM, T, W)

#define C_TRSM(NAME, REAL, T, W) C_TR(NAME, REAL, PST_BLAS_TRSM, T, W)

/* All spellings of a routine of one type. */
#define SPELLINGS(R, LOW, REAL, T)                                             \
	F_##R(LOW##_, REAL, T, false) F_##R(LOW, REAL, T, false) F_##R(        \
		LOW##_64_, REAL, T,                                            \
		true) F_##R(scipy_##LOW##_, REAL, T,                           \
			    false) F_##R(scipy_##LOW##_64_, REAL, T, true)     \
		C_##R(cblas_##LOW, REAL, T, false) C_##R(cblas_##LOW##_64,     \
							 REAL, T, true)        \
			C_##R(cblas_##LOW##64_, REAL, T,                       \
			      true) C_##R(scipy_cblas_##LOW, REAL, T, false)   \
				C_##R(scipy_cblas_##LOW##64_, REAL, T, true)

SPELLINGS(GEMM, sgemm, float, PST_BLAS_F32)
SPELLINGS(GEMM, dgemm, double, PST_BLAS_F64)
SPELLINGS(GEMM, sbgemm, float, PST_BLAS_BF16)
SPELLINGS(SYMM, ssymm, float, PST_BLAS_F32)
SPELLINGS(SYMM, dsymm, double, PST_BLAS_F64)
SPELLINGS(SYRK, ssyrk, float, PST_BLAS_F32)
SPELLINGS(SYRK, dsyrk, double, PST_BLAS_F64)
SPELLINGS(SYR2K, ssyr2k, float, PST_BLAS_F32)
SPELLINGS(SYR2K, dsyr2k, double, PST_BLAS_F64)
SPELLINGS(TRMM, strmm, float, PST_BLAS_F32)
SPELLINGS(TRMM, dtrmm, double, PST_BLAS_F64)
SPELLINGS(TRSM, strsm, float, PST_BLAS_F32)
SPELLINGS(TRSM, dtrsm, double, PST_BLAS_F64)
