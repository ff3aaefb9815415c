/* SPDX-License-Identifier: MIT */
/* Measures a peer once, by the script bench/peers/run. */
#ifndef PST_BENCH_GATES_PEERPROC_H
#define PST_BENCH_GATES_PEERPROC_H

#include <stdint.h>

#include "bench/gates/gate.h"

/*
 * Runs "$PENSTOCK_PEERS PEER TEST SIZE CPU CPU": bench/peers/run. The last
 * line that it prints begins with the figure: microseconds of a round trip
 * (latency, SIZE bytes) or call (gemm, SIZE x SIZE), GB/s (bandwidth), or
 * nanoseconds a message (rate, SIZE outstanding).
 * Returns 0, or -ENODEV (not installed), -EIO, and a sentence.
 */
int pst_bench_peer_run(struct pst_bench_gate *g, const char *peer,
		       const char *test, uint64_t size, double *ret);

/* For a signal handler: ends the script that runs, which ends what it runs. */
void pst_bench_peer_sweep(void);

#endif
