/* SPDX-License-Identifier: MIT */
/* Checks of the card: functions, cards of the same model, driver, BARs, address
 * width. */
#include <string.h>

#include "kernel-params/check/check_int.h"
#include "kernel-params/scan/next_boot.h"

/* From this on a guest's firmware may have no window for it by itself. */
#define LARGE_BAR (32ULL << 30)
/* Addresses below 4 GiB that are not RAM: a q35 guest's RAM ends higher. */
#define LOW_HOLE (4ULL << 30)

PST_HOST_CHECK(gpu_selected)
{
	const struct pst_host_pci_dev *d = h->gpu;

	if (!d && !h->pci.n)
		pst_host_finding_add(out, PST_HOST_FAIL,
				     "copy sys/bus/pci and sys/devices too",
				     "no PCI device was seen");
	else if (!d)
		pst_host_finding_add(
			out, PST_HOST_FAIL,
			"name the card: --gpu ADDR (lspci -nn lists "
			"them)",
			"%s", h->gpu_err.text);
	else if (!pst_host_pci_is_display(d))
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"go on if that is meant; --gpu names another",
			"%s [%04x:%04x], a %s function and no display", d->name,
			d->vendor, d->device, pst_host_pci_kind(d));
	else
		pst_host_finding_add(
			out, PST_HOST_PASS, NULL, "%s [%04x:%04x] %s%s%s",
			d->name, d->vendor, d->device, pst_host_pci_kind(d),
			h->arch ? ", " : "", h->arch ? h->arch->name : "");
}

PST_HOST_CHECK(gpu_functions)
{
	const struct pst_host_pci_dev *fn[PST_HOST_PCI_MAX_FN];
	size_t n = pst_host_pci_card(&h->pci, h->gpu, fn), i, held = 0,
	       ready = 0;
	struct pst_host_text seen = {0}, fix = {0};
	bool xhci = false;

	for (i = 0; i < n; i++) {
		xhci = xhci || strncmp(fn[i]->driver, "xhci", 4) == 0;
		held += pst_host_pci_is_held(fn[i]);
		ready += pst_host_pci_on_vfio(fn[i]);
		pst_host_text_add(&seen, "%s%s %s: %s", i ? ", " : "",
				  fn[i]->name, pst_host_pci_kind(fn[i]),
				  *fn[i]->driver ? fn[i]->driver : "no driver");
	}
	if (ready == n) {
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%s", seen.buf);
		return;
	}
	if (pst_host_next_boot_gives(h))
		pst_host_text_add(
			&fix,
			"the settings that give them to vfio-pci are in "
			"place: make the initramfs anew (penstock host plan "
			"names the command) and reboot");
	else
		pst_host_text_add(
			&fix,
			"penstock host plan --gpu %s shows, and apply writes, "
			"what gives them to vfio-pci at boot",
			h->gpu->name);
	if (xhci)
		pst_host_text_add(&fix,
				  "; a built-in xhci_pci still comes first: "
				  "managed='yes' has libvirt take the "
				  "function over at start");
	if (held || !pst_host_pci_on_vfio(h->gpu))
		pst_host_finding_add(out, PST_HOST_FAIL, fix.buf, "%s",
				     seen.buf);
	else
		pst_host_finding_add(out, PST_HOST_WARN, fix.buf, "%s",
				     seen.buf);
}

/* One function that has doubles, and what would happen to them: PST_HOST_PASS
 * when the function is told by its address. */
static enum pst_host_finding_status twins_of(const struct pst_host *h,
					     const struct pst_host_pci_dev *d,
					     struct pst_host_text *seen)
{
	enum pst_host_vfio_how how = pst_host_vfio_conf_how(&h->vfio, d);
	const struct pst_host_pci_dev *twin = NULL;
	bool any = false, taken = false;

