/* SPDX-License-Identifier: MIT */
/* Checks whether the card comes back: answer, reset, power, link. */
#include <string.h>

#include "kernel-params/check/check_int.h"
#include "kernel-params/check/reset.h"

PST_HOST_CHECK(gpu_answer)
{
	const struct pst_host_card_state *s = &h->state;
	struct pst_host_text seen = {0}, fix = {0};
	size_t i, n_read = 0;

	for (i = 0; i < s->n; i++) {
		const struct pst_host_config *c = &s->fn[i].config;
		const char *name = s->fn[i].dev->name;

		n_read += c->answer != PST_HOST_ANSWER_UNSEEN;
		if (c->answer == PST_HOST_ANSWER_NONE)
			pst_host_text_add(&seen,
					  "%s%s has fallen off the bus (all "
					  "ones, header type 7f)",
					  seen.len ? "; " : "", name);
		else if (c->answer == PST_HOST_ANSWER_LATER)
			pst_host_text_add(&seen,
					  "%s%s is not ready after a reset",
					  seen.len ? "; " : "", name);
		else if (c->answer == PST_HOST_ANSWER_YES &&
			 !s->fn[i].dev->is_vf &&
			 (c->vendor != s->fn[i].dev->vendor ||
			  c->device != s->fn[i].dev->device))
			pst_host_text_add(
				&seen,
				"%s%s says that it is %04x:%04x, and was "
				"%04x:%04x when it was found",
				seen.len ? "; " : "", name, c->vendor,
				c->device, s->fn[i].dev->vendor,
				s->fn[i].dev->device);
	}
	pst_host_text_add(&fix,
			  "penstock host gpu reset %s shows what would bring "
			  "it back, and does so with --yes; else switch the "
			  "machine off, since a warm reboot keeps its power",
			  h->gpu->name);
	if (seen.len)
		pst_host_finding_add(out, PST_HOST_FAIL, fix.buf, "%s",
				     seen.buf);
	else if (!n_read && s->fn[0].power == PST_HOST_POWER_D3COLD)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "lspci -x wakes it and shows whether it "
				     "answers",
				     "%s is in D3cold and was not woken for "
				     "this",
				     h->gpu->name);
	else if (!n_read)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"copy its config file too, or run penstock host check "
			"on that machine",
			"configuration space of %s was not seen", h->gpu->name);
	else
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "%zu of %zu functions of %s answer",
				     n_read, s->n, h->gpu->name);
}

/* ---- Reset --------------------------------------------------------------- */

/* What to expect of a card that may not come back, and what helps. */
static void reset_fix(const struct pst_host_pci_dev *d,
		      struct pst_host_text *fix)
{
	pst_host_text_add(fix,
			  "stop guests in order (penstock vm stop); where the "
			  "card does not start again, penstock host gpu reset "
			  "%s, then suspend the host, or switch it off",
			  d->name);
	if (d->vendor == 0x1002)
		pst_host_text_add(fix,
				  "; for many AMD cards there is the module "
				  "vendor-reset");
	else if (d->vendor == PST_HOST_PCI_NVIDIA)
		pst_host_text_add(fix, "; the module vendor-reset is for AMD "
				       "cards and does nothing here");
}

static void flr_fails(const struct pst_host *h,
		      const struct pst_host_pci_dev *d,
		      struct pst_host_findings *out)
{
	struct pst_host_text fix = {0};

	pst_host_text_add(&fix,
			  "have the kernel reset its bus instead: penstock "
			  "host plan --gpu %s writes the udev rule that sets "
			  "reset_method",
			  h->gpu->name);
	if (pst_host_reset_has(d, "flr"))
		pst_host_finding_add(
			out, PST_HOST_WARN, fix.buf,
			"%s has methods: %s; GB202 does not come back from "
			"flr, and stays gone until the power is off",
			d->name, d->reset_method);
	else if (d->knows_reset_method)
		pst_host_finding_add(
			out, PST_HOST_PASS, NULL,
			"methods: %s; flr, from which GB202 does not come "
			"back, is not among them",
			*d->reset_method ? d->reset_method
					 : "none, so vfio-pci resets its bus");
	else
		pst_host_finding_add(
			out, PST_HOST_WARN, fix.buf,
			"reset_method of %s was not seen; GB202 does not come "
			"back from flr",
			d->name);
}

