/* SPDX-License-Identifier: MIT */
/* May a card go to a guest? */
#include "kernel-params/check/verdict.h"

int pst_card_use_refuse(const struct pst_card_use *use,
			const struct pst_pci_dev *dev, struct pst_error *err)
{
	static const char *const uses[] = {
		[PST_CARD_FREE] = "free",
		[PST_CARD_DISPLAY] = "the display of this host",
		[PST_CARD_DISK] = "a disk of this host",
		[PST_CARD_NETWORK] = "the network of this host",
		[PST_CARD_NO_GPU] = "neither a display nor an accelerator",
	};
	const bool other = use->fn != dev;

	return pst_error_set(
		err, -EBUSY,
		"%s is %s (%s%s%s)%s; --i-know takes it all the "
		"same",
		dev->name, uses[use->kind], other ? use->fn->name : "",
		other ? ": " : "", use->why,
		use->kind == PST_CARD_NO_GPU ? "" : ": the host would lose it");
}
