/* SPDX-License-Identifier: MIT */
/* The gate: groups of figures that are measured together, and their bounds. */
#ifndef PST_BENCH_GATES_GATE_H
#define PST_BENCH_GATES_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/agentproc.h"
#include "bench/blas.h"
#include "bench/cpus.h"
#include "bench/gates/judge.h"
#include "bench/probe.h"
#include "host-client/penstock.h"

#define PST_BENCH_GATE_FIGURES 16

/* One pair of one figure. */
struct pst_bench_sample {
	double value;
	double reference;
};

struct pst_bench_figure {
	const char *text; /* "NOP round trip / two cache lines" */
	const char *unit; /* of value and reference, "us" */
	struct pst_bench_bound bound;
};

/* What all groups use; measured with, not in, a group's pairs. */
struct pst_bench_gate {
	const char *agent; /* program */
	const char *peers; /* the script that runs a peer */
	struct pst_bench_cpus cpus;
	struct pst_bench_blas blas; /* one thread */
	bool has_blas;
	struct pst_bench_probe *probe; /* two cache lines */
	char why[256]; /* the sentence of what could not be measured */
	/* Set by a group's open: its pairs take both sides in turn, several
	 * times, so what the machine does happens to both, and the probe's
	 * spread says nothing. */
	bool in_turn;
};

/*
 * Figures that one measurement yields. open may be NULL; what it returns is
 * given to pair and close. All return 0, or -errno with a sentence in why.
 */
struct pst_bench_gate_group {
	const char *name;
	unsigned int n_pairs;
	int (*open)(struct pst_bench_gate *g, void **ret);
	/* Measures A and B once, one sample a figure. */
	int (*pair)(struct pst_bench_gate *g, void *state,
		    struct pst_bench_sample *ret);
	void (*close)(struct pst_bench_gate *g, void *state);
	struct pst_bench_figure
		figures[PST_BENCH_GATE_FIGURES]; /* text NULL ends */
};

/* Ends with one whose name is NULL. */
extern const struct pst_bench_gate_group pst_bench_gate_blas[];
extern const struct pst_bench_gate_group pst_bench_gate_latency[];
extern const struct pst_bench_gate_group pst_bench_gate_rate[];
extern const struct pst_bench_gate_group pst_bench_gate_memory[];
extern const struct pst_bench_gate_group pst_bench_gate_share[];
extern const struct pst_bench_gate_group pst_bench_gate_spawn[];
extern const struct pst_bench_gate_group pst_bench_gate_peers[];
extern const struct pst_bench_gate_group pst_bench_gate_flood[];
extern const struct pst_bench_gate_group pst_bench_gate_run[];
extern const struct pst_bench_gate_group pst_bench_gate_gateway[];

/* ---- For the groups ---- */

/* Writes the sentence. Returns r. */
int pst_bench_gate_why(struct pst_bench_gate *g, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* An agent on the peer CPU (pinned) or anywhere, one thread, the default
 * spin unless told. arena 0: 64 MiB. */
int pst_bench_gate_agent(struct pst_bench_gate *g,
			 struct pst_bench_agentproc *a, bool pinned,
			 unsigned int threads, const char *spin,
			 uint64_t arena);

/* One on the peer CPU that scrubs what it takes back. */
int pst_bench_gate_agent_scrubs(struct pst_bench_gate *g,
				struct pst_bench_agentproc *a, uint64_t arena);

/* A connection to it. */
int pst_bench_gate_connect(struct pst_bench_gate *g,
			   const struct pst_bench_agentproc *a,
			   uint64_t spin_ns, uint32_t flags, struct pst **ret);

/* The same with n queues. */
int pst_bench_gate_connect_queues(struct pst_bench_gate *g,
				  const struct pst_bench_agentproc *a,
				  uint64_t spin_ns, uint32_t n,
				  struct pst **ret);

/* The bare two-cache-line round trip of now, in us: p50 and p99. */
int pst_bench_gate_probe(struct pst_bench_gate *g, double *ret_p50,
			 double *ret_p99);

/* Times of repeated calls, in us. */
struct pst_bench_times {
	double p50, p99;               /* of the call */
	double overhead50, overhead99; /* of call minus the backend's time */
	double compute50;
};

/* NOPs for duration_ns. */
int pst_bench_gate_nops(struct pst_bench_gate *g, struct pst *c,
			uint64_t duration_ns, struct pst_bench_times *ret);

/* One product: how long the call took, in us. */
int pst_bench_gate_product_once(struct pst_bench_gate *g, struct pst *c,
				const struct pst_gemm_args *gemm,
				double *ret_us);

/* Products for duration_ns, at least three. */
int pst_bench_gate_products(struct pst_bench_gate *g, struct pst *c,
			    const struct pst_gemm_args *gemm,
			    uint64_t duration_ns, struct pst_bench_times *ret);

/* n x n matrices of f32 in buffers of c, filled. */
int pst_bench_gate_square(struct pst_bench_gate *g, struct pst *c, uint32_t n,
			  struct pst_gemm_args *ret);

/* A product of n x n at given places; fills a and b. */
struct pst_gemm_args pst_bench_gate_product(uint32_t n, float *a, float *b,
					    float *c);

#endif
