/* SPDX-License-Identifier: MIT */
/* Checks of displays, and of drivers that would interfere. */
#include <string.h>

#include "kernel-params/check/check_int.h"
#include "kernel-params/scan/rivals.h"

PST_HOST_CHECK(boot_display)
{
	const struct pst_host_pci_dev *g = h->gpu,
				      *boot = pst_host_boot_function(h);
	const bool used = h->use.kind == PST_HOST_CARD_DISPLAY;

	if (!boot && !used)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "%s is not what the host boots on",
				     g->name);
	else
		pst_host_finding_add(
			out, PST_HOST_WARN,
			pst_host_other_display(h, 0)
				? "make the other card the first display in "
				  "the firmware's setup and plug the screen in "
				  "there"
				: "the host will have no screen: be sure of ssh; "
				  "pass the card's ROM as a file",
			"%s is the display that the %s uses%s%s",
			used ? h->use.fn->name : boot->name,
			used && !h->use.fn->boot_vga ? "host" : "firmware",
			used ? ": " : "", used ? h->use.why : "");
}

PST_HOST_CHECK(host_use)
{
	const struct pst_host_card_use *u = &h->use;

	if (u->kind == PST_HOST_CARD_DISK || u->kind == PST_HOST_CARD_NETWORK)
		pst_host_finding_add(
			out, PST_HOST_FAIL,
			u->kind == PST_HOST_CARD_DISK
				? "name another card, or move what is "
				  "mounted to another disk"
				: "name another card, or have the "
				  "route lead through another one",
			"%s: %s", u->fn->name, u->why);
	else if (u->kind == PST_HOST_CARD_NO_GPU)
		pst_host_finding_add(
			out, PST_HOST_WARN, "name the graphics card (lspci)",
			"%s is neither a display nor an accelerator: "
			"%s",
			h->gpu->name, u->why);
	else
		pst_host_finding_add(
			out, PST_HOST_PASS, NULL,
			"no mounted file system and no default route "
			"of the host on %s",
			h->gpu->name);
}

static const char *fb_remedy(const struct pst_host *h)
{
	return pst_host_fb_is_off(h)
		       ? "what turns it off is on the command line already and "
			 "did not help here: " PST_HOST_FB_OTHERWISE
		       : "turn it off: " PST_HOST_NO_SYSFB
			 ", or boot on another card";
}

PST_HOST_CHECK(framebuffer)
{
	const char *const fb_fix = fb_remedy(h);
	struct pst_host_fb fb;

	pst_host_fb_judge(h, &fb);
	if (fb.range && fb.bar == PST_HOST_PCI_BARS)
		pst_host_finding_add(
			out, PST_HOST_FAIL, fb_fix,
			"%s lies in %s, says /proc/iomem (where in "
			"it, to root only)",
			fb.range->name, fb.fn->name);
	else if (fb.range)
		pst_host_finding_add(out, PST_HOST_FAIL, fb_fix,
				     "%s holds %#" PRIx64 "-%#" PRIx64
				     " in BAR %u of %s",
				     fb.range->name, fb.range->start,
				     fb.range->end, fb.bar, fb.fn->name);
	else if (fb.state == PST_HOST_FB_NONE)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "no framebuffer of the firmware is left");
	else if (fb.state == PST_HOST_FB_ON_CARD)
		pst_host_finding_add(out, PST_HOST_FAIL, fb_fix,
				     "%s, and %s is the firmware's display",
				     fb.name, fb.fn->name);
	else if (fb.state == PST_HOST_FB_UNSEEN && !*fb.name)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"look into /proc/fb and, as root, /proc/iomem there",
			"neither proc/fb nor addresses in proc/iomem were "
			"seen: a framebuffer of the firmware may be left");
	else if (fb.state == PST_HOST_FB_UNSEEN)
		pst_host_finding_add(
			out, PST_HOST_WARN, fb_fix,
			"%s; where it lies was not seen (/proc/iomem "
			"is for root)",
			fb.name);
	else
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "%s, not in the memory of %s", fb.name,
				     h->gpu->name);
}

/* A module that is not wanted and so explains a card without a driver. */
static const char *kept_out(const struct pst_host *h,
			    const struct pst_host_pci_dev *d)
{
	const struct pst_host_rival *m = NULL;

	while ((m = pst_host_rival_next(d, m)))
		if (m->kind == PST_HOST_RIVAL_USUAL &&
		    pst_host_module_kept_out(h, m->module))
			return m->module;
	return NULL;
}

