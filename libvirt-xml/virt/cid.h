/* SPDX-License-Identifier: MIT */
/* Chooses the vsock address of a guest: one that no other guest has. */
#ifndef PST_LIBVIRT_XML_VIRT_CID_H
#define PST_LIBVIRT_XML_VIRT_CID_H

#include "libvirt-xml/virt/virt.h"

/*
 * Opens /dev/vhost-vsock, which knows the CIDs of all running guests, also of
 * those that libvirt did not start. -1: it does not open, and they are unknown.
 */
int pst_vm_cid_open(void);

/*
 * The first CID of n from first on that no running guest and no domain of the
 * list has. Returns 0, -EADDRINUSE (all are taken), or the -errno of the
 * kernel. The CID stays free only as long as nobody else takes it.
 */
PST_MUST_USE int pst_vm_cid_find(int vhost_fd, uint32_t first, uint32_t n,
				 const struct pst_vm_virt_entry *list,
				 int n_list, uint32_t *ret);

/*
 * The CID of the domain name: wanted, unless that is 0; else the one that it
 * has already; else a free one. Returns 0, or -EADDRINUSE with the sentence.
 */
PST_MUST_USE int pst_vm_cid_choose(int vhost_fd, uint32_t wanted,
				   const char *name,
				   const struct pst_vm_virt_entry *list,
				   int n_list, uint32_t *ret,
				   struct pst_error *err);

#endif
