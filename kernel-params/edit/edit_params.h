/* SPDX-License-Identifier: MIT */
/* Merges wanted kernel parameters into a command line.
 */
#ifndef PST_KERNEL_PARAMS_EDIT_EDIT_PARAMS_H
#define PST_KERNEL_PARAMS_EDIT_EDIT_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

#define PST_HOST_PARAMS_MAX 32
/* Words of one command line at most; the kernel's own limit is far below. */
#define PST_HOST_PARAMS_MAX_WORDS 1024

/*
 * What a command line shall hold. A word is KEY=VALUE; what that means depends
 * on the key: intel_iommu, amd_iommu and iommu are lists, in which VALUE shall
 * be and what contradicts it shall not (no VALUE: only that); rd.driver.pre
 * may come several times; vfio-pci.ids is a list to which VALUE is added; any
 * other parameter gets VALUE instead of the one it has.
 */
struct pst_host_params {
	char *word[PST_HOST_PARAMS_MAX];
	size_t n;
	/* Hugepages of 2 MiB; 0: the plan wants none on the command line. */
	uint64_t pool_pages;
	int pool_node;        /* the node that has to have them, -1: any */
	unsigned int n_nodes; /* NUMA nodes that have memory */
	bool plain_pool;      /* the kernel takes no hugepages=NODE:PAGES */
};

/* Adds a word. 0, -ENOMEM, or -EOVERFLOW for more than PST_HOST_PARAMS_MAX. */
PST_MUST_USE int pst_host_params_add(struct pst_host_params *p, const char *fmt,
				     ...) __attribute__((format(printf, 2, 3)));
void pst_host_params_done(struct pst_host_params *p);

/*
 * A piece of a command line that somebody keeps apart: a variable, an options
 * line. The kernel sees the pieces in their order, joined by spaces.
 */
struct pst_host_params_part {
	char *text; /* from malloc(); the owner frees it */
	bool changed;
};

/*
 * Brings want into the pieces: words that are there already are left alone,
 * one with another value is corrected where it stands, missing ones come at the
 * end of piece add_to, but before a "--". Nothing else changes, not even white
 * space. Returns 0, or -errno with no piece changed and a sentence: -EINVAL (a
 * "--" ends the kernel's part before add_to, or a quote is not closed),
 * -EMSGSIZE (too many words), -ENOMEM.
 */
PST_MUST_USE int pst_host_params_merge(struct pst_host_params_part *part,
				       size_t n_parts, size_t add_to,
				       const struct pst_host_params *want,
				       struct pst_error *err);

/* Whether a command line holds want->word[i] already, or with i == want->n the
 * pool. 1, 0 or -errno. */
PST_MUST_USE int pst_host_params_holds(const char *cmdline,
				       const struct pst_host_params *want,
				       size_t i);

/* Whether the command line is to have the pool, which it cannot give to a node
 * of an older kernel. */
static inline bool pst_host_params_have_pool(const struct pst_host_params *want)
{
	return want->pool_pages && !(want->plain_pool && want->pool_node >= 0);
}

#endif
