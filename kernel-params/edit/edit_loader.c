/* SPDX-License-Identifier: MIT */
/* Kernel parameters in line formats: an option key, the bare words, or a
 * command line of its own in each line. */
#include "kernel-params/edit/edit_loader.h"

#include <ctype.h>
#include <string.h>

#include "kernel-params/boot/boot.h"
#include "kernel-params/syntax/shell_text.h"
#include "transport/base/text.h"

/* Lines with parameters in one file, at most. */
#define MAX_LINES 64

struct spans {
	size_t off[MAX_LINES], len[MAX_LINES];
	struct pst_host_params_part part[MAX_LINES];
	size_t n;
};

/* Where the value of "key value" begins in a line, or NULL. */
static const char *value_at(const char *line, const char *end, const char *key)
{
	size_t len = strlen(key);

	while (line < end && isblank((unsigned char)*line))
		line++;
	if ((size_t)(end - line) <= len || strncmp(line, key, len) != 0 ||
	    !isblank((unsigned char)line[len]))
		return NULL;
	line += len;
	while (line < end && isblank((unsigned char)*line))
		line++;
	return line;
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

/* Collects the pieces: of lines with key, or (NULL) of all but comments. */
static int find_spans(const char *text, const char *key, struct spans *s)
{
	const char *p, *end, *from, *to;

	for (p = text; *p; p = end + (*end == '\n')) {
		end = strchrnul(p, '\n');
		from = key ? value_at(p, end, key) : p;
		if (!key && *p == '#')
			from = NULL;
		to = end;
		while (from && to > from && isspace((unsigned char)to[-1]))
			to--;
		if (!from || (!key && to == from))
			continue;
		if (s->n == MAX_LINES)
			return -EMSGSIZE;
		s->off[s->n] = (size_t)(from - text);
		s->len[s->n] = (size_t)(to - from);
		s->part[s->n].text = strndup(from, (size_t)(to - from));
		if (!s->part[s->n++].text)
			return -ENOMEM;
	}
	return 0;
}

static int put_spans(const char *old, const struct spans *s, char **ret)
{
	char *text = strdup(old), *next;
	size_t i;

	for (i = s->n; text && i-- > 0;) {
		next = pst_host_text_replace(text, s->off[i], s->len[i],
					     s->part[i].text);
		free(text);
		text = next;
	}
	*ret = text;
	return text ? 0 : -ENOMEM;
}

/* A new line "key words" at the end. */
static int add_line(const char *old, const char *key,
		    const struct pst_host_params *want, char **ret,
		    struct pst_error *err)
{
	struct pst_host_params_part part = {.text = strdup("")};
	PST_CLEANUP_FREE char *line = NULL;
	int r = -ENOMEM;

	if (part.text)
		r = pst_host_params_merge(&part, 1, 0, want, err);
	if (r == 0 && !*part.text) {
		*ret = strdup(old);
	} else if (r == 0) {
		line = pst_text_format("%s %s\n", key, part.text);
		*ret = line ? pst_host_text_append(old, line) : NULL;
	}
	free(part.text);
	return r < 0 ? r : *ret ? 0 : -ENOMEM;
}

static int edit(const char *old, const char *key,
		const struct pst_host_params *want, char **ret,
		struct pst_error *err)
{
	struct spans *s = calloc(1, sizeof(*s));
	int r = s ? find_spans(old, key, s) : -ENOMEM;

	if (r == -EMSGSIZE)
		pst_error_set(err, r, "more than %d lines of parameters",
			      MAX_LINES);
	else if (r == 0 && s->n == 0 && key)
		r = add_line(old, key, want, ret, err);
	else if (r == 0 && s->n == 0)
		r = pst_error_set(err, -EINVAL,
				  "/etc/kernel/cmdline is empty: what else "
				  "the machine needs to boot (root=) is not "
				  "known");
	else if (r == 0)
		r = pst_host_params_merge(s->part, s->n, s->n - 1, want, err);
	if (r == 0 && s->n > 0)
		r = put_spans(old, s, ret);
	while (s && s->n > 0)
		free(s->part[--s->n].text);
	free(s);
	return r == -ENOMEM ? pst_oom(err) : r;
}

/* ---- A command line in each line ------------------------------------------
 */

/* Finds it in a line; false where there is none. */
typedef bool pst_find(const char *line, const char *end, const char **from,
		      const char **to);

/* "cmdline: WORDS" of a kernel with a root, in limine.conf. */
static bool find_limine(const char *line, const char *end, const char **from,
			const char **to)
{
	static const char *const keys[] = {"cmdline:", "kernel_cmdline:"};
	static const char root[] = "root=";
	size_t i;

	while (line < end && isblank((unsigned char)*line))
		line++;
	for (i = 0; i < PST_ARRAY_SIZE(keys); i++) {
		size_t len = strlen(keys[i]);

		if ((size_t)(end - line) < len ||
		    strncasecmp(line, keys[i], len) != 0)
			continue;
		*from = line + len;
		while (*from < end && isblank((unsigned char)**from))
			++*from;
		for (*to = end;
		     *to > *from && isspace((unsigned char)(*to)[-1]);)
			--*to;
		return memmem(*from, (size_t)(*to - *from), root,
			      strlen(root)) != NULL;
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

/* "TITLE" "WORDS" of refind_linux.conf. */
static bool find_refind(const char *line, const char *end, const char **from,
			const char **to)
{
	const char *p = line;

	while (p < end && isblank((unsigned char)*p))
		p++;
	if (p == end || *p != '"')
		return false;
	p = quote_end(p + 1, end);
	if (!p)
		return false;
	for (p++; p < end && isblank((unsigned char)*p); p++)
		;
	if (p == end || *p != '"')
		return false;
	*from = p + 1;
	*to = quote_end(*from, end);
	return *to != NULL;
}

/* options "WORDS" of a stanza of refind.conf. */
static bool find_stanza(const char *line, const char *end, const char **from,
			const char **to)
{
	size_t len;

	if (line == end || !pst_host_boot_refind_options(line, from, &len))
		return false;
	*to = *from + len;
	return true;
}

/* "append WORDS" of syslinux, in any letters, for a kernel with a root. */
static bool find_append(const char *line, const char *end, const char **from,
			const char **to)
{
	static const char key[] = "append", root[] = "root=";
	const char *p = line;

	while (p < end && isblank((unsigned char)*p))
		p++;
	if ((size_t)(end - p) <= strlen(key) ||
	    strncasecmp(p, key, strlen(key)) != 0 ||
	    !isblank((unsigned char)p[strlen(key)]))
		return false;
	for (p += strlen(key); p < end && isblank((unsigned char)*p); p++)
		;
	*from = p;
	for (*to = end; *to > p && isspace((unsigned char)(*to)[-1]);)
		--*to;
	return memmem(p, (size_t)(*to - p), root, strlen(root)) != NULL;
}

static int edit_each(const char *old, pst_find *find, const char *what,
		     const struct pst_host_params *want, char **ret,
		     struct pst_error *err)
{
	struct spans *s = calloc(1, sizeof(*s));
	const char *p, *end, *from, *to;
	int r = s ? 0 : -ENOMEM;

	for (p = old; r == 0 && *p; p = end + (*end == '\n')) {
		end = strchrnul(p, '\n');
		if (!find(p, end, &from, &to))
			continue;
		if (s->n == MAX_LINES) {
			r = pst_error_set(err, -EMSGSIZE,
					  "more than %d command lines",
					  MAX_LINES);
			break;
		}
		s->off[s->n] = (size_t)(from - old);
		s->len[s->n] = (size_t)(to - from);
		s->part[s->n].text = strndup(from, (size_t)(to - from));
		r = s->part[s->n++].text ? 0 : -ENOMEM;
		if (r == 0)
			r = pst_host_params_merge(&s->part[s->n - 1], 1, 0,
						  want, err);
	}
	if (r == 0 && s->n == 0)
		r = pst_error_set(err, -ENOENT, "no %s was found", what);
	if (r == 0)
		r = put_spans(old, s, ret);
	while (s && s->n > 0)
		free(s->part[--s->n].text);
	free(s);
	return r == -ENOMEM ? pst_oom(err) : r;
}

int pst_host_edit_limine_conf(const char *old,
			      const struct pst_host_params *want, char **ret,
			      struct pst_error *err)
{
	return edit_each(old, find_limine, "cmdline: with a root=", want, ret,
			 err);
}

int pst_host_edit_refind_linux(const char *old,
			       const struct pst_host_params *want, char **ret,
			       struct pst_error *err)
{
	return edit_each(old, find_refind, "line \"TITLE\" \"OPTIONS\"", want,
			 ret, err);
}

int pst_host_edit_refind_conf(const char *old,
			      const struct pst_host_params *want, char **ret,
			      struct pst_error *err)
{
	return edit_each(old, find_stanza, "stanza with options", want, ret,
			 err);
}

int pst_host_edit_extlinux_conf(const char *old,
				const struct pst_host_params *want, char **ret,
				struct pst_error *err)
{
	return edit_each(old, find_append, "append with a root=", want, ret,
			 err);
}

int pst_host_edit_entry(const char *old, const struct pst_host_params *want,
			char **ret, struct pst_error *err)
{
	return edit(old, "options", want, ret, err);
}

int pst_host_edit_kernel_cmdline(const char *old,
				 const struct pst_host_params *want, char **ret,
				 struct pst_error *err)
{
	return edit(old ? old : "", NULL, want, ret, err);
}

/* ---- kernelstub -----------------------------------------------------------
 */

/* The list of strings behind "kernel_options" in "user", without its brackets.
 */
static bool find_options(const char *text, const char **from, const char **to)
{
	const char *user = strstr(text, "\"user\"");
	const char *p = user ? strstr(user, "\"kernel_options\"") : NULL;

	if (!p || memchr(user, '}', (size_t)(p - user)))
		return false;
	p += strcspn(p, "[{}");
	if (*p != '[')
		return false;
	*from = p + 1;
	*to = *from + strcspn(*from, "[]\\");
	return **to == ']';
}

/* The strings from p to end as one command line. */
static char *join_strings(const char *p, const char *end)
{
	char *line = NULL;
	size_t size;
	FILE *f = open_memstream(&line, &size);
	bool in = false;

	for (; f && p < end; p++) {
		if (*p == '"')
			in = !in;
		if (*p == '"' && !in)
			fputc(' ', f);
		else if (*p != '"' && in)
			fputc(*p, f);
	}
	if (f && fclose(f) == 0)
		return line;
	free(line);
	return NULL;
}

/* The text with the words of line for the strings from..to, spaced alike. */
static char *put_strings(const char *old, const char *from, const char *to,
			 char *line)
{
	const int lead = (int)strspn(from, " \t\r\n");
	const char *tail = to;
	char *text = NULL, *word, *rest;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	bool any = false;

	if (!f)
		return NULL;
	while (tail > from + lead && isspace((unsigned char)tail[-1]))
		tail--;
	fprintf(f, "%.*s", (int)(from - old) + lead, old);
	for (word = strtok_r(line, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest)) {
		if (any)
			fprintf(f, ",%.*s", lead ? lead : 1, lead ? from : " ");
		fprintf(f, "\"%s\"", word);
		any = true;
	}
	fputs(tail, f);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

int pst_host_edit_kernelstub(const char *old,
			     const struct pst_host_params *want, char **ret,
			     struct pst_error *err)
{
	struct pst_host_params_part part;
	const char *from, *to;
	int r;

	if (!find_options(old, &from, &to))
		return pst_error_set(err, -ENOENT, "no options of \"user\"");
	part = (struct pst_host_params_part){.text = join_strings(from, to)};
	r = part.text ? pst_host_params_merge(&part, 1, 0, want, err) : -ENOMEM;
	if (r == 0) {
		*ret = part.changed ? put_strings(old, from, to, part.text)
				    : strdup(old);
		r = *ret ? 0 : -ENOMEM;
	}
	free(part.text);
	return r == -ENOMEM ? pst_oom(err) : r;
}
