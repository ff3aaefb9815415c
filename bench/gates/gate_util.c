/* SPDX-License-Identifier: MIT */
/* Common to the gate's groups: agents, connections, timed calls. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "bench/gates/gate.h"

#define DEFAULT_ARENA (64ULL << 20)
/* One measurement of the probe. */
#define PROBE_NS (20 * PST_BENCH_MS)
/* Of one operation. */
#define TIMEOUT_NS (120 * PST_BENCH_S)
/* Products at least, and those before that are not counted. */
#define MIN_PRODUCTS 3
#define WARM_CALLS   2

int pst_bench_gate_why(struct pst_bench_gate *g, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(g->why, sizeof(g->why), fmt, ap);
	va_end(ap);
	return r;
}

int pst_bench_gate_agent(struct pst_bench_gate *g,
			 struct pst_bench_agentproc *a, bool pinned,
			 unsigned int threads, const char *spin, uint64_t arena)
{
	const struct pst_bench_agentproc_options o = {
		.cpu = pinned ? g->cpus.peer : -1,
		.arena = arena ? arena : DEFAULT_ARENA,
		.threads = threads,
		.spin = spin,
	};
	int r;

	if (!pinned)
		pst_bench_cpus_unpin(&g->cpus);
	r = pst_bench_agentproc_start(a, g->agent, &o);
	if (!pinned)
		pst_bench_cpus_pin(g->cpus.client);
	return r < 0 ? pst_bench_gate_why(g, r,
					  "the agent %s does not start: %s",
					  g->agent, strerror(-r))
		     : 0;
}

int pst_bench_gate_agent_scrubs(struct pst_bench_gate *g,
				struct pst_bench_agentproc *a, uint64_t arena)
{
	const struct pst_bench_agentproc_options o = {
		.cpu = g->cpus.peer,
		.arena = arena,
		.threads = 1,
		.scrub = true,
	};
	int r = pst_bench_agentproc_start(a, g->agent, &o);

	return r < 0 ? pst_bench_gate_why(g, r,
					  "the agent %s does not start: %s",
					  g->agent, strerror(-r))
		     : 0;
}

static int connect_with(struct pst_bench_gate *g,
			const struct pst_bench_agentproc *a,
			struct pst_options options, struct pst **ret)
{
	options.size = sizeof(options);
	options.name = "gate";
	return pst_open(a->endpoint, &options, ret, g->why, sizeof(g->why));
}

int pst_bench_gate_connect(struct pst_bench_gate *g,
			   const struct pst_bench_agentproc *a,
			   uint64_t spin_ns, uint32_t flags, struct pst **ret)
{
	return connect_with(
		g, a, (struct pst_options){.spin_ns = spin_ns, .flags = flags},
		ret);
}

int pst_bench_gate_connect_queues(struct pst_bench_gate *g,
				  const struct pst_bench_agentproc *a,
				  uint64_t spin_ns, uint32_t n,
				  struct pst **ret)
{
	return connect_with(
		g, a, (struct pst_options){.spin_ns = spin_ns, .queues = n},
		ret);
}

/* One histogram for each thing timed at a time. */
static struct pst_bench_hist calls, overheads, computes;

static double us(const struct pst_bench_hist *h, double p)
{
	return (double)pst_bench_hist_percentile(h, p) / (double)PST_BENCH_US;
}

int pst_bench_gate_probe(struct pst_bench_gate *g, double *ret_p50,
			 double *ret_p99)
{
	int r;

	pst_bench_hist_reset(&calls);
	r = pst_bench_probe_run(g->probe, PROBE_NS, 100, &calls);
	if (r < 0)
		return pst_bench_gate_why(g, r,
					  "the probe's other end is gone");
	*ret_p50 = us(&calls, 50);
	*ret_p99 = us(&calls, 99);
	return 0;
}

static int failed(struct pst_bench_gate *g, struct pst *c, int r)
{
	pst_last_error(c, g->why, sizeof(g->why));
	return r;
}

