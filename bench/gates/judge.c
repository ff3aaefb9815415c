/* SPDX-License-Identifier: MIT */
/* Whether a figure is within its bound: pure functions over pairs. */
#include "bench/gates/judge.h"

#include <math.h>

double pst_pairs_figure(const struct pst_pairs *p)
{
	return pst_ratio_median(p->value, p->reference, p->n);
}

double pst_pairs_spread(const struct pst_pairs *p)
{
	if (p->n == 0 || pst_max(p->probe, p->n) <= 0)
		return 1;
	return pst_spread(p->probe, p->n);
}

enum pst_verdict pst_pairs_judge(const struct pst_pairs *p,
				 const struct pst_bound *bound)
{
	const double figure = pst_pairs_figure(p);

	if (p->n == 0)
		return PST_FAIL;
	if (pst_pairs_spread(p) > PST_JUDGE_SPREAD)
		return PST_INCONCLUSIVE;
	/* Something was not there to be compared with. */
	if (!isfinite(figure))
		return PST_FAIL;
	if (bound->at_least)
		return figure >= bound->limit ? PST_PASS : PST_FAIL;
	return figure <= bound->limit ? PST_PASS : PST_FAIL;
}
