/* SPDX-License-Identifier: MIT */
/* Evaluates rules of udev: do they give a function to vfio-pci? */
#ifndef PST_KERNEL_PARAMS_CONFIG_UDEV_RULES_H
#define PST_KERNEL_PARAMS_CONFIG_UDEV_RULES_H

#include <stdbool.h>

#include "kernel-params/machine/pci.h"

/*
 * What the rules of a file make of dev when it is added, where the files
 * before it gave it to vfio-pci (before) or not. A rule whose syntax is wrong
 * does nothing, as in udev. One with a condition that no tree can tell counts
 * where it names the address of dev.
 */
bool pst_host_udev_gives(const char *text, const struct pst_host_pci_dev *dev,
			 bool before);

#endif
