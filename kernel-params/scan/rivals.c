/* SPDX-License-Identifier: MIT */
/* Lists the rivals of vfio-pci. */
#include "kernel-params/scan/rivals.h"

#include <string.h>

#define NVIDIA PST_HOST_PCI_NVIDIA
#define AMD    0x1002
#define INTEL  0x8086

/* In the order in which a plan writes them. */
static const struct pst_host_rival rivals[] = {
	{"nvidia", NVIDIA, {0x0300, 0x0302}, PST_HOST_RIVAL_USUAL},
	{"nvidia_drm", NVIDIA, {0x0300, 0x0302}, PST_HOST_RIVAL_FOLLOWS},
	{"nvidia_modeset", NVIDIA, {0x0300, 0x0302}, PST_HOST_RIVAL_FOLLOWS},
	{"nvidia_uvm", NVIDIA, {0x0300, 0x0302}, PST_HOST_RIVAL_FOLLOWS},
	{"nvidia_peermem", NVIDIA, {0x0300, 0x0302}, PST_HOST_RIVAL_FOLLOWS},
	{"nouveau", NVIDIA, {0x0300, 0x0302}, PST_HOST_RIVAL_USUAL},
	{"nvidiafb", NVIDIA, {0x0300}, PST_HOST_RIVAL_RARE},
	{"nova_core", NVIDIA, {0x0300, 0x0302}, PST_HOST_RIVAL_RARE},
	{"nova_drm", NVIDIA, {0}, PST_HOST_RIVAL_FOLLOWS},
	{"amdgpu", AMD, {0x0300, 0x0380, 0x1200}, PST_HOST_RIVAL_USUAL},
	{"radeon", AMD, {0x0300, 0x0380}, PST_HOST_RIVAL_USUAL},
	{"i915", INTEL, {0x0300, 0x0380}, PST_HOST_RIVAL_USUAL},
	{"xe", INTEL, {0x0300, 0x0380}, PST_HOST_RIVAL_USUAL},
	{"snd_hda_intel", 0, {0x0403}, PST_HOST_RIVAL_USUAL},
	{"xhci_pci", 0, {0x0c03}, PST_HOST_RIVAL_USUAL},
	{"i2c_nvidia_gpu", NVIDIA, {0x0c80}, PST_HOST_RIVAL_USUAL},
	{"ucsi_ccg", 0, {0}, PST_HOST_RIVAL_FOLLOWS},
	/* They take the memory of the firmware's display. */
	{"simpledrm", 0, {0}, PST_HOST_RIVAL_USUAL},
	{"efifb", 0, {0}, PST_HOST_RIVAL_USUAL},
};

static bool may_take(const struct pst_host_rival *r,
		     const struct pst_host_pci_dev *dev)
{
	size_t i;

	if (r->vendor && r->vendor != dev->vendor)
		return false;
	for (i = 0; i < PST_ARRAY_SIZE(r->class); i++)
		if (r->class[i] && r->class[i] == dev->class >> 8)
			return true;
	return false;
}

const struct pst_host_rival *
pst_host_rival_next(const struct pst_host_pci_dev *dev,
		    const struct pst_host_rival *after)
{
	const struct pst_host_rival *r = after ? after + 1 : rivals;

	for (; r < rivals + PST_ARRAY_SIZE(rivals); r++)
		if (!dev || may_take(r, dev))
			return r;
	return NULL;
}

bool pst_host_module_is_rival(const char *name)
{
	const struct pst_host_rival *r = NULL;

	while ((r = pst_host_rival_next(NULL, r)))
		if (pst_host_param_name_eq(name, r->module))
			return true;
	return false;
}

bool pst_host_module_kept_out(const struct pst_host *h, const char *module)
{
	return pst_host_modconf_against(&h->modconf, module) ||
	       pst_host_cmdline_has(&h->cmdline, "module_blacklist", module) ||
	       pst_host_cmdline_has(&h->cmdline, "modprobe.blacklist", module);
}

void pst_host_module_kept_by(const struct pst_host *h, const char *module,
			     char *ret, size_t size)
{
	const struct pst_host_modconf_line *l =
		pst_host_modconf_against(&h->modconf, module);

	if (l)
		snprintf(ret, size, "%.100s line %u", l->file, l->line);
	else
		snprintf(ret, size, "%s= on the command line",
			 pst_host_cmdline_has(&h->cmdline, "module_blacklist",
					      module)
				 ? "module_blacklist"
				 : "modprobe.blacklist");
}

const char *pst_host_module_of(const char *driver, char *buf, size_t size)
{
	char *p;

	if (strcmp(driver, "xhci_hcd") == 0)
		return "xhci_pci";
	if (strcmp(driver, "nvidia-gpu") == 0)
		return "i2c_nvidia_gpu";
	snprintf(buf, size, "%s", driver);
	for (p = buf; *p; p++)
		if (*p == '-')
			*p = '_';
	return buf;
}
