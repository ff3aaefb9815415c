/* SPDX-License-Identifier: MIT */
/* The IOMMU of a host: in firmware, in the kernel, its groups and its width. */
#ifndef PST_KERNEL_PARAMS_MACHINE_IOMMU_H
#define PST_KERNEL_PARAMS_MACHINE_IOMMU_H

#include "kernel-params/machine/pci.h"

enum pst_host_iommu_kind {
	PST_HOST_IOMMU_NONE,
	PST_HOST_IOMMU_INTEL,
	PST_HOST_IOMMU_AMD,
	PST_HOST_IOMMU_OTHER, /* SMMU, virtio-iommu, ... */
};

struct pst_host_iommu_group {
	int id;
	char type[24];   /* "DMA", "DMA-FQ", "identity"; "" unknown */
	size_t n_others; /* members that are no PCI function of the list */
};

struct pst_host_iommu {
	bool has_dmar, has_ivrs; /* the firmware's table is there */
	bool table_unreadable;   /* it is, but could not be read */
	unsigned int
		table_bits; /* physical width the table tells, 0: unknown */
	enum pst_host_iommu_kind kind; /* of the units the kernel drives */
	size_t n_units;
	unsigned int width_bits; /* smallest of the units', 0: unknown */
	struct pst_host_iommu_group *group; /* sorted by id */
	size_t n_groups;
};

/*
 * Reads sys/firmware/acpi/tables, sys/class/iommu and sys/kernel/iommu_groups.
 * Where a function's own link is missing, its iommu_group is taken from the
 * groups' lists, and the other way round. What is not there counts as absent. 0
 * (to be ended with pst_host_iommu_done()) or -ENOMEM with a sentence.
 */
PST_MUST_USE int pst_host_iommu_scan(const struct pst_host_root *root,
				     struct pst_host_pci *pci,
				     struct pst_host_iommu *ret,
				     struct pst_error *err);
void pst_host_iommu_done(struct pst_host_iommu *iommu);

/* "Intel VT-d", "AMD-Vi", "IOMMU", "none". A static string. */
const char *pst_host_iommu_kind_name(enum pst_host_iommu_kind kind);

/*
 * Everything that goes to the guest with dev or stays with nobody: the members,
 * bridges included, of every group that a function of dev's card is in, and
 * the card's functions themselves, in order of address. Writes at most max and
 * returns how many there are.
 */
size_t pst_host_iommu_closure(const struct pst_host_pci *pci,
			      const struct pst_host_pci_dev *dev,
			      const struct pst_host_pci_dev **ret, size_t max);

/*
 * Widths out of registers and tables, for tests and fuzzing. Bits, or 0 when
 * it cannot be told.
 * Intel: CAP_REG's MGAW and SAGAW (VT-d specification, 11.4.2), the DMAR
 * table's host address width (8.1). AMD: EFR's HATS (AMD IOMMU specification,
 * 3.4.14), the IVRS table's IVinfo.PASize (5.2.1).
 */
unsigned int pst_host_iommu_intel_width(uint64_t cap);
unsigned int pst_host_iommu_amd_width(uint64_t efr);
unsigned int pst_host_iommu_dmar_width(const void *table, size_t len);
unsigned int pst_host_iommu_ivrs_width(const void *table, size_t len);

#endif