PST_HOST_CHECK(gpu_reset)
{
	const struct pst_host_pci_dev *d =
		pst_host_reset_main(&h->state, h->gpu);
	struct pst_host_text fix = {0};

	reset_fix(d, &fix);
	if (d->bad & PST_HOST_PCI_BAD_RESET)
		pst_host_finding_add(out, PST_HOST_WARN, fix.buf,
				     "reset_method of %s cannot be read",
				     d->name);
	else if (pst_host_reset_flr_fails(d))
		flr_fails(h, d, out);
	else if (pst_host_reset_has(d, "flr") ||
		 pst_host_reset_has(d, "af_flr") ||
		 pst_host_reset_has(d, "device_specific"))
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "methods: %s",
				     d->reset_method);
	else if (pst_host_reset_has(d, "bus"))
		pst_host_finding_add(
			out, PST_HOST_WARN, fix.buf,
			"methods: %s; by the bus all functions are "
			"reset together, and not every card comes back",
			d->reset_method);
	else if (d->knows_reset_method)
		pst_host_finding_add(out, PST_HOST_WARN, fix.buf, "methods: %s",
				     *d->reset_method ? d->reset_method
						      : "none");
	else if (d->has_reset)
		pst_host_finding_add(
			out, PST_HOST_WARN, fix.buf,
			"it can be reset; how is not shown (kernels "
			"before 5.15)");
	else
		pst_host_finding_add(
			out, PST_HOST_WARN, fix.buf,
			"neither reset nor reset_method was seen for "
			"%s",
			d->name);
}

/* ---- Power --------------------------------------------------------------- */

static void power_fix(const struct pst_host *h, struct pst_host_text *fix)
{
	pst_host_text_add(fix,
			  "forbid it: penstock host plan --gpu %s writes a "
			  "udev rule (d3cold_allowed 0) for a card without "
			  "flr; or keep idle functions awake: options vfio-pci "
			  "disable_idle_d3=1 in modprobe.d",
			  h->gpu->name);
}

PST_HOST_CHECK(gpu_power)
{
	const struct pst_host_card_state *s = &h->state;
	const struct pst_host_pci_dev *main = pst_host_reset_main(s, h->gpu);
	struct pst_host_text seen = {0}, fix = {0};
	bool cold = false, may = false, known = false;
	size_t i;

	for (i = 0; i < s->n; i++) {
		const struct pst_host_fn_state *f = &s->fn[i];

		cold |= f->power == PST_HOST_POWER_D3COLD;
		may |= f->d3cold_allowed == 1 && f->stays_on != 1;
		known |= f->power != PST_HOST_POWER_UNSEEN;
		if (f->power == PST_HOST_POWER_UNSEEN)
			continue;
		pst_host_text_add(&seen, "%s%s is in %s", seen.len ? ", " : "",
				  f->dev->name, pst_host_power_name(f->power));
		if (f->power == PST_HOST_POWER_D3COLD && *f->dev->driver)
			pst_host_text_add(&seen, " under %s", f->dev->driver);
	}
	power_fix(h, &fix);
	if (cold && h->files.idle_d3_off)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "reboot, or load vfio-pci anew",
				     "%s; disable_idle_d3 is set and not in "
				     "effect yet",
				     seen.buf);
	else if (cold)
		pst_host_finding_add(out, PST_HOST_WARN, fix.buf, "%s",
				     seen.buf);
	else if (!known)
		pst_host_finding_add(
			out, PST_HOST_WARN, "see power_state of the card there",
			"power state of %s was not seen", h->gpu->name);
	else if (may && !h->files.idle_d3_off &&
		 pst_host_reset_wants_awake(s, main))
		pst_host_finding_add(
			out, PST_HOST_WARN, fix.buf,
			"%s; idle, it may go to D3cold, and it has no flr to "
			"bring it back",
			seen.buf);
	else
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%s", seen.buf);
}

/* ---- Link ---------------------------------------------------------------- */

static void link_seen(const struct pst_host_link *l, const char *what,
		      struct pst_host_text *t)
{
	if (!l->width && !l->max_width)
		return;
	pst_host_text_add(t, "%s%s ", t->len ? "; " : "", what);
	if (l->width)
		pst_host_text_add(t, "x%u", l->width);
	if (l->width && l->max_width)
		pst_host_text_add(t, " of ");
	if (l->max_width)
		pst_host_text_add(t, "x%u", l->max_width);
	if (l->speed && l->max_speed)
		pst_host_text_add(t, " at %.1f of %.1f GT/s", l->speed / 1000.0,
				  l->max_speed / 1000.0);
}

PST_HOST_CHECK(gpu_link)
{
	const struct pst_host_card_state *s = &h->state;
	const struct pst_host_link *l = &s->fn[0].link, *p = &s->port_link;
	struct pst_host_text seen = {0};
	unsigned int can = l->max_width;

	link_seen(l, "the card has", &seen);
	if (s->port)
		link_seen(p, "its slot", &seen);
	if (p->max_width && (!can || p->max_width < can))
		can = p->max_width;
	if (!l->width || !l->max_width)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"see current_link_width and max_link_width of the card "
			"there",
			"the link of %s was not seen", h->gpu->name);
	else if (l->width < can)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"switch the machine off and seat the card and its riser "
			"anew; a link that is narrower only after a reset comes "
			"back with penstock host gpu reset --method bus",
			"%s", seen.buf);
	else if (l->width < l->max_width)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"put the card into a slot with more lanes, or leave "
			"slots empty that share its lanes",
			"%s", seen.buf);
	else
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "%s; an idle card lowers the speed",
				     seen.buf);
}
