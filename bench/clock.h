/* SPDX-License-Identifier: MIT */
/* The clock of all benchmarks. */
#ifndef PST_BENCH_CLOCK_H
#define PST_BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

#define PST_BENCH_US UINT64_C(1000)
#define PST_BENCH_MS UINT64_C(1000000)
#define PST_BENCH_S  UINT64_C(1000000000)

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
