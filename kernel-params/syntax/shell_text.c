/* SPDX-License-Identifier: MIT */
/* Finds assignments in shell files, and tells which ones can be edited
 * safely. */
#include "kernel-params/syntax/shell_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/text.h"

/* What a bare word may hold without meaning something to the shell. */
static bool bare_char(char c)
{
	return isalnum((unsigned char)c) || strchr("_-+=.,:/@%", c);
}

/* Whether name stands at p as a word of its own. */
static bool name_at(const char *line, const char *p, const char *name)
{
	char before = p > line ? p[-1] : ' ';
	char after = p[strlen(name)];

	return !isalnum((unsigned char)before) && before != '_' &&
	       !isalnum((unsigned char)after) && after != '_';
}

/* The closing quote in [p, end), or NULL. */
static const char *closing(const char *p, const char *end, char quote)
{
	for (; p < end; p++) {
		if (*p == quote)
			return p;
		if (quote == '"' && *p == '\\')
			p++;
	}
	return NULL;
}

/* Nothing, or a comment, is left of the line. */
static bool line_is_over(const char *p, const char *end)
{
	const char *q = p;

	while (q < end && isblank((unsigned char)*q))
		q++;
	return q == end || (*q == '#' && q > p);
}

/* Whether the value names the variable that it is given to. */
static bool names_itself(const char *p, size_t len, const char *name)
{
	const char *end = p + len;

	for (; p < end; p++) {
		const char *q = p + 1;

		if (*p != '$')
			continue;
		q += *q == '{';
		if (strncmp(q, name, strlen(name)) == 0 && name_at(p, q, name))
			return true;
	}
	return false;
}

/* Reads the value at p; false unless it is one clear word. */
static bool read_value(const char *text, const char *p, const char *end,
		       struct pst_host_shell_assign *a)
{
	const char *from = p, *to;

	if (p < end && (*p == '"' || *p == '\'')) {
		a->quote = *p;
		from = p + 1;
		to = closing(from, end, a->quote);
		if (!to || !line_is_over(to + 1, end))
			return false;
	} else {
		to = p;
		while (to < end && bare_char(*to))
			to++;
		if (!line_is_over(to, end))
			return false;
	}
	a->off = (size_t)(from - text);
	a->len = (size_t)(to - from);
	return true;
}

/* An assignment in the line [p, end)? */
static bool read_line(const char *text, const char *line, const char *end,
		      const char *name, struct pst_host_shell_assign *ret)
{
	const char *p = line, *eq = NULL, *q;
	size_t len = strlen(name);

	while (p < end && isblank((unsigned char)*p))
		p++;
	if (p == end || *p == '#')
		return false;
	/* Anywhere in the line counts, but only its begin is clear. */
	for (q = p; q + len < end && !eq; q++)
		if (strncmp(q, name, len) == 0 && name_at(line, q, name) &&
		    (q[len] == '=' || (q[len] == '+' && q[len + 1] == '=')))
			eq = q;
	if (!eq)
		return false;
	*ret = (struct pst_host_shell_assign){.adds = eq[len] == '+'};
	if (strncmp(line, "export ", 7) == 0)
		line += 7;
	ret->clear =
		eq == line &&
		read_value(text, eq + len + 1 + (eq[len] == '+'), end, ret);
	if (ret->clear)
		ret->adds |= names_itself(text + ret->off, ret->len, name);
	return true;
}

bool pst_host_shell_next(const char *text, const char *name, size_t *pos,
			 unsigned int *line, struct pst_host_shell_assign *ret)
{
	bool continued = false;

	while (text[*pos]) {
		const char *begin = text + *pos;
		const char *end = strchrnul(begin, '\n');
		bool found = read_line(text, begin, end, name, ret);
		bool is_continued = continued;

		*pos += (size_t)(end - begin) + (*end == '\n');
		++*line;
		continued = end > begin && end[-1] == '\\';
		if (!found)
			continue;
		ret->line = *line;
		ret->clear &= !is_continued && !continued;
		return true;
	}
	return false;
}

void pst_host_shell_fault(const char *text, size_t end, char *ret, size_t size)
{
	static const struct {
		const char *mark, *cause;
	} marks[] = {
		{"\r", "it ends in CR LF, the line end of DOS"},
		{"\xe2\x80\x9c", "it has typographic quotes"},
		{"\xe2\x80\x9d", "it has typographic quotes"},
		{"\xe2\x80\x98", "it has typographic quotes"},
		{"\xe2\x80\x99", "it has typographic quotes"},
		{"\\", "a backslash stands in it"},
	};
	size_t n = end && text[end - 1] == '\n' ? end - 1 : end, begin = n, i;
	PST_CLEANUP_FREE char *line = NULL;
	const char *p, *to;

	while (begin && text[begin - 1] != '\n')
		begin--;
	line = strndup(text + begin, n - begin);
	snprintf(ret, size, "it does more than set one value");
	p = line ? strchr(line, '=') : NULL;
	if (!p)
		return;
	for (i = 0; i < PST_ARRAY_SIZE(marks); i++)
		if (strstr(p, marks[i].mark)) {
			snprintf(ret, size, "%s", marks[i].cause);
			return;
		}
	to = p[1] == '"' || p[1] == '\'' ? closing(p + 2, p + strlen(p), p[1])
					 : p;
	if (!to)
		snprintf(ret, size, "its quote is not closed on that line");
	else if (to != p && !line_is_over(to + 1, p + strlen(p)))
		snprintf(ret, size, "\"%.60s\" stands behind the closing quote",
			 to + 1 + strspn(to + 1, " \t"));
}

bool pst_host_shell_goes_on(const char *text)
{
	size_t n = strlen(text);

	if (n && text[n - 1] == '\n')
		n--;
	return n && text[n - 1] == '\\';
}

char *pst_host_text_replace(const char *text, size_t off, size_t len,
			    const char *by)
{
	return pst_text_format("%.*s%s%s", (int)off, text, by,
			       text + off + len);
}

char *pst_host_text_append(const char *text, const char *more)
{
	size_t n = text ? strlen(text) : 0;

	return pst_text_format("%s%s%s", text ? text : "",
			       n && text[n - 1] != '\n' ? "\n" : "", more);
}
