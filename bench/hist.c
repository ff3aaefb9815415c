/* SPDX-License-Identifier: MIT */
/* A log-linear histogram of times: bounded error, fixed size, mergeable. */
#include "bench/hist.h"

#include <math.h>
#include <string.h>

/* Buckets of one power of two. */
#define HALF (1U << PST_BENCH_HIST_BITS)

void pst_bench_hist_reset(struct pst_bench_hist *h)
{
	memset(h, 0, sizeof(*h));
}

unsigned int pst_bench_hist_bucket(uint64_t value)
{
	unsigned int top, shift;

	if (value < 2 * HALF)
		return (unsigned int)value;
	if (value >> PST_BENCH_HIST_MAX_BITS)
		return PST_BENCH_HIST_BUCKETS - 1;
	top = 63U - (unsigned int)__builtin_clzll(value);
	shift = top - PST_BENCH_HIST_BITS;
	/* Row shift begins at shift * HALF and its values are HALF..2 HALF. */
	return shift * HALF + (unsigned int)(value >> shift);
}

uint64_t pst_bench_hist_low(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < 2 * HALF)
		return bucket;
	shift = bucket / HALF - 1;
	return (uint64_t)(bucket - shift * HALF) << shift;
}

uint64_t pst_bench_hist_high(unsigned int bucket)
{
	if (bucket < 2 * HALF)
		return bucket;
	return pst_bench_hist_low(bucket) + (1ULL << (bucket / HALF - 1)) - 1;
}

void pst_bench_hist_add(struct pst_bench_hist *h, uint64_t value)
{
	if (h->n == 0 || value < h->min)
		h->min = value;
	if (value > h->max)
		h->max = value;
	h->n++;
	h->count[pst_bench_hist_bucket(value)]++;
}

void pst_bench_hist_merge(struct pst_bench_hist *dst,
			  const struct pst_bench_hist *src)
{
	unsigned int i;

	if (src->n == 0)
		return;
	if (dst->n == 0 || src->min < dst->min)
		dst->min = src->min;
	if (src->max > dst->max)
		dst->max = src->max;
	dst->n += src->n;
	for (i = 0; i < PST_BENCH_HIST_BUCKETS; i++)
		dst->count[i] += src->count[i];
}

uint64_t pst_bench_hist_percentile(const struct pst_bench_hist *h, double p)
{
	uint64_t want, seen = 0, value;
	unsigned int i;

	if (h->n == 0 || p <= 0)
		return h->min;
	if (p >= 100)
		return h->max;
	/* A little less, so that 50 % of 4 is 2 and not 3 by rounding. */
	want = (uint64_t)ceil((double)h->n * (p / 100) - 1e-9 * (double)h->n);
	if (want == 0)
		want = 1;
	for (i = 0; i < PST_BENCH_HIST_BUCKETS - 1; i++) {
		seen += h->count[i];
		if (seen >= want)
			break;
	}
	/* The last bucket has no upper end. */
	value = i == PST_BENCH_HIST_BUCKETS - 1 ? h->max
						: pst_bench_hist_high(i);
	if (value > h->max)
		value = h->max;
	return value < h->min ? h->min : value;
}
