/* SPDX-License-Identifier: MIT */
/* Kernel parameters in line formats: an option key, the bare words, or a
 * command line of its own in each line. */
#include "kernel-params/edit/edit_loader.h"

#include <ctype.h>
#include <string.h>

#include "kernel-params/edit/replace.h"
#include "kernel-params/syntax/loader_text.h"
#include "transport/base/text.h"

/* Lines with parameters in one file, at most. */
#define MAX_LINES 64

struct spans {
	size_t off[MAX_LINES], len[MAX_LINES];
	struct pst_host_params_part part[MAX_LINES];
	size_t n;
};

/* Collects the pieces that are command lines. */
static int find_spans(const char *text, enum pst_host_loader_text kind,
		      struct spans *s)
{
	struct pst_host_loader_span at = {0};

	while (pst_host_loader_next(text, kind, &at)) {
		if (s->n == MAX_LINES)
			return -EMSGSIZE;
		s->off[s->n] = at.off;
		s->len[s->n] = at.len;
		s->part[s->n].text = strndup(text + at.off, at.len);
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

/* Merges into the spans: into each, or into all as one, the last gets what is
 * missing. */
static int merge(struct spans *s, bool joined,
		 const struct pst_host_params *want, struct pst_error *err)
{
	size_t i;
	int r = 0;

	if (joined)
		return pst_host_params_merge(s->part, s->n, s->n - 1, want,
					     err);
	for (i = 0; i < s->n && r == 0; i++)
		r = pst_host_params_merge(&s->part[i], 1, 0, want, err);
	return r;
}

/* none: what is said with -ENOENT where there is no command line. */
static int edit(const char *old, enum pst_host_loader_text kind,
		const char *none, const struct pst_host_params *want,
		char **ret, struct pst_error *err)
{
	struct spans *s = calloc(1, sizeof(*s));
	int r = s ? find_spans(old, kind, s) : -ENOMEM;

	if (r == -EMSGSIZE)
		pst_error_set(err, r, "more than %d lines of parameters",
			      MAX_LINES);
	else if (r == 0 && s->n == 0 && kind == PST_HOST_LOADER_ENTRY)
		r = add_line(old, "options", want, ret, err);
	else if (r == 0 && s->n == 0)
		r = pst_error_set(err, -ENOENT, "no %s was found", none);
	else if (r == 0)
		r = merge(s, pst_host_loader_is_joined(kind), want, err);
	if (r == 0 && s->n > 0)
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
	return edit(old, PST_HOST_LOADER_LIMINE, "cmdline: with a root=", want,
		    ret, err);
}

int pst_host_edit_refind_linux(const char *old,
			       const struct pst_host_params *want, char **ret,
			       struct pst_error *err)
{
	return edit(old, PST_HOST_LOADER_REFIND, "line \"TITLE\" \"OPTIONS\"",
		    want, ret, err);
}

int pst_host_edit_refind_conf(const char *old,
			      const struct pst_host_params *want, char **ret,
			      struct pst_error *err)
{
	return edit(old, PST_HOST_LOADER_STANZA, "stanza with options", want,
		    ret, err);
}

int pst_host_edit_extlinux_conf(const char *old,
				const struct pst_host_params *want, char **ret,
				struct pst_error *err)
{
	return edit(old, PST_HOST_LOADER_APPEND, "append with a root=", want,
		    ret, err);
}

int pst_host_edit_entry(const char *old, const struct pst_host_params *want,
			char **ret, struct pst_error *err)
{
	return edit(old, PST_HOST_LOADER_ENTRY, NULL, want, ret, err);
}

int pst_host_edit_kernel_cmdline(const char *old,
				 const struct pst_host_params *want, char **ret,
				 struct pst_error *err)
{
	int r = edit(old ? old : "", PST_HOST_LOADER_BARE, "word", want, ret,
		     err);

	return r != -ENOENT
		       ? r
		       : pst_error_set(err, -EINVAL,
				       "/etc/kernel/cmdline is empty: what "
				       "else the machine needs to boot (root=) "
				       "is not known");
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
