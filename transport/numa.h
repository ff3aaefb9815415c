/* SPDX-License-Identifier: MIT */
/* NUMA placement of memory and threads, through libnuma. */
#ifndef PST_TRANSPORT_NUMA_H
#define PST_TRANSPORT_NUMA_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/error.h"

/* Whether the kernel has NUMA policies at all, and how many nodes. */
bool pst_numa_available(void);
int pst_numa_nodes(void);

/*
 * Binds [addr, +size), not yet touched, to node: pages come from there or
 * not at all (MPOL_BIND). Returns 0, -EINVAL (no such node), -EOPNOTSUPP (no
 * NUMA), -errno.
 */
int pst_numa_bind_memory(void *addr, uint64_t size, int node,
			 struct pst_error *err);

/* Runs the calling thread on node's CPUs only. Returns likewise. */
int pst_numa_bind_thread(int node, struct pst_error *err);

/* The node that holds the page at addr (touched), or -errno. */
int pst_numa_node_of(const void *addr);

#endif
