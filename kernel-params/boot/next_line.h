/* SPDX-License-Identifier: MIT */
/* The command lines that the kernel may get at the next boot, read where the
 * loaders, or who makes their files, will read them. */
#ifndef PST_KERNEL_PARAMS_BOOT_NEXT_LINE_H
#define PST_KERNEL_PARAMS_BOOT_NEXT_LINE_H

#include "kernel-params/boot/boot.h"

struct pst_host_next_line {
	/* "/boot/loader/entries/x.conf", "/etc/default/grub" */
	char from[PST_HOST_ROOT_PATH_MAX];
	/* NULL: nothing sets it, so that a program will find it out. */
	char *text;
	unsigned int target;
};

struct pst_host_next_lines {
	struct pst_host_next_line *line;
	size_t n;
};

/*
 * Reads those of some targets from a root, which may have a plan's files over
 * its own; b is of that root, or of the host before. What no file has
 * (rpm-ostree, ZFSBootMenu, the firmware's menu) is not among them. 0 (to be
 * ended with pst_host_next_lines_done()) or -ENOMEM.
 */
PST_MUST_USE int pst_host_next_lines_read(const struct pst_host_root *root,
					  const struct pst_host_boot *b,
					  unsigned int targets,
					  struct pst_host_next_lines *ret);
void pst_host_next_lines_done(struct pst_host_next_lines *l);

/* The one of what has booted now, as far as that is known; else the first that
 * is set, or NULL. */
const struct pst_host_next_line *
pst_host_next_lines_main(const struct pst_host_next_lines *l,
			 const struct pst_host_boot *b);

#endif
