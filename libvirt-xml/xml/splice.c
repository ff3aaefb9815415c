/* SPDX-License-Identifier: MIT */
/* Writes the elements that were added to a tree into the text it came from. */
#include "libvirt-xml/xml/splice.h"

#include <stdio.h>
#include <string.h>

#include "kernel-params/syntax/xml_text.h"

/* libxml2 goes no deeper either. */
#define MAX_DEPTH 256
/* Of libxml2's indentation. */
#define STEP 2

static char is_old;

/* Text that is written along while it is read. */
struct splice {
	FILE *to;
	const char *text, *done; /* all before it is written */
	const bool *secret;
	const char *newline;
	char quote;
	bool lost; /* it cannot be kept */
};

/* The element after this one in the text's order, of those that were there. */
static xmlNode *next_old(xmlNode *n, const xmlNode *root)
{
	xmlNode *child = pst_vm_xml_child(n, NULL), *next;

	if (child && child->_private == &is_old)
		return child;
	for (; n && n != root; n = n->parent) {
		next = pst_vm_xml_next(n, NULL);
		if (next && next->_private == &is_old)
			return next;
	}
	return NULL;
}

void pst_vm_splice_mark(xmlNode *root)
{
	xmlNode *n;
	xmlNs *ns;

	root->_private = &is_old;
	for (ns = root->nsDef; ns; ns = ns->next)
		ns->_private = &is_old;
	for (n = pst_vm_xml_child(root, NULL); n; n = pst_vm_xml_next(n, NULL))
		pst_vm_splice_mark(n);
}

static xmlNode *first_new(const xmlNode *parent)
{
	xmlNode *n = pst_vm_xml_child(parent, NULL);

	while (n && n->_private == &is_old)
		n = pst_vm_xml_next(n, NULL);
	return n;
}

static void copy_to(struct splice *s, const char *end)
{
	fwrite(s->done, 1, (size_t)(end - s->done), s->to);
	s->done = end;
}

/* The start of the line that p is in. */
static const char *line_of(const struct splice *s, const char *p)
{
	while (p > s->text && p[-1] != '\n')
		p--;
	return p;
}

/* Spaces and tabs that the line of p begins with. */
static size_t indent_of(const struct splice *s, const char *p)
{
	return strspn(line_of(s, p), " \t");
}

static bool begins_line(const struct splice *s, const char *p)
{
	return line_of(s, p) + indent_of(s, p) == p;
}

/* What is written in the middle of a line changes it. */
static void change_line(struct splice *s, const char *at)
{
	const char *p;
	size_t line = 0;

	for (p = s->text; p < at; p++)
		line += *p == '\n';
	s->lost = s->lost || s->secret[line];
}

/* Text of libxml2, whose values are in double quotes unless they hold one. */
static void put_quoted(const struct splice *s, const char *text, size_t n)
{
	const char *const end = text + n, *close;
	bool in_tag = false;

	while (text < end) {
		in_tag = *text == '<' || (in_tag && *text != '>');
		close = in_tag && (*text == '"' || *text == '\'')
				? memchr(text + 1, *text,
					 (size_t)(end - text) - 1)
				: NULL;
		if (!close) {
			putc(*text++, s->to);
			continue;
		}
		n = (size_t)(close - text) - 1;
		if (memchr(text + 1, s->quote, n))
			fwrite(text, 1, n + 2, s->to);
		else
			fprintf(s->to, "%c%.*s%c", s->quote, (int)n, text + 1,
				s->quote);
		text = close + 1;
	}
}

/* Deeper lines begin at the left again. */
#define INDENT_MAX 128

struct indent {
	char text[INDENT_MAX]; /* of the new elements */
	size_t n;
	char step[INDENT_MAX]; /* more for what is inside */
};

/* As the element that begins at start has its children, or at child one. */
static void indent_in(const struct splice *s, const char *start,
		      const char *child, struct indent *ret)
{
	const char *const line = line_of(s, start);
	size_t n = indent_of(s, start), deep = 0;

	*ret = (struct indent){0};
	if (child && begins_line(s, child))
		deep = indent_of(s, child);
	if (n >= INDENT_MAX / 2 || deep >= INDENT_MAX / 2)
		n = deep = 0;
	if (deep > n)
		memcpy(ret->step, line_of(s, child) + n, deep - n);
	else
		strcpy(ret->step, n && *line == '\t' ? "\t" : "  ");
	memcpy(ret->text, line, n);
	strcpy(ret->text + n, ret->step);
	ret->n = strlen(ret->text);
}

