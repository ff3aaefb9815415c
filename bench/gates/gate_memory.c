/* SPDX-License-Identifier: MIT */
/* The gate's figures on memory: writes into the region, foreign pointers, and
 * products larger than the arena. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "bench/copy.h"
#include "bench/gates/gate.h"
#include "bench/mem.h"
#include "bench/stats.h"

#define WRITE_SIZE (64ULL << 20)
/* Copies of each way in one pair. */
#define COPIES 3
#define N      1024U
/* A + B + C are eight times ARENA. */
#define LARGE_ARENA (64ULL << 20)
#define LARGE_N     6688U
/* Calls of each kind in one pair of foreign. */
#define TURNS 21

struct state {
	struct pst_bench_agentproc agent;
	struct pst *c;
	void *region;
	struct pst_bench_mem mem[6];
	struct pst_gemm_args in_region, foreign;
};

static void close_state(struct pst_bench_gate *g, void *arg)
{
	struct state *s = arg;
	int i;

	if (!s)
		return;
	for (i = 0; i < 6; i++)
		pst_bench_mem_free(&s->mem[i]);
	pst_close(s->c);
	pst_bench_agentproc_stop(&s->agent);
	free(s);
}

/* An agent, and n_mem private places of size bytes with the region's page
 * size. */
static int open_state(struct pst_bench_gate *g, void **ret, uint64_t arena,
		      int n_mem, uint64_t size)
{
	struct state *s = calloc(1, sizeof(*s));
	struct pst_info info = {.size = sizeof(info)};
	int i, r;

	if (!s)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	*ret = s;
	r = pst_bench_gate_agent(g, &s->agent, true, 1, NULL, arena);
	if (!r)
		r = pst_bench_gate_connect(g, &s->agent, 0, 0, &s->c);
	if (!r)
		r = pst_get_info(s->c, &info);
	for (i = 0; i < n_mem && !r; i++) {
		r = pst_bench_mem_alloc(&s->mem[i], size, info.page_size);
		if (r < 0)
			pst_bench_gate_why(g, r, "no memory of %u-byte pages",
					   info.page_size);
	}
	return r;
}

/* ---- Writing into the region -------------------------------------------- */

static int write_open(struct pst_bench_gate *g, void **ret)
{
	/* The agent keeps a part of the arena for others' sessions. */
	int r = open_state(g, ret, WRITE_SIZE * 2, 2, WRITE_SIZE);
	struct state *s = *ret;
	char text[256];

	if (!r) {
		r = pst_alloc(s->c, WRITE_SIZE, &s->region);
		if (r < 0) {
			pst_last_error(s->c, text, sizeof(text));
			return pst_bench_gate_why(g, r, "%s", text);
		}
		memset(s->region, 1, WRITE_SIZE);
	}
	return r;
}

/* The best of all ways and tries, in us. */
static double best_copy(void *dst, const void *src, uint64_t n)
{
	double best = 0, us;
	uint64_t start;
	int how, i;

	for (how = 0; how < PST_BENCH_COPY_N; how++) {
		if (!pst_bench_copy_has(how))
			continue;
		for (i = 0; i < COPIES; i++) {
			start = pst_bench_now_ns();
			pst_bench_copy_by(how, dst, src, n);
			us = (double)(pst_bench_now_ns() - start) /
			     (double)PST_BENCH_US;
			if (best == 0 || us < best)
				best = us;
		}
	}
	return best;
}

static int write_pair(struct pst_bench_gate *g, void *arg,
		      struct pst_bench_sample *ret)
{
	struct state *s = arg;
	double copy, write;

	copy = best_copy(s->mem[1].ptr, s->mem[0].ptr, WRITE_SIZE);
	write = best_copy(s->region, s->mem[0].ptr, WRITE_SIZE);
	/* Bandwidths are to each other as times the other way round. */
	ret[0] = (struct pst_bench_sample){(double)WRITE_SIZE / write / 1e3,
					   (double)WRITE_SIZE / copy / 1e3};
	return 0;
}

/* ---- Foreign pointers --------------------------------------------------- */

