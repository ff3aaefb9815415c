/* SPDX-License-Identifier: MIT */
/* A host's settings that bind functions to vfio-pci: ids, overrides. */
#ifndef PST_KERNEL_PARAMS_CONFIG_VFIO_IDS_H
#define PST_KERNEL_PARAMS_CONFIG_VFIO_IDS_H

#include "kernel-params/boot/initramfs.h"
#include "kernel-params/config/modprobe_conf.h"
#include "kernel-params/machine/pci.h"

/*
 * Whether a list of vfio-pci's ids parameter covers dev: comma-separated
 * VENDOR:DEVICE[:SUBVENDOR:SUBDEVICE[:CLASS:MASK]], hexadecimal (vfio_pci.c),
 * of which ffffffff stands for any.
 */
bool pst_host_vfio_ids_cover(const char *ids,
			     const struct pst_host_pci_dev *dev);

enum pst_host_vfio_how {
	PST_HOST_VFIO_NO,
	PST_HOST_VFIO_IDS_CMDLINE,   /* vfio-pci.ids= on the command line */
	PST_HOST_VFIO_IDS_INITRAMFS, /* behind its name in initramfs-tools */
	PST_HOST_VFIO_IDS_MODPROBE,  /* options vfio-pci ids= */
	PST_HOST_VFIO_OVERRIDE,      /* a rule or file that names its address */
};

/* A file of udev's rules. */
struct pst_host_vfio_rules {
	char *text;
	bool late; /* the initramfs lacks it */
};

struct pst_host_vfio_conf {
	char *cmdline_ids;  /* NULL: none */
	char *modprobe_ids; /* NULL: none; without effect beside the former */
	char *early_ids;    /* NULL: none */
	char *rules;        /* driverctl files, Nix, install lines */
	struct pst_host_vfio_rules *udev; /* in the order of their files */
	size_t n_udev;
	char *faults; /* lines without effect (pst_host_vfio_faults()), or NULL
		       */
};

/*
 * Gathers them from command line, modprobe.d, udev's rules, etc/driverctl.d,
 * etc/nixos. 0 (to be ended with pst_host_vfio_conf_done()) or
 * -ENOMEM.
 */
PST_MUST_USE int pst_host_vfio_conf_scan(const struct pst_host_root *root,
					 const struct pst_host_cmdline *cmdline,
					 const struct pst_host_modconf *modconf,
					 const struct pst_host_early *early,
					 struct pst_host_vfio_conf *ret);
void pst_host_vfio_conf_done(struct pst_host_vfio_conf *c);

/* What of it would give dev to vfio-pci at the next boot. */
enum pst_host_vfio_how
pst_host_vfio_conf_how(const struct pst_host_vfio_conf *c,
		       const struct pst_host_pci_dev *dev);

/* Whether only a udev rule that the initramfs lacks would. */
bool pst_host_vfio_conf_is_late(const struct pst_host_vfio_conf *c,
				const struct pst_host_pci_dev *dev);

#endif