int pst_bench_gate_nops(struct pst_bench_gate *g, struct pst *c,
			uint64_t duration_ns, struct pst_bench_times *ret)
{
	const uint64_t begin = pst_bench_now_ns();
	uint64_t start, end;
	unsigned int n = 0;
	int r;

	*ret = (struct pst_bench_times){0};
	pst_bench_hist_reset(&calls);
	do {
		start = pst_bench_now_ns();
		r = pst_nop(c, TIMEOUT_NS, NULL);
		end = pst_bench_now_ns();
		if (r < 0)
			return failed(g, c, r);
		if (++n > WARM_CALLS)
			pst_bench_hist_add(&calls, end - start);
	} while (end - begin < duration_ns || n <= WARM_CALLS);
	ret->p50 = us(&calls, 50);
	ret->p99 = us(&calls, 99);
	return 0;
}

int pst_bench_gate_product_once(struct pst_bench_gate *g, struct pst *c,
				const struct pst_gemm_args *gemm,
				double *ret_us)
{
	const uint64_t start = pst_bench_now_ns();
	int r = pst_gemm(c, gemm, TIMEOUT_NS, NULL);

	*ret_us = (double)(pst_bench_now_ns() - start) / (double)PST_BENCH_US;
	return r < 0 ? failed(g, c, r) : 0;
}

int pst_bench_gate_products(struct pst_bench_gate *g, struct pst *c,
			    const struct pst_gemm_args *gemm,
			    uint64_t duration_ns, struct pst_bench_times *ret)
{
	const uint64_t begin = pst_bench_now_ns();
	struct pst_completion done;
	uint64_t start, end, ns;
	unsigned int n = 0;
	int r;

	pst_bench_hist_reset(&calls);
	pst_bench_hist_reset(&overheads);
	pst_bench_hist_reset(&computes);
	do {
		start = pst_bench_now_ns();
		r = pst_gemm(c, gemm, TIMEOUT_NS, &done);
		end = pst_bench_now_ns();
		if (r < 0)
			return failed(g, c, r);
		if (++n <= WARM_CALLS)
			continue;
		ns = end - start;
		pst_bench_hist_add(&calls, ns);
		pst_bench_hist_add(&computes, done.compute_ns);
		pst_bench_hist_add(&overheads, ns > done.compute_ns
						       ? ns - done.compute_ns
						       : 0);
	} while (end - begin < duration_ns || n < WARM_CALLS + MIN_PRODUCTS);
	ret->p50 = us(&calls, 50);
	ret->p99 = us(&calls, 99);
	ret->overhead50 = us(&overheads, 50);
	ret->overhead99 = us(&overheads, 99);
	ret->compute50 = us(&computes, 50);
	return 0;
}

struct pst_gemm_args pst_bench_gate_product(uint32_t n, float *a, float *b,
					    float *c)
{
	const uint64_t elems = (uint64_t)n * n;
	uint64_t i;

	/* Small, and no denormals on the way. */
	for (i = 0; i < elems; i++) {
		a[i] = (float)(i % 7) - 3;
		b[i] = (float)(i % 5) - 2;
		c[i] = 0;
	}
	return (struct pst_gemm_args){
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = n,
		.n = n,
		.k = n,
		.lda = n,
		.ldb = n,
		.ldc = n,
		.alpha = 1,
		.a = a,
		.b = b,
		.c = c,
	};
}

int pst_bench_gate_square(struct pst_bench_gate *g, struct pst *c, uint32_t n,
			  struct pst_gemm_args *ret)
{
	const uint64_t size = 4ULL * n * n;
	void *p[3] = {NULL};
	int i, r;

	for (i = 0; i < 3; i++) {
		r = pst_alloc(c, size, &p[i]);
		if (r < 0) {
			failed(g, c, r);
			while (i-- > 0)
				pst_free(c, p[i]);
			return r;
		}
	}
	*ret = pst_bench_gate_product(n, p[0], p[1], p[2]);
	return 0;
}
