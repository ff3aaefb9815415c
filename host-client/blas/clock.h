/* SPDX-License-Identifier: MIT */
/* Time, without libpenstock. */
#ifndef PST_HOST_CLIENT_BLAS_CLOCK_H
#define PST_HOST_CLIENT_BLAS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t pst_blas_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

#endif
