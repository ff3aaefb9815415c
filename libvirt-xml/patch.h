/* SPDX-License-Identifier: MIT */
/* Adds to an existing domain what it lacks for Penstock. */
#ifndef PST_LIBVIRT_XML_PATCH_H
#define PST_LIBVIRT_XML_PATCH_H

#include "libvirt-xml/config.h"

/*
 * Adds to any domain's XML: the region's device, a vsock device, the card's
 * functions that are missing, the lock limit where something is passed through,
 * the guest agent's channel, and our settings in <metadata>; for an nvdimm also
 * <maxMemory> and the guest's NUMA node. Nothing that is there is changed or
 * taken away: a second call adds nothing. c: as of a new domain of that name;
 * its region is what the domain already has, when it has one of ours. A pure
 * function. Returns 0 and *ret, and in *ret_before the same without the
 * additions, indented alike; the caller frees both. Else -EINVAL (no domain's
 * XML), -EEXIST (something of ours is there, but another one: the sentence says
 * what), -ENOMEM.
 */
PST_MUST_USE int pst_vm_patch(const char *xml, const struct pst_vm_config *c,
			      char **ret_before, char **ret,
			      struct pst_error *err);

#endif
