/* SPDX-License-Identifier: MIT */
/* Takes out of a file what no check reads and people write names into. */
#ifndef PST_KERNEL_PARAMS_REPORT_REDUCE_H
#define PST_KERNEL_PARAMS_REPORT_REDUCE_H

#include <stddef.h>

/*
 * In place, and never longer: of libvirt's domains their memory and host
 * devices stay, of Proxmox's guests the same, and of comments that fill a line
 * in etc/ the '#' (but for lines with "penstock", which are ours). Lines keep
 * their numbers. path is below the root.
 */
void pst_host_report_reduce(const char *path, char *text, size_t *len);

#endif
