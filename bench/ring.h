/* SPDX-License-Identifier: MIT */
/* A bare ring between two processes: what entries of Penstock's sizes cost
 * where nothing is checked, locked or waited for. */
#ifndef PST_BENCH_RING_H
#define PST_BENCH_RING_H

#include <stdint.h>

/* Entries outstanding at most. */
#define PST_BENCH_RING_SLOTS 256U

/* The other end: a process forked off, pinned to a CPU. */
struct pst_bench_ring;

/*
 * Starts the other end on peer_cpu (-1: anywhere). The caller is to be pinned
 * by itself. The child touches nothing but the ring's memory, sleeps between
 * runs, and dies with its parent. Returns 0, -errno.
 */
int pst_bench_ring_open(int peer_cpu, struct pst_bench_ring **ret);

/*
 * Entries for duration_ns, depth of them outstanding. One is written as two
 * lines and copied by the other end, which answers with one line that is copied
 * too. Returns 0 and the nanoseconds an entry, or -EIO: the other end is gone.
 */
int pst_bench_ring_run(struct pst_bench_ring *r, unsigned int depth,
		       uint64_t duration_ns, double *ret_ns);

/* Ends the child and waits for it. NULL does nothing. */
void pst_bench_ring_close(struct pst_bench_ring *r);

#endif
