/* SPDX-License-Identifier: MIT */
/* Takes the calls that may be worth it. */
#include "host-client/blas/offload.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "host-client/blas/agent.h"
#include "host-client/blas/clock.h"
#include "host-client/blas/config.h"
#include "host-client/blas/decide.h"
#include "host-client/blas/finish.h"
#include "host-client/blas/level3.h"
#include "host-client/blas/resident.h"
#include "host-client/blas/route.h"

/* Without a word of the user: below this a copy costs more than a product, on
 * any machine. */
#define LEAST_TERMS (128.0 * 128 * 128)
/* Rows of a block of level 3: an eighth, within bounds. */
#define BLOCKS    8
#define MIN_BLOCK 256
#define MAX_BLOCK 2048

double pst_blas_from[PST_BLAS_N_TYPES];

/* This thread is in a call of ours: what a BLAS calls by itself is its own. */
static __thread bool inside __attribute__((tls_model("initial-exec")));

/* For PENSTOCK_BLAS_STATS. Terms by side. */
static struct {
	atomic_ulong calls, offloaded, failed;
	_Atomic double terms[PST_BLAS_N_SIDES];
	_Atomic double saved_s;
} stats;

static void add(_Atomic double *sum, double v)
{
	double old = atomic_load_explicit(sum, memory_order_relaxed);

	while (!atomic_compare_exchange_weak(sum, &old, old + v))
		;
}

__attribute__((destructor)) static void print_stats(void)
{
	const double here = stats.terms[PST_BLAS_HERE];
	const double there = stats.terms[PST_BLAS_AGENT];

	if (stats.calls && pst_blas_config()->stats)
		pst_blas_say(
			"%lu calls, %lu products offloaded (%.1f %% of the "
			"flops), %lu failed, %.3f s saved",
			(unsigned long)stats.calls,
			(unsigned long)stats.offloaded,
			100 * there / (here + there > 0 ? here + there : 1),
			(unsigned long)stats.failed, (double)stats.saved_s);
	if (pst_blas_config()->stats)
		pst_blas_resident_print();
}

/* A child's line is about its own calls: sums over processes are right. */
static void forget_stats(void)
{
	memset(&stats, 0, sizeof(stats));
}

static void watch_forks(void)
{
	(void)pthread_atfork(NULL, NULL, forget_stats);
}

static void start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const struct pst_blas_config *f = pst_blas_config();
	double from = f->has_min ? f->min : LEAST_TERMS;
	enum pst_blas_type t;

	if (f->stats)
		(void)pthread_once(&once, watch_forks);
	if (f->mode == PST_BLAS_OFF)
		from = INFINITY;
	else if (f->stats || f->mode == PST_BLAS_FORCE)
		from = f->mode == PST_BLAS_FORCE && f->has_min ? f->min : 1;
	for (t = 0; t < PST_BLAS_N_TYPES; t++)
		pst_blas_from[t] = from;
}

static double bytes_of(const struct pst_blas_args *x)
{
	const double read =
		(double)x->m * (double)x->k + (double)x->k * (double)x->n;
	const double c =
		(x->beta != 0 ? 2.0 : 1.0) * (double)x->m * (double)x->n;

	return read * (double)pst_blas_elem(x->type) +
	       c * (double)pst_blas_elem_c(x->type);
}

static void compute_here(const struct pst_blas_library *lib,
			 const struct pst_blas_args *x, double terms)
{
	const uint64_t start_ns = pst_blas_now_ns();

	pst_blas_compute(lib, x);
	pst_blas_learn(x->type, PST_BLAS_HERE, terms,
		       (double)(pst_blas_now_ns() - start_ns) / 1e9);
	pst_blas_spoil_lost(x);
	add(&stats.terms[PST_BLAS_HERE], terms);
}