static int foreign_open(struct pst_bench_gate *g, void **ret)
{
	int r = open_state(g, ret, 0, 6, 4ULL * N * N);
	struct state *s = *ret;

	if (!r)
		r = pst_bench_gate_square(g, s->c, N, &s->in_region);
	if (r)
		return r;
	s->foreign = pst_bench_gate_product(N, (float *)s->mem[0].ptr,
					    (float *)s->mem[1].ptr,
					    (float *)s->mem[2].ptr);
	r = pst_gemm(s->c, &s->foreign, 60 * PST_BENCH_S, NULL);
	if (r == -EFAULT)
		return pst_bench_gate_why(g, r,
					  "pointers outside the region are not "
					  "supported");
	return r ? pst_bench_gate_why(g, r, "%s", pst_strerror(r)) : 0;
}

/* In turn call by call: the figure is a hundredth of a call, and the machine
 * changes by more from one second to the next. */
static int foreign_pair(struct pst_bench_gate *g, void *arg,
			struct pst_bench_sample *ret)
{
	double added[TURNS], near, far, copy = 0;
	struct state *s = arg;
	int i, r = 0;

	for (i = 0; i < TURNS && !r; i++) {
		r = pst_bench_gate_product_once(g, s->c, &s->in_region, &near);
		if (!r)
			r = pst_bench_gate_product_once(g, s->c, &s->foreign,
							&far);
		added[i] = far - near;
	}
	if (r)
		return r;
	/* What has to move: A and B in, C out. */
	for (i = 0; i < 3; i++)
		copy += best_copy(s->mem[3 + i].ptr, s->mem[i].ptr,
				  4ULL * N * N);
	ret[0] =
		(struct pst_bench_sample){pst_bench_median(added, TURNS), copy};
	return 0;
}

/* ---- Larger than the arena ---------------------------------------------- */

static int large_open(struct pst_bench_gate *g, void **ret)
{
	int r = open_state(g, ret, LARGE_ARENA, 3, 4ULL * LARGE_N * LARGE_N);
	struct state *s = *ret;

	if (r)
		return r;
	s->foreign = pst_bench_gate_product(LARGE_N, (float *)s->mem[0].ptr,
					    (float *)s->mem[1].ptr,
					    (float *)s->mem[2].ptr);
	return 0;
}

static int large_pair(struct pst_bench_gate *g, void *arg,
		      struct pst_bench_sample *ret)
{
	struct state *s = arg;
	uint64_t t0, t1, t2;
	int r;

	if (!g->has_blas)
		return pst_bench_gate_why(g, -EOPNOTSUPP,
					  "there is no CBLAS in this process");
	t0 = pst_bench_now_ns();
	r = pst_gemm(s->c, &s->foreign, 600 * PST_BENCH_S, NULL);
	t1 = pst_bench_now_ns();
	if (r == -EFAULT)
		return pst_bench_gate_why(
			g, r,
			"matrices larger than the arena are not "
			"supported");
	if (r < 0)
		return pst_bench_gate_why(g, r, "%s", pst_strerror(r));
	pst_bench_blas_product(&g->blas, LARGE_N, LARGE_N, LARGE_N,
			       s->foreign.a, s->foreign.b, s->foreign.c);
	t2 = pst_bench_now_ns();
	ret[0] = (struct pst_bench_sample){
		(double)(t1 - t0) / (double)PST_BENCH_S,
		(double)(t2 - t1) / (double)PST_BENCH_S};
	return 0;
}

const struct pst_bench_gate_group pst_bench_gate_memory[] = {
	{"write",
	 9,
	 write_open,
	 write_pair,
	 close_state,
	 {{"host write into the region, 64 MiB / best copy",
	   "GB/s",
	   {0.95, true}}}},
	{"foreign",
	 7,
	 foreign_open,
	 foreign_pair,
	 close_state,
	 {{"foreign pointers, n=1024: added time / copying A, B, C",
	   "us",
	   {1.3, false}}}},
	{"large",
	 3,
	 large_open,
	 large_pair,
	 close_state,
	 {{"A+B+C of 8 arenas, f32: time / CBLAS in process",
	   "s",
	   {1.10, false}}}},
	{0},
};
