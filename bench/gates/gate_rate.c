/* SPDX-License-Identifier: MIT */
/* The gate's figures on the rate of small operations: many outstanding, beside
 * a bare ring and beside the same products in this process. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "bench/clock.h"
#include "bench/gates/gate.h"
#include "bench/gates/peerproc.h"
#include "bench/ring.h"
#include "bench/sqpoll.h"
#include "bench/stats.h"

/* One run of one program; the best of TRIES counts, since what is slower was
 * disturbed. */
#define SLICE_NS (20 * PST_BENCH_MS)
#define TRIES    3U
#define ROUNDS   5U
/* Completions between two looks at the clock. */
#define DONE_A_CLOCK 1024U
#define MAX_DEPTH    200U
#define PRODUCT_N    16U
#define PRODUCTS     64U
#define TWO_DEPTH    32U

/* Nanoseconds an operation or entry. */
enum program {
	BARE_8,
	BARE_64,
	BARE_200,
	NOP_8,
	NOP_64,
	NOP_200,
	ONE_8, /* on a connection whose calls one thread makes */
	ONE_64,
	ONE_200,
	MANY_8, /* submitted by one call for all that were done */
	MANY_64,
	MANY_200,
	TWO,    /* connections, TWO_DEPTH NOPs outstanding on each */
	QUEUES, /* of one connection, as many each, by one call for both */
	GEMM,
	SGEMM, /* in this process */
	N_PROGRAMS,
};

static const unsigned int depths[] = {8, 64, MAX_DEPTH};

struct state {
	struct pst_bench_agentproc agent;
	struct pst_bench_ring *ring;
	struct pst *c[2];
	struct pst *one;    /* of one thread */
	struct pst *queues; /* with two */
	struct pst_gemm_args gemm;
};

static void close_state(struct pst_bench_gate *g, void *arg)
{
	struct state *s = arg;

	if (!s)
		return;
	pst_close(s->c[0]);
	pst_close(s->c[1]);
	pst_close(s->one);
	pst_close(s->queues);
	pst_bench_agentproc_stop(&s->agent);
	pst_bench_ring_close(s->ring);
	free(s);
}

static int open_state(struct pst_bench_gate *g, void **ret)
{
	struct state *s = calloc(1, sizeof(*s));
	unsigned int i;
	int r;

	if (!s)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	*ret = s;
	g->in_turn = true;
	if (!g->has_blas)
		return pst_bench_gate_why(g, -ENOENT, "there is no CBLAS");
	r = pst_bench_ring_open(g->cpus.peer, &s->ring);
	if (r)
		return pst_bench_gate_why(g, r, "cannot start a bare ring");
	r = pst_bench_gate_agent(g, &s->agent, true, 1, NULL, 0);
	for (i = 0; i < 2 && !r; i++)
		r = pst_bench_gate_connect(g, &s->agent, UINT64_MAX, 0,
					   &s->c[i]);
	if (!r)
		r = pst_bench_gate_connect(g, &s->agent, UINT64_MAX,
					   PST_OPEN_SINGLE_THREAD, &s->one);
	if (!r)
		r = pst_bench_gate_connect_queues(g, &s->agent, UINT64_MAX, 2,
						  &s->queues);
	return r ? r : pst_bench_gate_square(g, s->c[0], PRODUCT_N, &s->gemm);
}

/* ---- One program -------------------------------------------------------- */

/* NOPs, or products where there is a descriptor. */
static int submit(struct pst *c, const struct pst_gemm_args *gemm, int n)
{
	uint64_t tag;
	int r = 0;

	while (n-- > 0 && !r)
		r = gemm ? pst_submit_gemm(c, gemm, 0, &tag)
			 : pst_submit_nop(c, 0, &tag);
	return r;
}

/* NOPs by one call, every n_queues-th on the same queue. */
static int submit_many(struct pst *c, unsigned int n_queues, unsigned int n)
{
	struct pst_submission ops[MAX_DEPTH];
	unsigned int i;
	int r;

	for (i = 0; i < n; i++) {
		ops[i] = (struct pst_submission)PST_SUBMISSION_INIT;
		ops[i].op = PST_OP_NOP;
		ops[i].queue = i % n_queues;
	}
	r = pst_submit(c, ops, (int)n, NULL);
	return r < 0 ? r : r == (int)n ? 0 : -EAGAIN;
}

/* Takes what is done. Returns how many, or the first one's failure. */
static int take(struct pst *c)
{
	struct pst_completion done[MAX_DEPTH];
	const int n = pst_poll(c, done, (int)MAX_DEPTH);
	int i;

	for (i = 0; i < n; i++)
		if (done[i].status)
			return done[i].status;
	return n;
}

