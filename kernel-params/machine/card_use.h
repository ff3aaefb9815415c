/* SPDX-License-Identifier: MIT */
/* Finds out what a host itself uses a card for. */
#ifndef PST_KERNEL_PARAMS_MACHINE_CARD_USE_H
#define PST_KERNEL_PARAMS_MACHINE_CARD_USE_H

#include "kernel-params/machine/display.h"

enum pst_host_card_use_kind {
	PST_HOST_CARD_FREE,    /* nothing speaks against it */
	PST_HOST_CARD_DISPLAY, /* the host's screens hang on it */
	PST_HOST_CARD_DISK, /* a mounted file system or swap lies behind it */
	PST_HOST_CARD_NETWORK, /* a default route leads through it */
	PST_HOST_CARD_NO_GPU,  /* neither a display nor an accelerator */
};

struct pst_host_card_use {
	enum pst_host_card_use_kind kind;
	const struct pst_host_pci_dev *fn; /* the function that is used */
	char why[160]; /* "/boot on nvme0n1p1"; "" when free */
};

/*
 * Reads it for all functions of dev's card, whichever of them dev is, since all
 * of them go. What vfio-pci or pci-stub has already, the host does not use.
 * Disks and routes are followed down through partitions, device mapper, md,
 * bonds, bridges and VLANs. What lies in a ZFS pool cannot be seen: a card with
 * any disk counts as used where one is mounted.
 */
void pst_host_card_use_find(const struct pst_host_root *root,
			    const struct pst_host_pci *pci,
			    const struct pst_host_display *display,
			    const struct pst_host_pci_dev *dev,
			    struct pst_host_card_use *ret);

#endif
