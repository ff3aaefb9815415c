/* SPDX-License-Identifier: MIT */
/* Checks whether a GPU's DMA can reach the region's addresses. */
#ifndef PST_GUEST_AGENT_REGION_DMA_REACH_H
#define PST_GUEST_AGENT_REGION_DMA_REACH_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/region/region.h"

/* Longest warning, with its NUL. */
#define PST_AGENT_REACH_WARNING 384

/* Addresses and widths; 0: not known. */
struct pst_agent_reach {
	uint64_t phys; /* guest-physical address of the region */
	uint64_t size;
	bool is_dax;
	uint32_t device_bits; /* addresses that the GPU can send */
	bool device_guessed;  /* by its compute capability */
	uint32_t iommu_bits;  /* addresses that this kernel's IOMMU takes */
};

/*
 * Looks up where the region lies and how far a GPU reaches: what its driver
 * says in proc (/proc), else 40 bits before Pascal and 47 after, and the
 * narrowest Intel IOMMU in sysfs. pci: the GPU's address, "" if unknown.
 * sm_major: its compute capability, 0 if unknown. Without a GPU, neither known,
 * nothing needs to reach and the widths stay 0. What cannot be read stays 0.
 */
void pst_agent_reach_read(const char *sysfs, const char *proc,
			  const struct pst_region *r, const char *pci,
			  uint32_t sm_major, struct pst_agent_reach *ret);

/* One sentence with the remedy if the region's end lies above a width, else an
 * empty one. A pure function. */
void pst_agent_reach_warning(const struct pst_agent_reach *r,
			     char ret[PST_AGENT_REACH_WARNING]);

/* "DMA Size:" in the text of /proc/driver/nvidia/gpus/ADDR/information. A pure
 * function. Returns bits, 0 when there is none from 1 to 64. */
uint32_t pst_agent_reach_parse_nvidia(const char *text);

/* Guest address width of a VT-d capability register, as sysfs prints it (Intel
 * VT-d specification, "Capability Register", MGAW). A pure function. Returns
 * bits, 0 for what is no such text. */
uint32_t pst_agent_reach_parse_cap(const char *text);

#endif
