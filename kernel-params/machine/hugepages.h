/* SPDX-License-Identifier: MIT */
/* Memory of a host: hugepage pools by size and NUMA node, and totals. */
#ifndef PST_KERNEL_PARAMS_MACHINE_HUGEPAGES_H
#define PST_KERNEL_PARAMS_MACHINE_HUGEPAGES_H

#include "kernel-params/root/root.h"
#include "kernel-params/syntax/cmdline.h"

struct pst_host_hugepool {
	uint64_t page_size; /* bytes */
	int node;           /* -1: the whole machine */
	uint64_t nr, free, surplus;
	uint64_t resv; /* of the whole machine only */
};

struct pst_host_node_memory {
	int node;
	uint64_t total; /* bytes */
};

struct pst_host_memory {
	uint64_t total;            /* bytes; 0: unknown */
	uint64_t default_hugepage; /* bytes; 0: unknown */
	struct pst_host_hugepool *pool;
	size_t n_pools;
	struct pst_host_node_memory *node; /* those that tell */
	size_t n_nodes;
};

/*
 * Reads proc/meminfo, sys/kernel/mm/hugepages and the nodes' meminfo and
 * hugepages; what cannot be read is left out. 0 (to be ended with
 * pst_host_memory_done()) or -ENOMEM with a sentence.
 */
PST_MUST_USE int pst_host_memory_scan(const struct pst_host_root *root,
				      struct pst_host_memory *ret,
				      struct pst_error *err);
void pst_host_memory_done(struct pst_host_memory *m);

/* The pool of that page size on that node (-1: the whole machine), or NULL. */
const struct pst_host_hugepool *
pst_host_memory_pool(const struct pst_host_memory *m, uint64_t page_size,
		     int node);

/* Bytes of a node's memory; 0: unknown. */
uint64_t pst_host_memory_of_node(const struct pst_host_memory *m, int node);

/* Bytes of a pool that are neither used nor reserved; 0 for NULL. */
uint64_t pst_host_hugepool_unused(const struct pst_host_hugepool *p);

/* All bytes of a pool; 0 for NULL. */
uint64_t pst_host_hugepool_size(const struct pst_host_hugepool *p);

#endif
