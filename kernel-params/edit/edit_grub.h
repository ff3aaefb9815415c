/* SPDX-License-Identifier: MIT */
/* Kernel parameters in a variable of shell files: GRUB's settings, and those of
 * programs like it. */
#ifndef PST_KERNEL_PARAMS_EDIT_EDIT_GRUB_H
#define PST_KERNEL_PARAMS_EDIT_EDIT_GRUB_H

#include "kernel-params/edit/edit_params.h"

/* What marks a file that is ours from its first line on; as a comment in all
 * of shell, systemd's formats, udev and Nix. */
#define PST_HOST_EDIT_MARK "# Written by penstock host apply"

/* A file whose text is edited; text is owned, NULL when there is no file. */
struct pst_host_edit_file {
	const char *path; /* for messages, and for the writer */
	char *text;
};

/*
 * Brings want into GRUB's command line. file[] are the files in the order in
 * which grub-mkconfig reads them, /etc/default/grub first. With own < n that
 * one (the last) is a drop-in of ours: what is missing comes there, it is
 * written anew, and it becomes NULL when nothing is missing. Else it comes into
 * the last assignment of GRUB_CMDLINE_LINUX_DEFAULT. A parameter that has
 * another value is corrected where it stands, in GRUB_CMDLINE_LINUX too.
 * 0, or -errno with a sentence and no text changed: -EINVAL (a line cannot be
 * edited safely), -EMSGSIZE, -ENOMEM.
 */
PST_MUST_USE int pst_host_edit_grub(struct pst_host_edit_file *file, size_t n,
				    size_t own,
				    const struct pst_host_params *want,
				    struct pst_error *err);

/*
 * The same for another program's variable, in place: what is missing comes into
 * its last assignment. -ENOENT where no file sets it: what it then holds is the
 * program's secret.
 */
PST_MUST_USE int pst_host_edit_variable(struct pst_host_edit_file *file,
					size_t n, const char *name,
					const struct pst_host_params *want,
					struct pst_error *err);

#endif
