/* SPDX-License-Identifier: MIT */
/* The gate's figures on round trips, and on the cost of waiting. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/gates/gate.h"
#include "bench/gates/peerproc.h"

/* One side of a pair. */
#define SLICE_NS (60 * PST_BENCH_MS)
/* Of a product of n = 1024: some 20 ms each. */
#define LONG_NS (400 * PST_BENCH_MS)
/* A wake-up is half a round trip in which both sides are woken. */
#define WAKES 2.0
/* A client's own work between two calls. */
#define WORK_NS (20 * PST_BENCH_US)
/* How long the idle are watched. */
#define IDLE_S 30

/* An agent, a connection, and what a group needs beside them. */
struct state {
	struct pst_bench_agentproc agent;
	struct pst *c;
	struct pst_gemm_args gemm[2];
	struct pst_bench_probe *unix_probe;
};

static void close_state(struct pst_bench_gate *g, void *arg)
{
	struct state *s = arg;

	if (!s)
		return;
	pst_close(s->c);
	pst_bench_agentproc_stop(&s->agent);
	pst_bench_probe_close(s->unix_probe);
	free(s);
}

/* n2 0: one product; n1 0: none. */
static int open_state(struct pst_bench_gate *g, void **ret,
		      const char *agent_spin, uint64_t spin_ns, uint32_t flags,
		      uint32_t n1, uint32_t n2)
{
	struct state *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	*ret = s;
	r = pst_bench_gate_agent(g, &s->agent, true, 1, agent_spin, 0);
	if (!r)
		r = pst_bench_gate_connect(g, &s->agent, spin_ns, flags, &s->c);
	if (!r && n1)
		r = pst_bench_gate_square(g, s->c, n1, &s->gemm[0]);
	if (!r && n2)
		r = pst_bench_gate_square(g, s->c, n2, &s->gemm[1]);
	if (r)
		return r;
	r = pst_bench_probe_open(PST_BENCH_PROBE_UNIX, g->cpus.peer,
				 &s->unix_probe);
	return r ? pst_bench_gate_why(g, r, "cannot start a probe") : 0;
}

static int unix_trip(struct pst_bench_gate *g, struct state *s, double *ret_us)
{
	static struct pst_bench_hist h;
	int r;

	pst_bench_hist_reset(&h);
	r = pst_bench_probe_run(s->unix_probe, SLICE_NS, 100, &h);
	if (r < 0)
		return pst_bench_gate_why(g, r,
					  "the probe's other end is gone");
	*ret_us = (double)pst_bench_hist_percentile(&h, 50) /
		  (double)PST_BENCH_US;
	return 0;
}

/* ---- NOP ---------------------------------------------------------------- */

static int nop_open(struct pst_bench_gate *g, void **ret)
{
	return open_state(g, ret, NULL, UINT64_MAX, 0, 0, 0);
}

static int nop_pair(struct pst_bench_gate *g, void *arg,
		    struct pst_bench_sample *ret)
{
	struct state *s = arg;
	struct pst_bench_times nop;
	double probe = 0, p99;
	int r;

	r = pst_bench_gate_nops(g, s->c, SLICE_NS, &nop);
	if (!r)
		r = pst_bench_gate_probe(g, &probe, &p99);
	ret[0] = (struct pst_bench_sample){nop.p50, probe};
	return r;
}

static int ucx_pair(struct pst_bench_gate *g, void *arg,
		    struct pst_bench_sample *ret)
{
	struct state *s = arg;
	struct pst_bench_times nop;
	double trip = 0;
	int r;

	r = pst_bench_gate_nops(g, s->c, SLICE_NS, &nop);
	if (!r)
		r = pst_bench_peer_run(g, "ucx", "latency", 64, &trip);
	ret[0] = (struct pst_bench_sample){nop.p50, trip};
	return r;
}

/* ---- Products ----------------------------------------------------------- */

static int small_open(struct pst_bench_gate *g, void **ret)
{
	return open_state(g, ret, NULL, UINT64_MAX, 0, 64, 0);
}

static int small_pair(struct pst_bench_gate *g, void *arg,
		      struct pst_bench_sample *ret)
{
	struct pst_bench_times product;
	struct state *s = arg;
	double p50, p99;
	int r;

