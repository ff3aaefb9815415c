/* SPDX-License-Identifier: MIT */
/* Writes a configuration as libvirt's domain XML. */
#ifndef PST_LIBVIRT_XML_XML_DOMAIN_H
#define PST_LIBVIRT_XML_XML_DOMAIN_H

#include "libvirt-xml/config/config.h"

/* The first libvirt that has <maxphysaddr limit=>, as virGetVersion() counts.
 */
#define PST_VM_LIBVIRT_MAXPHYSADDR 9003000UL

/*
 * Whether c->phys_bits reaches the XML: 0 when nothing is to be limited or
 * libvirt can, else -EOPNOTSUPP and what that means.
 */
PST_MUST_USE int pst_vm_domain_limits(const struct pst_vm_config *c,
				      unsigned long libvirt_version,
				      struct pst_error *err);

/*
 * The domain that c describes, which pst_vm_config_check() has passed. All text
 * is escaped. libvirt_version decides what is used of what came late. A pure
 * function. Returns 0 and *ret, a text that the caller frees; -ENOMEM.
 */
PST_MUST_USE int pst_vm_domain_xml(const struct pst_vm_config *c,
				   unsigned long libvirt_version, char **ret,
				   struct pst_error *err);

#endif
