/* SPDX-License-Identifier: MIT */
/* The gate's figures on spawn: the start and end of a private agent, beside a
 * program that does nothing. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/gates/gate.h"

/* As large as the region of spawn: is. */
#define REGION_SIZE (256UL << 20)
/* Of each kind in one pair; the fastest counts. */
#define TURNS 3

static const char *program(const struct pst_bench_gate *g)
{
	const char *env = getenv("PENSTOCK_AGENT");

	return env && *env ? env : g->agent;
}

static double ms(uint64_t ns)
{
	return (double)ns / (double)PST_BENCH_MS;
}

/* Starts the agent's program for its version only, maps as much memory as a
 * region has, and waits for the end. */
static int run_bare(struct pst_bench_gate *g, double *ret)
{
	char *argv[] = {(char *)(uintptr_t)program(g),
			(char *)(uintptr_t) "--version", NULL};
	const uint64_t start = pst_bench_now_ns();
	posix_spawn_file_actions_t fa;
	int status, r;
	pid_t pid;
	void *p;

	r = posix_spawn_file_actions_init(&fa);
	if (r)
		return pst_bench_gate_why(g, -r, "out of memory");
	r = posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	if (!r)
		r = posix_spawn(&pid, argv[0], &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	if (r)
		return pst_bench_gate_why(g, -r, "%s does not start: %s",
					  argv[0], strerror(r));
	p = mmap(NULL, REGION_SIZE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (p == MAP_FAILED)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	munmap(p, REGION_SIZE);
	*ret = ms(pst_bench_now_ns() - start);
	return 0;
}

static int run_spawn(struct pst_bench_gate *g, double *ret_open,
		     double *ret_close)
{
	char uri[512];
	uint64_t t[3];
	struct pst *c;
	int r;

	/* In a path of a URI a few characters would have to be escaped. */
	if (strpbrk(program(g), "%&?#") ||
	    snprintf(uri, sizeof(uri), "spawn:?agent=%s", program(g)) >=
		    (int)sizeof(uri))
		return pst_bench_gate_why(g, -EINVAL, "the agent's path %s",
					  program(g));
	t[0] = pst_bench_now_ns();
	r = pst_open(uri, NULL, &c, g->why, sizeof(g->why));
	t[1] = pst_bench_now_ns();
	if (r < 0)
		return r;
	pst_close(c);
	t[2] = pst_bench_now_ns();
	*ret_open = ms(t[1] - t[0]);
	*ret_close = ms(t[2] - t[1]);
	return 0;
}

static void least(double *best, double x)
{
	if (*best == 0 || x < *best)
		*best = x;
}

static int spawn_pair(struct pst_bench_gate *g, void *arg,
		      struct pst_bench_sample *ret)
{
	double bare = 0, open = 0, end = 0, x, y;
	int i, r = 0;

	(void)arg;
	pst_bench_cpus_unpin(&g->cpus);
	for (i = 0; i < TURNS && !r; i++) {
		r = run_bare(g, &x);
		if (!r)
			least(&bare, x);
		if (!r)
			r = run_spawn(g, &x, &y);
		if (!r) {
			least(&open, x);
			least(&end, y);
		}
	}
	pst_bench_cpus_pin(g->cpus.client);
	ret[0] = (struct pst_bench_sample){open, bare};
	ret[1] = (struct pst_bench_sample){end, bare};
	return r;
}

const struct pst_bench_gate_group pst_bench_gate_spawn[] = {
	{"spawn",
	 7,
	 NULL,
	 spawn_pair,
	 NULL,
	 {{"spawn: opens / its agent's program started and ended, mmap",
	   "ms",
	   {6, false}},
	  {"spawn: closes / the same", "ms", {2, false}}}},
	{0},
};
