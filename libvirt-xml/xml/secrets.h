/* SPDX-License-Identifier: MIT */
/* Finds the lines of a domain's XML that hold secrets. */
#ifndef PST_LIBVIRT_XML_XML_SECRETS_H
#define PST_LIBVIRT_XML_XML_SECRETS_H

#include <stdbool.h>

#include "transport/base/util.h"

/*
 * Marks the lines that a stranger should not see: with passwords, tokens,
 * cookies and users in URLs, serial numbers, free texts, and whatever is meant
 * for QEMU or for other programs. Of what cannot be split, all. *ret has one
 * entry a line; the caller frees it. Returns the number of lines, or -ENOMEM.
 */
PST_MUST_USE long pst_vm_secret_lines(const char *text, bool **ret);

#endif
