/* SPDX-License-Identifier: MIT */
/* QEMU, libvirt and OVMF of a host, found by their files. */
#ifndef PST_KERNEL_PARAMS_CONFIG_SOFTWARE_H
#define PST_KERNEL_PARAMS_CONFIG_SOFTWARE_H

#include "kernel-params/root/root.h"

/* A program and its version as the package's records tell it. */
struct pst_host_program {
	char path[256];            /* below the root, "" when it is not there */
	char version[64];          /* upstream's, "8.2.1"; "" when not seen */
	unsigned int major, minor; /* of version */
};

struct pst_host_software {
	struct pst_host_program qemu, libvirt;
	struct pst_host_program ovmf; /* firmware image for x86_64 */
	bool ovmf_descriptors;        /* found through QEMU's descriptors */
	bool has_usr; /* usr/bin or NixOS's place is in the tree */
};

/*
 * Searches the usual places of distributions, dpkg's status, pacman's local
 * database, the names in /nix/store and of libvirt's library. No program is
 * run.
 */
void pst_host_software_scan(const struct pst_host_root *root,
			    struct pst_host_software *ret);

/*
 * The upstream part of the version that text begins with: no epoch before ':',
 * no revision after '-', '+' or '~', nothing after a blank or slash; cut off at
 * size.
 */
void pst_host_version_upstream(const char *text, char *ret, size_t size);

#endif