static int put_element(struct splice *s, xmlNode *node, const struct indent *in)
{
	xmlBuffer *buf = xmlBufferCreate();
	const char *p, *end;
	size_t spaces;

	if (!buf || xmlNodeDump(buf, node->doc, node, 0, 1) < 0) {
		xmlBufferFree(buf);
		return -ENOMEM;
	}
	for (p = (const char *)xmlBufferContent(buf); *p; p = end + !!*end) {
		end = strchrnul(p, '\n');
		fputs(in->text, s->to);
		for (spaces = strspn(p, " "); spaces >= STEP; spaces -= STEP) {
			fputs(in->step, s->to);
			p += STEP;
		}
		put_quoted(s, p, (size_t)(end - p));
		fputs(s->newline, s->to);
	}
	xmlBufferFree(buf);
	return 0;
}

/* An element that is open, and where its last child begins. */
struct open {
	xmlNode *node;
	const char *start, *child;
};

/* The new children of an element before its end tag, or into <name/>. */
static int put_children(struct splice *s, const struct pst_host_xml *tag,
			const struct open *e)
{
	const bool own_line = !tag->empty && begins_line(s, tag->begin);
	const char *const at = own_line     ? line_of(s, tag->begin)
			       : tag->empty ? tag->end - 2
					    : tag->begin;
	xmlNode *n = first_new(e->node);
	struct indent in;
	int r = 0;

	if (!n)
		return 0;
	indent_in(s, e->start, e->child, &in);
	copy_to(s, at);
	if (!own_line) {
		change_line(s, at);
		fprintf(s->to, "%s%s", tag->empty ? ">" : "", s->newline);
	}
	for (; n && r == 0; n = pst_vm_xml_next(n, NULL))
		r = put_element(s, n, &in);
	if (!own_line)
		fprintf(s->to, "%.*s", (int)indent_of(s, e->start),
			line_of(s, e->start));
	if (tag->empty) {
		fprintf(s->to, "</%.*s>", (int)tag->name_len, tag->name);
		s->done = tag->end;
	}
	return r;
}

static void put_namespaces(struct splice *s, const struct pst_host_xml *tag,
			   const xmlNode *root)
{
	const char *const at = tag->end - 1 - tag->empty;
	const xmlNs *ns;

	for (ns = root->nsDef; ns; ns = ns->next) {
		if (ns->_private == &is_old)
			continue;
		change_line(s, at);
		copy_to(s, at);
		fprintf(s->to, " xmlns:%s=%c%s%c", (const char *)ns->prefix,
			s->quote, (const char *)ns->href, s->quote);
	}
}

static int write_all(struct splice *s, xmlNode *root)
{
	struct pst_host_xml tag = {.end = s->text};
	struct open open[MAX_DEPTH];
	xmlNode *next = root;
	size_t depth = 0;
	int r = 0;

	for (pst_host_xml_next(&tag); r == 0 && !s->lost;
	     pst_host_xml_next(&tag)) {
		if (tag.kind == PST_HOST_XML_DONE)
			break;
		if (tag.kind == PST_HOST_XML_START) {
			if (!next || depth == MAX_DEPTH)
				break;
			if (next == root)
				put_namespaces(s, &tag, root);
			if (depth)
				open[depth - 1].child = tag.begin;
			open[depth++] = (struct open){next, tag.begin, NULL};
			next = next_old(next, root);
		}
		if (tag.kind == PST_HOST_XML_END || tag.empty) {
			if (!depth)
				break;
			r = put_children(s, &tag, &open[--depth]);
		}
		s->lost = s->lost || tag.kind == PST_HOST_XML_BAD;
	}
	/* The text and the tree are not the same. */
	s->lost = s->lost || tag.kind != PST_HOST_XML_DONE || next || depth;
	copy_to(s, s->done + strlen(s->done));
	return r;
}

static size_t count(const char *text, const char *part)
{
	size_t n = 0;

	for (; (text = strstr(text, part)); text++)
		n++;
	return n;
}

int pst_vm_splice(const char *text, const bool *secret, xmlNode *root,
		  char **ret)
{
	size_t size;
	struct splice s = {
		.text = text,
		.done = text,
		.secret = secret,
		.newline = strstr(text, "\r\n") ? "\r\n" : "\n",
		.quote = count(text, "='") > count(text, "=\"") ? '\'' : '"',
	};
	char *out = NULL;
	int r;

	s.to = open_memstream(&out, &size);
	if (!s.to)
		return -ENOMEM;
	r = write_all(&s, root);
	if (fclose(s.to) || r < 0)
		r = -ENOMEM;
	else if (s.lost)
		r = -EOPNOTSUPP;
	if (r < 0)
		free(out);
	else
		*ret = out;
	return r;
}