	r = pst_bench_gate_probe(g, &p50, &p99);
	if (!r)
		r = pst_bench_gate_products(g, s->c, &s->gemm[0], 2 * SLICE_NS,
					    &product);
	ret[0] = (struct pst_bench_sample){product.overhead50, p50};
	ret[1] = (struct pst_bench_sample){product.overhead99,
					   2 * p99 > 2 ? 2 * p99 : 2};
	return r;
}

static int spin_open(struct pst_bench_gate *g, void **ret)
{
	return open_state(g, ret, NULL, UINT64_MAX, 0, 256, 1024);
}

static int default_open(struct pst_bench_gate *g, void **ret)
{
	return open_state(g, ret, NULL, 0, 0, 256, 1024);
}

/* The call's overhead over its compute time, in per cent. */
static int spin_pair(struct pst_bench_gate *g, void *arg,
		     struct pst_bench_sample *ret)
{
	static const uint64_t ns[] = {SLICE_NS, LONG_NS};
	struct pst_bench_times product;
	struct state *s = arg;
	int i, r = 0;

	for (i = 0; i < 2 && !r; i++) {
		r = pst_bench_gate_products(g, s->c, &s->gemm[i], ns[i],
					    &product);
		ret[i] = (struct pst_bench_sample){100 * product.overhead50,
						   product.compute50};
	}
	return r;
}

static int default_pair(struct pst_bench_gate *g, void *arg,
			struct pst_bench_sample *ret)
{
	static const uint64_t ns[] = {SLICE_NS, LONG_NS};
	struct pst_bench_times product;
	struct state *s = arg;
	double trip = 0;
	int i, r;

	r = unix_trip(g, s, &trip);
	for (i = 0; i < 2 && !r; i++) {
		r = pst_bench_gate_products(g, s->c, &s->gemm[i], ns[i],
					    &product);
		ret[i] = (struct pst_bench_sample){product.overhead50,
						   trip / WAKES};
	}
	return r;
}

/* ---- Sleeping ----------------------------------------------------------- */

static int sleep_open(struct pst_bench_gate *g, void **ret)
{
	return open_state(g, ret, "0", 0, PST_OPEN_NO_SPIN, 0, 0);
}

static int sleep_pair(struct pst_bench_gate *g, void *arg,
		      struct pst_bench_sample *ret)
{
	struct state *s = arg;
	struct pst_bench_times nop;
	double trip = 0;
	int r;

	r = pst_bench_gate_nops(g, s->c, SLICE_NS, &nop);
	if (!r)
		r = unix_trip(g, s, &trip);
	ret[0] = (struct pst_bench_sample){nop.p50, trip};
	return r;
}

/* ---- One CPU for both --------------------------------------------------- */

/* Round trips by the control socket or the ring, with work_ns of the client's
 * own work before each. */
static int trips(struct pst_bench_gate *g, struct pst *c, bool ring,
		 uint64_t work_ns, double *ret_us)
{
	const uint64_t begin = pst_bench_now_ns();
	static struct pst_bench_hist h;
	uint64_t start, ns;
	int r;

	pst_bench_hist_reset(&h);
	do {
		start = pst_bench_now_ns();
		while (pst_bench_now_ns() - start < work_ns)
			pst_bench_relax();
		start = pst_bench_now_ns();
		r = ring ? pst_nop(c, PST_BENCH_S, NULL) : pst_ping(c, &ns);
		pst_bench_hist_add(&h, pst_bench_now_ns() - start);
		if (r < 0) {
			pst_last_error(c, g->why, sizeof(g->why));
			return r;
		}
	} while (pst_bench_now_ns() - begin < SLICE_NS);
	*ret_us = (double)pst_bench_hist_percentile(&h, 50) /
		  (double)PST_BENCH_US;
	return 0;
}

static int one_cpu_open(struct pst_bench_gate *g, void **ret)
{
	return open_state(g, ret, NULL, 0, 0, 0, 0);
}

