/* SPDX-License-Identifier: MIT */
/* Decides how a card is best reset and kept awake: the rules of check, plan and
 * reset. */
#include "kernel-params/check/reset.h"

#include <string.h>

bool pst_host_reset_flr_fails(const struct pst_host_pci_dev *dev)
{
	return dev->vendor == PST_HOST_PCI_NVIDIA && dev->device >= 0x2b80 &&
	       dev->device <= 0x2bff && pst_host_pci_is_display(dev);
}

bool pst_host_reset_has(const struct pst_host_pci_dev *dev, const char *method)
{
	const size_t n = strlen(method);
	const char *p = dev->reset_method;

	while (dev->knows_reset_method && (p = strstr(p, method))) {
		if ((p == dev->reset_method || p[-1] == ' ') &&
		    (p[n] == ' ' || p[n] == '\0'))
			return true;
		p += n;
	}
	return false;
}

bool pst_host_reset_shares_bus(const struct pst_host_pci *pci,
			       const struct pst_host_pci_dev *dev)
{
	size_t i;

	for (i = 0; i < pci->n; i++) {
		const struct pst_host_pci_dev *d = &pci->dev[i];

		if (d != dev && d->addr.domain == dev->addr.domain &&
		    d->addr.bus == dev->addr.bus)
			return true;
	}
	return false;
}

const struct pst_host_pci_dev *
pst_host_reset_main(const struct pst_host_card_state *card,
		    const struct pst_host_pci_dev *dev)
{
	size_t i;

	for (i = 0; i < card->n; i++)
		if (pst_host_pci_is_display(card->fn[i].dev))
			return card->fn[i].dev;
	return dev;
}

bool pst_host_reset_wants_awake(const struct pst_host_card_state *card,
				const struct pst_host_pci_dev *main)
{
	size_t i;
	bool told = false;

	for (i = 0; i < card->n; i++)
		told |= card->fn[i].d3cold_allowed >= 0;
	if (!told || !main->knows_reset_method)
		return false;
	return pst_host_reset_flr_fails(main) ||
	       (!pst_host_reset_has(main, "flr") &&
		!pst_host_reset_has(main, "af_flr") &&
		!pst_host_reset_has(main, "device_specific"));
}
