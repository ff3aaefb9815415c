/* SPDX-License-Identifier: MIT */
/* Texts of files that belong to Penstock alone: drop-ins, and a NixOS
 * module. */
#ifndef PST_KERNEL_PARAMS_EDIT_DROPINS_H
#define PST_KERNEL_PARAMS_EDIT_DROPINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Each returns a text for the caller to free, NULL when out of memory, that
 * begins with PST_HOST_EDIT_MARK (the initramfs hook after its "#!"). Lists end
 * with NULL; what is in them has no quotes, blanks or other special characters.
 */

/* The modules that have to be in an initramfs, first; ends with NULL. */
extern const char *const pst_host_vfio_modules[];

#define PST_HOST_UDEV_FILE "/etc/udev/rules.d/10-penstock-vfio.rules"

/* mkinitcpio.conf.d: MODULES before those of the main file; files, each with
 * its path, go into the image. */
char *pst_host_dropin_mkinitcpio(const char *const *files);

/* dracut.conf.d: modules loaded before udev; files go into the image. */
char *pst_host_dropin_dracut(const char *const *files);

/* initramfs-tools/hooks: a script that puts the udev rule into the image. */
char *pst_host_dropin_initramfs_hook(void);

/* modules-load.d: what the VM needs of the host. */
char *pst_host_dropin_modules_load(void);

/* sysctl.d: the pool of 2 MiB pages, over all nodes. */
char *pst_host_dropin_sysctl(uint64_t pages);

/* tmpfiles.d: the pool of 2 MiB pages of one node (-1: the machine's). */
char *pst_host_dropin_tmpfiles(int node, uint64_t pages);

/* systemd: hugetlbfs with pages of 2 MiB at /dev/hugepages2M. */
char *pst_host_dropin_mount(void);

/* udev: each function, by its address, goes to vfio-pci. */
char *pst_host_dropin_udev(const char *const *addresses);

/* What lets a card come back, without a slash: paths of roots have none. */
#define PST_HOST_CARD_RULES_FILE "etc/udev/rules.d/60-penstock-card.rules"

/* udev: these rules. */
char *pst_host_dropin_rules(const char *const *rules);

struct pst_host_nixos {
	const char *const *params;    /* of the kernel */
	const char *ids;              /* NULL: by address */
	const char *const *softdeps;  /* modules to be loaded after vfio-pci */
	const char *const *blacklist; /* drivers that no card here needs */
	const char *const *addresses; /* NULL: by ids */
	const char *const *rules;     /* of udev, for the card's return */
	/* The pool that the command line cannot give to a node; 0: none. */
	uint64_t pool_pages;
	int pool_node;
};
char *pst_host_dropin_nixos(const struct pst_host_nixos *want);

#endif
