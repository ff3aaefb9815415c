/* SPDX-License-Identifier: MIT */
/* Decides whether a figure is within its bound: pure functions over pairs. */
#ifndef PST_BENCH_GATES_JUDGE_H
#define PST_BENCH_GATES_JUDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/stats.h"

/* The machine's own noise, as max / min of its probe over the pairs, above
 * which a run says nothing. */
#define PST_BENCH_JUDGE_SPREAD 1.5
/* Runs until one is conclusive. */
#define PST_BENCH_JUDGE_TRIES 3

/* What a figure must be. */
struct pst_bench_bound {
	double limit;
	bool at_least; /* else at most */
};

/*
 * Pairs of one figure: a value, the reference that was measured right after
 * it, and the probe of that time (0: none was taken).
 */
struct pst_bench_pairs {
	size_t n; /* <= PST_BENCH_STATS_MAX */
	double value[PST_BENCH_STATS_MAX];
	double reference[PST_BENCH_STATS_MAX];
	double probe[PST_BENCH_STATS_MAX];
};

enum pst_bench_verdict {
	PST_BENCH_PASS,
	PST_BENCH_FAIL,
	PST_BENCH_INCONCLUSIVE, /* the machine was too noisy to tell */
};

/* The median of the pairs' ratios. */
double pst_bench_pairs_figure(const struct pst_bench_pairs *p);

/* max / min of the probes; 1 without any. */
double pst_bench_pairs_spread(const struct pst_bench_pairs *p);

/*
 * A run that fails on a noisy machine is inconclusive, and so is one that
 * passes. No pairs at all is a failure.
 */
enum pst_bench_verdict
pst_bench_pairs_judge(const struct pst_bench_pairs *p,
		      const struct pst_bench_bound *bound);

#endif
