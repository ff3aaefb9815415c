/* SPDX-License-Identifier: MIT */
/* Finds the lines of a domain's XML that hold secrets. */
#include "libvirt-xml/xml/secrets.h"

#include <stdlib.h>
#include <string.h>

#include "kernel-params/syntax/xml_text.h"
#include "transport/base/error.h"

/* In a tag or a comment. */
static const char *const words[] = {"passw", "passphrase", "secret",
				    "token", "osk",        "cookie",
				    "cred",  "apikey",     "api_key"};

/* Elements of which all that is inside is hidden: arguments for QEMU, the
 * firmware's tables, what other programs keep, and texts that anyone wrote. */
static const char *const holders[] = {
	"commandline", "sysinfo",  "metadata", "cookies",
	"description", "title",    "serial",   "cmdline",
	"initarg",     "initenv",  "session",  "dhCert",
	"cookie",      "override", "auth",     "encryption"};

static bool has_word(const char *begin, const char *end)
{
	size_t i, n;
	const char *p;

	for (i = 0; i < PST_ARRAY_SIZE(words); i++) {
		n = strlen(words[i]);
		for (p = begin; p + n <= end; p++)
			if (strncasecmp(p, words[i], n) == 0)
				return true;
	}
	/* scheme://user:password@host */
	p = memmem(begin, (size_t)(end - begin), "://", 3);
	return p && memchr(p, '@', (size_t)(end - p));
}

static bool is_holder(const struct pst_host_xml *s)
{
	const char *colon = memchr(s->name, ':', s->name_len);
	const char *local = colon ? colon + 1 : s->name;
	const size_t n = s->name_len - (size_t)(local - s->name);
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(holders); i++)
		if (strlen(holders[i]) == n &&
		    strncmp(local, holders[i], n) == 0)
			return true;
	return false;
}

static bool is_blank(const struct pst_host_xml *s)
{
	return strspn(s->begin, " \t\r\n") >= (size_t)(s->end - s->begin);
}

/* depth: of elements, from the holder on that the token lies in. */
static bool is_secret(const struct pst_host_xml *s, size_t depth)
{
	if (s->kind == PST_HOST_XML_BAD)
		return true;
	if (s->kind == PST_HOST_XML_TEXT && is_blank(s))
		return false;
	if (depth > (s->kind == PST_HOST_XML_END))
		return true;
	return s->kind != PST_HOST_XML_END && has_word(s->begin, s->end);
}

static size_t newlines(const char *begin, const char *end)
{
	size_t n = 0;

	for (; begin < end; begin++)
		n += *begin == '\n';
	return n;
}

long pst_vm_secret_lines(const char *text, bool **ret)
{
	struct pst_host_xml s = {.end = text};
	size_t lines = newlines(text, text + strlen(text)) + 1;
	size_t line = 0, depth = 0, n;
	bool *secret = calloc(lines, sizeof(*secret));

	if (!secret)
		return -ENOMEM;
	for (pst_host_xml_next(&s); s.kind != PST_HOST_XML_DONE;
	     pst_host_xml_next(&s)) {
		n = newlines(s.begin, s.end);
		if (is_secret(&s, depth))
			memset(secret + line, true, n + 1);
		line += n;
		if (s.kind == PST_HOST_XML_START && !s.empty)
			depth += depth || is_holder(&s);
		else if (s.kind == PST_HOST_XML_END)
			depth -= depth > 0;
	}
	*ret = secret;
	return (long)lines;
}
