/* SPDX-License-Identifier: MIT */
/* Lines about vfio-pci that do not do what they were written for. */
#ifndef PST_KERNEL_PARAMS_CONFIG_VFIO_FAULTS_H
#define PST_KERNEL_PARAMS_CONFIG_VFIO_FAULTS_H

#include "kernel-params/config/modprobe_conf.h"

/*
 * Looks for them in modprobe.d, on the command line and among files that
 * modprobe never reads. *ret becomes "FILE line N: CAUSE", several of them with
 * "; " between, to be freed; NULL: none. 0 or -ENOMEM.
 */
PST_MUST_USE int pst_host_vfio_faults(const struct pst_host_root *root,
				      const struct pst_host_cmdline *cmdline,
				      const struct pst_host_modconf *modconf,
				      char **ret);

/* Whether a word is made of ids alone, as one that a blank cut off a list. */
bool pst_host_vfio_ids_word(const char *word, size_t len);

#endif