	while ((twin = pst_host_pci_twin(&h->pci, d, twin))) {
		pst_host_text_add(
			seen, "%s%s and %s are both %04x:%04x (%s, %s)",
			seen->len ? "; " : "", d->name, twin->name, d->vendor,
			d->device, *d->driver ? d->driver : "no driver",
			*twin->driver ? twin->driver : "no driver");
		any = true;
		taken = taken || how == PST_HOST_VFIO_IDS_CMDLINE ||
			how == PST_HOST_VFIO_IDS_MODPROBE;
	}
	if (taken)
		pst_host_text_add(seen, "; the ids of vfio-pci take both");
	else if (any && how == PST_HOST_VFIO_OVERRIDE)
		pst_host_text_add(seen,
				  "; vfio-pci gets the former by its address");
	return taken                                  ? PST_HOST_FAIL
	       : any && how != PST_HOST_VFIO_OVERRIDE ? PST_HOST_WARN
						      : PST_HOST_PASS;
}

/* No card was chosen, perhaps because of this. */
static void twins_of_all(const struct pst_host *h,
			 struct pst_host_findings *out)
{
	struct pst_host_text seen = {0};
	size_t i;

	for (i = 0; i < h->pci.n; i++) {
		const struct pst_host_pci_dev *d = &h->pci.dev[i];
		const struct pst_host_pci_dev *twin =
			pst_host_pci_twin(&h->pci, d, NULL);

		if (pst_host_pci_is_display(d) && twin > d)
			pst_host_text_add(&seen,
					  "%s%s and %s are both %04x:%04x",
					  seen.len ? "; " : "", d->name,
					  twin->name, d->vendor, d->device);
	}
	if (seen.len)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"choose one by its address (--gpu ADDR) and use "
			"driver_override, not ids",
			"%s", seen.buf);
}

PST_HOST_CHECK(gpu_twins)
{
	const struct pst_host_pci_dev *fn[PST_HOST_PCI_MAX_FN];
	enum pst_host_finding_status status = PST_HOST_PASS, one;
	struct pst_host_text seen = {0}, fix = {0};
	size_t i, n;

	if (!h->gpu) {
		twins_of_all(h, out);
		return;
	}
	n = pst_host_pci_card(&h->pci, h->gpu, fn);
	for (i = 0; i < n; i++) {
		one = twins_of(h, fn[i], &seen);
		status = one > status ? one : status;
	}
	if (!seen.len) {
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "no other card has the ids of %s",
				     h->gpu->name);
		return;
	}
	pst_host_text_add(
		&fix,
		"bind by address: driver_override, which penstock host "
		"plan --gpu %s sets; no ids",
		h->gpu->name);
	pst_host_finding_add(out, status,
			     status == PST_HOST_PASS ? NULL : fix.buf, "%s",
			     seen.buf);
}

static void driver_text(const struct pst_host_gpu_arch *a,
			struct pst_host_text *fix)
{
	if (a->last_branch)
		pst_host_text_add(
			fix,
			"in the guest: driver branch %u, the last with "
			"%s, and CUDA %s at most",
			a->last_branch, a->name, a->last_cuda);
	else
		pst_host_text_add(
			fix,
			"in the guest: driver branch %u or newer and CUDA "
			"%s or newer",
			a->first_branch, a->first_cuda);
	if (a->open_only)
		pst_host_text_add(fix,
				  ", with the open kernel module, the only one "
				  "that takes it");
	else if (!a->open_possible)
		pst_host_text_add(fix,
				  "; the open kernel module does not know it");
}

PST_HOST_CHECK(gpu_driver)
{
	const struct pst_host_gpu_arch *a = h->arch;
	struct pst_host_text fix = {0};

	if (h->gpu->vendor != PST_HOST_PCI_NVIDIA) {
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"penstock's cuda backend needs an NVIDIA card; "
			"the cpu backend works without",
			"vendor %04x, not NVIDIA", h->gpu->vendor);
		return;
	}
	if (!a) {
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"look its architecture up in NVIDIA's list of "
			"supported products",
			"device %04x is not in penstock's table",
			h->gpu->device);
		return;
	}
	driver_text(a, &fix);
	pst_host_finding_add(
		out,
		a->last_branch || a->open_only ? PST_HOST_WARN : PST_HOST_PASS,
		fix.buf, "%s (compute capability %s)%s", a->name, a->sm,
		a->last_branch ? ", which current drivers have dropped" : "");
}

