/* SPDX-License-Identifier: MIT */
/* Writes the elements that were added to a tree into the text it came from. */
#ifndef PST_LIBVIRT_XML_XML_SPLICE_H
#define PST_LIBVIRT_XML_XML_SPLICE_H

#include "libvirt-xml/xml/xml.h"

/* Marks the elements that a tree has: those that come later are the new ones.
 */
void pst_vm_splice_mark(xmlNode *root);

/*
 * Writes the new elements of a tree, which are the last children of theirs, and
 * new namespaces of the root into the text that the tree was read from, with
 * its indentation, quotes and ends of lines; every other byte stays. secret: of
 * each line, whether it may not be shown and so not change. Returns 0 and *ret,
 * which the caller frees; -EOPNOTSUPP (the text cannot be kept: it has a
 * document type, or a secret line would change), -ENOMEM.
 */
PST_MUST_USE int pst_vm_splice(const char *text, const bool *secret,
			       xmlNode *root, char **ret);

#endif
