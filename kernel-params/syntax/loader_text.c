/* SPDX-License-Identifier: MIT */
/* Finds kernel command lines in line formats: behind a key, in quotes, or
 * bare. */
#include "kernel-params/syntax/loader_text.h"

#include <ctype.h>
#include <string.h>

#include "transport/base/util.h"

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && isblank((unsigned char)*p))
		p++;
	return p;
}

/* The end of [from, to) without white space there. */
static const char *trim(const char *from, const char *to)
{
	while (to > from && isspace((unsigned char)to[-1]))
		to--;
	return to;
}

/* Where the value of "key value" begins in a line, or NULL. */
static const char *value_at(const char *line, const char *end, const char *key)
{
	size_t len = strlen(key);

	line = skip_blanks(line, end);
	if ((size_t)(end - line) <= len || strncmp(line, key, len) != 0 ||
	    !isblank((unsigned char)line[len]))
		return NULL;
	return skip_blanks(line + len, end);
}

bool pst_host_entry_is_linux(const char *text)
{
	const char *p, *end;
	bool options = false, efi = false;

	for (p = text; *p; p = end + (*end == '\n')) {
		end = strchrnul(p, '\n');
		if (value_at(p, end, "linux"))
			return true;
		efi |= value_at(p, end, "efi") != NULL;
		options |= value_at(p, end, "options") != NULL;
	}
	return efi && options;
}

static bool has_root(const char *from, const char *to)
{
	static const char root[] = "root=";

	return memmem(from, (size_t)(to - from), root, strlen(root)) != NULL;
}

/* ---- One line of each kind: true and what of it is the command line -------
 */

typedef bool pst_find(const char *line, const char *end, const char **from,
		      const char **to);

static bool find_entry(const char *line, const char *end, const char **from,
		       const char **to)
{
	*from = value_at(line, end, "options");
	if (*from)
		*to = trim(*from, end);
	return *from != NULL;
}

static bool find_bare(const char *line, const char *end, const char **from,
		      const char **to)
{
	*from = line;
	*to = trim(line, end);
	return *line != '#' && *to > line;
}

/* "cmdline: WORDS" of a kernel with a root. */
static bool find_limine(const char *line, const char *end, const char **from,
			const char **to)
{
	static const char *const keys[] = {"cmdline:", "kernel_cmdline:"};
	size_t i, len;

	line = skip_blanks(line, end);
	for (i = 0; i < PST_ARRAY_SIZE(keys); i++) {
		len = strlen(keys[i]);
		if ((size_t)(end - line) < len ||
		    strncasecmp(line, keys[i], len) != 0)
			continue;
		*from = skip_blanks(line + len, end);
		*to = trim(*from, end);
		return has_root(*from, *to);
	}
	return false;
}

/* The end of a quoted text of rEFInd's, where "" is a quote in it. */
static const char *quote_end(const char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p != '"')
			continue;
		if (p + 1 == end || p[1] != '"')
			return p;
		p++;
	}
	return NULL;
}

/* "TITLE" "WORDS". */
static bool find_refind(const char *line, const char *end, const char **from,
			const char **to)
{
	const char *p = skip_blanks(line, end);

	if (p == end || *p != '"')
		return false;
	p = quote_end(p + 1, end);
	if (!p)
		return false;
	p = skip_blanks(p + 1, end);
	if (p == end || *p != '"')
		return false;
	*from = p + 1;
	*to = quote_end(*from, end);
	return *to != NULL;
}

#define STANZA_LINES 256

/* Whether the stanza goes on to a line "disabled". */
static bool is_disabled(const char *p)
{
	static const char word[] = "disabled";
	unsigned int n;
	int depth = 0;
	size_t len;

	for (n = 0; *p && depth >= 0 && n < STANZA_LINES; n++) {
		p += strspn(p, " \t");
		len = strcspn(p, "\n");
		if (depth == 0 && strncmp(p, word, strlen(word)) == 0)
			return true;
		if (*p == '}')
			depth--;
		else if (*p != '#' && memchr(p, '{', len))
			depth++;
		p += len + (p[len] == '\n');
	}
	return false;
}

/* options "WORDS". */
static bool find_stanza(const char *line, const char *end, const char **from,
			const char **to)
{
	static const char key[] = "options";
	const char *p = skip_blanks(line, end);

	if ((size_t)(end - p) <= strlen(key) ||
	    strncmp(p, key, strlen(key)) != 0)
		return false;
	p = skip_blanks(p + strlen(key), end);
	if (p == end || *p != '"')
		return false;
	*from = p + 1;
	*to = memchr(*from, '"', (size_t)(end - *from));
	return *to && has_root(*from, *to) &&
	       !is_disabled(end + (*end == '\n'));
}

/* "append WORDS" of a kernel with a root, in any letters. */
static bool find_append(const char *line, const char *end, const char **from,
			const char **to)
{
	static const char key[] = "append";
	const char *p = skip_blanks(line, end);

	if ((size_t)(end - p) <= strlen(key) ||
	    strncasecmp(p, key, strlen(key)) != 0 ||
	    !isblank((unsigned char)p[strlen(key)]))
		return false;
	*from = skip_blanks(p + strlen(key), end);
	*to = trim(*from, end);
	return has_root(*from, *to);
}

bool pst_host_loader_next(const char *text, enum pst_host_loader_text kind,
			  struct pst_host_loader_span *s)
{
	static pst_find *const find[] = {
		[PST_HOST_LOADER_ENTRY] = find_entry,
		[PST_HOST_LOADER_BARE] = find_bare,
		[PST_HOST_LOADER_LIMINE] = find_limine,
		[PST_HOST_LOADER_REFIND] = find_refind,
		[PST_HOST_LOADER_STANZA] = find_stanza,
		[PST_HOST_LOADER_APPEND] = find_append,
	};
	const char *line = text + s->off, *end, *from, *to;

	/* On behind the line of the last one. */
	if (s->line) {
		line += s->len;
		line = strchrnul(line, '\n');
		line += *line == '\n';
	}
	for (; *line; line = end + (*end == '\n')) {
		end = strchrnul(line, '\n');
		s->line++;
		if (!find[kind](line, end, &from, &to))
			continue;
		s->off = (size_t)(from - text);
		s->len = (size_t)(to - from);
		return true;
	}
	return false;
}
