/* SPDX-License-Identifier: MIT */
/* Which driver a function has after the next boot, by a host's settings. */
#ifndef PST_KERNEL_PARAMS_SCAN_NEXT_BOOT_H
#define PST_KERNEL_PARAMS_SCAN_NEXT_BOOT_H

#include "kernel-params/scan/host.h"

/* Whether vfio-pci knows a function once it is loaded. */
struct pst_host_known {
	enum pst_host_vfio_how how; /* what would tell it; NO: nothing */
	const char *lost; /* why that does not reach it; NULL: it does */
};

void pst_host_next_boot_known(const struct pst_host *h,
			      const struct pst_host_pci_dev *fn,
			      struct pst_host_known *ret);

/* What makes vfio-pci come before the other drivers of a function. */
enum pst_host_first_by {
	PST_HOST_FIRST_NOT,           /* nothing: rival may come first */
	PST_HOST_FIRST_LATE,          /* the initramfs loads rival before it */
	PST_HOST_FIRST_BUILTIN_RIVAL, /* rival is built in: no setting of
				       * modules is before it */
	PST_HOST_FIRST_NEVER,   /* modprobe.d keeps vfio-pci from loading */
	PST_HOST_FIRST_BUILTIN, /* vfio-pci is built in */
	PST_HOST_FIRST_PRE,     /* rd.driver.pre=vfio-pci */
	PST_HOST_FIRST_LIST,    /* the initramfs loads it by name */
	PST_HOST_FIRST_WAIT,    /* the others wait for it, or never load */
};

struct pst_host_first {
	enum pst_host_first_by by;
	const char *rival;                  /* of the first three; else NULL */
	const char *why;                    /* a clause behind it, or "" */
	const struct pst_host_early *image; /* of the host's, for which it is
					     * so */
};

void pst_host_next_boot_first(const struct pst_host *h,
			      const struct pst_host_pci_dev *fn,
			      struct pst_host_first *ret);

/* The function of h->gpu's card for which the answer is worst, and it. */
const struct pst_host_pci_dev *
pst_host_next_boot_worst(const struct pst_host *h, struct pst_host_first *ret);

/* Whether every function of h->gpu's card is vfio-pci's after it. */
bool pst_host_next_boot_gives(const struct pst_host *h);

/* Whether a module is never loaded here, or only after vfio-pci: by a softdep
 * of its own or of a module that it needs. */
bool pst_host_module_waits(const struct pst_host *h, const char *module);

#endif
