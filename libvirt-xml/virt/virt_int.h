/* SPDX-License-Identifier: MIT */
/* Common declarations of the files virt*.c. */
#ifndef PST_LIBVIRT_XML_VIRT_VIRT_INT_H
#define PST_LIBVIRT_XML_VIRT_VIRT_INT_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "libvirt-xml/virt/virt.h"

struct pst_vm_virt {
	virConnectPtr conn;
	int timer;      /* wakes the event loop */
	uint64_t ticks; /* of the timer */
};

static inline void pst_vm_virt_free_domain(virDomainPtr *d)
{
	if (*d)
		virDomainFree(*d);
}

#define PST_VM_CLEANUP_DOMAIN __attribute__((cleanup(pst_vm_virt_free_domain)))

/* How long the event loop sleeps at most. */
#define PST_VM_VIRT_TICK_MS 200

/* libvirt's last error as ours; what: "cannot start titan". */
int pst_vm_virt_error(struct pst_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Finds a domain, which the caller frees. 0 or -ENOENT, -errno. */
PST_MUST_USE int pst_vm_virt_find(struct pst_vm_virt *v, const char *name,
				  virDomainPtr *ret, struct pst_error *err);

/* One round of the event loop, PST_VM_VIRT_TICK_MS at most. 0, -ECONNREFUSED
 * (the connection is dead). */
PST_MUST_USE int pst_vm_virt_tick(struct pst_vm_virt *v, struct pst_error *err);

#endif
