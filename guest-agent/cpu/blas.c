/* SPDX-License-Identifier: MIT */
/* The system's CBLAS: the only file that knows one. */
#include "guest-agent/cpu/blas.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#ifdef HAVE_CBLAS
/* BLIS's has most of blis.h in it, which does not pass our warnings. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wtype-limits"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <cblas.h>
#pragma GCC diagnostic pop
#endif

#ifdef HAVE_BLIS
/* Its cblas.h has blis.h's types, but not these two. */
void bli_thread_set_num_threads(dim_t n);
char *bli_info_get_version_str(void);
#endif

#ifdef HAVE_CBLAS

bool pst_agent_blas_exists(void)
{
	return true;
}

static enum CBLAS_ORDER cblas_order(bool col_major)
{
	return col_major ? CblasColMajor : CblasRowMajor;
}

static enum CBLAS_TRANSPOSE cblas_trans(bool trans)
{
	return trans ? CblasTrans : CblasNoTrans;
}

void pst_agent_blas_gemm_f32(const struct pst_agent_blas_gemm *g,
			     const float *a, const float *b, float *c)
{
	cblas_sgemm(cblas_order(g->col_major), cblas_trans(g->transa),
		    cblas_trans(g->transb), (int)g->m, (int)g->n, (int)g->k,
		    (float)g->alpha, a, (int)g->lda, b, (int)g->ldb,
		    (float)g->beta, c, (int)g->ldc);
}

void pst_agent_blas_gemm_f64(const struct pst_agent_blas_gemm *g,
			     const double *a, const double *b, double *c)
{
	cblas_dgemm(cblas_order(g->col_major), cblas_trans(g->transa),
		    cblas_trans(g->transb), (int)g->m, (int)g->n, (int)g->k,
		    g->alpha, a, (int)g->lda, b, (int)g->ldb, g->beta, c,
		    (int)g->ldc);
}

void pst_agent_blas_gemv_f32(uint64_t m, uint64_t n, const float *a,
			     const float *x, float beta, float *y)
{
	cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)m, (int)n, 1, a, (int)n,
		    x, 1, beta, y, 1);
}

const char *pst_agent_blas_library(void)
{
	static char name[48];

#if defined(HAVE_OPENBLAS)
	const char *core = openblas_get_corename();
	const char *config = openblas_get_config(); /* "OpenBLAS 0.3.21 ..." */
	const char *end = strncmp(config, "OpenBLAS ", 9) == 0
				  ? strchr(config + 9, ' ')
				  : NULL;

	snprintf(name, sizeof(name), "%.*s %.16s",
		 end ? (int)(end - config < 24 ? end - config : 24) : 8,
		 end ? config : "OpenBLAS", core);
#elif defined(HAVE_BLIS)
	snprintf(name, sizeof(name), "BLIS %.16s", bli_info_get_version_str());
#else
	snprintf(name, sizeof(name), "CBLAS");
#endif
	return name;
}

#else

bool pst_agent_blas_exists(void)
{
	return false;
}

void pst_agent_blas_gemm_f32(const struct pst_agent_blas_gemm *g,
			     const float *a, const float *b, float *c)
{
}

void pst_agent_blas_gemm_f64(const struct pst_agent_blas_gemm *g,
			     const double *a, const double *b, double *c)
{
}

void pst_agent_blas_gemv_f32(uint64_t m, uint64_t n, const float *a,
			     const float *x, float beta, float *y)
{
}

const char *pst_agent_blas_library(void)
{
	return "none";
}

#endif

uint32_t pst_agent_blas_set_threads(uint32_t threads)
{
	cpu_set_t cpus;

	if (threads == 0 && sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		threads = (uint32_t)CPU_COUNT(&cpus);
	if (threads == 0)
		threads = 1;
#if defined(HAVE_OPENBLAS)
	openblas_set_num_threads((int)threads);
	threads = (uint32_t)openblas_get_num_threads();
#elif defined(HAVE_BLIS)
	bli_thread_set_num_threads((dim_t)threads);
#endif
	return threads;
}
