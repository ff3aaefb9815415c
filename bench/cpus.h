/* SPDX-License-Identifier: MIT */
/* Chooses the two CPUs of a benchmark, and pins to them. */
#ifndef PST_BENCH_CPUS_H
#define PST_BENCH_CPUS_H

#include <sched.h>
#include <stdbool.h>

struct pst_bench_cpus {
	int client; /* where the benchmark runs; -1: not pinned */
	int peer;   /* where its other end runs; client when there is one CPU */
	int n_allowed;
	cpu_set_t allowed; /* of the thread that chose */
};

/*
 * Chooses two CPUs out of those the calling thread may use: not two threads
 * of one core where that can be avoided, and near each other (the next core
 * of the same node). Returns 0 or -errno.
 */
int pst_bench_cpus_choose(struct pst_bench_cpus *ret);

/* Pins the calling thread, and processes and threads it starts from then on,
 * to one CPU; -1: does nothing. Returns 0 or -errno. */
int pst_bench_cpus_pin(int cpu);

/* Back to all that were allowed. */
int pst_bench_cpus_unpin(const struct pst_bench_cpus *c);

#endif
