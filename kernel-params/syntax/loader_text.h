/* SPDX-License-Identifier: MIT */
/* Finds kernel command lines in the files of boot loaders. */
#ifndef PST_KERNEL_PARAMS_SYNTAX_LOADER_TEXT_H
#define PST_KERNEL_PARAMS_SYNTAX_LOADER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* What a file is; what stands in it as a command line. */
enum pst_host_loader_text {
	/* An entry of the Boot Loader Specification: its lines "options". */
	PST_HOST_LOADER_ENTRY,
	/* etc/kernel/cmdline: every line that is no comment. */
	PST_HOST_LOADER_BARE,
	/* limine.conf: each "cmdline:" that has a root=. */
	PST_HOST_LOADER_LIMINE,
	/* refind_linux.conf: the second text of each line. */
	PST_HOST_LOADER_REFIND,
	/* refind.conf: the options of each stanza that is not disabled. */
	PST_HOST_LOADER_STANZA,
	/* syslinux and its relatives: each "append" that has a root=. */
	PST_HOST_LOADER_APPEND,
};

struct pst_host_loader_span {
	size_t off, len;
	unsigned int line; /* counted from 1 */
};

/* Whether all spans of a file are one command line, in pieces; else each is one
 * of its own. */
static inline bool pst_host_loader_is_joined(enum pst_host_loader_text kind)
{
	return kind == PST_HOST_LOADER_ENTRY || kind == PST_HOST_LOADER_BARE;
}

/* The next span behind the one in s, which is zero before the first. False when
 * there is none. */
bool pst_host_loader_next(const char *text, enum pst_host_loader_text kind,
			  struct pst_host_loader_span *s);

/* Whether the text of an entry boots a Linux kernel (has a line "linux", or
 * "uki"-less "efi" with options); others have no kernel parameters. */
bool pst_host_entry_is_linux(const char *text);

#endif
