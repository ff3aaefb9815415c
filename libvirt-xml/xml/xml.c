/* SPDX-License-Identifier: MIT */
/* Helpers for building and reading XML trees with libxml2. */
#include "libvirt-xml/xml/xml.h"

#include <inttypes.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <stdarg.h>
#include <string.h>

/* A domain's XML is some KiB; libvirt itself takes at most 4 MiB of a text. */
#define TEXT_MAX (4U << 20)

xmlNode *pst_vm_xml_add(xmlNode *parent, const char *name)
{
	if (!parent)
		return NULL;
	return xmlNewChild(parent, NULL, BAD_CAST name, NULL);
}

xmlNode *pst_vm_xml_add_ns(xmlNode *parent, xmlNs *ns, const char *name)
{
	if (!parent || !ns)
		return NULL;
	return xmlNewChild(parent, ns, BAD_CAST name, NULL);
}

xmlNode *pst_vm_xml_text(xmlNode *parent, const char *name, const char *fmt,
			 ...)
{
	PST_CLEANUP_FREE char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		return NULL;
	}
	if (!parent)
		return NULL;
	/* Unlike xmlNewChild() this escapes ampersands too. */
	return xmlNewTextChild(parent, NULL, BAD_CAST name, BAD_CAST text);
}

xmlNode *pst_vm_xml_attr(xmlNode *node, const char *name, const char *fmt, ...)
{
	PST_CLEANUP_FREE char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		return NULL;
	}
	if (!node || !xmlNewProp(node, BAD_CAST name, BAD_CAST text))
		return NULL;
	return node;
}

xmlNode *pst_vm_xml_kib(xmlNode *parent, const char *name, uint64_t bytes)
{
	return pst_vm_xml_attr(
		pst_vm_xml_text(parent, name, "%" PRIu64, bytes >> 10), "unit",
		"KiB");
}

int pst_vm_xml_parse(const char *text, size_t n, xmlDoc **ret,
		     struct pst_error *err)
{
	const xmlError *why;
	xmlDoc *doc;

	*ret = NULL;
	if (n > TEXT_MAX)
		return pst_error_set(err, -EMSGSIZE,
				     "XML of %zu bytes is too long for a "
				     "domain",
				     n);
	doc = xmlReadMemory(text, (int)n, "domain.xml", NULL,
			    XML_PARSE_NONET | XML_PARSE_NOERROR |
				    XML_PARSE_NOWARNING);
	if (doc && xmlDocGetRootElement(doc)) {
		*ret = doc;
		return 0;
	}
	if (doc)
		xmlFreeDoc(doc);
	why = xmlGetLastError();
	return pst_error_set(err, -EINVAL, "this is no XML: line %d: %s",
			     why ? why->line : 0,
			     why && why->message ? why->message : "no element");
}

/* Elements only, and nothing but white space between them. */
static bool is_structure(const xmlNode *node)
{
	const xmlNode *n;
	bool elements = false;

	for (n = node->children; n; n = n->next) {
		if (n->type == XML_ELEMENT_NODE)
			elements = true;
		else if (n->type == XML_TEXT_NODE && !xmlIsBlankNode(n))
			return false;
	}
	return elements;
}

void pst_vm_xml_strip(xmlNode *node)
{
	xmlNode *n, *next;

	if (!is_structure(node))
		return;
	for (n = node->children; n; n = next) {
		next = n->next;
		if (n->type == XML_ELEMENT_NODE) {
			pst_vm_xml_strip(n);
		} else if (n->type == XML_TEXT_NODE) {
			xmlUnlinkNode(n);
			xmlFreeNode(n);
		}
	}
}

char *pst_vm_xml_dump(xmlDoc *doc)
{
	xmlBuffer *buf = xmlBufferCreate();
	char *text = NULL, *cut;
	xmlNode *root = xmlDocGetRootElement(doc);

	if (buf && root && xmlNodeDump(buf, doc, root, 0, 1) >= 0 &&
	    xmlBufferCat(buf, BAD_CAST "\n") == 0)
		text = strdup((const char *)xmlBufferContent(buf));
	if (buf)
		xmlBufferFree(buf);
	if (!text)
		return NULL;
	cut = text + strlen(text);
	/* One newline at the end, whatever the tree had. */
	while (cut - text > 1 && cut[-2] == '\n')
		*--cut = '\0';
	return text;
}

static xmlNode *from(xmlNode *node, const char *name)
{
	for (; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE &&
		    (!name || strcmp((const char *)node->name, name) == 0))
			return node;
	return NULL;
}

xmlNode *pst_vm_xml_child(const xmlNode *parent, const char *name)
{
	return parent ? from(parent->children, name) : NULL;
}

xmlNode *pst_vm_xml_next(const xmlNode *node, const char *name)
{
	return node ? from(node->next, name) : NULL;
}

xmlNode *pst_vm_xml_at(const xmlNode *root, const char *path)
{
	const char *end;
	const xmlNode *node = root;
	char name[64];

	while (node && *path) {
		end = strchrnul(path, '/');
		snprintf(name, sizeof(name), "%.*s", (int)(end - path), path);
		node = pst_vm_xml_child(node, name);
		path = *end ? end + 1 : end;
	}
	return (xmlNode *)node;
}

bool pst_vm_xml_in_ns(const xmlNode *node, const char *uri)
{
	return node && node->ns && node->ns->href &&
	       strcmp((const char *)node->ns->href, uri) == 0;
}

static bool copy(xmlChar *s, char *ret, size_t size)
{
	*ret = '\0';
	if (!s)
		return false;
	snprintf(ret, size, "%s", (const char *)s);
	xmlFree(s);
	return true;
}

bool pst_vm_xml_get_attr(const xmlNode *node, const char *name, char *ret,
			 size_t size)
{
	*ret = '\0';
	return node && copy(xmlGetNoNsProp(node, BAD_CAST name), ret, size);
}

bool pst_vm_xml_get_text(const xmlNode *node, char *ret, size_t size)
{
	*ret = '\0';
	return node && copy(xmlNodeGetContent(node), ret, size);
}

uint64_t pst_vm_xml_get_bytes(const xmlNode *node)
{
	char text[32], unit[16], both[64];
	uint64_t v;

	if (!pst_vm_xml_get_text(node, text, sizeof(text)))
		return 0;
	if (!pst_vm_xml_get_attr(node, "unit", unit, sizeof(unit)))
		strcpy(unit, "KiB");
	snprintf(both, sizeof(both), "%s%s", text,
		 strcmp(unit, "bytes") == 0 || strcmp(unit, "b") == 0 ? ""
								      : unit);
	return pst_parse_size(both, &v) == 0 ? v : 0;
}
