/* SPDX-License-Identifier: MIT */
/* Medians, spreads and ratios of repeated measurements: pure functions. */
#ifndef PST_BENCH_STATS_H
#define PST_BENCH_STATS_H

#include <stddef.h>

/* Repeats of a measurement at most. */
#define PST_BENCH_STATS_MAX 64

/* The middle of n values (the mean of the two middle ones when n is even);
 * v is not changed. 0 when n is 0; n <= PST_BENCH_STATS_MAX. */
double pst_bench_median(const double *v, size_t n);

double pst_bench_min(const double *v, size_t n);
double pst_bench_max(const double *v, size_t n);

/*
 * The median of a[i] / b[i]: what a pair says of itself stays together, so
 * that a machine that slows down between pairs changes nothing. A pair with
 * b[i] <= 0 counts as infinite.
 */
double pst_bench_ratio_median(const double *a, const double *b, size_t n);

/* max / min; infinite when min <= 0, 1 when n is 0. */
double pst_bench_spread(const double *v, size_t n);

#endif
