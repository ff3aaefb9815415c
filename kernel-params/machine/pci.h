/* SPDX-License-Identifier: MIT */
/* A host's PCI functions, as sysfs shows them. */
#ifndef PST_KERNEL_PARAMS_MACHINE_PCI_H
#define PST_KERNEL_PARAMS_MACHINE_PCI_H

#include "kernel-params/root/root.h"

#define PST_HOST_PCI_NVIDIA 0x10de

/* "0000:99:00.0"; domains have up to 32 bits (VMD's are above 0xffff). */
struct pst_host_pci_addr {
	uint32_t domain;
	uint8_t bus, dev, fn;
};

#define PST_HOST_PCI_ADDR_LEN 24

/*
 * Parses DOMAIN:BUS:DEV.FN or BUS:DEV.FN (domain 0), hexadecimal, the whole
 * string. 0 or -EINVAL.
 */
PST_MUST_USE int pst_host_pci_addr_parse(const char *text,
					 struct pst_host_pci_addr *ret);

/* Writes "0000:99:00.0" into buf and returns buf. */
const char *pst_host_pci_addr_format(const struct pst_host_pci_addr *a,
				     char buf[PST_HOST_PCI_ADDR_LEN]);

/* As strcmp(), in the order of domain, bus, device, function. */
int pst_host_pci_addr_cmp(const struct pst_host_pci_addr *a,
			  const struct pst_host_pci_addr *b);

/* One line of sysfs `resource`; flags are the kernel's IORESOURCE_*. */
struct pst_host_pci_bar {
	uint64_t start, end, flags; /* end is inclusive; all 0: not there */
};

#define PST_HOST_PCI_BARS 7 /* six BARs and the expansion ROM */

/* Attributes that are there but could not be read or understood. */
enum {
	PST_HOST_PCI_BAD_IDS = 1U << 0, /* vendor, device or class */
	PST_HOST_PCI_BAD_RESOURCE = 1U << 1,
	PST_HOST_PCI_BAD_NUMA = 1U << 2,
	PST_HOST_PCI_BAD_GROUP = 1U << 3,
	PST_HOST_PCI_BAD_DRIVER = 1U << 4,
	PST_HOST_PCI_BAD_RESET = 1U << 5,
};

struct pst_host_pci_dev {
	struct pst_host_pci_addr addr;
	char name[PST_HOST_PCI_ADDR_LEN]; /* addr as text */
	uint16_t vendor, device, sub_vendor, sub_device;
	uint8_t revision;
	uint32_t class;             /* 24 bits: 0x030000 is a VGA controller */
	char driver[64];            /* "" when none is bound; letters, digits
				     * and "-_.+", others are "?" */
	char driver_override[64];   /* "" when there is none */
	int iommu_group;            /* -1: none */
	int numa_node;              /* -1: none or unknown */
	bool boot_vga;              /* the firmware's display */
	bool is_vf;                 /* a virtual function (SR-IOV) */
	bool enabled;               /* memory decoding is on */
	bool has_reset;             /* attribute `reset` is there */
	bool knows_reset_method;    /* attribute `reset_method` is there */
	char reset_method[96];      /* "flr bus", in the kernel's order */
	unsigned int dma_mask_bits; /* that its driver set; 0: not shown */
	unsigned int bad;           /* PST_HOST_PCI_BAD_* */
	struct pst_host_pci_bar bar[PST_HOST_PCI_BARS];
	char path[256]; /* its directory below the root, no leading slash */
};

struct pst_host_pci {
	struct pst_host_pci_dev *dev; /* sorted by address */
	size_t n;
	size_t n_skipped; /* entries that were no function */
};

/*
 * Reads every function of sys/bus/pci/devices. A host without that directory
 * has none. 0 (to be ended with pst_host_pci_done()) or -errno with a sentence.
 */
PST_MUST_USE int pst_host_pci_scan(const struct pst_host_root *root,
				   struct pst_host_pci *ret,
				   struct pst_error *err);
void pst_host_pci_done(struct pst_host_pci *pci);

/* The function at an address, or NULL. */
const struct pst_host_pci_dev *
pst_host_pci_find(const struct pst_host_pci *pci,
		  const struct pst_host_pci_addr *a);

/* Parses the text of sysfs `resource`. 0, or -EPROTO with no BAR written. */
PST_MUST_USE int
pst_host_pci_resource_parse(const char *text,
			    struct pst_host_pci_bar ret[PST_HOST_PCI_BARS]);

/* Whether two functions are on one card (same domain, bus and device); a
 * virtual function is a card of its own. */
bool pst_host_pci_same_card(const struct pst_host_pci_dev *a,
			    const struct pst_host_pci_dev *b);

#define PST_HOST_PCI_MAX_FN 8

/* All functions of dev's card, in order; returns how many (at least 1). */
size_t
pst_host_pci_card(const struct pst_host_pci *pci,
		  const struct pst_host_pci_dev *dev,
		  const struct pst_host_pci_dev *ret[PST_HOST_PCI_MAX_FN]);

/*
 * The bridge right above a function: the root port or a switch's port. NULL:
 * there is none, or the tree does not show it.
 */
const struct pst_host_pci_dev *
pst_host_pci_port(const struct pst_host_pci *pci,
		  const struct pst_host_pci_dev *dev);

/* Whether a function lies below a bridge, at any depth. */
bool pst_host_pci_is_below(const struct pst_host_pci_dev *dev,
			   const struct pst_host_pci_dev *bridge);

bool pst_host_pci_is_bridge(
	const struct pst_host_pci_dev *dev); /* class 06xx */
bool pst_host_pci_is_display(
	const struct pst_host_pci_dev *dev); /* class 03xx */

/* Whether vfio-pci has it, or a variant (mlx5_vfio_pci, ...). */
bool pst_host_pci_on_vfio(const struct pst_host_pci_dev *dev);
/* Whether it is out of the host's hands: with vfio-pci or pci-stub. */
bool pst_host_pci_is_given(const struct pst_host_pci_dev *dev);
/* Whether a driver of the host has it: its IOMMU group is of no use then. */
bool pst_host_pci_is_held(const struct pst_host_pci_dev *dev);

/*
 * "VGA", "3D", "display", "audio", "USB", "UCSI" (how NVIDIA's Type-C
 * controller is named), "NVMe", "bridge", ... A static string.
 */
const char *pst_host_pci_kind(const struct pst_host_pci_dev *dev);

/*
 * Another card that has a function with the same vendor and device as dev:
 * vfio-pci ids would take both. The first of them after `after` (NULL: from the
 * beginning), or NULL.
 */
const struct pst_host_pci_dev *
pst_host_pci_twin(const struct pst_host_pci *pci,
		  const struct pst_host_pci_dev *dev,
		  const struct pst_host_pci_dev *after);

/*
 * The GPU that is meant. text: an address, or "auto" or NULL: the one display
 * card that is on vfio-pci or set to be (driver_override), else the one NVIDIA
 * card that is not the firmware's display, else the one NVIDIA card, else the
 * one other card, displays of a mainboard's management or of the CPU, and
 * virtual functions, left out.
 * An address may be of any device but a bridge: a stand-in in a test, an NVMe.
 * *ret points into pci. 0, or with a sentence: -EINVAL (no address), -ENODEV
 * (no such device, no card, or a bridge), -EBUSY (more than one: the sentence
 * lists them).
 */
PST_MUST_USE int pst_host_pci_select_gpu(const struct pst_host_pci *pci,
					 const char *text,
					 const struct pst_host_pci_dev **ret,
					 struct pst_error *err);

#endif
