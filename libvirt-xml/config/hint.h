/* SPDX-License-Identifier: MIT */
/* Hints for the usual failures of a start. */
#ifndef PST_LIBVIRT_XML_CONFIG_HINT_H
#define PST_LIBVIRT_XML_CONFIG_HINT_H

#include "libvirt-xml/config/config.h"

/*
 * Looks for the sentences of QEMU, VFIO and libvirt that tell of what Penstock
 * arranges: hugepages, lock limit, address width, CID, AppArmor, IOMMU group.
 * text: the failure as libvirt has it. Returns a static sentence, or NULL when
 * none is known. A pure function.
 */
const char *pst_vm_hint(const char *text);

#endif
