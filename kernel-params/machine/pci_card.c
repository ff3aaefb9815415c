/* SPDX-License-Identifier: MIT */
/* Groups PCI functions into cards, and chooses the card of "auto". */
#include <stdarg.h>
#include <string.h>

#include "kernel-params/machine/pci.h"
#include "kernel-params/syntax/cmdline.h"

const struct pst_host_pci_dev *
pst_host_pci_find(const struct pst_host_pci *pci,
		  const struct pst_host_pci_addr *a)
{
	size_t i;

	for (i = 0; i < pci->n; i++)
		if (pst_host_pci_addr_cmp(&pci->dev[i].addr, a) == 0)
			return &pci->dev[i];
	return NULL;
}

bool pst_host_pci_same_card(const struct pst_host_pci_dev *a,
			    const struct pst_host_pci_dev *b)
{
	return a->addr.domain == b->addr.domain && a->addr.bus == b->addr.bus &&
	       a->addr.dev == b->addr.dev &&
	       (a->addr.fn == b->addr.fn || (!a->is_vf && !b->is_vf));
}

size_t
pst_host_pci_card(const struct pst_host_pci *pci,
		  const struct pst_host_pci_dev *dev,
		  const struct pst_host_pci_dev *ret[PST_HOST_PCI_MAX_FN])
{
	size_t i, n = 0;

	for (i = 0; i < pci->n && n < PST_HOST_PCI_MAX_FN; i++)
		if (pst_host_pci_same_card(&pci->dev[i], dev))
			ret[n++] = &pci->dev[i];
	return n;
}

bool pst_host_pci_is_below(const struct pst_host_pci_dev *dev,
			   const struct pst_host_pci_dev *bridge)
{
	const size_t n = strlen(bridge->path);

	return strncmp(dev->path, bridge->path, n) == 0 && dev->path[n] == '/';
}

const struct pst_host_pci_dev *
pst_host_pci_port(const struct pst_host_pci *pci,
		  const struct pst_host_pci_dev *dev)
{
	const struct pst_host_pci_dev *best = NULL;
	size_t i;

	for (i = 0; i < pci->n; i++)
		if (pst_host_pci_is_bridge(&pci->dev[i]) &&
		    pst_host_pci_is_below(dev, &pci->dev[i]) &&
		    (!best || pst_host_pci_is_below(&pci->dev[i], best)))
			best = &pci->dev[i];
	return best;
}

bool pst_host_pci_is_bridge(const struct pst_host_pci_dev *dev)
{
	return dev->class >> 16 == 0x06;
}

bool pst_host_pci_is_display(const struct pst_host_pci_dev *dev)
{
	return dev->class >> 16 == 0x03;
}

const char *pst_host_pci_kind(const struct pst_host_pci_dev *dev)
{
	/* Base class and subclass (PCI Code and ID Assignment, section 1). */
	static const struct {
		uint32_t class;
		const char *kind;
	} kinds[] = {
		{0x0100, "SCSI"},      {0x0101, "IDE"},     {0x0104, "RAID"},
		{0x0106, "SATA"},      {0x0107, "SAS"},     {0x0108, "NVMe"},
		{0x0200, "network"},   {0x0280, "network"}, {0x0300, "VGA"},
		{0x0302, "3D"},        {0x0380, "display"}, {0x0401, "audio"},
		{0x0403, "audio"},     {0x0c03, "USB"},     {0x0c05, "SMBus"},
		{0x0d11, "Bluetooth"},
	};
	size_t i;

	if (pst_host_pci_is_bridge(dev))
		return "bridge";
	if (dev->vendor == PST_HOST_PCI_NVIDIA && dev->class >> 8 == 0x0c80)
		return "UCSI";
	for (i = 0; i < PST_ARRAY_SIZE(kinds); i++)
		if (kinds[i].class == dev->class >> 8)
			return kinds[i].kind;
	return "device";
}

bool pst_host_pci_on_vfio(const struct pst_host_pci_dev *dev)
{
	const size_t n = strlen(dev->driver), k = strlen("vfio-pci");

	/* Variants are named mlx5_vfio_pci, nvgrace-gpu-vfio-pci and so on. */
	return n >= k &&
	       pst_host_param_name_eq(dev->driver + n - k, "vfio-pci");
}

bool pst_host_pci_is_given(const struct pst_host_pci_dev *dev)
{
	return pst_host_pci_on_vfio(dev) ||
	       strcmp(dev->driver, "pci-stub") == 0;
}

bool pst_host_pci_is_held(const struct pst_host_pci_dev *dev)
{
	return *dev->driver && !pst_host_pci_is_given(dev);
}