/* Takes what is done until nothing is outstanding. */
static int take_rest(struct pst *c, int outstanding)
{
	int n = 0;

	while (n >= 0 && outstanding > 0) {
		n = take(c);
		outstanding -= n;
	}
	return n < 0 ? n : 0;
}

/* One thread keeps depth operations outstanding on each of n connections. */
static int run(struct pst_bench_gate *g, struct pst *const *c, unsigned int n,
	       unsigned int depth, const struct pst_gemm_args *gemm,
	       double *ret_ns)
{
	uint64_t begin, now, done = 0, counted = 0;
	unsigned int i;
	int r = 0;

	for (i = 0; i < n && r >= 0; i++)
		r = submit(c[i], gemm, (int)depth);
	begin = now = pst_bench_now_ns();
	for (i = 0; r >= 0 && now - begin < SLICE_NS; i = (i + 1) % n) {
		r = take(c[i]);
		if (r > 0) {
			done += (unsigned int)r;
			r = submit(c[i], gemm, r);
		}
		if (done - counted >= DONE_A_CLOCK) {
			counted = done;
			now = pst_bench_now_ns();
		}
	}
	for (i = 0; i < n && r >= 0; i++)
		r = take_rest(c[i], (int)depth);
	if (r < 0)
		return pst_bench_gate_why(g, r, "an operation failed: %s",
					  pst_strerror(r));
	*ret_ns = (double)(now - begin) / (double)counted;
	return 0;
}

/* As run(), on the queues of one connection, by pst_submit(). */
static int run_many(struct pst_bench_gate *g, struct pst *c,
		    unsigned int n_queues, unsigned int depth, double *ret_ns)
{
	uint64_t begin, now, done = 0, counted = 0;
	int r = submit_many(c, n_queues, depth);

	begin = now = pst_bench_now_ns();
	while (r >= 0 && now - begin < SLICE_NS) {
		r = take(c);
		if (r > 0) {
			done += (unsigned int)r;
			r = submit_many(c, n_queues, (unsigned int)r);
		}
		if (done - counted >= DONE_A_CLOCK) {
			counted = done;
			now = pst_bench_now_ns();
		}
	}
	if (r >= 0)
		r = take_rest(c, (int)depth);
	if (r < 0)
		return pst_bench_gate_why(g, r, "an operation failed: %s",
					  pst_strerror(r));
	*ret_ns = (double)(now - begin) / (double)counted;
	return 0;
}

static double run_sgemm(const struct pst_bench_gate *g,
			const struct pst_gemm_args *gemm)
{
	uint64_t begin = pst_bench_now_ns(), now = begin, n = 0;
	unsigned int i;

	while (now - begin < SLICE_NS) {
		for (i = 0; i < DONE_A_CLOCK; i++)
			pst_bench_blas_product(&g->blas, gemm->m, gemm->n,
					       gemm->k, gemm->a, gemm->b,
					       gemm->c);
		n += DONE_A_CLOCK;
		now = pst_bench_now_ns();
	}
	return (double)(now - begin) / (double)n;
}

static int run_program(struct pst_bench_gate *g, struct state *s,
		       enum program p, double *ret_ns)
{
	switch (p) {
	case BARE_8:
	case BARE_64:
	case BARE_200:
		return pst_bench_ring_run(s->ring, depths[p - BARE_8], SLICE_NS,
					  ret_ns);
	case NOP_8:
	case NOP_64:
	case NOP_200:
		return run(g, s->c, 1, depths[p - NOP_8], NULL, ret_ns);
	case ONE_8:
	case ONE_64:
	case ONE_200:
		return run(g, &s->one, 1, depths[p - ONE_8], NULL, ret_ns);
	case MANY_8:
	case MANY_64:
	case MANY_200:
		return run_many(g, s->c[0], 1, depths[p - MANY_8], ret_ns);
	case QUEUES:
		return run_many(g, s->queues, 2, 2 * TWO_DEPTH, ret_ns);
	case TWO:
		return run(g, s->c, 2, TWO_DEPTH, NULL, ret_ns);
	case GEMM:
		return run(g, s->c, 1, PRODUCTS, &s->gemm, ret_ns);
	default:
		*ret_ns = run_sgemm(g, &s->gemm);
		return 0;
	}
}

/* ---- One round ---------------------------------------------------------- */

static const struct {
	enum program value, reference;
} rows[] = {
	{NOP_8, BARE_8},  {NOP_64, BARE_64},  {NOP_200, BARE_200},
	{ONE_8, BARE_8},  {ONE_64, BARE_64},  {ONE_200, BARE_200},
	{MANY_8, BARE_8}, {MANY_64, BARE_64}, {MANY_200, BARE_200},
	{TWO, BARE_64},   {TWO, NOP_64},      {QUEUES, MANY_64},
	{GEMM, SGEMM},
};

