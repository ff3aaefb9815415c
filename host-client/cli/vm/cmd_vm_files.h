/* SPDX-License-Identifier: MIT */
/* What a domain has beside libvirt: its configuration files and its region. */
#ifndef PST_HOST_CLIENT_CLI_VM_CMD_VM_FILES_H
#define PST_HOST_CLIENT_CLI_VM_CMD_VM_FILES_H

#include "host-client/cli/cmd.h"
#include "libvirt-xml/config.h"

/* Where they are, unless --conf-dir names another directory. */
#define PST_VM_CONF_DIR "/etc/penstock"

/*
 * Texts of the two files of a domain: the endpoint that -e NAME finds, and the
 * settings of the unit penstock-region@NAME. Pure; -EMSGSIZE when one does not
 * fit.
 */
PST_MUST_USE int pst_vm_files_endpoint(const char *uri, char *ret, size_t size,
				       struct pst_error *err);
PST_MUST_USE int pst_vm_files_region(const struct pst_vm_region *r, char *ret,
				     size_t size, struct pst_error *err);

/* Whether the unit can make that file: it is called penstock-NAME. */
bool pst_vm_files_unit_fits(const char *name, const struct pst_vm_region *r);

/*
 * Writes DIR/SUB/NAME.conf, whole or not at all, readable for all. One that
 * somebody else wrote (it does not begin with our line) and that says something
 * else is left: -EEXIST. Returns 0, -EROFS, -EACCES, -errno.
 */
PST_MUST_USE int pst_vm_files_write(const char *dir, const char *sub,
				    const char *name, const char *text,
				    struct pst_error *err);

/* Removes it, if it is ours. 0 (also when there is none), 1 (it is somebody
 * else's and stays), -errno. */
PST_MUST_USE int pst_vm_files_remove(const char *dir, const char *sub,
				     const char *name, struct pst_error *err);

/*
 * How many files of ours there are below dir for NAME, whatever became of its
 * domain; ret_region: the file that its unit makes, empty: unknown.
 */
int pst_vm_files_left(const char *dir, const char *name,
		      char ret_region[PATH_MAX]);

/*
 * systemctl VERB penstock-region@NAME.service, where systemd runs and dir is
 * the system's own; "disable" stops it too. Returns 0, 1 (not done: there is no
 * systemd, or dir is another), -EIO (systemctl failed).
 */
PST_MUST_USE int pst_vm_files_systemctl(const char *dir, const char *verb,
					const char *name,
					struct pst_error *err);

/*
 * Makes the region's file if it is not there; one that is has to be a region of
 * that size. *ret_created tells. Returns 0, -EEXIST (another size, or no
 * region), -ENOSPC, -ENOENT (no such group or directory), -errno.
 */
PST_MUST_USE int pst_vm_files_make_region(const struct pst_vm_region *r,
					  bool *ret_created,
					  struct pst_error *err);

/* Removes the file if it is a region; anything else of that name is
 * somebody's. 0 (also when nothing was removed), -EACCES, -errno. */
PST_MUST_USE int pst_vm_files_remove_region(const char *path,
					    struct pst_error *err);

/*
 * libvirt gives an nvdimm's file to QEMU's user and group while the domain
 * runs: this gives it back its own group. 0 (also when it had it), -ENOENT (no
 * such group), -EPERM, -errno.
 */
PST_MUST_USE int pst_vm_files_regroup(const struct pst_vm_region *r,
				      struct pst_error *err);

#endif
