/* SPDX-License-Identifier: MIT */
/* May a card go to a guest? The rules that check, plan and vm share. */
#ifndef PST_KERNEL_PARAMS_CHECK_VERDICT_H
#define PST_KERNEL_PARAMS_CHECK_VERDICT_H

#include "kernel-params/scan/host.h"

/* The sentence that refuses the card of dev, which names --i-know, for a use
 * other than PST_CARD_FREE. Returns -EBUSY. */
int pst_card_use_refuse(const struct pst_card_use *use,
			const struct pst_pci_dev *dev, struct pst_error *err);

#endif