/* All programs in turn, TRIES times. */
static int pair(struct pst_bench_gate *g, void *arg,
		struct pst_bench_sample *ret)
{
	double best[N_PROGRAMS], ns = 0;
	struct state *s = arg;
	unsigned int i, try;
	enum program p;
	int r = 0;

	for (try = 0; try < TRIES && !r; try++) {
		for (p = 0; p < N_PROGRAMS && !r; p++) {
			r = run_program(g, s, p, &ns);
			if (try == 0 || ns < best[p])
				best[p] = ns;
		}
	}
	for (i = 0; i < sizeof(rows) / sizeof(*rows) && !r; i++)
		ret[i] = (struct pst_bench_sample){best[rows[i].value],
						   best[rows[i].reference]};
	return r;
}

/* ---- Beside io_uring ---------------------------------------------------- */

struct uring {
	struct pst_bench_agentproc agent;
	struct pst *c;
	struct pst_bench_sqpoll *sqpoll;
};

static void close_uring(struct pst_bench_gate *g, void *arg)
{
	struct uring *s = arg;

	if (!s)
		return;
	pst_close(s->c);
	pst_bench_agentproc_stop(&s->agent);
	pst_bench_sqpoll_close(s->sqpoll);
	free(s);
}

static int open_uring(struct pst_bench_gate *g, void **ret)
{
	struct uring *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	*ret = s;
	g->in_turn = true;
	r = pst_bench_gate_agent(g, &s->agent, true, 1, NULL, 0);
	return r ? r
		 : pst_bench_gate_connect(g, &s->agent, UINT64_MAX, 0, &s->c);
}

/* The kernel's thread shares the agent's CPU, so it is there only for its own
 * turn. */
static int run_uring(struct pst_bench_gate *g, struct uring *s,
		     unsigned int depth, double *ret_ns)
{
	int r;

	r = pst_bench_sqpoll_open(g->cpus.peer, &s->sqpoll);
	if (!r)
		r = pst_bench_sqpoll_run(s->sqpoll, depth, SLICE_NS, ret_ns);
	pst_bench_sqpoll_close(s->sqpoll);
	s->sqpoll = NULL;
	return r ? pst_bench_gate_why(g, r, "io_uring has no SQPOLL here: %s",
				      pst_strerror(r))
		 : 0;
}

static int pair_uring(struct pst_bench_gate *g, void *arg,
		      struct pst_bench_sample *ret)
{
	struct uring *s = arg;
	unsigned int i, try;
	double ours, theirs;
	int r = 0;

	for (i = 0; i < sizeof(depths) / sizeof(*depths); i++) {
		ret[i] = (struct pst_bench_sample){INFINITY, INFINITY};
		for (try = 0; try < TRIES && !r; try++) {
			r = run(g, &s->c, 1, depths[i], NULL, &ours);
			if (!r)
				r = run_uring(g, s, depths[i], &theirs);
			if (!r && ours < ret[i].value)
				ret[i].value = ours;
			if (!r && theirs < ret[i].reference)
				ret[i].reference = theirs;
		}
	}
	return r;
}

/* ---- Beside UCX --------------------------------------------------------- */

/* Its messages go one way and have no answer. */
static int pair_ucx(struct pst_bench_gate *g, void *arg,
		    struct pst_bench_sample *ret)
{
	struct uring *s = arg;
	int r = run(g, &s->c, 1, depths[1], NULL, &ret[0].value);

	return r ? r
		 : pst_bench_peer_run(g, "ucx", "rate", depths[1],
				      &ret[0].reference);
}

/* ---- A NOP beside long products ----------------------------------------- */

#define LONG_N      1500U
#define LONG_AHEAD  3
#define NOPS_A_PAIR 21U

struct beside {
	struct pst_bench_agentproc agent;
	struct pst *busy; /* with two queues, products on the first */
	struct pst *other;
	struct pst_gemm_args gemm;
};

static void close_beside(struct pst_bench_gate *g, void *arg)
{
	struct beside *s = arg;

	if (!s)
		return;
	pst_close(s->busy);
	pst_close(s->other);
	pst_bench_agentproc_stop(&s->agent);
	free(s);
}

