/* SPDX-License-Identifier: MIT */
/* Reads XML as text, token by token. */
#include "kernel-params/syntax/xml_text.h"

#include <stdio.h>
#include <string.h>

#include "transport/base/util.h"

/* What a token that begins so ends with; NULL: it cannot be split. */
static const struct {
	const char *begin, *end;
	enum pst_host_xml_kind kind;
} specials[] = {
	{"<!--", "-->", PST_HOST_XML_OTHER},
	{"<![CDATA[", "]]>", PST_HOST_XML_TEXT},
	{"<?", "?>", PST_HOST_XML_OTHER},
	{"<!", NULL, PST_HOST_XML_BAD},
};

static void end_at(struct pst_host_xml *s, const char *end,
		   enum pst_host_xml_kind kind)
{
	s->kind = end ? kind : PST_HOST_XML_BAD;
	s->end = end ? end : s->begin + strlen(s->begin);
}

/* Behind the '>' of a tag, which may also stand in a value. */
static const char *end_of_tag(const char *p)
{
	char quote = '\0';

	for (; *p; p++) {
		if (quote)
			quote = *p == quote ? '\0' : quote;
		else if (*p == '"' || *p == '\'')
			quote = *p;
		else if (*p == '>')
			return p + 1;
	}
	return NULL;
}

void pst_host_xml_next(struct pst_host_xml *s)
{
	const char *const p = s->end, *end;
	size_t i;

	s->begin = p;
	s->empty = false;
	if (!*p) {
		s->kind = PST_HOST_XML_DONE;
		return;
	}
	if (*p != '<') {
		end_at(s, strchrnul(p, '<'), PST_HOST_XML_TEXT);
		return;
	}
	for (i = 0; i < PST_ARRAY_SIZE(specials); i++) {
		const size_t n = strlen(specials[i].begin);

		if (strncmp(p, specials[i].begin, n) != 0)
			continue;
		end = specials[i].end ? strstr(p + n, specials[i].end) : NULL;
		end_at(s, end ? end + strlen(specials[i].end) : NULL,
		       specials[i].kind);
		return;
	}
	s->name = p + 1 + (p[1] == '/');
	s->name_len = strcspn(s->name, " \t\r\n/>");
	end_at(s, end_of_tag(p),
	       p[1] == '/' ? PST_HOST_XML_END : PST_HOST_XML_START);
	s->empty = s->kind == PST_HOST_XML_START && s->end[-2] == '/';
}

bool pst_host_xml_attr(const struct pst_host_xml *s, const char *name,
		       char *ret, size_t size)
{
	const char *p = s->name + s->name_len, *value, *close;
	size_t n;

	while ((p += strspn(p, " \t\r\n")) < s->end) {
		n = strcspn(p, " \t\r\n=>");
		value = p + n + strspn(p + n, " \t\r\n=");
		if (!n || (*value != '"' && *value != '\''))
			return false;
		close = strchr(value + 1, *value);
		if (!close)
			return false;
		if (strlen(name) == n && strncmp(p, name, n) == 0) {
			snprintf(ret, size, "%.*s", (int)(close - value - 1),
				 value + 1);
			return true;
		}
		p = close + 1;
	}
	return false;
}