PST_HOST_CHECK(host_gpu)
{
	const struct pst_host_pci_dev *d;
	struct pst_host_text seen = {0};
	size_t i, working = 0, n = 0;

	for (i = 0; (d = pst_host_other_display(h, i)); i++) {
		const char *out_of = *d->driver ? NULL : kept_out(h, d);

		n++;
		working += *d->driver && !pst_host_pci_on_vfio(d);
		pst_host_text_add(&seen, "%s%s [%04x:%04x] %s%s%s",
				  i ? ", " : "", d->name, d->vendor, d->device,
				  *d->driver ? d->driver : "no driver",
				  out_of ? ", blacklisted: " : "",
				  out_of ? out_of : "");
	}
	if (!n)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"have ssh or a serial console to the host "
			"before the card goes",
			"no other display: the host will be headless");
	else if (working == n)
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%s", seen.buf);
	else if (working)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"see that each card that stays has its driver, "
			"not vfio-pci",
			"%s", seen.buf);
	else
		pst_host_finding_add(
			out, PST_HOST_FAIL,
			"give a card that stays its driver back: no "
			"blacklist of it, no ids that match it",
			"%s", seen.buf);
}

/* The NVIDIA card that stays on the host, or NULL. */
static const struct pst_host_pci_dev *staying_nvidia(const struct pst_host *h)
{
	const struct pst_host_pci_dev *d;
	size_t i;

	for (i = 0; (d = pst_host_other_display(h, i)); i++)
		if (d->vendor == PST_HOST_PCI_NVIDIA &&
		    !pst_host_pci_on_vfio(d))
			return d;
	return NULL;
}

PST_HOST_CHECK(nvidia_modules)
{
	const struct pst_host_pci_dev *stays = staying_nvidia(h);
	const struct pst_host_rival *m = NULL;
	struct pst_host_text seen = {0};

	if (h->gpu->vendor != PST_HOST_PCI_NVIDIA)
		return;
	/* The driver of its USB-C port is none of NVIDIA's. */
	while ((m = pst_host_rival_next(NULL, m)))
		if (m->vendor == PST_HOST_PCI_NVIDIA && m->class[0] != 0x0c80 &&
		    pst_host_module_is_in(&h->modules, m->module))
			pst_host_text_add(&seen, "%s%s", seen.len ? " " : "",
					  m->module);
	if (!h->modules.loaded && !h->modules.has_sys)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "look into /proc/modules there",
				     "proc/modules was not seen");
	else if (!seen.len)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "no NVIDIA module is loaded");
	else if (stays)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "%s for %s, which stays", seen.buf,
				     stays->name);
	else
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"write a line blacklist MODULE for each into a file "
			"of /etc/modprobe.d: no NVIDIA card stays on this "
			"host",
			"%s loaded, and no NVIDIA card stays", seen.buf);
}

static bool option_on(const struct pst_host *h, const char *param,
		      const char **where)
{
	PST_CLEANUP_FREE char *conf =
		pst_host_modconf_option(&h->modconf, "nvidia-drm", param);
	const struct pst_host_param *p =
		pst_host_cmdline_module(&h->cmdline, "nvidia-drm", param);

	*where = p ? "the command line" : "modprobe.d";
	if (p)
		return !p->value || strchr("1yY", *p->value);
	return conf && strchr("1yY", *conf);
}

PST_HOST_CHECK(nvidia_modeset)
{
	const struct pst_host_pci_dev *stays = staying_nvidia(h);
	static const char *const params[] = {"modeset", "fbdev"};
	struct pst_host_text seen = {0};
	size_t i;

	if (h->gpu->vendor != PST_HOST_PCI_NVIDIA)
		return;
	for (i = 0; i < PST_ARRAY_SIZE(params); i++) {
		const char *where;

		if (option_on(h, params[i], &where))
			pst_host_text_add(&seen, "%snvidia-drm.%s in %s",
					  seen.len ? ", " : "", params[i],
					  where);
	}
	if (!seen.len)
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "not asked for");
	else if (stays)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "%s, for %s, which stays", seen.buf,
				     stays->name);
	else
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"take these options out of modprobe.d and off the "
			"command line: no NVIDIA card stays on this host",
			"%s, and no NVIDIA card stays", seen.buf);
}
