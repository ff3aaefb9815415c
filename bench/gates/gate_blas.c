/* SPDX-License-Identifier: MIT */
/* The gate's figures on libpenstock-blas: what it costs who does not use it,
 * what a call costs that is looked at and stays here, and what a program of
 * mixed sizes gains or loses. */
#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
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

/* ---- A program of mixed sizes, with a private agent in auto ------------ */

#define LARGE_MIX "4 500x1 700x1 1000x1"
#define SMALL_MIX "24 32x2000 200x15 300x15 400x15 1500x1"

struct mix {
	struct state s; /* of which path */
	char program[PATH_MAX], library[PATH_MAX], reference[PATH_MAX];
};

static int mix_open(struct pst_bench_gate *g, void **ret)
{
	const char *slash = strrchr(g->agent, '/');
	const int n = slash ? (int)(slash - g->agent) : 0;
	struct mix *m = calloc(1, sizeof(*m));
	glob_t found;

	if (!m)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	path_of(g, &m->s);
	snprintf(m->program, sizeof(m->program), "%.*s/../bench/mix", n,
		 g->agent);
	snprintf(m->library, sizeof(m->library),
		 "%.*s/../host-client/.libs/libpenstock.so.0", n, g->agent);
	if (glob("/usr/lib/*/blas/libblas.so.3", 0, NULL, &found) == 0) {
		snprintf(m->reference, sizeof(m->reference), "%s",
			 found.gl_pathv[0]);
		globfree(&found);
	}
	if (access(m->program, X_OK) < 0 || !m->reference[0]) {
		pst_bench_gate_why(g, -ENOENT, "no %s",
				   m->reference[0] ? m->program
						   : "reference libblas.so.3");
		free(m);
		return -ENOENT;
	}
	g->in_turn = true;
	*ret = m;
	return 0;
}

static void mix_close(struct pst_bench_gate *g, void *state)
{
	(void)g;
	free(state);
}

/* Seconds of the products, and which part of their flops was offloaded. */
static int run_mix(struct pst_bench_gate *g, const struct mix *m, bool with,
		   const char *library, const char *what, double *ret_s,
		   double *ret_part)
{
	char command[4 * PATH_MAX], line[512];
	const char *p;
	FILE *f;

	snprintf(command, sizeof(command),
		 "exec env %s%s PENSTOCK_AGENT=%s PENSTOCK_LIBRARY=%s "
		 "PENSTOCK_ENDPOINT=spawn: PENSTOCK_BLAS_STATS=1 "
		 "XDG_CACHE_HOME=/nonexistent %s %s %s 2>&1",
		 with ? "LD_PRELOAD=" : "", with ? m->s.path : "", g->agent,
		 m->library, m->program, library, what);
	*ret_s = *ret_part = 0;
	/* The BLAS is to have all CPUs, here and in the agent. */
	pst_bench_cpus_unpin(&g->cpus);
	f = popen(command, "r");
	pst_bench_cpus_pin(g->cpus.client);
	while (f && fgets(line, sizeof(line), f)) {
		p = strstr(line, "offloaded (");
		if (p)
			*ret_part = strtod(p + strlen("offloaded ("), NULL);
		else if (sscanf(line, "%lf", ret_s) != 1)
			pst_bench_gate_why(g, -EIO, "%.200s", line);
	}
	return f && pclose(f) == 0 && *ret_s > 0 ? 0 : -EIO;
}

static int mix_pair(struct pst_bench_gate *g, void *state,
		    struct pst_bench_sample *ret)
{
	const struct mix *m = state;
	const char *fast = "libopenblas.so.0";
	double plain, ours, part, ignored;
	int r;

	r = run_mix(g, m, false, m->reference, LARGE_MIX, &plain, &ignored);
	if (!r)
		r = run_mix(g, m, true, m->reference, LARGE_MIX, &ours, &part);
	if (r)
		return r;
	ret[0] = (struct pst_bench_sample){plain, ours};
	ret[1] = (struct pst_bench_sample){part, 100};
	r = run_mix(g, m, false, fast, SMALL_MIX, &plain, &ignored);
	if (!r)
		r = run_mix(g, m, true, fast, SMALL_MIX, &ours, &part);
	if (r)
		return r;
	ret[2] = (struct pst_bench_sample){ours, plain};
	return 0;
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
	{"blas-mix",
	 5,
	 mix_open,
	 mix_pair,
	 mix_close,
	 {{"blas-mix: reference BLAS alone / with it, large sgemm",
	   "s",
	   {3, true}},
	  {"blas-mix: part of these flops that is offloaded", "%", {0.9, true}},
	  {"blas-mix: OpenBLAS with it / alone, many small, few large",
	   "s",
	   {1.05, false}}}},
	{0},
};
