/* SPDX-License-Identifier: MIT */
/* Describes the machine that a result was measured on. */
#ifndef PST_BENCH_MACHINE_H
#define PST_BENCH_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/cpus.h"

#define PST_BENCH_MACHINE_POOLS 4U

/* Hugepages of one size. */
struct pst_bench_machine_pool {
	uint64_t page; /* bytes */
	uint64_t total;
	uint64_t free;
};

/* Strings are NUL-terminated, "unknown" where the machine does not tell. */
struct pst_bench_machine {
	char date[32];     /* UTC, ISO 8601 */
	char cpu[96];      /* model name */
	char kernel[128];  /* release and architecture */
	char governor[32]; /* of the client's CPU */
	char thp[32];      /* transparent_hugepage/enabled, chosen value */
	bool virtual;      /* this host is a virtual machine itself */
	int n_online;      /* CPUs */
	int n_allowed;     /* CPUs this process may use */
	int n_nodes;       /* NUMA nodes */
	uint64_t memory;   /* bytes */
	uint64_t page;     /* base page size */
	double load;       /* of one minute, when the run began */
	char clock[32];    /* the kernel's source of time */
	double clock_ns;   /* reading the clock of all benchmarks */
	unsigned int n_pools;
	struct pst_bench_machine_pool pools[PST_BENCH_MACHINE_POOLS];
};

/* Reads it below root ("" for /; tests have their own). */
void pst_bench_machine_read(struct pst_bench_machine *m, const char *root,
			    const struct pst_bench_cpus *cpus);

/* The git revision this was built from, with "-dirty" when the tree had
 * changes; "unknown" outside git and without a release's note of it. */
const char *pst_bench_revision(void);

#endif
