/* SPDX-License-Identifier: MIT */
/* A log-linear histogram of times: bounded error, fixed size, mergeable. */
#ifndef PST_BENCH_HIST_H
#define PST_BENCH_HIST_H

#include <stdint.h>

/*
 * Values below 2^(PST_BENCH_HIST_BITS + 1) have a bucket each. Above, each
 * power of two is cut into 2^PST_BENCH_HIST_BITS equal buckets, so a value is
 * known to 1/128 of itself (0.8 %). Values of 2^PST_BENCH_HIST_MAX_BITS and
 * more (73 minutes in ns) fall into the last bucket; max keeps the true one.
 */
#define PST_BENCH_HIST_BITS     7
#define PST_BENCH_HIST_MAX_BITS 42
#define PST_BENCH_HIST_BUCKETS                                                 \
	((PST_BENCH_HIST_MAX_BITS - PST_BENCH_HIST_BITS + 1)                   \
	 << PST_BENCH_HIST_BITS)

/* All zero: empty. 36 KiB: not for a stack of unknown size. */
struct pst_bench_hist {
	uint64_t n;   /* values */
	uint64_t min; /* true ones, not buckets'; 0 when empty */
	uint64_t max;
	uint64_t count[PST_BENCH_HIST_BUCKETS];
};

void pst_bench_hist_reset(struct pst_bench_hist *h);

void pst_bench_hist_add(struct pst_bench_hist *h, uint64_t value);

/* Adds all of src to dst, as if each value had been added to dst. */
void pst_bench_hist_merge(struct pst_bench_hist *dst,
			  const struct pst_bench_hist *src);

/*
 * The smallest value that at least p percent (0 to 100) of the values do not
 * exceed, rounded up to the end of its bucket, never above max nor below min.
 * p = 0 is min, p = 100 is max. 0 when empty.
 */
uint64_t pst_bench_hist_percentile(const struct pst_bench_hist *h, double p);

/* The bucket of a value, and the smallest and largest value of a bucket;
 * bucket < PST_BENCH_HIST_BUCKETS. */
unsigned int pst_bench_hist_bucket(uint64_t value);
uint64_t pst_bench_hist_low(unsigned int bucket);
uint64_t pst_bench_hist_high(unsigned int bucket);

#endif
