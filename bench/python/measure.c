/* SPDX-License-Identifier: MIT */
/* The median time of a function of libpenstock, by the clock of C; calls.py
 * compiles and loads it. */
#include <stdlib.h>
#include <time.h>

#include "host-client/penstock.h"

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Returns microseconds, or -1: a call failed. */
double measure(int (*call)(struct pst *c, const void *args, uint64_t timeout_ns,
			   struct pst_completion *done),
	       struct pst *c, const void *args, size_t n);
double measure(int (*call)(struct pst *c, const void *args, uint64_t timeout_ns,
			   struct pst_completion *done),
	       struct pst *c, const void *args, size_t n)
{
	double *us = calloc(n, sizeof(*us)), result = -1;
	struct timespec from, to;
	size_t i;

	for (i = 0; us && i < n; i++) {
		clock_gettime(CLOCK_MONOTONIC, &from);
		if (call(c, args, PST_FOREVER, NULL) < 0)
			break;
		clock_gettime(CLOCK_MONOTONIC, &to);
		us[i] = (double)(to.tv_sec - from.tv_sec) * 1e6 +
			(double)(to.tv_nsec - from.tv_nsec) / 1e3;
	}
	if (us && i == n) {
		qsort(us, n, sizeof(*us), compare);
		result = us[n / 2];
	}
	free(us);
	return result;
}
