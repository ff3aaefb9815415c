/* SPDX-License-Identifier: MIT */
/* Plans the card: all its functions, its IOMMU group, its address width. */
#include <string.h>

#include "kernel-params/check/verdict.h"
#include "libvirt-xml/plan/plan.h"

/* IORESOURCE_MEM of linux/ioport.h; sysfs shows these flags. */
#define RESOURCE_MEM 0x200
/* The ROM is not mapped; six BARs are. */
#define N_BARS 6

static uint64_t bar_bytes(const struct pst_host_pci_dev *dev)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < N_BARS; i++) {
		const struct pst_host_pci_bar *b = &dev->bar[i];

		if (!(b->flags & RESOURCE_MEM) || b->end <= b->start)
			continue;
		if (pst_add_overflow(sum, b->end - b->start + 1, &sum))
			return UINT64_MAX;
	}
	return sum;
}

/* The card's use by the host, which is refused or noted. */
static int check_use(const struct pst_vm_request *q, const struct pst_host *h,
		     const struct pst_host_pci_dev *dev,
		     struct pst_vm_notes *notes, struct pst_error *err)
{
	const struct pst_host_card_use *use = &h->use;

	if (use->kind == PST_HOST_CARD_FREE)
		return 0;
	if (!q->i_know)
		return pst_host_card_use_refuse(use, dev, err);
	pst_vm_note(notes, "the host uses %s, which it will lose: %s",
		    use->fn->name, use->why);
	return 0;
}

static int check_group(const struct pst_vm_request *q, const struct pst_host *h,
		       struct pst_vm_notes *notes, struct pst_error *err)
{
	struct pst_host_group g;

	pst_host_group_judge(h, &g);
	switch (g.state) {
	case PST_HOST_GROUP_OFF:
		pst_error_set(err, -ENODEV,
			      "this host has no IOMMU groups: the IOMMU is "
			      "off in the firmware or the kernel, and nothing "
			      "can be passed through; see penstock host check");
		if (q->is_final)
			return -ENODEV;
		pst_vm_note(notes, "%s", err->text);
		return 0;
	case PST_HOST_GROUP_NONE:
		return pst_error_set(err, -ENODEV,
				     "%s, a function of the card, is in no "
				     "IOMMU group: it cannot be passed through",
				     g.fn->name);
	case PST_HOST_GROUP_VITAL:
		return pst_host_group_refuse(h, g.fn, err);
	case PST_HOST_GROUP_HELD:
		return pst_error_set(err, -EBUSY,
				     "%s shares IOMMU group %d with %s (%s), "
				     "which the driver %s holds: penstock host "
				     "apply --gpu %s gives it to vfio-pci",
				     h->gpu->name, g.fn->iommu_group,
				     g.fn->name, pst_host_pci_kind(g.fn),
				     g.fn->driver, h->gpu->name);
	case PST_HOST_GROUP_ALONE:
	case PST_HOST_GROUP_IDLE:
		break;
	}
	return 0;
}

/* The smaller of what the IOMMU translates and what the card drives, when the
 * CPU has more than that. */
static void set_phys_bits(const struct pst_host *h, struct pst_vm_config *c)
{
	unsigned int bits = h->iommu.width_bits;

	if (h->arch && h->arch->dma_bits && (!bits || h->arch->dma_bits < bits))
		bits = h->arch->dma_bits;
	if (bits && h->cpu.phys_bits && bits >= h->cpu.phys_bits)
		bits = 0;
	c->phys_bits = bits;
}

static void note_drivers(const struct pst_host_pci_dev *const *card, size_t n,
			 struct pst_vm_notes *notes)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (pst_host_pci_is_held(card[i]))
			pst_vm_note(notes,
				    "%s (%s) is held by the driver %s: libvirt "
				    "takes it away when the domain starts, "
				    "which a GPU driver may not survive, and "
				    "does not start one whose <hostdev> has "
				    "managed='no'; penstock host apply binds "
				    "it to vfio-pci at boot",
				    card[i]->name, pst_host_pci_kind(card[i]),
				    card[i]->driver);
}

int pst_vm_plan_gpu(const struct pst_vm_request *q, const struct pst_host *h,
		    struct pst_vm_config *c, struct pst_vm_notes *notes,
		    struct pst_error *err)
{
	const struct pst_host_pci_dev *dev = h->gpu, *card[PST_HOST_PCI_MAX_FN];
	size_t n, i;
	int r;

	c->node = -1;
	if (!q->gpu)
		return 0;
	if (!dev)
		return pst_error_set(err, h->gpu_err.code, "%s",
				     h->gpu_err.text);
	n = pst_host_pci_card(&h->pci, dev, card);
	r = check_use(q, h, dev, notes, err);
	if (r == 0)
		r = check_group(q, h, notes, err);
	if (r)
		return r;
	for (i = 0; i < n; i++)
		c->gpu[i] = (struct pst_vm_pci){
			.addr = card[i]->addr,
			.bars = bar_bytes(card[i]),
		};
	c->n_gpu = (uint32_t)n;
	/* A machine with one node says 0 or nothing: no placement then. */
	if (pst_host_cpuset_count(&h->cpu.nodes) != 1)
		c->node = dev->numa_node;
	set_phys_bits(h, c);
	note_drivers(card, n, notes);
	return 0;
}
