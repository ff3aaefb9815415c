/* SPDX-License-Identifier: MIT */
/* Reads the format that a disk image's first bytes claim, and the files that
 * they name.
 */
#ifndef PST_LIBVIRT_XML_PLAN_DISK_H
#define PST_LIBVIRT_XML_PLAN_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/* Bytes of an image that are read: a cluster, in which the header lies. */
#define PST_VM_DISK_HEAD (64U << 10)
/* Longest name of a backing file [QEMU: docs/interop/qcow2.txt]. */
#define PST_VM_DISK_NAME 1024U

/* Which format the bytes begin like, of those that QEMU's probing knows, or
 * NULL: like none, and so raw. A pure function. */
const char *pst_vm_disk_probe(const uint8_t *head, size_t n);

/* What a qcow2 header says. */
struct pst_vm_qcow2 {
	bool has_data_file;             /* its data lie in another file */
	char backing[PST_VM_DISK_NAME]; /* name of its backing file; empty: none
					 */
};

/* Reads a header's copy. A pure function. Returns 0 or -EPROTO (it is no
 * header, of an unknown version, or names something outside the bytes given).
 */
PST_MUST_USE int pst_vm_qcow2_parse(const uint8_t *head, size_t n,
				    struct pst_vm_qcow2 *ret);

#endif
