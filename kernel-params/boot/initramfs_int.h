/* SPDX-License-Identifier: MIT */
/* The readers of makers' settings, for initramfs.c alone. */
#ifndef PST_KERNEL_PARAMS_BOOT_INITRAMFS_INT_H
#define PST_KERNEL_PARAMS_BOOT_INITRAMFS_INT_H

#include "kernel-params/boot/initramfs.h"

struct pst_host_early_list {
	struct pst_host_early *first, *last;
};

/* Adds n bytes as a word, up to a bound. 0 or -ENOMEM. */
int pst_host_early_add_word(struct pst_host_names *l, const char *word,
			    size_t n);

/* Notes the line of a word that is the name of a module; a comma, which is
 * never a part of that, is told in e->fault. 0 or -ENOMEM. */
int pst_host_early_add_place(struct pst_host_early *e, const char *word,
			     size_t n, const char *path, unsigned int line);

/* The same for the words of a file's assignments of a variable. */
int pst_host_early_find_places(const char *text, const char *path,
			       const char *name, struct pst_host_early *e);

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
