/* SPDX-License-Identifier: MIT */
/* The gate's figures on sharing: several clients, and two BLAS threads beside
 * a client. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "bench/clock.h"
#include "bench/gates/gate.h"

#define CLIENTS    8U
#define DEPTH      2U
#define SHARED_N   256U
#define TIMEOUT_NS (60 * PST_BENCH_S)
/* How long clients run together. */
#define RUN_NS (800 * PST_BENCH_MS)
#define BOTH_N 1024U
/* One side of a pair of the two threads' figure. */
#define SLICE_NS (300 * PST_BENCH_MS)

struct client {
	struct pst *c;
	struct pst_gemm_args gemm[DEPTH];
	pthread_t thread;
	uint64_t done;
	int result;
	const uint64_t *until_ns;
};

struct state {
	struct pst_bench_agentproc agent;
	struct client clients[CLIENTS];
	struct pst *sleeping;
	struct pst_gemm_args gemm;
	uint64_t until_ns;
};

static void close_state(struct pst_bench_gate *g, void *arg)
{
	struct state *s = arg;
	unsigned int i;

	if (!s)
		return;
	for (i = 0; i < CLIENTS; i++)
		pst_close(s->clients[i].c);
	pst_close(s->sleeping);
	pst_bench_agentproc_stop(&s->agent);
	pst_bench_cpus_pin(g->cpus.client);
	free(s);
}

/* ---- Eight clients ------------------------------------------------------ */

static int clients_open(struct pst_bench_gate *g, void **ret)
{
	struct state *s = calloc(1, sizeof(*s));
	unsigned int i, j;
	int r;

	if (!s)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	*ret = s;
	r = pst_bench_gate_agent(g, &s->agent, true, 1, NULL, 0);
	for (i = 0; i < CLIENTS && !r; i++) {
		s->clients[i].until_ns = &s->until_ns;
		r = pst_bench_gate_connect(g, &s->agent, 0, 0,
					   &s->clients[i].c);
		for (j = 0; j < DEPTH && !r; j++)
			r = pst_bench_gate_square(g, s->clients[i].c, SHARED_N,
						  &s->clients[i].gemm[j]);
	}
	return r;
}

/* Keeps DEPTH products outstanding until it is time. */
static void *client_run(void *arg)
{
	struct client *k = arg;
	uint64_t tags[DEPTH], n = 0;
	struct pst_completion done;
	unsigned int i;
	int r = 0;

	for (i = 0; i < DEPTH && !r; i++)
		r = pst_submit_gemm(k->c, &k->gemm[i], 0, &tags[i]);
	while (!r && pst_bench_now_ns() < *k->until_ns) {
		i = n % DEPTH;
		r = pst_wait(k->c, tags[i], TIMEOUT_NS, &done);
		n++;
		if (!r)
			r = pst_submit_gemm(k->c, &k->gemm[i], 0, &tags[i]);
	}
	k->done = n;
	for (i = 0; i < DEPTH && !r; i++)
		r = pst_wait(k->c, tags[(n + i) % DEPTH], TIMEOUT_NS, &done);
	k->result = r;
	return NULL;
}

/* n clients at once. Returns 0, their products altogether and those of the
 * slowest. */
static int run_clients(struct pst_bench_gate *g, struct state *s,
		       unsigned int n, double *ret_total, double *ret_slowest)
{
	unsigned int i, started;
	int r = 0;

	s->until_ns = pst_bench_now_ns() + RUN_NS;
	for (started = 0; started < n; started++)
		if (pthread_create(&s->clients[started].thread, NULL,
				   client_run, &s->clients[started]) != 0)
			break;
	*ret_total = 0;
	*ret_slowest = -1;
	for (i = 0; i < started; i++) {
		pthread_join(s->clients[i].thread, NULL);
		if (s->clients[i].result < 0)
			r = s->clients[i].result;
		*ret_total += (double)s->clients[i].done;
		if (*ret_slowest < 0 ||
		    (double)s->clients[i].done < *ret_slowest)
			*ret_slowest = (double)s->clients[i].done;
	}
	if (started < n)
		r = -EAGAIN;
	return r < 0 ? pst_bench_gate_why(g, r, "a client failed: %s",
					  pst_strerror(r))
		     : 0;
}

static int clients_pair(struct pst_bench_gate *g, void *arg,
			struct pst_bench_sample *ret)
{
	double one, all = 0, slowest = 0;
	struct state *s = arg;
	int r;

	r = run_clients(g, s, 1, &one, &slowest);
	if (!r)
		r = run_clients(g, s, CLIENTS, &all, &slowest);
	ret[0] = (struct pst_bench_sample){all, one};
	ret[1] = (struct pst_bench_sample){slowest, all / CLIENTS};
	return r;
}

/* ---- Two BLAS threads beside a client ----------------------------------- */

static int both_open(struct pst_bench_gate *g, void **ret)
{
	struct state *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	*ret = s;
	r = pst_bench_gate_agent(g, &s->agent, false, 2, NULL, 0);
	pst_bench_cpus_unpin(&g->cpus);
	if (!r)
		r = pst_bench_gate_connect(g, &s->agent, 0, 0,
					   &s->clients[0].c);
	if (!r)
		r = pst_bench_gate_connect(g, &s->agent, 0, PST_OPEN_NO_SPIN,
					   &s->sleeping);
	if (!r)
		r = pst_bench_gate_square(g, s->clients[0].c, BOTH_N,
					  &s->clients[0].gemm[0]);
	if (!r)
		r = pst_bench_gate_square(g, s->sleeping, BOTH_N, &s->gemm);
	return r;
}

static int both_pair(struct pst_bench_gate *g, void *arg,
		     struct pst_bench_sample *ret)
{
	struct pst_bench_times spinning, sleeping;
	struct state *s = arg;
	int r;

	/* The probe before this pair ran pinned. */
	pst_bench_cpus_unpin(&g->cpus);
	r = pst_bench_gate_products(g, s->clients[0].c, &s->clients[0].gemm[0],
				    SLICE_NS, &spinning);
	if (!r)
		r = pst_bench_gate_products(g, s->sleeping, &s->gemm, SLICE_NS,
					    &sleeping);
	pst_bench_cpus_pin(g->cpus.client);
	ret[0] = (struct pst_bench_sample){spinning.p50, sleeping.p50};
	return r;
}

const struct pst_bench_gate_group pst_bench_gate_share[] = {
	{"clients",
	 5,
	 clients_open,
	 clients_pair,
	 close_state,
	 {{"8 clients, depth 2, n=256: products of all / of one client",
	   "",
	   {0.90, true}},
	  {"8 clients, depth 2, n=256: slowest / mean", "", {0.8, true}}}},
	{"threads",
	 7,
	 both_open,
	 both_pair,
	 close_state,
	 {{"2 BLAS threads, 2 cores, n=1024: default / sleeping client",
	   "us",
	   {1.05, false}}}},
	{0},
};
