/* SPDX-License-Identifier: MIT */
/* The gate's figures on peers: the same product by other means. */
#include <errno.h>
#include <stdlib.h>

#include "bench/clock.h"
#include "bench/gates/gate.h"
#include "bench/gates/peerproc.h"

struct state {
	struct pst_bench_agentproc agent;
	struct pst *c;
	struct pst_gemm_args gemm;
};

static void close_state(struct pst_bench_gate *g, void *arg)
{
	struct state *s = arg;

	if (!s)
		return;
	pst_close(s->c);
	pst_bench_agentproc_stop(&s->agent);
	free(s);
}

static int open_state(struct pst_bench_gate *g, void **ret, uint32_t n)
{
	struct state *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	*ret = s;
	r = pst_bench_gate_agent(g, &s->agent, true, 1, NULL, 0);
	if (!r)
		r = pst_bench_gate_connect(g, &s->agent, 0, 0, &s->c);
	return r ? r : pst_bench_gate_square(g, s->c, n, &s->gemm);
}

static int open_64(struct pst_bench_gate *g, void **ret)
{
	return open_state(g, ret, 64);
}

static int open_1024(struct pst_bench_gate *g, void **ret)
{
	return open_state(g, ret, 1024);
}

/* The peer's time over ours: how many times faster we are. */
static int pair(struct pst_bench_gate *g, void *arg, const char *peer,
		struct pst_bench_sample *ret)
{
	struct state *s = arg;
	struct pst_bench_times ours;
	double theirs = 0;
	int r;

	r = pst_bench_gate_products(g, s->c, &s->gemm, 200 * PST_BENCH_MS,
				    &ours);
	if (!r)
		r = pst_bench_peer_run(g, peer, "gemm", s->gemm.n, &theirs);
	ret[0] = (struct pst_bench_sample){theirs, ours.p50};
	return r;
}

static int pair_json(struct pst_bench_gate *g, void *arg,
		     struct pst_bench_sample *ret)
{
	return pair(g, arg, "zmq-json", ret);
}

static int pair_raw(struct pst_bench_gate *g, void *arg,
		    struct pst_bench_sample *ret)
{
	return pair(g, arg, "zmq-raw", ret);
}

static int pair_grpc(struct pst_bench_gate *g, void *arg,
		     struct pst_bench_sample *ret)
{
	return pair(g, arg, "grpc", ret);
}

const struct pst_bench_gate_group pst_bench_gate_peers[] = {
	{"zmqjson",
	 3,
	 open_1024,
	 pair_json,
	 close_state,
	 {{"n=1024: ZeroMQ with JSON lists / Penstock", "us", {80, true}}}},
	{"zmqraw",
	 5,
	 open_64,
	 pair_raw,
	 close_state,
	 {{"n=64: ZeroMQ with raw buffers / Penstock", "us", {25, true}}}},
	{"grpc",
	 5,
	 open_64,
	 pair_grpc,
	 close_state,
	 {{"n=64: gRPC over a Unix socket / Penstock", "us", {10, true}}}},
	{0},
};