const struct pst_host_pci_dev *
pst_host_pci_twin(const struct pst_host_pci *pci,
		  const struct pst_host_pci_dev *dev,
		  const struct pst_host_pci_dev *after)
{
	size_t i = after ? (size_t)(after - pci->dev) + 1 : 0;

	for (; i < pci->n; i++)
		if (pci->dev[i].vendor == dev->vendor &&
		    pci->dev[i].device == dev->device &&
		    !pst_host_pci_same_card(&pci->dev[i], dev))
			return &pci->dev[i];
	return NULL;
}

/* Displays that are never passed through: of a BMC, of a CPU, of a VM. */
static bool is_fixed_display(const struct pst_host_pci_dev *dev)
{
	switch (dev->vendor) {
	case 0x1a03: /* ASPEED */
	case 0x102b: /* Matrox, G200 in server boards */
	case 0x1234: /* QEMU's standard VGA */
	case 0x1b36: /* QXL */
	case 0x1af4: /* virtio */
	case 0x15ad: /* VMware */
	case 0x1013: /* Cirrus */
		return true;
	case 0x8086: /* Intel: on the root bus it is the CPU's own */
		return dev->addr.bus == 0;
	}
	return false;
}

static bool is_prepared(const struct pst_host_pci_dev *dev)
{
	return pst_host_pci_on_vfio(dev) ||
	       strcmp(dev->driver_override, "vfio-pci") == 0;
}

/* How strongly a display says that it is the one; 0: it is not. */
static int wish(const struct pst_host_pci_dev *dev)
{
	if (!pst_host_pci_is_display(dev))
		return 0;
	if (is_prepared(dev))
		return 5;
	if (dev->is_vf || is_fixed_display(dev))
		return 0;
	if (dev->vendor == PST_HOST_PCI_NVIDIA)
		return dev->boot_vga ? 3 : 4;
	return dev->boot_vga ? 1 : 2;
}

/* Bytes of a list of cards, after which no other one begins: a sentence has to
 * hold it. */
#define LIST_MAX 250

static int ambiguous(const struct pst_host_pci *pci, int level,
		     struct pst_error *err)
{
	char list[320] = "";
	size_t i, len = 0, n_more = 0;

	for (i = 0; i < pci->n; i++) {
		if (wish(&pci->dev[i]) != level)
			continue;
		/* As many as fit, and how many do not. */
		if (n_more || len > LIST_MAX) {
			n_more++;
			continue;
		}
		len += (size_t)snprintf(list + len, sizeof(list) - len,
					"%s%s [%04x:%04x]", len ? ", " : "",
					pci->dev[i].name, pci->dev[i].vendor,
					pci->dev[i].device);
	}
	if (n_more)
		snprintf(list + len, sizeof(list) - len, " and %zu more",
			 n_more);
	return pst_error_set(err, -EBUSY,
			     "several cards could be meant: %s; say which with "
			     "--gpu",
			     list);
}

static int select_auto(const struct pst_host_pci *pci,
		       const struct pst_host_pci_dev **ret,
		       struct pst_error *err)
{
	const struct pst_host_pci_dev *best = NULL;
	bool tie = false;
	size_t i;

	for (i = 0; i < pci->n; i++) {
		const struct pst_host_pci_dev *d = &pci->dev[i];

		if (!wish(d) || (best && wish(d) < wish(best)))
			continue;
		if (best && wish(d) == wish(best)) {
			tie = tie || !pst_host_pci_same_card(d, best);
			continue;
		}
		tie = false;
		best = d;
	}
	if (!best)
		return pst_error_set(err, -ENODEV,
				     "no graphics card that could be passed "
				     "through was found");
	if (tie)
		return ambiguous(pci, wish(best), err);
	*ret = best;
	return 0;
}

int pst_host_pci_select_gpu(const struct pst_host_pci *pci, const char *text,
			    const struct pst_host_pci_dev **ret,
			    struct pst_error *err)
{
	const struct pst_host_pci_dev *dev;
	struct pst_host_pci_addr a;

	if (!text || strcmp(text, "auto") == 0)
		return select_auto(pci, ret, err);
	if (pst_host_pci_addr_parse(text, &a) < 0)
		return pst_error_set(err, -EINVAL,
				     "%s is not a PCI address like "
				     "0000:01:00.0",
				     text);
	dev = pst_host_pci_find(pci, &a);
	if (!dev)
		return pst_error_set(err, -ENODEV,
				     "there is no PCI device %s on this host",
				     text);
	if (pst_host_pci_is_bridge(dev))
		return pst_error_set(err, -ENODEV,
				     "%s is a bridge, which cannot be passed "
				     "through",
				     text);
	*ret = dev;
	return 0;
}
