/* SPDX-License-Identifier: MIT */
/* One file with what check and plan read of a host, to be sent to somebody. */
#ifndef PST_KERNEL_PARAMS_REPORT_REPORT_H
#define PST_KERNEL_PARAMS_REPORT_REPORT_H

#include <stdio.h>

#include "kernel-params/report/mask.h"
#include "kernel-params/root/root.h"

struct pst_host_report {
	size_t n_files; /* with their contents */
	size_t n_cards; /* for each of which the checks were run */
	/* Names that the machine or a user has and that are in the report,
	 * since settings use them too. */
	struct pst_host_names kept;
};

/*
 * Runs the checks and a plan for each card of root, which looks at what it
 * looks at, and writes that to f as a tar, masked (mask.h). Unpacked, it is a
 * root for check. What only the running machine tells, and modes and sizes of
 * region files, lie in PST_HOST_REPORT_DIR. 0 (to be ended with
 * pst_host_report_done()) or -errno with a sentence: -EIO (the stream failed),
 * -ENOMEM, and those of pst_host_scan().
 */
PST_MUST_USE int pst_host_report_write(struct pst_host_root *root, FILE *f,
				       struct pst_host_report *ret,
				       struct pst_error *err);
void pst_host_report_done(struct pst_host_report *r);

#endif
