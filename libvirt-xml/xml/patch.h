/* SPDX-License-Identifier: MIT */
/* Adds to an existing domain what it lacks for Penstock. */
#ifndef PST_LIBVIRT_XML_XML_PATCH_H
#define PST_LIBVIRT_XML_XML_PATCH_H

#include <stdlib.h>

#include "libvirt-xml/config/config.h"

/* A domain's XML without the additions, and with them. */
struct pst_vm_patched {
	char *before, *after;
	bool *secret; /* of each line of before: it may not be shown */
	/* before is not the text that was given but the same, indented anew. */
	bool normalised;
};

static inline void pst_vm_patched_done(struct pst_vm_patched *p)
{
	free(p->before);
	free(p->after);
	free(p->secret);
	*p = (struct pst_vm_patched){0};
}

#define PST_VM_CLEANUP_PATCHED __attribute__((cleanup(pst_vm_patched_done)))

/*
 * Adds to any domain's XML: the region's device, a vsock device, the card's
 * functions that are missing, the lock limit where something is passed through,
 * the guest agent's channel, and our settings in <metadata>; for an nvdimm also
 * <maxMemory> and the guest's NUMA node. Nothing that is there is changed or
 * taken away: a second call adds nothing. c: as of a new domain of that name;
 * its region is what the domain already has, when it has one of ours. A pure
 * function. Returns 0 and *ret, to be ended with pst_vm_patched_done(). Else
 * -EINVAL (no domain's XML), -EEXIST (something of ours is there, but another
 * one: the sentence says what), -EOPNOTSUPP (of another hypervisor), -ENOMEM.
 */
PST_MUST_USE int pst_vm_patch(const char *xml, const struct pst_vm_config *c,
			      struct pst_vm_patched *ret,
			      struct pst_error *err);

#endif
