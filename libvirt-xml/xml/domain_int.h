/* SPDX-License-Identifier: MIT */
/* The parts of a domain's XML that domain.c and patch.c put together. */
#ifndef PST_LIBVIRT_XML_XML_DOMAIN_INT_H
#define PST_LIBVIRT_XML_XML_DOMAIN_INT_H

#include "libvirt-xml/config/config.h"
#include "libvirt-xml/xml/xml.h"

/*
 * Each adds one element to its parent and returns it, NULL: no memory. domain
 * is the root element, devices its <devices>.
 */
xmlNode *pst_vm_domain_add_metadata(xmlNode *metadata,
				    const struct pst_vm_config *c);
xmlNode *pst_vm_domain_add_memtune(xmlNode *domain,
				   const struct pst_vm_config *c);
xmlNode *pst_vm_domain_add_hostdev(xmlNode *devices,
				   const struct pst_vm_config *c, uint32_t i);
xmlNode *pst_vm_domain_add_vsock(xmlNode *devices,
				 const struct pst_vm_config *c);
xmlNode *pst_vm_domain_add_nvdimm(xmlNode *devices,
				  const struct pst_vm_config *c);
xmlNode *pst_vm_domain_add_shmem(xmlNode *devices,
				 const struct pst_vm_config *c);
xmlNode *pst_vm_domain_add_channel(xmlNode *devices);
/* <numa> with one cell of all vCPUs and memory. */
xmlNode *pst_vm_domain_add_cell(xmlNode *cpu, const struct pst_vm_config *c);

/* <qemu:arg value=> for what libvirt has no words for: the ivshmem region and
 * a vhost-user vsock device. commandline may be an existing element. */
bool pst_vm_domain_needs_qemu(const struct pst_vm_config *c);
xmlNode *pst_vm_domain_add_qemu_args(xmlNode *commandline, xmlNs *ns,
				     const struct pst_vm_config *c);

/* All <devices> of a new domain. */
xmlNode *pst_vm_domain_add_devices(xmlNode *domain,
				   const struct pst_vm_config *c);

#endif
