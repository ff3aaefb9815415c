/* SPDX-License-Identifier: MIT */
/* The images that mkinitcpio's presets make, and from which settings. */
#ifndef PST_KERNEL_PARAMS_BOOT_MKINITCPIO_H
#define PST_KERNEL_PARAMS_BOOT_MKINITCPIO_H

#include "kernel-params/syntax/settings.h"

#define PST_HOST_MKINITCPIO_CONF   "etc/mkinitcpio.conf"
#define PST_HOST_MKINITCPIO_IMAGES 8

struct pst_host_mkinitcpio_image {
	char conf[PST_HOST_ROOT_PATH_MAX]; /* below the root */
	bool dropins; /* mkinitcpio.conf.d counts: no configuration is named */
	char cmdline[PST_HOST_ROOT_PATH_MAX]; /* of a unified kernel, or "" */
	/* Hooks left out and put behind the others, commas around each. */
	char skip[256], add[256];
};

struct pst_host_mkinitcpio {
	struct pst_host_mkinitcpio_image image[PST_HOST_MKINITCPIO_IMAGES];
	size_t n; /* 1 or more, each different */
};

/*
 * Reads etc/mkinitcpio.d as mkinitcpio's process_preset() does: NAME_config,
 * else ALL_config, then NAME_options (-c, -S, -A, --cmdline). Presets named
 * "fallback" boot only where somebody chooses them, and are left out. What
 * cannot be evaluated is told in fault, if that is "" so far. 0 or -ENOMEM.
 */
PST_MUST_USE int pst_host_mkinitcpio_scan(const struct pst_host_root *root,
					  struct pst_host_mkinitcpio *ret,
					  char fault[PST_HOST_FAULT_MAX]);

#endif
