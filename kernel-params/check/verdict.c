/* SPDX-License-Identifier: MIT */
/* Decides whether a card may go to a guest. */
#include "kernel-params/check/verdict.h"

int pst_host_card_use_refuse(const struct pst_host_card_use *use,
			     const struct pst_host_pci_dev *dev,
			     struct pst_error *err)
{
	static const char *const uses[] = {
		[PST_HOST_CARD_FREE] = "free",
		[PST_HOST_CARD_DISPLAY] = "the display of this host",
		[PST_HOST_CARD_DISK] = "a disk of this host",
		[PST_HOST_CARD_NETWORK] = "the network of this host",
		[PST_HOST_CARD_NO_GPU] = "neither a display nor an accelerator",
	};
	const bool other = use->fn != dev;

	return pst_error_set(
		err, -EBUSY, "%s is %s (%s%s%s)%s; --i-know takes it anyway",
		dev->name, uses[use->kind], other ? use->fn->name : "",
		other ? ": " : "", use->why,
		use->kind == PST_HOST_CARD_NO_GPU ? ""
						  : ": the host would lose it");
}

/* ---- The group ---------------------------------------------------------- */

/* Whether the host needs a function: a driver of it has it, and it is more than
 * sound, a serial port, a modem or an accelerator. Classes of the PCI Code and
 * ID Assignment specification, section 1. */
