/* SPDX-License-Identifier: MIT */
/* Starts an agent on a Unix socket, with options that spawn: lacks. */
#ifndef PST_BENCH_AGENTPROC_H
#define PST_BENCH_AGENTPROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pst_bench_agentproc {
	pid_t pid; /* 0: none */
	char dir[64];
	char socket[96];
	char endpoint[128];
};

struct pst_bench_agentproc_options {
	int cpu;          /* pinned to; -1: anywhere */
	uint64_t arena;   /* bytes */
	unsigned threads; /* of its BLAS */
	const char *spin; /* of --spin, NULL: its default */
	bool scrub;
};

/*
 * Starts $PENSTOCK_AGENT, or program when that is unset, and waits until it
 * serves. It dies with the calling thread. Returns 0; -ENOENT (no program),
 * -ETIMEDOUT (it does not come up), -errno.
 */
int pst_bench_agentproc_start(struct pst_bench_agentproc *a,
			      const char *program,
			      const struct pst_bench_agentproc_options *o);

/* Ends it and removes its socket. Does nothing for one that is all zero. */
void pst_bench_agentproc_stop(struct pst_bench_agentproc *a);

/* For a signal handler: removes the socket of the agent that was started last,
 * which is still there when this process is ended. */
void pst_bench_agentproc_sweep(void);

/* Nanoseconds that all threads of a process have run, by schedstat; 0 when
 * there is no such process. */
uint64_t pst_bench_cpu_time_ns(pid_t pid);

#endif
