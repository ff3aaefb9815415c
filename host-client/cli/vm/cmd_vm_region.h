/* SPDX-License-Identifier: MIT */
/* Makes and removes the file of a domain's region, and gives it its group. */
#ifndef PST_HOST_CLIENT_CLI_VM_CMD_VM_REGION_H
#define PST_HOST_CLIENT_CLI_VM_CMD_VM_REGION_H

#include "libvirt-xml/config/config.h"

/*
 * Makes the region's file if it is not there; one that is has to be a region of
 * that size. *ret_created tells. Returns 0, -EEXIST (another size, or no
 * region), -ENOSPC, -ENOENT (no such group or directory), -errno.
 */
PST_MUST_USE int pst_cmd_vm_region_make(const struct pst_vm_region *r,
					bool *ret_created,
					struct pst_error *err);

/* Removes the file if it is a region; anything else of that name is
 * somebody's. 0 (also when nothing was removed), -EACCES, -errno. */
PST_MUST_USE int pst_cmd_vm_region_remove(const char *path,
					  struct pst_error *err);

/*
 * libvirt gives an nvdimm's file to QEMU's user and group while the domain
 * runs: this gives it back its own group. 0 (also when it had it), -ENOENT (no
 * such group), -EPERM, -errno.
 */
PST_MUST_USE int pst_cmd_vm_region_regroup(const struct pst_vm_region *r,
					   struct pst_error *err);

#endif
