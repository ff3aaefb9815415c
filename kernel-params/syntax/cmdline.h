/* SPDX-License-Identifier: MIT */
/* The kernel's command line, split by the kernel's own rules. */
#ifndef PST_KERNEL_PARAMS_SYNTAX_CMDLINE_H
#define PST_KERNEL_PARAMS_SYNTAX_CMDLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel-params/root/root.h"

/* COMMAND_LINE_SIZE is 2048 on x86; others have more. */
#define PST_HOST_CMDLINE_MAX 16384

/* Sizes of hugepages. */
#define PST_HOST_HUGE_2M (2ULL << 20)
#define PST_HOST_HUGE_1G (1ULL << 30)

struct pst_host_param {
	char *name;
	char *value; /* NULL when there was no '=' */
};

struct pst_host_cmdline {
	struct pst_host_param *param; /* in order */
	size_t n;
	char *text; /* what names and values point into */
};

/*
 * Splits len bytes: white space separates, quotes keep it, a quote around a
 * value or a whole parameter is taken off, "--" ends what is the kernel's
 * (parse_args(), next_arg() of Linux's kernel/params.c and lib/cmdline.c).
 * 0 (to be ended with pst_host_cmdline_done()), -EMSGSIZE, -EPROTO (a NUL
 * byte), -ENOMEM.
 */
PST_MUST_USE int pst_host_cmdline_parse(const char *text, size_t len,
					struct pst_host_cmdline *ret);
void pst_host_cmdline_done(struct pst_host_cmdline *c);

/* Whether two names mean the same: '-' and '_' are equal to the kernel. */
bool pst_host_param_name_eq(const char *a, const char *b);

/* The last parameter of that name (the one that counts), or NULL. */
const struct pst_host_param *
pst_host_cmdline_get(const struct pst_host_cmdline *c, const char *name);

/* As above for the parameter of a module: "vfio-pci", "ids". */
const struct pst_host_param *
pst_host_cmdline_module(const struct pst_host_cmdline *c, const char *module,
			const char *param);

/*
 * Whether word is in a comma-separated value of any parameter of that name:
 * ("intel_iommu", "on"), ("modprobe.blacklist", "nouveau").
 */
bool pst_host_cmdline_has(const struct pst_host_cmdline *c, const char *name,
			  const char *word);

/*
 * Follows hugepagesz= and hugepages= through a command line. A count belongs to
 * the size before it, or to the default size; the first count of a size is the
 * one that the kernel takes (hugepages_setup(), hugepagesz_setup() and
 * hugetlb_init() of Linux's mm/hugetlb.c).
 */
struct pst_host_pool_reader {
	uint64_t size; /* that a count would belong to; 0: no valid one */
	bool counted;
};

/* default_size: the value of default_hugepagesz=, NULL: there is none. */
void pst_host_pool_begin(struct pst_host_pool_reader *r,
			 const char *default_size);

/* Takes the next parameter. Returns whether its value is the count of pages of
 * 2 MiB. */
bool pst_host_pool_next(struct pst_host_pool_reader *r, const char *name,
			const char *value);

/* Pages of a NUMA node; -1: of all together. */
struct pst_host_pool_count {
	int node;
	uint64_t pages;
};

/* Counts of one value at most. */
#define PST_HOST_POOL_COUNTS 64

/*
 * Reads such a value: "2048", or "0:1024,1:512" (since Linux 5.16), as
 * hugepages_setup() of Linux's mm/hugetlb.c does. A kernel without by_node
 * (pst_host_knows_pool_nodes()) takes the node for the count. What follows a
 * count and is no comma is not looked at. Returns how many there are, or
 * -EINVAL: the kernel drops the whole value, or it has more than fit.
 */
PST_MUST_USE int
pst_host_pool_counts(const char *value, bool by_node,
		     struct pst_host_pool_count ret[PST_HOST_POOL_COUNTS]);

/* The words that give pages of 2 MiB to a node (-1: to any), "hugepagesz=2M
 * hugepages=1:2048". */
#define PST_HOST_POOL_TEXT_LEN 64
void pst_host_pool_text(int node, uint64_t pages,
			char buf[PST_HOST_POOL_TEXT_LEN]);

/* Whether word is in the comma-separated list; '-' and '_' are equal. */
bool pst_host_list_has(const char *list, const char *word);

#endif