/* Whether a product goes to the agent, which has so many bytes of it. */
static bool is_for_agent(const struct pst_blas_args *x, double terms,
			 double there)
{
	const struct pst_blas_config *f = pst_blas_config();
	const double least = f->has_min ? f->min : LEAST_TERMS;
	bool owns;

	/* Nothing to compute: here it takes no message. */
	if (x->m == 0 || x->n == 0)
		return false;
	if (f->mode == PST_BLAS_FORCE)
		return (!f->has_min || terms >= f->min) &&
		       (pst_blas_agent_ready(true) || pst_blas_agent_owns(x));
	if (terms < least)
		return false;
	owns = pst_blas_agent_owns(x);
	if (!owns && !pst_blas_agent_ready(false))
		return false;
	return pst_blas_decide(x->type, terms,
			       owns ? 0 : bytes_of(x) - there) ==
	       PST_BLAS_AGENT;
}

/* A product, where it is faster. */
static void product(const struct pst_blas_library *lib,
		    const struct pst_blas_args *x)
{
	const double terms = pst_blas_terms(x);
	uint64_t start_ns;
	double s, here;

	if (!is_for_agent(x, terms, pst_blas_resident_see(x))) {
		compute_here(lib, x, terms);
		return;
	}
	start_ns = pst_blas_now_ns();
	switch (pst_blas_agent_gemm(lib, x)) {
	case PST_BLAS_DONE:
		break;
	case PST_BLAS_FINISHED:
		atomic_fetch_add(&stats.failed, 1);
		add(&stats.terms[PST_BLAS_HERE], terms);
		return;
	case PST_BLAS_REFUSED:
		atomic_fetch_add(&stats.failed, 1);
		compute_here(lib, x, terms);
		return;
	}
	s = (double)(pst_blas_now_ns() - start_ns) / 1e9;
	pst_blas_learn(x->type, PST_BLAS_AGENT, terms, s);
	atomic_fetch_add(&stats.offloaded, 1);
	add(&stats.terms[PST_BLAS_AGENT], terms);
	here = pst_blas_expect(x->type, PST_BLAS_HERE, terms, 0);
	if (here > 0)
		add(&stats.saved_s, here - s);
	pst_blas_trace("%sgemm %lld x %lld x %lld offloaded: %.3f ms",
		       pst_blas_letters[x->type], (long long)x->m,
		       (long long)x->n, (long long)x->k, 1e3 * s);
}

static void part(void *arg, const struct pst_blas_args *x)
{
	const struct pst_blas_library *lib = arg;

	if (x->routine == PST_BLAS_GEMM)
		product(lib, x);
	else
		compute_here(lib, x, pst_blas_terms(x));
}

/* Whether cutting a call into blocks can pay at all. */
static bool is_worth_cutting(const struct pst_blas_library *lib,
			     const struct pst_blas_args *x)
{
	const struct pst_blas_config *f = pst_blas_config();
	const double terms = pst_blas_terms(x);

	if (!lib->fn[PST_BLAS_GEMM] || terms == 0)
		return false;
	if (f->mode == PST_BLAS_FORCE)
		return pst_blas_agent_ready(true);
	if (terms < (f->has_min ? f->min : LEAST_TERMS) ||
	    !pst_blas_agent_ready(false))
		return false;
	return pst_blas_decide(x->type, terms, bytes_of(x)) == PST_BLAS_AGENT;
}

static int64_t block_of(const struct pst_blas_args *x)
{
	const bool rank =
		x->routine == PST_BLAS_SYRK || x->routine == PST_BLAS_SYR2K;
	const int64_t n = rank || x->right ? x->n : x->m;
	int64_t block = pst_blas_config()->block;

	if (block > 0)
		return block;
	block = (n / BLOCKS + 63) / 64 * 64;
	return block < MIN_BLOCK   ? MIN_BLOCK
	       : block > MAX_BLOCK ? MAX_BLOCK
				   : block;
}

bool pst_blas_offload(const struct pst_blas_library *lib,
		      const struct pst_blas_args *x)
{
	if (inside || !pst_blas_is_valid(x))
		return false;
	if (pst_blas_from[x->type] == 0)
		start();
	if (pst_blas_terms(x) < pst_blas_from[x->type])
		return false;
	inside = true;
	atomic_fetch_add_explicit(&stats.calls, 1, memory_order_relaxed);
	if (x->routine == PST_BLAS_GEMM)
		product(lib, x);
	else if (is_worth_cutting(lib, x))
		pst_blas_level3(x, block_of(x), part, (void *)lib);
	else
		compute_here(lib, x, pst_blas_terms(x));
	inside = false;
	return true;
}
