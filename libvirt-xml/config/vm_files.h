/* SPDX-License-Identifier: MIT */
/* The files of a domain in Penstock's configuration, and its region's unit. */
#ifndef PST_LIBVIRT_XML_CONFIG_VM_FILES_H
#define PST_LIBVIRT_XML_CONFIG_VM_FILES_H

#include "libvirt-xml/config/config.h"

/* Where they are, unless --conf-dir names another directory. */
#define PST_VM_CONF_DIR "/etc/penstock"
/* Bytes of one at most, its NUL counted. */
#define PST_VM_FILE_MAX 16384

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
 * Writes DIR/SUB/NAME.conf, whole or not at all, readable for all. A file that
 * Penstock did not write (its first line is not ours) and that holds something
 * else is left: -EEXIST. Returns 0, -EROFS, -EACCES, -errno.
 */
PST_MUST_USE int pst_vm_files_write(const char *dir, const char *sub,
				    const char *name, const char *text,
				    struct pst_error *err);

/* Removes that file if Penstock wrote it. Returns 0 (also when there is none),
 * 1 (it is somebody else's and stays), -errno. */
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
 * the system's own; "disable" stops the unit too. Returns 0, 1 (not done: there
 * is no systemd, or dir is another), -EIO (systemctl failed).
 */
PST_MUST_USE int pst_vm_files_systemctl(const char *dir, const char *verb,
					const char *name,
					struct pst_error *err);

/* Disables and stops that unit, then removes its settings: while they are
 * there, it can be tried again. Returns as pst_vm_files_remove(), or -EIO. */
PST_MUST_USE int pst_vm_files_remove_unit(const char *dir, const char *name,
					  struct pst_error *err);

#endif