PST_HOST_CHECK(gpu_bars)
{
	const struct pst_host_pci_dev *d = h->gpu;
	struct pst_host_text seen = {0};
	uint64_t largest = 0;
	unsigned int i;

	for (i = 0; i < PST_HOST_PCI_BARS - 1; i++) {
		uint64_t size = d->bar[i].end - d->bar[i].start;

		if (!d->bar[i].end)
			continue;
		size = size == UINT64_MAX ? size : size + 1;
		largest = size > largest ? size : largest;
		pst_host_text_add(
			&seen, "%sBAR %u %" PRIu64 " MiB at %#" PRIx64,
			seen.len ? ", " : "", i, size >> 20, d->bar[i].start);
	}
	if (d->bad & PST_HOST_PCI_BAD_RESOURCE)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "read its resource file",
				     "invalid resources of %s", d->name);
	else if (!seen.len)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "dmesg says why; Above 4G Decoding in the "
				     "firmware's setup may be off",
				     "%s has no BAR with an address", d->name);
	else if (largest >= LARGE_BAR)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"the guest needs a 64-bit window of that size: "
			"OVMF of 2023 or newer, or its "
			"opt/ovmf/X-PciMmio64Mb",
			"%s", seen.buf);
	else
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%s", seen.buf);
}

static unsigned int smaller(unsigned int a, unsigned int b)
{
	if (!a || !b)
		return a ? a : b;
	return a < b ? a : b;
}

/* Bits that addresses below n bytes take. */
static unsigned int bits_for(uint64_t n)
{
	unsigned int bits = 0;

	while (bits < 64 && (n - 1) >> bits)
		bits++;
	return bits;
}

static void width_seen(const struct pst_host *h, unsigned int card,
		       struct pst_host_text *t)
{
	unsigned int width = smaller(h->iommu.width_bits, h->iommu.table_bits);

	if (width)
		pst_host_text_add(t, "IOMMU %u bits", width);
	else
		pst_host_text_add(t, "IOMMU's width not seen");
	if (card)
		pst_host_text_add(t, ", card %u%s", card,
				  h->files.nvidia_dma_bits
					  ? ""
					  : " at least (by its architecture)");
	else
		pst_host_text_add(t, ", card's width unknown");
	if (h->cpu.phys_bits)
		pst_host_text_add(t, ", CPU %u", h->cpu.phys_bits);
}

PST_HOST_CHECK(gpu_dma_width)
{
	unsigned int card = h->files.nvidia_dma_bits ? h->files.nvidia_dma_bits
			    : h->arch                ? h->arch->dma_bits
						     : 0;
	unsigned int width = smaller(h->iommu.width_bits, h->iommu.table_bits);
	unsigned int limit = smaller(width, card), need = 64;
	struct pst_host_text seen = {0}, fix = {0};
	uint64_t top;

	width_seen(h, card, &seen);
	if (!pst_add_overflow(pst_host_wanted_bytes(h), LOW_HOLE, &top))
		need = bits_for(top);
	pst_host_text_add(
		&fix,
		"limit the guest's physical addresses to %u bits: "
		"<maxphysaddr mode='passthrough' limit='%u'/> (libvirt "
		"9.3), which penstock vm xml writes; or the region as "
		"nvdimm, just above RAM",
		limit, limit);
	if (limit && need > limit)
		pst_host_finding_add(out, PST_HOST_FAIL,
				     "give the guest less memory, or a smaller "
				     "region",
				     "%s; guest and region would need %u",
				     seen.buf, need);
	else if (!width)
		pst_host_finding_add(
			out, PST_HOST_WARN, "turn the IOMMU on and check again",
			"%s; guest and region need %u", seen.buf, need);
	else if (h->cpu.phys_bits > limit)
		pst_host_finding_add(
			out, PST_HOST_WARN, fix.buf,
			"%s: a guest with all of the CPU's bits may "
			"place the region out of reach",
			seen.buf);
	else
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "%s; guest and region need %u", seen.buf,
				     need);
}
