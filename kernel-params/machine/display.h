/* SPDX-License-Identifier: MIT */
/* A host's displays: firmware framebuffers, DRM connectors. */
#ifndef PST_KERNEL_PARAMS_MACHINE_DISPLAY_H
#define PST_KERNEL_PARAMS_MACHINE_DISPLAY_H

#include "kernel-params/machine/pci.h"

/* A range of proc/iomem that a firmware framebuffer has reserved. */
struct pst_host_fb_range {
	char name[32];                  /* "BOOTFB", "efifb", ... */
	uint64_t start, end;            /* 0 where they are hidden */
	bool owned;                     /* it is below a line of a PCI device */
	struct pst_host_pci_addr owner; /* which line is not hidden */
};

#define PST_HOST_FB_RANGES 4

struct pst_host_display {
	struct pst_host_fb_range range[PST_HOST_FB_RANGES];
	size_t n_ranges;
	bool hidden;        /* proc/iomem shows no addresses (not root) */
	bool seen;          /* a place that shows framebuffers was read */
	char fb[96];        /* firmware framebuffers in proc/fb and sysfs */
	char platform[64];  /* platform device of sysfb, "efi-framebuffer.0" */
	char connected[96]; /* "card0-DP-1 of 0000:01:00.0", the first one */
	struct pst_host_pci_addr connected_addr;
};

void pst_host_display_scan(const struct pst_host_root *root,
			   struct pst_host_display *ret);

/* Parses the text of proc/iomem for framebuffers; fills range and hidden. */
void pst_host_display_parse_iomem(const char *text, struct pst_host_display *d);

/* The range that overlaps a BAR of dev, or NULL; *ret_bar is its number, or
 * PST_HOST_PCI_BARS where only the names tell that it lies in dev. */
const struct pst_host_fb_range *
pst_host_display_in_bar(const struct pst_host_display *d,
			const struct pst_host_pci_dev *dev,
			unsigned int *ret_bar);

#endif
