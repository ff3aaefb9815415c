/* SPDX-License-Identifier: MIT */
/* Reads a host, and takes notes about it. */
#include <stdarg.h>
#include <string.h>

#include "libvirt-xml/plan.h"

int pst_vm_host_open(const char *dir, struct pst_vm_host *ret,
		     struct pst_error *err)
{
	int rc;

	memset(ret, 0, sizeof(*ret));
	rc = pst_root_open(dir, &ret->root, err);
	if (rc)
		return rc;
	rc = pst_pci_scan(&ret->root, &ret->pci, err);
	if (rc == 0)
		rc = pst_iommu_scan(&ret->root, &ret->pci, &ret->iommu, err);
	if (rc == 0)
		rc = pst_cpu_scan(&ret->root, &ret->cpu, err);
	if (rc == 0)
		rc = pst_memory_scan(&ret->root, &ret->memory, err);
	if (rc)
		pst_vm_host_close(ret);
	return rc;
}

void pst_vm_host_close(struct pst_vm_host *h)
{
	pst_memory_done(&h->memory);
	pst_cpu_done(&h->cpu);
	pst_iommu_done(&h->iommu);
	pst_pci_done(&h->pci);
	pst_root_close(&h->root);
}

void pst_vm_note(struct pst_vm_notes *notes, const char *fmt, ...)
{
	va_list ap;

	if (notes->n == PST_VM_MAX_NOTES)
		return;
	va_start(ap, fmt);
	vsnprintf(notes->text[notes->n++], sizeof(notes->text[0]), fmt, ap);
	va_end(ap);
}
