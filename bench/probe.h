/* SPDX-License-Identifier: MIT */
/* Measures the machine's own round trip between two processes. */
#ifndef PST_BENCH_PROBE_H
#define PST_BENCH_PROBE_H

#include <stdint.h>

#include "bench/hist.h"

enum pst_bench_probe_kind {
	PST_BENCH_PROBE_LINES, /* two cache lines, both sides spin */
	PST_BENCH_PROBE_FUTEX, /* both sides sleep on a futex */
	PST_BENCH_PROBE_UNIX,  /* 64 bytes each way over a Unix socket */
	PST_BENCH_PROBE_N
};

/* "two cache lines", "futex", "Unix socket". */
const char *pst_bench_probe_name(enum pst_bench_probe_kind kind);

/* The other end: a process forked off, pinned to a CPU. */
struct pst_bench_probe;

/*
 * Starts the other end on peer_cpu (-1: anywhere). The caller is to be pinned
 * by itself. The child touches nothing but the probe's own memory and socket,
 * and dies with its parent. Returns 0, -errno.
 */
int pst_bench_probe_open(enum pst_bench_probe_kind kind, int peer_cpu,
			 struct pst_bench_probe **ret);

/*
 * Round trips for duration_ns, at least min_n of them, each timed on its own
 * and added to h. Returns 0, or -EIO: the other end is gone.
 */
int pst_bench_probe_run(struct pst_bench_probe *p, uint64_t duration_ns,
			uint64_t min_n, struct pst_bench_hist *h);

/* Ends the child and waits for it. NULL does nothing. */
void pst_bench_probe_close(struct pst_bench_probe *p);

#endif
