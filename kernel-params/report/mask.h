/* SPDX-License-Identifier: MIT */
/* Puts stand-ins for what names a machine or a person in a text. */
#ifndef PST_KERNEL_PARAMS_REPORT_MASK_H
#define PST_KERNEL_PARAMS_REPORT_MASK_H

#include "kernel-params/root/root.h"

struct pst_host_mask_pair;

/*
 * The same text always gets the same stand-in, so that files agree with each
 * other as before. Masked are UUIDs and machine ids, volume ids behind "UUID=",
 * labels behind "LABEL=", hardware addresses, IPv4 and IPv6 addresses, mail
 * addresses, names of disks in /dev/disk/by-id and their WWNs, serial numbers
 * behind that word, passwords and other secrets behind such a word, iSCSI
 * names, who built the kernel, the names of the host, of its users and of
 * libvirt's domains, and of their homes. Time is linear in the text.
 */
struct pst_host_mask {
	struct pst_host_mask_pair *pair;
	size_t n_pairs;
	struct pst_host_names host, user, kept;
	char *out; /* of the text in work */
	size_t len, cap;
	bool no_memory;
};

/* Learns the names of root's host and users. A name that is a word of the
 * configuration too (a system's, a module's) is kept: it is in m->kept. */
void pst_host_mask_init(struct pst_host_mask *m,
			const struct pst_host_root *root);
void pst_host_mask_done(struct pst_host_mask *m);

/* A masked copy of len bytes, with a NUL behind it, for the caller to free.
 * NULL: out of memory. Bytes with a NUL among them are no text, and stay. */
char *pst_host_mask_text(struct pst_host_mask *m, const char *text, size_t len,
			 size_t *ret_len);

#endif
