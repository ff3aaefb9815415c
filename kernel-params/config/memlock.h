/* SPDX-License-Identifier: MIT */
/* The limits of locked memory that a host's settings give to processes. */
#ifndef PST_KERNEL_PARAMS_CONFIG_MEMLOCK_H
#define PST_KERNEL_PARAMS_CONFIG_MEMLOCK_H

#include "kernel-params/root/root.h"

/* A limit, and the line that sets it: "FILE: LINE", "" for none. */
struct pst_host_memlock_limit {
	char line[160];
	uint64_t bytes; /* UINT64_MAX: none */
};

struct pst_host_memlock {
	/* Of logins by pam_limits, for those who get most. */
	struct pst_host_memlock_limit login;
	/* Of systemd's services: libvirt's, the user's manager, or all. */
	struct pst_host_memlock_limit service;
};

/*
 * Reads limits.conf(5) with limits.d, of which the last line for somebody
 * counts and a hard limit alone raises nothing; DefaultLimitMEMLOCK= of
 * system.conf and user.conf, LimitMEMLOCK= of libvirtd, virtqemud and user@,
 * each with its drop-ins.
 */
void pst_host_memlock_scan(const struct pst_host_root *root,
			   struct pst_host_memlock *ret);

#endif
