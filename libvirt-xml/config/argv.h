/* SPDX-License-Identifier: MIT */
/* A configuration as a command line: QEMU, Cloud Hypervisor, Firecracker. */
#ifndef PST_LIBVIRT_XML_CONFIG_ARGV_H
#define PST_LIBVIRT_XML_CONFIG_ARGV_H

#include "libvirt-xml/config/config.h"

/* A growing argument vector. failed: no memory, or no room. */
struct pst_vm_argv {
	char *v[128];
	size_t n;
	bool failed;
};

void pst_vm_argv_add(struct pst_vm_argv *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void pst_vm_argv_done(struct pst_vm_argv *a);

/* text for one of QEMU's option lists, where a comma within a value is written
 * twice; in ret, which it returns. */
const char *pst_vm_argv_quote(struct pst_vm_argv *a, const char *text,
			      char ret[2 * PATH_MAX]);

/*
 * Slots of the root bus for devices that libvirt does not know of; it hands
 * its own out from 1 on, and 0x1f is the chipset's.
 */
#define PST_VM_IVSHMEM_SLOT 0x1c
#define PST_VM_VSOCK_SLOT   0x1d

/* The arguments for the region as an ivshmem BAR and for a vhost-user vsock
 * device, with addresses on the root bus: those above, or c's. */
void pst_vm_argv_add_ivshmem(struct pst_vm_argv *a,
			     const struct pst_vm_config *c);
void pst_vm_argv_add_vhost_user(struct pst_vm_argv *a,
				const struct pst_vm_config *c);

/*
 * QEMU's command line for c, which pst_vm_config_check() has passed. A pure
 * function; the caller ends *ret with pst_vm_argv_done() in every case.
 * Returns 0, -EINVAL (a path that an option list cannot hold), -ENOMEM.
 */
PST_MUST_USE int pst_vm_argv_qemu(const struct pst_vm_config *c,
				  struct pst_vm_argv *ret,
				  struct pst_error *err);

/*
 * Cloud Hypervisor's: guest memory in a zone, the region in a second one that
 * is the hugetlbfs file itself and so shared and mapped for VFIO; vsock by the
 * hybrid Unix socket in c->vsock_uds. Returns as above, and -EOPNOTSUPP for
 * what it does not have.
 */
PST_MUST_USE int pst_vm_argv_cloud_hypervisor(const struct pst_vm_config *c,
					      struct pst_vm_argv *ret,
					      struct pst_error *err);

/* The word for the guest kernel's command line that makes Cloud Hypervisor's
 * second zone a pmem device, and its block in the preamble /dev/dax0.0. */
void pst_vm_argv_memmap(const struct pst_vm_config *c, char ret[64]);

/* Why there is none for Firecracker, and what to use. -EOPNOTSUPP. */
int pst_vm_argv_firecracker(struct pst_error *err);

/* Prints a word as a shell reads it, in quotes where it needs them. */
void pst_vm_argv_print_word(const char *word, FILE *to);
/* Prints a vector for a shell, an option and its value on one line. */
void pst_vm_argv_print(const struct pst_vm_argv *a, FILE *to);

#endif
