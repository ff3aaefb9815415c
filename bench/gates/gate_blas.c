/* SPDX-License-Identifier: MIT */
/* The gate's figures on libpenstock-blas: what it costs who does not use it,
 * and what a call costs that is looked at and stays here. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/gates/gate.h"

#define LIBRARY "libpenstock-blas.so"
/* Of the two ways in one pair; the fastest of each counts. */
#define TURNS 9
#define CALLS 20000
/* Sides of a product that is passed on as it is, and of one that is decided on.
 */
#define SMALL  4
#define LOOKED 160

typedef void sgemm_fn(int order, int transa, int transb, int m, int n, int k,
		      float alpha, const float *a, int lda, const float *b,
		      int ldb, float beta, float *c, int ldc);

struct state {
	char path[PATH_MAX];
	sgemm_fn *plain, *ours;
	float *mem;
};

/* Beside the gate in a build tree, or as the environment says. */
static const char *path_of(const struct pst_bench_gate *g, struct state *s)
{
	const char *env = getenv("PENSTOCK_BLAS_LIBRARY");
	const char *slash = strrchr(g->agent, '/');

	if (env && *env)
		snprintf(s->path, sizeof(s->path), "%s", env);
	else
		snprintf(s->path, sizeof(s->path),
			 "%.*s/../host-client/blas/.libs/" LIBRARY,
			 slash ? (int)(slash - g->agent) : 0, g->agent);
	return s->path;
}

static sgemm_fn *find(void *library)
{
	void *p = library ? dlsym(library, "cblas_sgemm") : NULL;
	sgemm_fn *fn = NULL;

	if (p)
		memcpy(&fn, &p, sizeof(fn));
	return fn;
}

static void blas_close(struct pst_bench_gate *g, void *state)
{
	struct state *s = state;

	free(s->mem);
	free(s);
}

static int blas_open(struct pst_bench_gate *g, void **ret)
{
	struct state *s = calloc(1, sizeof(*s));

	if (!s)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	s->mem = calloc((size_t)3 * LOOKED * LOOKED, sizeof(float));
	/* Without an agent: every call stays here. */
	unsetenv("PENSTOCK_ENDPOINT");
	unsetenv("PENSTOCK_BLAS_ENDPOINT");
	s->plain = find(dlopen("libblas.so.3", RTLD_NOW | RTLD_LOCAL));
	s->ours = find(dlopen(path_of(g, s), RTLD_NOW | RTLD_LOCAL));
	if (!s->mem || !s->plain || !s->ours) {
		pst_bench_gate_why(g, -ENOENT, "no %s: %s",
				   s->plain ? s->path : "libblas.so.3",
				   dlerror());
		blas_close(g, s);
		return -ENOENT;
	}
	g->in_turn = true;
	*ret = s;
	return 0;
}

/* Nanoseconds of one of so many products of n x n. */
static double products(const struct state *s, sgemm_fn *sgemm, int n, int calls)
{
	const uint64_t start = pst_bench_now_ns();
	float *b = s->mem + (ptrdiff_t)n * n, *c = b + (ptrdiff_t)n * n;
	int i;

	for (i = 0; i < calls; i++)
		sgemm(101, 111, 111, n, n, n, 1, s->mem, n, b, n, 0, c, n);
	return (double)(pst_bench_now_ns() - start) / calls;
}

/* What ours costs more, in ns. */
static double more(const struct state *s, int n, int calls)
{
	double plain = 1e30, ours = 1e30, x;
	int i;

	for (i = 0; i < TURNS; i++) {
		x = products(s, s->plain, n, calls);
		plain = x < plain ? x : plain;
		x = products(s, s->ours, n, calls);
		ours = x < ours ? x : ours;
	}
	return ours > plain ? ours - plain : 0;
}

/* Milliseconds of true(1), with and without. */
static int run_true(struct pst_bench_gate *g, const char *preload, double *ret)
{
	char *argv[] = {(char *)(uintptr_t) "/bin/true", NULL};
	char var[PATH_MAX + 16];
	char *env[] = {var, NULL};
	const uint64_t start = pst_bench_now_ns();
	int status, r;
	pid_t pid;

	snprintf(var, sizeof(var), "%s%s",
		 preload ? "LD_PRELOAD=" : "NONE=", preload ? preload : "");
	r = posix_spawn(&pid, argv[0], NULL, NULL, argv, env);
	if (r)
		return pst_bench_gate_why(g, -r, "/bin/true does not start");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*ret = (double)(pst_bench_now_ns() - start) / (double)PST_BENCH_MS;
	return 0;
}

static int blas_pair(struct pst_bench_gate *g, void *state,
		     struct pst_bench_sample *ret)
{
	const struct state *s = state;
	double plain = 1e30, ours = 1e30, x;
	int i, r = 0;

	for (i = 0; i < TURNS && !r; i++) {
		r = run_true(g, NULL, &x);
		plain = x < plain ? x : plain;
		if (!r)
			r = run_true(g, s->path, &x);
		ours = x < ours ? x : ours;
	}
	ret[0] = (struct pst_bench_sample){ours > plain ? ours - plain : 0, 1};
	ret[1] = (struct pst_bench_sample){more(s, SMALL, CALLS), 30};
	ret[2] = (struct pst_bench_sample){more(s, LOOKED, CALLS / 1000), 2000};
	return r;
}

const struct pst_bench_gate_group pst_bench_gate_blas[] = {
	{"blas",
	 7,
	 blas_open,
	 blas_pair,
	 blas_close,
	 {{"blas: true(1) with it preloaded / 1 ms more", "ms", {1, false}},
	  {"blas: a call of n=4 through it / 30 ns more", "ns", {1, false}},
	  {"blas: a call of n=160, decided on / 2 us more", "ns", {1, false}}}},
	{0},
};
