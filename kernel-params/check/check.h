/* SPDX-License-Identifier: MIT */
/* The checks of a host, in the order they are printed. */
#ifndef PST_KERNEL_PARAMS_CHECK_CHECK_H
#define PST_KERNEL_PARAMS_CHECK_CHECK_H

#include "kernel-params/check/finding.h"
#include "kernel-params/scan/host.h"

/*
 * One check: adds one finding, or none where it does not apply. A pure function
 * of the host: it reads no file and makes no system call.
 */
struct pst_host_check {
	const char *id;
	const char *why; /* why it matters, one sentence without a full stop */
	bool needs_gpu;  /* left out when no card is chosen */
	void (*run)(const struct pst_host *h, struct pst_host_findings *out);
};

/* A check without an id ends the table. */
extern const struct pst_host_check pst_host_checks[];

/* Runs all of them. out is to be ended with pst_host_findings_done(). */
void pst_host_checks_run(const struct pst_host *h,
			 struct pst_host_findings *out);

#endif
