/* SPDX-License-Identifier: MIT */
/* Turns a user's request and a host's state into a configuration. */
#ifndef PST_LIBVIRT_XML_PLAN_PLAN_H
#define PST_LIBVIRT_XML_PLAN_PLAN_H

#include "kernel-params/scan/host.h"
#include "libvirt-xml/config/config.h"

/* Whether guest memory has to be in the pool now. */
enum pst_vm_pool {
	PST_VM_POOL_NOW,   /* hugepages, and the pool has them */
	PST_VM_POOL_LATER, /* hugepages that something reserves at start */
	PST_VM_POOL_NONE,  /* ordinary pages */
};

/* What a user asks for. Strings are borrowed; NULL: not given. */
struct pst_vm_request {
	const char *name;
	const char *gpu; /* address, or "auto"; NULL: no card */
	uint64_t memory;
	uint32_t vcpus;
	const char *disk;
	const char *disk_format; /* "raw", "qcow2"; NULL: as it is called */
	const char *known_disk_format; /* that it has in the domain already */
	const char *disk_backing;      /* the file under a qcow2 image */
	uint64_t region_size;
	enum pst_vm_via via;
	const char *region_path; /* NULL: on the host's hugetlbfs */
	const char *group;       /* of the region; NULL: kvm if there is one */
	uint32_t cid;
	const char *rom;
	bool hide_kvm;
	const char *vendor_id;
	const char *pin;      /* "auto", "none", a list; NULL: auto if it can */
	const char *firmware; /* "auto", "bios", CODE:VARS; NULL: auto */
	const char *nvram;
	enum pst_vm_pool pool;
	bool emulated;
	bool i_know;   /* takes the host's display away, knowingly */
	bool is_final; /* the domain will be defined, not only printed */
	bool is_part;  /* of a domain that is there: need not boot */
	const char *vsock_socket, *vsock_uds;
	uint32_t port;
	const char *network, *kernel, *initrd, *append, *serial_log, *emulator;
};

/* Sentences that a user should read, though nothing is wrong enough. */
#define PST_VM_MAX_NOTES 16
struct pst_vm_notes {
	char text[PST_VM_MAX_NOTES][512];
	size_t n;
};

void pst_vm_note(struct pst_vm_notes *notes, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Puts a configuration together and checks it against the host. *ret borrows
 * the request's strings. Returns 0 (also with notes), or with the sentence:
 * -EINVAL (wrong by itself), -ENODEV (no such card, or a function without a
 * group), -EBUSY (a device that the host needs: its display, or somebody in
 * the card's group), -ENOSPC (more memory than the pool has, too few CPUs),
 * -ENOENT, -ENOMEM.
 */
PST_MUST_USE int pst_vm_plan(const struct pst_vm_request *q,
			     const struct pst_host *h,
			     struct pst_vm_config *ret,
			     struct pst_vm_notes *notes, struct pst_error *err);

/* ---- plan_disk.c ---- */

/*
 * The disk: what it is called says what it is, unless the user or the domain
 * does. An image whose bytes say something else, or that names other files
 * unasked, is refused. 0 or -errno with the sentence.
 */
PST_MUST_USE int pst_vm_plan_disk(const struct pst_vm_request *q,
				  const struct pst_host *h,
				  struct pst_vm_config *c,
				  struct pst_vm_notes *notes,
				  struct pst_error *err);

/* ---- plan_gpu.c: the card ---- */

/* Fills gpu, n_gpu, node and phys_bits of *c; as pst_vm_plan(). */
PST_MUST_USE int pst_vm_plan_gpu(const struct pst_vm_request *q,
				 const struct pst_host *h,
				 struct pst_vm_config *c,
				 struct pst_vm_notes *notes,
				 struct pst_error *err);

#endif
