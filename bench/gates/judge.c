/* SPDX-License-Identifier: MIT */
/* Decides whether a figure is within its bound: pure functions over pairs. */
#include "bench/gates/judge.h"

#include <math.h>

double pst_bench_pairs_figure(const struct pst_bench_pairs *p)
{
	return pst_bench_ratio_median(p->value, p->reference, p->n);
}

double pst_bench_pairs_spread(const struct pst_bench_pairs *p)
{
	if (p->n == 0 || pst_bench_max(p->probe, p->n) <= 0)
		return 1;
	return pst_bench_spread(p->probe, p->n);
}

enum pst_bench_verdict
pst_bench_pairs_judge(const struct pst_bench_pairs *p,
		      const struct pst_bench_bound *bound)
{
	const double figure = pst_bench_pairs_figure(p);

	if (p->n == 0)
		return PST_BENCH_FAIL;
	if (pst_bench_pairs_spread(p) > PST_BENCH_JUDGE_SPREAD)
		return PST_BENCH_INCONCLUSIVE;
	/* Something was not there to be compared with. */
	if (!isfinite(figure))
		return PST_BENCH_FAIL;
	if (bound->at_least)
		return figure >= bound->limit ? PST_BENCH_PASS : PST_BENCH_FAIL;
	return figure <= bound->limit ? PST_BENCH_PASS : PST_BENCH_FAIL;
}
