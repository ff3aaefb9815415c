/* SPDX-License-Identifier: MIT */
/* Modules loaded early at boot, by the configuration of initramfs
 * generators. */
#ifndef PST_KERNEL_PARAMS_SCAN_INITRAMFS_H
#define PST_KERNEL_PARAMS_SCAN_INITRAMFS_H

#include "kernel-params/root/root.h"

enum pst_host_early_maker {
	PST_HOST_EARLY_NONE,
	PST_HOST_EARLY_MKINITCPIO,
	PST_HOST_EARLY_DRACUT,
	PST_HOST_EARLY_INITRAMFS_TOOLS,
	PST_HOST_EARLY_NIXOS,
};

struct pst_host_early {
	enum pst_host_early_maker maker;
	char file[128];              /* its first configuration file, or "" */
	struct pst_host_names words; /* modules it loads early, in order */
	bool kms_hook;   /* mkinitcpio's kms hook takes GPU drivers in */
	char stray[160]; /* a dracut file about vfio that has no .conf, or "" */
	char virqfd[128]; /* a file that puts vfio_virqfd in, or "" */
	bool loads_late;  /* vfio-pci is in modules-load.d */
};

/*
 * Reads etc/mkinitcpio.conf(.d), etc/dracut.conf(.d), etc/initramfs-tools and
 * etc/nixos. The generator is the first one whose configuration exists. If any
 * generator is installed, only installed ones count. Shell is not run: arrays
 * and += lists of words are taken as written. 0 (to be ended with
 * pst_host_early_done()) or -ENOMEM.
 */
PST_MUST_USE int pst_host_early_scan(const struct pst_host_root *root,
				     struct pst_host_early *ret);
void pst_host_early_done(struct pst_host_early *e);

/*
 * Adds the words of every NAME=(...), NAME="...", NAME+=... and `NAME = [ ...
 * ]` in text, whose name is one of names, a list that NULL ends, or ends in a
 * dot and one that has a dot itself. Comments begin with '#'. 0 or -ENOMEM.
 */
PST_MUST_USE int pst_host_early_words(const char *text,
				      const char *const *names,
				      struct pst_host_names *words);

/* Place of a module in the order, or -1. */
int pst_host_early_place(const struct pst_host_early *e, const char *module);

/* "mkinitcpio", "dracut", ...; "" for none. Static. */
const char *pst_host_early_maker_name(enum pst_host_early_maker m);

#endif
