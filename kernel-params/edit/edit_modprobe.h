/* SPDX-License-Identifier: MIT */
/* modprobe.d: vfio-pci's ids, and its place before the cards' own drivers. */
#ifndef PST_KERNEL_PARAMS_EDIT_EDIT_MODPROBE_H
#define PST_KERNEL_PARAMS_EDIT_EDIT_MODPROBE_H

#include "kernel-params/config/modprobe_conf.h"

/* Sorted before others: of several softdep lines for one module, modprobe
 * follows the first (kmod_module_get_softdeps() of kmod's libkmod-module.c). */
#define PST_HOST_MODPROBE_FILE "/etc/modprobe.d/00-penstock.conf"

struct pst_host_modprobe_want {
	const char *ids; /* "10de:17c2,10de:0fb0", NULL: by address */
	const char *const *modules; /* to be loaded after vfio-pci; NULL ends */
};

/*
 * What others' lines still lack, as the text of PST_HOST_MODPROBE_FILE; *ret is
 * NULL when they lack nothing. now is what modprobe reads, without our own
 * file. A softdep that somebody has for a module is repeated with ours, since
 * only the first counts. 0 or -ENOMEM.
 */
PST_MUST_USE int
pst_host_edit_modprobe(const struct pst_host_modconf *now,
		       const struct pst_host_modprobe_want *want, char **ret);

/*
 * The line with ids= of vfio-pci that counts, if one file has it: what is
 * missing of ids has to come into it, since a later options line replaces an
 * earlier one's. NULL: nobody has one.
 */
const struct pst_host_modconf_line *
pst_host_modprobe_ids_line(const struct pst_host_modconf *now);

/* The ids that this line of a file's text has, to be freed; NULL: no memory. */
PST_MUST_USE char *
pst_host_modprobe_ids_there(const char *old,
			    const struct pst_host_modconf_line *line);

/*
 * The file's text with ids brought into that line. 0 with *ret to be freed, or
 * -errno with a sentence: -EINVAL (the line is continued or quoted), -ENOMEM.
 */
PST_MUST_USE int
pst_host_edit_modprobe_ids(const char *old,
			   const struct pst_host_modconf_line *line,
			   const char *ids, char **ret, struct pst_error *err);

#endif
