/* SPDX-License-Identifier: MIT */
/* Finds where shell-like files assign a variable, and whether a line can be
 * edited. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "kernel-params/syntax/shell_int.h"

/* What a bare word may hold without meaning something to the shell. */
static bool bare_char(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("_-+=.,:/@%", c));
}

/* Whether an assignment is the first of its line, or behind "export". */
static bool begins_line(const char *text, const char *begin)
{
	const char *line = begin;

	while (line > text && line[-1] != '\n')
		line--;
	if (line - text >= 2 && line[-2] == '\\')
		return false;
	line += strspn(line, " \t");
	if (strncmp(line, "export", 6) == 0 && isblank((unsigned char)line[6]))
		line += 6 + strspn(line + 6, " \t");
	return line == begin;
}

/* Whether a value of len bytes names the variable that it is given to. */
static bool names_itself(const char *p, size_t len, const char *name)
{
	const char *end = p + len;
	size_t n = strlen(name);

	for (; p < end; p++) {
		const char *q = p + 1;

		if (*p != '$')
			continue;
		q += *q == '{';
		if (strncmp(q, name, n) == 0 && !pst_host_shell_is_name(q[n]))
			return true;
	}
	return false;
}

/* The closing quote from p on, or NULL. */
static const char *closing(const char *p, char quote)
{
	for (; *p && *p != quote; p++)
		if (quote == '"' && *p == '\\' && p[1])
			p++;
	return *p ? p : NULL;
}

/* Only white space and a comment are left of the line. */
static bool is_over(const char *p)
{
	const char *q = p + strspn(p, " \t");

	return !*q || *q == '\n' || (*q == '#' && q > p);
}

/* Takes a value from begin to end, which reader r has read; why it is not
 * clear, in why, which has the reader's own fault. */
static void place_value(const struct pst_host_shell *r, const char *text,
			const char *begin, struct pst_host_shell_assign *a)
{
	static const char more[] = "it does more than set one value";
	const char *from = begin, *to = r->p, *p;

	a->open = *begin && strchr("\"'(", *begin) ? *begin : '\0';
	if (a->open == '(')
		to--;
	else if (a->open)
		to = closing(begin + 1, a->open);
	from += a->open != '\0';
	if (!to || to < from) {
		if (!to)
			strcpy(a->why, "its quote is not closed on that line");
		return;
	}
	a->off = (size_t)(from - text);
	a->len = (size_t)(to - from);
	a->many_lines = memchr(from, '\n', a->len);
	if (a->many_lines && a->open != '(')
		strcpy(a->why, "its quote is not closed on that line");
	else if (*a->why)
		return;
	if (memmem(from, a->len, "\\\n", 2) ||
	    (a->open == '(' && memchr(from, '\\', a->len))) {
		strcpy(a->why, "a backslash stands in it");
		return;
	}
	for (p = from; !a->open && p < to && bare_char(*p);)
		p++;
	if ((!a->open && p < to) || (a->open == '(' && r->needs_shell)) {
		strcpy(a->why, more);
		return;
	}
	to += a->open != '\0';
	if (!is_over(to)) {
		to += strspn(to, " \t");
		if (*to == '\r')
			strcpy(a->why, "it ends in CR LF, the line end of DOS");
		else if (a->open && a->open != '(' && !a->many_lines)
			snprintf(a->why, sizeof(a->why),
				 "\"%.*s\" stands behind the closing quote",
				 (int)strcspn(to, "\n") > 60
					 ? 60
					 : (int)strcspn(to, "\n"),
				 to);
		else if (!*a->why)
			strcpy(a->why, more);
		return;
	}
	a->clear = true;
}

bool pst_host_shell_next(const char *text, const char *name,
			 struct pst_host_shell_pos *pos,
			 struct pst_host_shell_assign *ret)
{
	struct pst_host_setting s = {.name = name};
	struct pst_host_shell r = {.p = text + pos->off,
				   .line = pos->begun ? pos->line : 1,
				   .s = &s,
				   .n = 1,
				   .fault = ret->why,
				   .first = !pos->begun || pos->first,
				   .unsets = pos->unsets,
				   .joined = pos->joined,
				   .depth = pos->depth};
	const char *begin;
	struct pst_host_shell_found f;

	*ret = (struct pst_host_shell_assign){0};
	if (!pst_host_shell_find(&r, &f))
		return false;
	*ret = (struct pst_host_shell_assign){.adds = f.adds, .line = r.line};
	begin = r.p;
	r.needs_shell = false;
	if (f.unset) {
		strcpy(ret->why, "a line unsets it");
	} else if (*r.p == '(') {
		r.p++;
		pst_host_shell_take_array(&r, false, NULL);
	} else {
		pst_host_shell_take_word(&r, false, NULL);
	}
	*pos = (struct pst_host_shell_pos){.off = (size_t)(r.p - text),
					   .line = r.line,
					   .depth = r.depth,
					   .begun = true,
					   .first = r.first,
					   .unsets = r.unsets,
					   .joined = r.joined};
	if (f.unset)
		return true;
	place_value(&r, text, begin, ret);
	if (ret->clear &&
	    (r.depth || f.joined || !begins_line(text, f.begin))) {
		ret->clear = false;
		strcpy(ret->why, "it stands behind a condition or a command");
	}
	if (ret->clear)
		ret->adds |= names_itself(text + ret->off, ret->len, name);
	return true;
}

bool pst_host_shell_word(const char *text,
			 const struct pst_host_shell_assign *a, size_t *pos,
			 struct pst_host_shell_word *ret)
{
	const char *end = text + a->off + a->len;
	char fault[PST_HOST_FAULT_MAX] = "";
	struct pst_host_shell r = {.p = text + (*pos ? *pos : a->off),
				   .fault = fault};
	PST_CLEANUP_FREE char *word = NULL;
	const char *from;
	size_t size;
	FILE *f;

	while (r.p < end && (isspace((unsigned char)*r.p) ||
			     (a->open == '(' && *r.p == '#')))
		r.p += *r.p == '#' ? strcspn(r.p, "\n") : 1;
	from = r.p;
	if (from >= end)
		return false;
	f = open_memstream(&word, &size);
	if (!f)
		return false;
	if (a->open == '(')
		pst_host_shell_take_word(&r, true, f);
	for (; r.p < end && a->open != '(' && !isspace((unsigned char)*r.p);
	     r.p++)
		fputc(*r.p, f);
	if (r.p == from)
		r.p++;
	if (fclose(f))
		return false;
	*pos = (size_t)(r.p - text);
	ret->off = (size_t)(from - text);
	ret->len = (size_t)(r.p - from);
	snprintf(ret->text, sizeof(ret->text), "%s", word);
	return true;
}

bool pst_host_shell_goes_on(const char *text)
{
	struct pst_host_shell r = {.p = text, .line = 1, .first = true};
	size_t n = strlen(text);
	struct pst_host_shell_found f;

	if (n && text[n - 1] == '\n')
		n--;
	if (n && text[n - 1] == '\\')
		return true;
	while (pst_host_shell_find(&r, &f))
		;
	return r.depth || r.joined || r.open;
}
