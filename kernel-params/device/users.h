/* SPDX-License-Identifier: MIT */
/* Finds who uses a function, and keeps others from it. */
#ifndef PST_KERNEL_PARAMS_DEVICE_USERS_H
#define PST_KERNEL_PARAMS_DEVICE_USERS_H

#include "kernel-params/scan/host.h"

/* Of one function: what speaks against resetting it. */
struct pst_host_blocker {
	const struct pst_host_pci_dev *dev;
	char why[256]; /* "nvme of the host drives it: / on nvme0n1p2" */
};

/*
 * Whether something uses dev: a driver other than vfio-pci, a mounted file
 * system, swap, a default route, a display, virtual functions, or a process
 * that has it open through VFIO. *ret_unseen: processes of others could not be
 * looked at.
 */
bool pst_host_find_blocker(const struct pst_host *h,
			   const struct pst_host_pci_dev *dev,
			   struct pst_host_blocker *ret, bool *ret_unseen);

#define PST_HOST_HOLDS 32

/* IOMMU groups that are held. */
struct pst_host_holds {
	int group[PST_HOST_HOLDS], fd[PST_HOST_HOLDS];
	size_t n;
};

/*
 * Opens the VFIO group of a function on vfio-pci, which only one process can:
 * until pst_host_holds_done() no virtual machine gets it. One that is held
 * already is no error. 0 or -errno with a sentence: -EBUSY (a virtual machine
 * has it), -ENOSPC, -EACCES.
 */
PST_MUST_USE int pst_host_hold(const struct pst_host_root *root,
			       const struct pst_host_pci_dev *dev,
			       struct pst_host_holds *holds,
			       struct pst_error *err);
void pst_host_holds_done(struct pst_host_holds *holds);

#endif
