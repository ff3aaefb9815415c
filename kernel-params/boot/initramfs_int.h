/* SPDX-License-Identifier: MIT */
/* The readers of makers' settings, for initramfs.c alone. */
#ifndef PST_KERNEL_PARAMS_BOOT_INITRAMFS_INT_H
#define PST_KERNEL_PARAMS_BOOT_INITRAMFS_INT_H

#include "kernel-params/boot/initramfs.h"

struct pst_host_early_list {
	struct pst_host_early *first, *last;
};

/* Each appends the images that its settings make; none where it has no
 * settings. 0 or -ENOMEM. */
int pst_host_early_nixos(const struct pst_host_root *root,
			 struct pst_host_early_list *l);
int pst_host_early_mkinitcpio(const struct pst_host_root *root,
			      struct pst_host_early_list *l);
int pst_host_early_dracut(const struct pst_host_root *root,
			  struct pst_host_early_list *l);
int pst_host_early_tools(const struct pst_host_root *root,
			 struct pst_host_early_list *l);

#endif
