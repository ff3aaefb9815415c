/* SPDX-License-Identifier: MIT */
/* NUMA placement of memory and threads, through libnuma. */
#ifndef PST_TRANSPORT_REGION_NUMA_H
#define PST_TRANSPORT_REGION_NUMA_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "transport/base/error.h"

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

/* A thread's policy for new memory, kept while another is in force. */
struct pst_numa_policy {
	int mode;
	struct bitmask *mask; /* NULL: nothing to restore */
};

/*
 * Lets what the kernel allocates for the calling thread come from node or not
 * at all, until pst_numa_policy_restore(). fallocate(2) on hugetlbfs goes by
 * this and not by a mapping's policy. Returns as pst_numa_bind_memory().
 */
int pst_numa_policy_bind(int node, struct pst_numa_policy *ret_before,
			 struct pst_error *err);
void pst_numa_policy_restore(struct pst_numa_policy *before);

/*
 * Runs a thread of this process (0: the calling one) on those of its CPUs
 * only that are node's. Returns 0, -EINVAL (no such node, or none of its CPUs
 * is allowed here), -EOPNOTSUPP, -errno.
 */
int pst_numa_bind_thread(pid_t tid, int node, struct pst_error *err);

/* Does that with all threads of the process that there are; those they start
 * later inherit it. Returns the same. */
int pst_numa_bind_threads(int node, struct pst_error *err);

#endif