/* The client on the agent's CPU: a spinning one keeps the other away. */
static int one_cpu_pair(struct pst_bench_gate *g, void *arg,
			struct pst_bench_sample *ret)
{
	static const uint64_t work_ns[] = {0, WORK_NS};
	struct state *s = arg;
	double socket = 0, nop = 0;
	int i, r = 0;

	pst_bench_cpus_pin(g->cpus.peer);
	for (i = 0; i < 2 && !r; i++) {
		r = trips(g, s->c, false, work_ns[i], &socket);
		if (!r)
			r = trips(g, s->c, true, work_ns[i], &nop);
		ret[i] = (struct pst_bench_sample){nop, socket};
	}
	pst_bench_cpus_pin(g->cpus.client);
	return r;
}

/* ---- Idle --------------------------------------------------------------- */

static int idle_open(struct pst_bench_gate *g, void **ret)
{
	return open_state(g, ret, NULL, 0, 0, 64, 0);
}

/* Both processes after some work, with the connection open. */
static int idle_pair(struct pst_bench_gate *g, void *arg,
		     struct pst_bench_sample *ret)
{
	const struct timespec settle = {.tv_sec = 1}, idle = {.tv_sec = IDLE_S};
	struct pst_bench_times times;
	struct state *s = arg;
	uint64_t cpu, start;
	int r;

	r = pst_bench_gate_products(g, s->c, &s->gemm[0], SLICE_NS, &times);
	if (r < 0)
		return r;
	nanosleep(&settle, NULL);
	start = pst_bench_now_ns();
	cpu = pst_bench_cpu_time_ns(s->agent.pid) +
	      pst_bench_cpu_time_ns(getpid());
	nanosleep(&idle, NULL);
	cpu = pst_bench_cpu_time_ns(s->agent.pid) +
	      pst_bench_cpu_time_ns(getpid()) - cpu;
	ret[0] = (struct pst_bench_sample){
		100 * (double)cpu / (double)PST_BENCH_MS,
		(double)(pst_bench_now_ns() - start) / (double)PST_BENCH_MS};
	return 0;
}

const struct pst_bench_gate_group pst_bench_gate_latency[] = {
	{"nop",
	 9,
	 nop_open,
	 nop_pair,
	 close_state,
	 {{"NOP round trip p50, both spinning / two cache lines",
	   "us",
	   {2.5, false}}}},
	{"ucx",
	 5,
	 nop_open,
	 ucx_pair,
	 close_state,
	 {{"NOP round trip p50 / UCX 64-byte round trip", "us", {1, false}}}},
	{"gemm64",
	 9,
	 small_open,
	 small_pair,
	 close_state,
	 {{"GEMM n=64, spinning: overhead p50 / two cache lines",
	   "us",
	   {3, false}},
	  {"GEMM n=64, spinning: overhead p99 / max(2 us, 2 probe p99)",
	   "us",
	   {1, false}}}},
	{"gemmspin",
	 7,
	 spin_open,
	 spin_pair,
	 close_state,
	 {{"GEMM n=256, spinning: overhead / compute, %",
	   "%us / us",
	   {0.3, false}},
	  {"GEMM n=1024, spinning: overhead / compute, %",
	   "%us / us",
	   {0.05, false}}}},
	{"gemmwake",
	 7,
	 default_open,
	 default_pair,
	 close_state,
	 {{"GEMM n=256, defaults: overhead / Unix-socket wake",
	   "us",
	   {1.3, false}},
	  {"GEMM n=1024, defaults: overhead / Unix-socket wake",
	   "us",
	   {1.3, false}}}},
	{"sleep",
	 9,
	 sleep_open,
	 sleep_pair,
	 close_state,
	 {{"NOP with spin_us=0 / Unix-socket round trip", "us", {1.5, false}}}},
	{"onecpu",
	 5,
	 one_cpu_open,
	 one_cpu_pair,
	 close_state,
	 {{"NOP on one CPU for both sides / control socket", "us", {2, false}},
	  {"The same with 20 us of work between the calls", "us", {2, false}}}},
	{"idle",
	 1,
	 idle_open,
	 idle_pair,
	 close_state,
	 {{"CPU of agent and client while idle, % of a core",
	   "%ms / ms",
	   {1, false}}}},
	{0},
};
