/* SPDX-License-Identifier: MIT */
/* Kernel parameters in entries of systemd-boot, in /etc/kernel/cmdline, and in
 * the files of Limine, rEFInd and syslinux. */
#ifndef PST_KERNEL_PARAMS_EDIT_EDIT_LOADER_H
#define PST_KERNEL_PARAMS_EDIT_EDIT_LOADER_H

#include "kernel-params/edit/edit_params.h"

/*
 * Brings want into the "options" lines of an entry; a new line is added where
 * there is none. 0 with *ret to be freed, or -errno with a sentence as
 * pst_host_params_merge().
 */
PST_MUST_USE int pst_host_edit_entry(const char *old,
				     const struct pst_host_params *want,
				     char **ret, struct pst_error *err);

/*
 * The same for /etc/kernel/cmdline: every line that is no comment is part of
 * the command line. old NULL or empty is -EINVAL: what else the machine needs
 * to boot (root=) is not known then.
 */
PST_MUST_USE int
pst_host_edit_kernel_cmdline(const char *old,
			     const struct pst_host_params *want, char **ret,
			     struct pst_error *err);

/*
 * The same for each "cmdline:" with a root= in limine.conf, and for the options
 * of each line in refind_linux.conf; they are command lines of their own.
 * -ENOENT where there is none.
 */
PST_MUST_USE int pst_host_edit_limine_conf(const char *old,
					   const struct pst_host_params *want,
					   char **ret, struct pst_error *err);
PST_MUST_USE int pst_host_edit_refind_linux(const char *old,
					    const struct pst_host_params *want,
					    char **ret, struct pst_error *err);
/* The same for the stanzas of refind.conf, and for the lines "append" of
 * syslinux and its relatives that have a root=. */
PST_MUST_USE int pst_host_edit_refind_conf(const char *old,
					   const struct pst_host_params *want,
					   char **ret, struct pst_error *err);
PST_MUST_USE int pst_host_edit_extlinux_conf(const char *old,
					     const struct pst_host_params *want,
					     char **ret, struct pst_error *err);

/* The same for the "user" options of kernelstub's configuration, of which it
 * writes the entries (Pop!_OS). -ENOENT where they do not stand there plainly.
 */
PST_MUST_USE int pst_host_edit_kernelstub(const char *old,
					  const struct pst_host_params *want,
					  char **ret, struct pst_error *err);

#endif
