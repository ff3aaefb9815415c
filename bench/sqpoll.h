/* SPDX-License-Identifier: MIT */
/* NOPs of io_uring, which a thread of the kernel takes from a ring (SQPOLL):
 * the nearest thing to a lane that the kernel has. */
#ifndef PST_BENCH_SQPOLL_H
#define PST_BENCH_SQPOLL_H

#include <stdint.h>

/* Operations outstanding at most. */
#define PST_BENCH_SQPOLL_DEPTH 256U

struct pst_bench_sqpoll;

/* Starts the kernel's thread on cpu (-1: anywhere). Returns 0, -ENOMEM, -EPERM
 * and such where the kernel denies it. */
int pst_bench_sqpoll_open(int cpu, struct pst_bench_sqpoll **ret);

/* NOPs for duration_ns, depth of them outstanding. Returns 0 and the
 * nanoseconds of one, -errno. */
int pst_bench_sqpoll_run(struct pst_bench_sqpoll *s, unsigned int depth,
			 uint64_t duration_ns, double *ret_ns);

/* NULL does nothing. */
void pst_bench_sqpoll_close(struct pst_bench_sqpoll *s);

#endif
