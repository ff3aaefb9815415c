/* SPDX-License-Identifier: MIT */
/* Finds the functions for vfio-pci, and checks that the host can spare them. */
#include <string.h>

#include "kernel-params/check/verdict.h"
#include "kernel-params/plan/plan.h"

/* What the host itself uses is not given away by mistake. */
static int check_use(struct pst_host_plan *p, struct pst_error *err)
{
	const struct pst_host_card_use *use = &p->host->use;

	if (p->request.i_know || p->request.compare_only ||
	    use->kind == PST_HOST_CARD_FREE)
		return 0;
	return pst_host_card_use_refuse(use, p->host->gpu, err);
}

/* The vfio-pci of newer kernels takes it away by itself. */
static int note_framebuffer(struct pst_host_plan *p, struct pst_error *err)
{
	struct pst_host_fb fb;

	pst_host_fb_judge(p->host, &fb);
	if (!*fb.name ||
	    (fb.state != PST_HOST_FB_ON_CARD && fb.state != PST_HOST_FB_UNSEEN))
		return 0;
	return pst_host_plan_note(
		p, err,
		"the firmware's framebuffer %s in the memory of "
		"%s: where the guest does not start for it, %s%s",
		fb.state == PST_HOST_FB_ON_CARD ? "lies" : "may lie",
		p->host->gpu->name, pst_host_fb_is_off(p->host) ? "" : "have ",
		pst_host_fb_is_off(p->host) ? PST_HOST_FB_OTHERWISE
					    : PST_HOST_NO_SYSFB);
}

static int add_fn(struct pst_host_plan *p, const struct pst_host_pci_dev *dev,
		  struct pst_error *err)
{
	if (p->n_fn == PST_HOST_PLAN_MAX_FN)
		return pst_error_set(err, -EBUSY,
				     "more than %d functions are in the IOMMU "
				     "group of %s",
				     PST_HOST_PLAN_MAX_FN, p->host->gpu->name);
	p->fn[p->n_fn++] = dev;
	return 0;
}

static int add_member(struct pst_host_plan *p,
		      const struct pst_host_pci_dev *dev, struct pst_error *err)
{
	/* VFIO minds only what a driver of the host holds. */
	if (pst_host_pci_is_bridge(dev) ||
	    (!*dev->driver && dev->class >> 16 != 0x04))
		return 0;
	if (pst_host_plan_note(p, err,
			       "%s (%s) is in the card's IOMMU group: the host "
			       "loses it too",
			       dev->name, pst_host_pci_kind(dev)) < 0)
		return -ENOMEM;
	return add_fn(p, dev, err);
}

int pst_host_plan_find(struct pst_host_plan *p, struct pst_error *err)
{
	const struct pst_host *h = p->host;
	struct pst_host_group g;
	size_t i;
	int r;

	if (!h->gpu)
		return pst_error_set(err, h->gpu_err.code, "%s",
				     h->gpu_err.text);
	if (h->boot.dom0 && !p->request.compare_only)
		return pst_error_set(err, -EOPNOTSUPP, "%s: %s", PST_HOST_DOM0,
				     PST_HOST_DOM0_FIX);
	r = check_use(p, err);
	if (r == 0)
		r = note_framebuffer(p, err);
	if (r < 0)
		return r;
	pst_host_group_judge(h, &g);
	if (g.state == PST_HOST_GROUP_VITAL && !p->request.compare_only)
		return pst_host_group_refuse(h, g.fn, err);
	for (i = 0; r == 0 && i < g.n; i++)
		r = pst_host_pci_same_card(g.member[i], h->gpu)
			    ? add_fn(p, g.member[i], err)
			    : add_member(p, g.member[i], err);
	for (i = 0; i < p->n_fn; i++)
		p->by_address |=
			pst_host_pci_twin(&h->pci, p->fn[i], NULL) != NULL;
	if (r == 0 && g.state == PST_HOST_GROUP_OFF)
		r = pst_host_plan_note(p, err,
				       "the IOMMU is off: the other devices "
				       "of the card's group are known after "
				       "the reboot (penstock host check)");
	if (r == 0 && g.state == PST_HOST_GROUP_NONE)
		r = pst_host_plan_note(p, err,
				       "%s is in no IOMMU group: it cannot be "
				       "passed through from this slot",
				       g.fn->name);
	return r;
}
