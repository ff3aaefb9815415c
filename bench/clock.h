/* SPDX-License-Identifier: MIT */
/* The clock of all benchmarks. */
#ifndef PST_BENCH_CLOCK_H
#define PST_BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

#define PST_BENCH_US 1000ULL
#define PST_BENCH_MS 1000000ULL
#define PST_BENCH_S  1000000000ULL

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t pst_bench_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * PST_BENCH_S + (uint64_t)ts.tv_nsec;
}

/* Tells the CPU that this is a loop that waits. */
static inline void pst_bench_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

#endif