static bool is_needed(const struct pst_host_pci_dev *dev)
{
	if (!pst_host_pci_is_held(dev))
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

/* What one member makes of the group of gpu. */
static enum pst_host_group_state state_of(const struct pst_host_pci_dev *gpu,
					  const struct pst_host_pci_dev *dev)
{
	if (pst_host_pci_same_card(dev, gpu))
		return dev->iommu_group < 0 ? PST_HOST_GROUP_NONE
					    : PST_HOST_GROUP_ALONE;
	if (pst_host_pci_is_bridge(dev))
		return PST_HOST_GROUP_ALONE;
	if (is_needed(dev))
		return PST_HOST_GROUP_VITAL;
	return pst_host_pci_is_held(dev) ? PST_HOST_GROUP_HELD
					 : PST_HOST_GROUP_IDLE;
}

void pst_host_group_judge(const struct pst_host *h, struct pst_host_group *ret)
{
	enum pst_host_group_state one;
	size_t i;

	*ret = (struct pst_host_group){.state = PST_HOST_GROUP_ALONE};
	ret->n = pst_host_iommu_closure(&h->pci, h->gpu, ret->member,
					PST_HOST_GROUP_MAX);
	if (ret->n > PST_HOST_GROUP_MAX)
		ret->n = PST_HOST_GROUP_MAX;
	for (i = 0; i < ret->n; i++) {
		one = state_of(h->gpu, ret->member[i]);
		/* Without a group nothing else matters. */
		if (ret->state != PST_HOST_GROUP_NONE &&
		    (one == PST_HOST_GROUP_NONE || one > ret->state)) {
			ret->state = one;
			ret->fn = ret->member[i];
		}
	}
	if (!h->iommu.n_groups)
		ret->state = PST_HOST_GROUP_OFF;
}

int pst_host_group_refuse(const struct pst_host *h,
			  const struct pst_host_pci_dev *fn,
			  struct pst_error *err)
{
	return pst_error_set(err, -EBUSY,
			     "%s shares IOMMU group %d with %s (%s, driver "
			     "%s), which the host needs: put the card into "
			     "another slot",
			     h->gpu->name, fn->iommu_group, fn->name,
			     pst_host_pci_kind(fn), fn->driver);
}

/* ---- Memory ------------------------------------------------------------- */

static void judge_room(const char *where, uint64_t total, uint64_t others,
		       const char *why, uint64_t bytes,
		       struct pst_host_room *ret)
{
	enum pst_host_room_state state = PST_HOST_ROOM_ENOUGH;

	if (pst_add_overflow(bytes, others, &bytes))
		bytes = UINT64_MAX;
	if (total && bytes > total)
		state = PST_HOST_ROOM_NONE;
	else if (total && bytes > total - total / 8)
		state = PST_HOST_ROOM_LITTLE;
	if (*ret->where && state <= ret->state)
		return;
	*ret = (struct pst_host_room){state, total, others, "", ""};
	snprintf(ret->where, sizeof(ret->where), "%s", where);
	snprintf(ret->why, sizeof(ret->why), "%s", why);
}

void pst_host_room_judge(const struct pst_host *h,
			 const struct pst_host_claims *claims, int node,
			 uint64_t bytes, struct pst_host_room *ret)
{
	const unsigned int nodes = pst_host_cpuset_count(&h->cpu.nodes);
	uint64_t total = pst_host_memory_of_node(&h->memory, node), others;
	char why[PST_HOST_CLAIM_TEXT], where[32];

	*ret = (struct pst_host_room){0};
	if (node >= 0 && total) {
		others = pst_host_claims_others(claims, node, nodes, why);
		snprintf(where, sizeof(where), "NUMA node %d", node);
		judge_room(where, total, others, why, bytes, ret);
	}
	others = pst_host_claims_others(claims, -1, nodes, why);
	judge_room("this host", h->memory.total, others, why, bytes, ret);
}

/* ---- The display -------------------------------------------------------- */

const struct pst_host_pci_dev *pst_host_boot_function(const struct pst_host *h)
{
	const struct pst_host_pci_dev *card[PST_HOST_PCI_MAX_FN];
	const size_t n = pst_host_pci_card(&h->pci, h->gpu, card);
	size_t i;

	for (i = 0; i < n; i++)
		if (card[i]->boot_vga)
			return card[i];
	return NULL;
}

const struct pst_host_pci_dev *pst_host_other_display(const struct pst_host *h,
						      size_t n)
{
	size_t i;

	for (i = 0; i < h->pci.n; i++) {
		const struct pst_host_pci_dev *d = &h->pci.dev[i];

		if (!pst_host_pci_is_display(d) ||
		    (h->gpu && pst_host_pci_same_card(d, h->gpu)))
			continue;
		if (n-- == 0)
			return d;
	}
	return NULL;
}

/* Whether something tells that the framebuffer lies in another device: a line
 * of proc/iomem, or another display that the firmware has used. */
static bool fb_is_elsewhere(const struct pst_host *h)
{
	const struct pst_host_display *d = &h->display;
	const struct pst_host_pci_dev *other;
	size_t i;

	for (i = 0; i < d->n_ranges; i++)
		if (d->range[i].owned || !d->hidden)
			return true;
	for (i = 0; (other = pst_host_other_display(h, i)); i++)
		if (other->boot_vga)
			return true;
	return false;
}

bool pst_host_fb_is_off(const struct pst_host *h)
{
	return pst_host_cmdline_has(&h->cmdline, "initcall_blacklist",
				    "sysfb_init") ||
	       pst_host_cmdline_has(&h->cmdline, "video", "efifb:off");
}

void pst_host_fb_judge(const struct pst_host *h, struct pst_host_fb *ret)
{
	const struct pst_host_display *d = &h->display;
	const struct pst_host_pci_dev *card[PST_HOST_PCI_MAX_FN];
	const size_t n = pst_host_pci_card(&h->pci, h->gpu, card);
	size_t i;

	*ret = (struct pst_host_fb){
		.name = *d->fb         ? d->fb
			: *d->platform ? d->platform
			: d->n_ranges  ? d->range[0].name
				       : "",
	};
	for (i = 0; i < n && !ret->range; i++) {
		ret->fn = card[i];
		ret->range = pst_host_display_in_bar(d, card[i], &ret->bar);
	}
	if (!ret->range)
		ret->fn = pst_host_boot_function(h);
	if (ret->range)
		ret->state = PST_HOST_FB_ON_CARD;
	else if (!*ret->name)
		ret->state = d->seen ? PST_HOST_FB_NONE : PST_HOST_FB_UNSEEN;
	else if (ret->fn && (d->hidden || !d->n_ranges))
		ret->state = PST_HOST_FB_ON_CARD;
	else if (fb_is_elsewhere(h))
		ret->state = PST_HOST_FB_ELSEWHERE;
	else
		ret->state = PST_HOST_FB_UNSEEN;
}
