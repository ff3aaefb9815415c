/* SPDX-License-Identifier: MIT */
/* Finds where hugetlbfs is mounted, from the mount table. */
#ifndef PST_KERNEL_PARAMS_MACHINE_MOUNTS_H
#define PST_KERNEL_PARAMS_MACHINE_MOUNTS_H

#include "kernel-params/root/root.h"

struct pst_host_hugetlbfs {
	char path[256];     /* as mounted, with its slash */
	uint64_t page_size; /* bytes, 0: unknown */
};

#define PST_HOST_MOUNTS_MAX 8

struct pst_host_mounts {
	bool seen; /* the table was there */
	struct pst_host_hugetlbfs mount[PST_HOST_MOUNTS_MAX];
	size_t n;
};

/*
 * Parses the text of proc/mounts, in which it writes. A later mount hides
 * those at its path and below. A path that does not fit is left out.
 * default_size: bytes of a page where the options name none (struct
 * pst_host_memory), 0: unknown.
 */
void pst_host_mounts_parse(char *text, uint64_t default_size,
			   struct pst_host_mounts *ret);

/* Reads proc/mounts. */
void pst_host_mounts_read(const struct pst_host_root *root,
			  uint64_t default_size, struct pst_host_mounts *ret);

/* Mounts one, whatever the default size of a page is. */
#define PST_HOST_MOUNT_2M                                                      \
	"mount -t hugetlbfs -o pagesize=2M none /dev/hugepages"

/* The first hugetlbfs with pages of 2 MiB, which a region needs, or NULL. */
const struct pst_host_hugetlbfs *
pst_host_mounts_2m(const struct pst_host_mounts *m);

#endif
