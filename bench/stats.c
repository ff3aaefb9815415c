/* SPDX-License-Identifier: MIT */
/* Medians, spreads and ratios of repeated measurements: pure functions. */
#include "bench/stats.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double pst_bench_median(const double *v, size_t n)
{
	double sorted[PST_BENCH_STATS_MAX];

	assert(n <= PST_BENCH_STATS_MAX);
	if (n == 0)
		return 0;
	memcpy(sorted, v, n * sizeof(*v));
	qsort(sorted, n, sizeof(*sorted), by_value);
	/* Not through their sum: two infinities are a value, too. */
	if (n % 2 == 0 && sorted[n / 2 - 1] < sorted[n / 2])
		return (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
	return sorted[n / 2];
}

double pst_bench_min(const double *v, size_t n)
{
	double r = n ? v[0] : 0;
	size_t i;

	for (i = 1; i < n; i++)
		r = v[i] < r ? v[i] : r;
	return r;
}

double pst_bench_max(const double *v, size_t n)
{
	double r = n ? v[0] : 0;
	size_t i;

	for (i = 1; i < n; i++)
		r = v[i] > r ? v[i] : r;
	return r;
}

double pst_bench_ratio_median(const double *a, const double *b, size_t n)
{
	double ratio[PST_BENCH_STATS_MAX];
	size_t i;

	assert(n <= PST_BENCH_STATS_MAX);
	for (i = 0; i < n; i++)
		ratio[i] = b[i] > 0 ? a[i] / b[i] : HUGE_VAL;
	return pst_bench_median(ratio, n);
}

double pst_bench_spread(const double *v, size_t n)
{
	double low = pst_bench_min(v, n);

	if (n == 0)
		return 1;
	return low > 0 ? pst_bench_max(v, n) / low : HUGE_VAL;
}
