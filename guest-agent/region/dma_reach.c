/* SPDX-License-Identifier: MIT */
/* Checks whether a GPU's DMA can reach the region's addresses. */
#include "guest-agent/region/dma_reach.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "transport/base/util.h"

/* NVIDIA's README, "Known Issues", for cards before Pascal; the driver itself
 * says 40 of a Tesla K80 (sm_37) and 47 of a GTX 1080. */
#define BITS_BEFORE_PASCAL 40U
#define BITS_SINCE_PASCAL  47U
#define SM_PASCAL          6U
/* The most entries of a directory that are read. */
#define MAX_ENTRIES 256U
/* Longest PCI address, with its NUL. */
#define PCI_MAX 32U

uint32_t pst_agent_reach_parse_nvidia(const char *text)
{
	const char *at = strstr(text, "DMA Size:");
	unsigned int bits;

	if (!at || (at != text && at[-1] != '\n') ||
	    sscanf(at, "DMA Size: %3u bits", &bits) != 1 || bits > 64)
		return 0;
	return bits;
}

uint32_t pst_agent_reach_parse_cap(const char *text)
{
	char *end;
	uint64_t cap;

	errno = 0;
	cap = strtoull(text, &end, 16);
	if (errno || end == text || *end || !cap)
		return 0;
	return (uint32_t)(cap >> 16 & 0x3f) + 1;
}

/* The driver's word for the card at a PCI address. */
static uint32_t ask_driver(const char *proc, const char *pci)
{
	char path[PATH_MAX], text[4096], addr[PCI_MAX] = "";
	size_t i;

	/* Refuses a path to another directory. CUDA writes capitals. */
	if (strspn(pci, "0123456789abcdefABCDEF:.") != strlen(pci) ||
	    strstr(pci, ".."))
		return 0;
	for (i = 0; pci[i] && i < sizeof(addr) - 1; i++)
		addr[i] = (char)tolower((unsigned char)pci[i]);
	snprintf(path, sizeof(path), "%s/driver/nvidia/gpus/%s/information",
		 proc, addr);
	return pst_read_text(path, text, sizeof(text)) < 0
		       ? 0
		       : pst_agent_reach_parse_nvidia(text);
}

/* The narrowest of this kernel's. */
static uint32_t ask_iommus(const char *sysfs)
{
	char path[PATH_MAX], text[64];
	unsigned int entries = 0;
	uint32_t bits, least = 0;
	struct dirent *de;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/class/iommu", sysfs);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (entries++ < MAX_ENTRIES && (de = readdir(dir))) {
		snprintf(path, sizeof(path),
			 "%s/class/iommu/%s/intel-iommu/cap", sysfs,
			 de->d_name);
		if (pst_read_text(path, text, sizeof(text)) < 0)
			continue;
		bits = pst_agent_reach_parse_cap(text);
		if (bits && (!least || bits < least))
			least = bits;
	}
	closedir(dir);
	return least;
}

void pst_agent_reach_read(const char *sysfs, const char *proc,
			  const struct pst_region *r, const char *pci,
			  uint32_t sm_major, struct pst_agent_reach *ret)
{
	*ret = (struct pst_agent_reach){
		.phys = r->phys,
		.size = r->size,
		.is_dax = r->provider == PST_PROVIDER_DAX,
	};
	if (!pci[0] && !sm_major)
		return;
	ret->iommu_bits = ask_iommus(sysfs);
	if (pci[0])
		ret->device_bits = ask_driver(proc, pci);
	if (ret->device_bits || !sm_major)
		return;
	ret->device_guessed = true;
	ret->device_bits =
		sm_major < SM_PASCAL ? BITS_BEFORE_PASCAL : BITS_SINCE_PASCAL;
}

static bool is_above(uint64_t last, uint32_t bits)
{
	return bits && bits < 64 && last >> bits;
}

void pst_agent_reach_warning(const struct pst_agent_reach *r,
			     char ret[PST_AGENT_REACH_WARNING])
{
	char remedy[160];
	uint64_t last;
	uint32_t bits;
	bool device;

	ret[0] = '\0';
	if (!r->phys || !r->size ||
	    pst_add_overflow(r->phys, r->size - 1, &last))
		return;
	device = is_above(last, r->device_bits);
	if (!device && !is_above(last, r->iommu_bits))
		return;
	bits = device ? r->device_bits : r->iommu_bits;
	/* The narrower of the two is what helps. */
	if (r->iommu_bits && r->iommu_bits < bits)
		bits = r->iommu_bits;
	if (r->is_dax)
		snprintf(remedy, sizeof(remedy),
			 "give the guest less memory (its maximum counts too)");
	else
		snprintf(
			remedy, sizeof(remedy),
			"give the guest the region as an nvdimm (dax), or "
			"addresses of %u bits at most (<maxphysaddr limit='%u' "
			"mode='passthrough'/>)",
			bits, bits);
	snprintf(ret, PST_AGENT_REACH_WARNING,
		 "the region lies at 0x%" PRIx64 " to 0x%" PRIx64
		 ", above the %u bits that %s%s: %s",
		 r->phys, last, device ? r->device_bits : r->iommu_bits,
		 device ? "the GPU can address" : "the IOMMU takes",
		 device && r->device_guessed ? " (by its compute capability)"
					     : "",
		 remedy);
}
