/* SPDX-License-Identifier: MIT */
/* Resets a card that nothing uses, and sees whether it comes back. */
#ifndef PST_KERNEL_PARAMS_DEVICE_RESET_H
#define PST_KERNEL_PARAMS_DEVICE_RESET_H

#include "kernel-params/device/record.h"
#include "kernel-params/device/users.h"

/* Ways, in the order in which they are tried until the card is back. */
enum {
	PST_HOST_RESET_FUNCTION = 1U << 0, /* each function's own reset */
	PST_HOST_RESET_BUS = 1U << 1,      /* all below the bridge above it */
	PST_HOST_RESET_RESCAN = 1U << 2,   /* removed, and found again */
	PST_HOST_RESET_SUSPEND = 1U << 3,  /* the whole machine, for seconds */
};
#define PST_HOST_RESET_WAYS 4

/* "function", "bus", "rescan", "suspend", by number. A static string. */
const char *pst_host_reset_way_name(unsigned int number);

#define PST_HOST_RESET_TOUCHED  64
#define PST_HOST_RESET_BLOCKERS 8

struct pst_host_reset {
	const struct pst_host *host;            /* borrowed */
	unsigned int ways;                      /* that can be gone */
	char skipped[PST_HOST_RESET_WAYS][160]; /* why one that was wanted
						 * cannot, or "" */
	bool subordinate; /* the bridge resets its bus and restores it */
	/* Functions that these ways reset, the card's first. */
	const struct pst_host_pci_dev *touched[PST_HOST_RESET_TOUCHED];
	size_t n_touched;
	struct pst_host_blocker blocker[PST_HOST_RESET_BLOCKERS];
	size_t n_blockers;
	bool unseen; /* processes of others could not be looked at */
};

/*
 * Plans the reset of h->gpu, which is not NULL, by the wanted ways. Changes
 * nothing. 0 or, with a sentence, -EOPNOTSUPP (none of them can be gone) or
 * -ENOSPC (too many functions lie below the bridge).
 */
PST_MUST_USE int pst_host_reset_plan(const struct pst_host *h,
				     unsigned int ways,
				     struct pst_host_reset *ret,
				     struct pst_error *err);

/* What was done: one entry a way that was tried. */
struct pst_host_reset_result {
	struct {
		unsigned int way; /* number */
		bool back;        /* all functions answered as before */
		char text[512];   /* what failed, or is different; or "" */
	} tried[PST_HOST_RESET_WAYS];
	size_t n;
	bool back;
};

/*
 * Does it: one way after the other until the card is back, waiting at most
 * timeout_ns for it each time. Holds the VFIO groups meanwhile, and HUP, INT
 * and TERM back: what is removed is found again before it returns. 0, whether
 * the card is back or not, or, with a sentence and nothing done, -EBUSY
 * (something uses what would be reset), -EOPNOTSUPP (not the running machine),
 * -EACCES and others of open(2).
 */
PST_MUST_USE int pst_host_reset_run(const struct pst_host_reset *r,
				    uint64_t timeout_ns,
				    struct pst_host_reset_result *ret,
				    struct pst_error *err);

#endif
