/* SPDX-License-Identifier: MIT */
/* The udev rules that let a card come back: how it is reset, and that it stays
 * out of D3cold. */
#include <string.h>

#include "kernel-params/check/reset.h"
#include "kernel-params/edit/dropins.h"
#include "kernel-params/plan/plan.h"

/* What a rule is for: a model, or one card of several that are equal. */
static void match(const struct pst_host_plan *p,
		  const struct pst_host_pci_dev *dev, char *ret, size_t size)
{
	if (p->by_address)
		snprintf(ret, size, "KERNEL==\"%s\"", dev->name);
	else
		snprintf(ret, size,
			 "ATTR{vendor}==\"0x%04x\", ATTR{device}==\"0x%04x\"",
			 dev->vendor, dev->device);
}

/*
 * Whether the kernel has to be told how to reset it. What the rule has done
 * already looks like what some kernels know by themselves, so a rule that is
 * there stays.
 */
static bool wants_method(const struct pst_host_plan *p,
			 const struct pst_host_pci_dev *dev)
{
	return pst_host_reset_flr_fails(dev) && dev->knows_reset_method &&
	       (pst_host_reset_has(dev, "flr") || !*dev->reset_method ||
		pst_host_root_exists(p->host->root, PST_HOST_CARD_RULES_FILE));
}

static int add_method(struct pst_host_plan *p,
		      const struct pst_host_pci_dev *dev)
{
	char who[80];

	match(p, dev, who, sizeof(who));
	p->method_of = dev;
	/* One of several functions cannot have "bus"; without any method
	 * vfio-pci resets the bus of the whole card. Udev writes no empty line.
	 */
	return pst_host_lines_add(
		&p->card_rules, "ACTION==\"add\", SUBSYSTEM==\"pci\", %s, %s",
		who,
		pst_host_reset_shares_bus(&p->host->pci, dev)
			? "RUN+=\"/bin/sh -c 'echo >/sys%p/reset_method'\""
			: "ATTR{reset_method}=\"bus\"");
}

static int add_awake(struct pst_host_plan *p)
{
	const struct pst_host_card_state *s = &p->host->state;
	char who[80];
	size_t i;
	int r = 0;

	p->stays_awake = true;
	for (i = 0; r == 0 && i < s->n; i++) {
		if (s->fn[i].d3cold_allowed < 0)
			continue;
		match(p, s->fn[i].dev, who, sizeof(who));
		r = pst_host_lines_add(&p->card_rules,
				       "ACTION==\"add\", SUBSYSTEM==\"pci\", "
				       "%s, ATTR{d3cold_allowed}=\"0\"",
				       who);
	}
	return r;
}

int pst_host_plan_card(struct pst_host_plan *p,
		       const struct pst_host_journal *j, struct pst_error *err)
{
	const struct pst_host *h = p->host;
	const struct pst_host_pci_dev *main =
		pst_host_reset_main(&h->state, h->gpu);
	char *text;
	int r = 0;

	if (p->request.targets &&
	    !(p->targets & (PST_HOST_TARGET_UDEV | PST_HOST_TARGET_NIXOS)))
		return 0;
	if (wants_method(p, main))
		r = add_method(p, main);
	if (r == 0 && pst_host_reset_wants_awake(&h->state, main))
		r = add_awake(p);
	if (r < 0)
		return pst_oom(err);
	/* NixOS has them in its module. */
	if (!p->card_rules.n || p->targets & PST_HOST_TARGET_NIXOS)
		return 0;
	text = pst_host_dropin_rules(pst_host_lines_list(&p->card_rules));
	if (!text)
		return pst_oom(err);
	return pst_host_plan_file(p, j, PST_HOST_TARGET_UDEV,
				  "/" PST_HOST_CARD_RULES_FILE, text, 0644,
				  true, err);
}
