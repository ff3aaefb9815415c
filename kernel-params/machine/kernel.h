/* SPDX-License-Identifier: MIT */
/* A kernel's release as numbers, and the vsock fixes it is too old for. */
#ifndef PST_KERNEL_PARAMS_MACHINE_KERNEL_H
#define PST_KERNEL_PARAMS_MACHINE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "transport/base/util.h"

struct pst_host_kernel_version {
	unsigned int major, minor, patch;
};

/* Parses the beginning of "6.12.7-arch1-1". 0 or -EINVAL. */
PST_MUST_USE int
pst_host_kernel_version_parse(const char *release,
			      struct pst_host_kernel_version *ret);

/* As strcmp(). */
int pst_host_kernel_version_cmp(const struct pst_host_kernel_version *a,
				const struct pst_host_kernel_version *b);

/* One of the fixes, in the order of the versions that have it. */
struct pst_host_vsock_fix {
	const char *cve;
	const char *what;
};

/*
 * The i-th fix (from 0) that upstream's version v lacks, or NULL when there are
 * no more. A distribution's kernel may have it nevertheless.
 */
const struct pst_host_vsock_fix *
pst_host_vsock_fix_missing(const struct pst_host_kernel_version *v, size_t i);

#endif
