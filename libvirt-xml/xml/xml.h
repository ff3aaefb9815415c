/* SPDX-License-Identifier: MIT */
/* Helpers for building and reading XML trees with libxml2. */
#ifndef PST_LIBVIRT_XML_XML_XML_H
#define PST_LIBVIRT_XML_XML_XML_H

#include <libxml/tree.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/* Of the namespace that carries arguments for QEMU [libvirt: drvqemu]. */
#define PST_VM_XML_QEMU_NS "http://libvirt.org/schemas/domain/qemu/1.0"
/* Of our own settings in <metadata>. */
#define PST_VM_XML_OWN_NS "urn:penstock:domain:1"

static inline void pst_vm_xml_doc_cleanup(xmlDoc **doc)
{
	if (*doc)
		xmlFreeDoc(*doc);
}

#define PST_VM_CLEANUP_XML_DOC __attribute__((cleanup(pst_vm_xml_doc_cleanup)))

/*
 * Builders: everything is escaped by libxml2. parent is borrowed, the result
 * belongs to the tree; NULL parent or no memory gives NULL, which every one of
 * them takes, so only the last result of a chain has to be checked.
 */
xmlNode *pst_vm_xml_add(xmlNode *parent, const char *name);
/* With text in it, formatted. */
xmlNode *pst_vm_xml_text(xmlNode *parent, const char *name, const char *fmt,
			 ...) __attribute__((format(printf, 3, 4)));
/* An attribute, formatted. Returns node, to chain. */
xmlNode *pst_vm_xml_attr(xmlNode *node, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* In a namespace: an element without text. */
xmlNode *pst_vm_xml_add_ns(xmlNode *parent, xmlNs *ns, const char *name);
/* <name unit='KiB'>bytes / 1024</name> */
xmlNode *pst_vm_xml_kib(xmlNode *parent, const char *name, uint64_t bytes);

/*
 * Parses a text that may come from anywhere: no network, no entities that
 * could grow, no external files. Returns 0 and *ret, which the caller frees;
 * -EINVAL with libxml2's own sentence and the line; -EMSGSIZE.
 */
PST_MUST_USE int pst_vm_xml_parse(const char *text, size_t n, xmlDoc **ret,
				  struct pst_error *err);

/* Takes out white space between elements (not in mixed content), so that
 * pst_vm_xml_dump() indents all alike. */
void pst_vm_xml_strip(xmlNode *node);

/* The tree as text, indented, without the XML declaration; the caller frees
 * it with free(). NULL: no memory. */
char *pst_vm_xml_dump(xmlDoc *doc);

/* The first child element of that name (any namespace, ns NULL; else that
 * one), the next such sibling; NULL when there is none. */
xmlNode *pst_vm_xml_child(const xmlNode *parent, const char *name);
xmlNode *pst_vm_xml_next(const xmlNode *node, const char *name);
/* The element at a path of names, "devices/vsock/cid". */
xmlNode *pst_vm_xml_at(const xmlNode *root, const char *path);
/* Whether the element has the namespace. */
bool pst_vm_xml_in_ns(const xmlNode *node, const char *uri);

/* Copies of attribute and text, cut at size; false and "" when missing. */
bool pst_vm_xml_get_attr(const xmlNode *node, const char *name, char *ret,
			 size_t size);
bool pst_vm_xml_get_text(const xmlNode *node, char *ret, size_t size);

/* A size in an element's text, by its attribute unit: KiB, as libvirt writes
 * it, if there is none. 0: no size, or no element. */
uint64_t pst_vm_xml_get_bytes(const xmlNode *node);

#endif
