/* SPDX-License-Identifier: MIT */
/* Copies memory in several ways. The fastest is the bound for any transport. */
#ifndef PST_BENCH_COPY_H
#define PST_BENCH_COPY_H

#include <stdbool.h>
#include <stddef.h>

enum pst_bench_copy_how {
	PST_BENCH_COPY_MEMCPY,       /* the C library's */
	PST_BENCH_COPY_REP_MOVSB,    /* the CPU's string instruction */
	PST_BENCH_COPY_NON_TEMPORAL, /* stores that pass the caches by */
	PST_BENCH_COPY_N
};

/* "memcpy", "rep movsb", "non-temporal". */
const char *pst_bench_copy_name(enum pst_bench_copy_how how);

/* Whether this CPU has it; the C library's is always there. */
bool pst_bench_copy_has(enum pst_bench_copy_how how);

/* Copies n bytes that do not overlap; what was stored is ordered before any
 * later store. */
void pst_bench_copy_by(enum pst_bench_copy_how how, void *dst, const void *src,
		       size_t n);

#endif
