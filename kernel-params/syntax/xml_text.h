/* SPDX-License-Identifier: MIT */
/* Reads XML as text, token by token: what is where, without a library. */
#ifndef PST_KERNEL_PARAMS_SYNTAX_XML_TEXT_H
#define PST_KERNEL_PARAMS_SYNTAX_XML_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum pst_host_xml_kind {
	PST_HOST_XML_DONE, /* nothing is left */
	PST_HOST_XML_START,
	PST_HOST_XML_END,
	PST_HOST_XML_TEXT,  /* CDATA too */
	PST_HOST_XML_OTHER, /* a comment, a processing instruction */
	PST_HOST_XML_BAD,   /* a document type, or no XML: nothing follows */
};

/* Begins as {.end = text}. */
struct pst_host_xml {
	enum pst_host_xml_kind kind;
	const char *begin, *end; /* of the token */
	const char *name;        /* START, END: with its prefix, in the text */
	size_t name_len;
	bool empty; /* START: <name/>, which has no END */
};

/*
 * The next token. A pure function: XML that is not well-formed is BAD at the
 * latest where it cannot be split any more, and nothing behind the text's end
 * is read.
 */
void pst_host_xml_next(struct pst_host_xml *s);

/* Whether the START has that attribute, and its value as it is written, cut to
 * size. */
bool pst_host_xml_attr(const struct pst_host_xml *s, const char *name,
		       char *ret, size_t size);

#endif
