/* SPDX-License-Identifier: MIT */
/* Finishes products of arrays in a connection's buffers (penstock.empty()) that
 * an agent has left half done, which pst_gemm_or() does not. */
#include "host-client/blas/finish.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host-client/blas/api.h"
#include "host-client/blas/clock.h"
#include "host-client/blas/config.h"

/* An agent with a heartbeat ends an operation, however long it takes. */
#define WAIT_NS (600ULL * 1000 * 1000 * 1000)
/* Between two looks when the program wants every wait to end. */
#define LOOK_NS (1000L * 1000)

static char *line_of(const struct pst_blas_args *x, int64_t j)
{
	return (char *)x->c + (size_t)(j * x->ldc) * pst_blas_elem_c(x->type);
}

void *pst_blas_keep(const struct pst_blas_args *x)
{
	const size_t line = (size_t)x->m * pst_blas_elem_c(x->type);
	char *copy = x->beta != 0 ? malloc(line * (size_t)x->n) : NULL;
	int64_t j;

	for (j = 0; copy && j < x->n; j++)
		memcpy(copy + (size_t)j * line, line_of(x, j), line);
	return copy;
}

void pst_blas_put_back(const struct pst_blas_args *x, const void *before)
{
	const size_t line = (size_t)x->m * pst_blas_elem_c(x->type);
	int64_t j;

	for (j = 0; j < x->n; j++)
		memcpy(line_of(x, j), (const char *)before + (size_t)j * line,
		       line);
}

/* Waits until no agent uses what lies at p, at most so long. Returns 0, also
 * for what lies in no buffer. */
static int wait_for(const void *p, uint64_t wait_ns)
{
	const struct pst_blas_api *api = pst_blas_api();
	const uint64_t until = pst_blas_now_ns() + wait_ns;
	const struct timespec look = {.tv_nsec = LOOK_NS};
	struct pst *c = api ? api->owner(p) : NULL;
	int r = 0;

	while (c && (r = api->wait_buffer(c, p, wait_ns)) == -EINTR &&
	       pst_blas_now_ns() < until)
		nanosleep(&look, NULL);
	return r;
}

static bool is_lost(const void *p)
{
	return wait_for(p, 0) == -ESTALE;
}

/* Whether an operand that the call reads or writes is lost. */
static bool has_lost(const struct pst_blas_args *x)
{
	return pst_blas_api() &&
	       (is_lost(x->c) ||
		(x->alpha != 0 && (is_lost(x->a) || is_lost(x->b))));
}

/* Nobody may take what C has for a result. */
static void spoil(const struct pst_blas_args *x, const char *why)
{
	const bool rank =
		x->routine == PST_BLAS_SYRK || x->routine == PST_BLAS_SYR2K;
	int64_t i, j, m = rank ? x->n : x->m;

	for (j = 0; j < x->n; j++)
		for (i = 0; i < m; i++) {
			if (rank && (x->lower ? i < j : i > j))
				continue;
			if (x->type == PST_BLAS_F64)
				((double *)(void *)line_of(x, j))[i] =
					(double)NAN;
			else
				((float *)(void *)line_of(x, j))[i] = NAN;
		}
	pst_blas_say("%s; the result of a product is set to NaN", why);
}

void pst_blas_spoil_lost(const struct pst_blas_args *x)
{
	if (has_lost(x))
		spoil(x, "an array of penstock.empty() was lost with its "
			 "agent");
}

void pst_blas_finish(const struct pst_blas_library *lib,
		     const struct pst_blas_args *x, const void *before,
		     bool touched)
{
	const int r = wait_for(x->c, WAIT_NS);

	if (r < 0 && r != -ESTALE) {
		spoil(x, "an agent still writes to an array of "
			 "penstock.empty()");
		return;
	}
	if (touched && x->beta != 0 && !before) {
		spoil(x, "there was no memory to keep what an agent has "
			 "overwritten");
		return;
	}
	if (touched && x->beta != 0)
		pst_blas_put_back(x, before);
	pst_blas_compute(lib, x);
	pst_blas_spoil_lost(x);
}
