/* SPDX-License-Identifier: MIT */
/* What the peers in C and C++ share: repeating something and its median. */
#ifndef PST_BENCH_PEER_H
#define PST_BENCH_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PEER_MAX_TIMES 2000000

static inline uint64_t peer_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static inline int peer_by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/*
 * Repeats it for the given seconds, at least three times after one that is not
 * counted, and prints the median: microseconds, or GB/s of size bytes for
 * "bandwidth"; and how often. Returns an exit code.
 */
static inline int peer_measure(const char *test, uint64_t size, double seconds,
			       bool (*once)(void *arg), void *arg)
{
	uint64_t *times = (uint64_t *)malloc(sizeof(*times) * PEER_MAX_TIMES);
	uint64_t start, end, begin, median;
	unsigned int n = 0;

	if (!times || !once(arg))
		return 1;
	begin = peer_now_ns();
	do {
		start = peer_now_ns();
		if (!once(arg))
			return 1;
		end = peer_now_ns();
		times[n++] = end - start;
	} while (n < PEER_MAX_TIMES &&
		 (n < 3 || (double)(end - begin) < seconds * 1e9));
	qsort(times, n, sizeof(*times), peer_by_value);
	median = times[n / 2];
	free(times);
	if (strcmp(test, "bandwidth") == 0)
		printf("%.6g %u\n", (double)size / (double)median, n);
	else
		printf("%.6g %u\n", (double)median / 1e3, n);
	return 0;
}

#endif
