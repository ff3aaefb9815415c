/* SPDX-License-Identifier: MIT */
/* Reads XML as text, token by token, and finds the lines that hold secrets. */
#ifndef PST_LIBVIRT_XML_SCAN_H
#define PST_LIBVIRT_XML_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "transport/base/util.h"

enum pst_vm_scan_kind {
	PST_VM_SCAN_DONE, /* nothing is left */
	PST_VM_SCAN_START,
	PST_VM_SCAN_END,
	PST_VM_SCAN_TEXT,  /* CDATA too */
	PST_VM_SCAN_OTHER, /* a comment, a processing instruction */
	PST_VM_SCAN_BAD,   /* a document type, or no XML: nothing follows */
};

/* Begins as {.end = text}. */
struct pst_vm_scan {
	enum pst_vm_scan_kind kind;
	const char *begin, *end; /* of the token */
	const char *name;        /* START, END: with its prefix, in the text */
	size_t name_len;
	bool empty; /* START: <name/>, which has no END */
};

/*
 * The next token of a text that libxml2 has taken. A pure function: XML that is
 * not well-formed is BAD at the latest where it cannot be split any more, and
 * nothing behind the text's end is read.
 */
void pst_vm_scan_next(struct pst_vm_scan *s);

/*
 * Marks the lines that a stranger should not see: with passwords, tokens,
 * cookies and users in URLs, serial numbers, free texts, and whatever is meant
 * for QEMU or for other programs. Of what cannot be split, all. *ret has one
 * entry a line; the caller frees it. Returns the number of lines, or -ENOMEM.
 */
PST_MUST_USE long pst_vm_scan_secrets(const char *text, bool **ret);

#endif
