/* SPDX-License-Identifier: MIT */
/* What planning and doing a reset share. */
#ifndef PST_KERNEL_PARAMS_DEVICE_RESET_INT_H
#define PST_KERNEL_PARAMS_DEVICE_RESET_INT_H

#include "kernel-params/machine/pci.h"

/* Whether the kernel would reset this function by itself. */
static inline bool pst_host_reset_can(const struct pst_host_pci_dev *dev)
{
	return dev->has_reset &&
	       (!dev->knows_reset_method || *dev->reset_method);
}

#endif
