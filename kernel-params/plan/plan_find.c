/* SPDX-License-Identifier: MIT */
/* The functions that vfio-pci shall have, and whether the host can do without
 * them. */
#include <string.h>

#include "kernel-params/check/verdict.h"
#include "kernel-params/plan/plan.h"

/* What an IOMMU group may take from a host without stopping it; classes of the
 * PCI Code and ID Assignment specification, section 1. */
static bool vital(const struct pst_pci_dev *dev)
{
	/* What nobody has, or vfio-pci already, the host does without. */
	if (!*dev->driver || strcmp(dev->driver, "vfio-pci") == 0 ||
	    strcmp(dev->driver, "pci-stub") == 0)
		return false;
	switch (dev->class >> 16) {
	case 0x04: /* multimedia */
	case 0x07: /* serial and parallel ports, modems */
	case 0x09: /* input that is no USB */
	case 0x0d: /* wireless that is no network card */
	case 0x10: /* encryption */
	case 0x11: /* signal processing */
	case 0x12: /* accelerators */
	case 0xff: /* of no class */
		return false;
	default:
		return true;
	}
}

/* What the host itself uses is not given away by mistake. */
static int check_use(struct pst_plan *p, struct pst_error *err)
{
	const struct pst_card_use *use = &p->host->use;

	if (p->request.i_know || p->request.look_only ||
	    use->kind == PST_CARD_FREE)
		return 0;
	return pst_card_use_refuse(use, p->host->gpu, err);
}

/* The vfio-pci of newer kernels takes it away by itself. */
static int note_framebuffer(struct pst_plan *p, struct pst_error *err)
{
	const struct pst_display *d = &p->host->display;
	const char *name = *d->fb ? d->fb : d->platform;
	unsigned int bar;

	if (!pst_display_in_bar(d, p->host->gpu, &bar) &&
	    !(p->host->gpu->boot_vga && *name && (d->hidden || !d->n_ranges)))
		return 0;
	return pst_plan_note(p, err,
			     "the firmware's framebuffer lies in the memory of "
			     "%s: where the guest does not start for it, "
			     "add initcall_blacklist=sysfb_init to the "
			     "kernel's command line (video=efifb:off before "
			     "Linux 5.15)",
			     p->host->gpu->name);
}

static int add_fn(struct pst_plan *p, const struct pst_pci_dev *dev,
		  struct pst_error *err)
{
	if (p->n_fn == PST_PLAN_MAX_FN)
		return pst_error_set(err, -EBUSY,
				     "more than %d functions are in the IOMMU "
				     "group of %s",
				     PST_PLAN_MAX_FN, p->host->gpu->name);
	p->fn[p->n_fn++] = dev;
	return 0;
}

static int add_stranger(struct pst_plan *p, const struct pst_pci_dev *dev,
			struct pst_error *err)
{
	if (vital(dev) && !p->request.look_only)
		return pst_error_set(
			err, -EBUSY,
			"%s shares IOMMU group %d with %s (%s%s%s), which the "
			"host needs: put the card into another slot",
			p->host->gpu->name, dev->iommu_group, dev->name,
			pst_pci_kind(dev), *dev->driver ? ", driver " : "",
			dev->driver);
	/* VFIO minds only what a driver of the host holds. */
	if (!*dev->driver && dev->class >> 16 != 0x04)
		return 0;
	if (pst_plan_note(p, err,
			  "%s (%s) is in the card's IOMMU group: the host "
			  "loses it too",
			  dev->name, pst_pci_kind(dev)) < 0)
		return -ENOMEM;
	return add_fn(p, dev, err);
}

int pst_plan_find(struct pst_plan *p, struct pst_error *err)
{
	const struct pst_pci_dev *all[PST_PLAN_MAX_FN];
	size_t n, i;
	int rc;

	if (!p->host->gpu)
		return pst_error_set(err, p->host->gpu_err.code, "%s",
				     p->host->gpu_err.text);
	rc = check_use(p, err);
	if (rc == 0)
		rc = note_framebuffer(p, err);
	if (rc < 0)
		return rc;
	n = pst_iommu_closure(&p->host->pci, p->host->gpu, all,
			      PST_PLAN_MAX_FN);
	if (n > PST_PLAN_MAX_FN)
		return pst_error_set(err, -EBUSY,
				     "%zu functions are in the IOMMU group of "
				     "%s",
				     n, p->host->gpu->name);
	for (i = 0; rc == 0 && i < n; i++) {
		if (pst_pci_is_bridge(all[i]))
			continue;
		rc = pst_pci_same_card(all[i], p->host->gpu)
			     ? add_fn(p, all[i], err)
			     : add_stranger(p, all[i], err);
	}
	for (i = 0; i < p->n_fn; i++)
		p->by_address |=
			pst_pci_twin(&p->host->pci, p->fn[i], NULL) != NULL;
	if (rc == 0 && p->host->iommu.n_groups == 0)
		rc = pst_plan_note(p, err,
				   "the IOMMU is off: what else is in the "
				   "card's group is known after the reboot "
				   "(penstock host check)");
	return rc;
}