static int open_beside(struct pst_bench_gate *g, void **ret)
{
	struct beside *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	*ret = s;
	g->in_turn = true;
	r = pst_bench_gate_agent(g, &s->agent, true, 1, NULL, 0);
	if (!r)
		r = pst_bench_gate_connect_queues(g, &s->agent, UINT64_MAX, 2,
						  &s->busy);
	if (!r)
		r = pst_bench_gate_connect(g, &s->agent, UINT64_MAX, 0,
					   &s->other);
	return r ? r : pst_bench_gate_square(g, s->busy, LONG_N, &s->gemm);
}

/* Keeps LONG_AHEAD products outstanding on the first queue. */
static int keep_busy(struct beside *s, int *outstanding)
{
	int r = take(s->busy);

	if (r < 0)
		return r;
	*outstanding -= r;
	r = submit(s->busy, &s->gemm, LONG_AHEAD - *outstanding);
	if (!r)
		*outstanding = LONG_AHEAD;
	return r;
}

static int time_nop(struct pst *c, uint32_t queue, double *ret_us)
{
	struct pst_submission op = PST_SUBMISSION_INIT;
	const uint64_t begin = pst_bench_now_ns();
	uint64_t tag;
	int r;

	op.op = PST_OP_NOP;
	op.queue = queue;
	r = pst_submit(c, &op, 1, &tag);
	if (r > 0)
		r = pst_wait(c, tag, 60 * PST_BENCH_S, NULL);
	*ret_us = (double)(pst_bench_now_ns() - begin) / (double)PST_BENCH_US;
	return r;
}

static int pair_beside(struct pst_bench_gate *g, void *arg,
		       struct pst_bench_sample *ret)
{
	double queue[NOPS_A_PAIR], other[NOPS_A_PAIR];
	struct beside *s = arg;
	int r = 0, outstanding = 0;
	unsigned int i;

	for (i = 0; i < NOPS_A_PAIR && !r; i++) {
		r = keep_busy(s, &outstanding);
		if (!r)
			r = time_nop(s->busy, 1, &queue[i]);
		if (!r)
			r = keep_busy(s, &outstanding);
		if (!r)
			r = time_nop(s->other, 0, &other[i]);
	}
	if (!r)
		r = take_rest(s->busy, outstanding);
	if (r < 0)
		return pst_bench_gate_why(g, r, "an operation failed: %s",
					  pst_strerror(r));
	ret[0] =
		(struct pst_bench_sample){pst_bench_median(queue, NOPS_A_PAIR),
					  pst_bench_median(other, NOPS_A_PAIR)};
	return 0;
}

const struct pst_bench_gate_group pst_bench_gate_rate[] = {
	{"rate",
	 ROUNDS,
	 open_state,
	 pair,
	 close_state,
	 {{"8 NOPs outstanding / bare ring", "ns", {1.5, false}},
	  {"64 NOPs outstanding / bare ring", "ns", {2.5, false}},
	  {"200 NOPs outstanding / bare ring", "ns", {3.5, false}},
	  {"8 NOPs of one thread / bare ring", "ns", {1, false}},
	  {"64 NOPs of one thread / bare ring", "ns", {1.5, false}},
	  {"200 NOPs of one thread / bare ring", "ns", {1.6, false}},
	  {"8 NOPs submitted at once / bare ring", "ns", {1, false}},
	  {"64 NOPs submitted at once / bare ring", "ns", {1.5, false}},
	  {"200 NOPs submitted at once / bare ring", "ns", {1.6, false}},
	  {"2 connections with 32 NOPs each / bare ring with 64",
	   "ns",
	   {2.5, false}},
	  {"2 connections with 32 NOPs each / one with 64", "ns", {1, false}},
	  {"2 queues with 32 NOPs each / one with 64", "ns", {1, false}},
	  {"64 products of n=16 outstanding / cblas_sgemm here",
	   "ns",
	   {2, false}}}},
	{"uring",
	 ROUNDS,
	 open_uring,
	 pair_uring,
	 close_uring,
	 /* To be seen beside each other, without a bound. */
	 {{"8 NOPs outstanding / of io_uring by SQPOLL",
	   "ns",
	   {INFINITY, false}},
	  {"64 NOPs outstanding / of io_uring by SQPOLL",
	   "ns",
	   {INFINITY, false}},
	  {"200 NOPs outstanding / of io_uring by SQPOLL",
	   "ns",
	   {INFINITY, false}}}},
	{"ucx-rate",
	 ROUNDS,
	 open_uring,
	 pair_ucx,
	 close_uring,
	 {{"64 NOPs outstanding / of ucx_perftest's messages",
	   "ns",
	   {INFINITY, false}}}},
	{"queues",
	 ROUNDS,
	 open_beside,
	 pair_beside,
	 close_beside,
	 {{"NOP beside products, on a second queue / on a connection",
	   "us",
	   {2, false}}}},
	{0},
};
