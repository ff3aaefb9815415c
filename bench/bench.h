/* SPDX-License-Identifier: MIT */
/* The benchmarks of penstock bench: what each measures, on penstock.h. */
#ifndef PST_BENCH_BENCH_H
#define PST_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/blas.h"
#include "bench/copy.h"
#include "bench/probe.h"
#include "bench/result.h"
#include "host-client/penstock.h"

/* Repeats of each measurement; the medians' spread is the noise. */
#define PST_BENCH_REPEATS 5U
/* Of one operation: even a slow guest ends it. */
#define PST_BENCH_TIMEOUT_NS 600000000000ULL

struct pst_bench {
	/* Set by the caller; zero the rest. */
	const char *endpoint;
	uint64_t budget_ns; /* to measure, for each benchmark */
	/* Of pst_bench_run(): an ONNX file, NULL: a small network; and its
	 * inputs as pst_bench_onnx_open() has them. */
	const char *model;
	const char *const *inputs;
	unsigned int n_inputs;
	/* Told what is under way; may be NULL. */
	void (*progress)(void *arg, const char *text);
	void *arg;

	/* Of pst_bench_open(). */
	struct pst_bench_result result;
	struct pst_info info;
	struct pst *c;    /* with default options */
	uint32_t threads; /* of the agent's backend */
	char error[256];  /* the sentence of what failed */
};

/*
 * Connects, chooses CPUs, describes machine and agent. A spawn: agent with
 * one thread is pinned to the peer CPU, the calling thread to the client's
 * until pst_bench_close(). Returns 0, or pst_open()'s errno with a sentence in
 * error. Call pst_bench_close() after a failure too.
 */
int pst_bench_open(struct pst_bench *b);
void pst_bench_close(struct pst_bench *b);

/*
 * Each adds its rows to b->result. Returns 0, or -errno and a sentence in
 * error; rows that were measured by then are there. What cannot be measured
 * (no CBLAS, no room, no time) is a row that says why.
 */
int pst_bench_latency(struct pst_bench *b);
int pst_bench_bandwidth(struct pst_bench *b);
int pst_bench_gemm(struct pst_bench *b);
int pst_bench_infer(struct pst_bench *b);
int pst_bench_run(struct pst_bench *b);

/* ---- For the benchmarks themselves ---- */

struct pst_bench_task;

/* Does it once. Returns 0 and the nanoseconds it took, and those that go to
 * extra; or -errno. */
typedef int (*pst_bench_once)(struct pst_bench_task *t, uint64_t *ret_ns,
			      uint64_t *ret_extra_ns);

/* Something that is measured again and again. */
struct pst_bench_task {
	struct pst_bench_row *row;
	struct pst_bench_row *extra; /* or NULL */
	pst_bench_once once;
	uint64_t before_ns; /* asleep before each, not measured */
	struct pst *c;
	struct pst_bench_probe *probe;
	const struct pst_bench_blas *blas;
	const struct pst_bench_cpus
		*cpus; /* all are for once(); NULL: one is */
	enum pst_bench_copy_how how;
	const void *src, *src2;
	void *dst;
	size_t n;
	struct pst_gemm_args gemm;
};

/*
 * Measures tasks in turn (A B A B ...), PST_BENCH_REPEATS times, after one
 * round that is not counted; each gets an equal part of budget_ns, and runs
 * at least once. Returns 0 or -errno and a sentence.
 */
int pst_bench_rounds(struct pst_bench *b, const char *what,
		     struct pst_bench_task *tasks, unsigned int n,
		     uint64_t budget_ns);

/* One more connection, with its own spin_ns and flags. */
int pst_bench_connect(struct pst_bench *b, uint64_t spin_ns, uint32_t flags,
		      struct pst **ret);

/* Keeps the sentence of c's last call. Returns r. */
int pst_bench_failed(struct pst_bench *b, struct pst *c, int r);

/* A row, or NULL with the sentence set. */
struct pst_bench_row *pst_bench_new_row(struct pst_bench *b, const char *bench,
					enum pst_bench_row_kind kind,
					enum pst_bench_row_unit unit,
					const char *name);

#endif
