/* SPDX-License-Identifier: MIT */
/* Reads which system a root is of. */
#ifndef PST_KERNEL_PARAMS_BOOT_OS_H
#define PST_KERNEL_PARAMS_BOOT_OS_H

#include "kernel-params/root/root.h"

#define PST_HOST_OS_ID_MAX 32

/* Which system a root is of: ID= of its os-release without quotes, "" not
 * seen. */
void pst_host_os_read(const struct pst_host_root *root,
		      char ret[PST_HOST_OS_ID_MAX]);

#endif
