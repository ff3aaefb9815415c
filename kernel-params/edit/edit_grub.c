/* SPDX-License-Identifier: MIT */
/* Kernel parameters in a variable of shell files: the assignments of all files
 * are one command line. */
#include "kernel-params/edit/edit_grub.h"

#include <string.h>

#include "kernel-params/edit/replace.h"
#include "kernel-params/syntax/settings.h"
#include "transport/base/text.h"

#define LINUX   "GRUB_CMDLINE_LINUX"
#define DEFAULT "GRUB_CMDLINE_LINUX_DEFAULT"

/* Assignments of both variables in all files, at most. */
#define MAX_PLACES 64

struct place {
	size_t file;
	struct pst_host_shell_assign a;
};

struct places {
	struct place place[MAX_PLACES];
	struct pst_host_params_part part[MAX_PLACES + 1];
	size_t n;
};

/*
 * Collects the assignments of one variable that are in force: a plain one
 * puts the earlier ones out of it. must: an unclear line is an error.
 */
static int collect(const struct pst_host_edit_file *file, size_t n,
		   const char *name, bool must, struct places *p,
		   struct pst_error *err)
{
	size_t first = p->n, i;

	for (i = 0; i < n; i++) {
		struct pst_host_shell_assign a;
		struct pst_host_shell_pos at = {0};

		while (file[i].text &&
		       pst_host_shell_next(file[i].text, name, &at, &a)) {
			if (a.many_lines)
				a.clear = false;
			if (!a.clear && must)
				return pst_error_set(
					err, -EINVAL,
					"%s line %u sets %s in a way that "
					"cannot be edited safely (%s): "
					"correct it, or add the parameters "
					"there by hand",
					file[i].path, a.line, name, a.why);
			if (!a.clear)
				continue;
			if (!a.adds)
				p->n = first;
			if (p->n == MAX_PLACES)
				return pst_error_set(err, -EMSGSIZE,
						     "more than %d lines set "
						     "%s",
						     MAX_PLACES, name);
			p->place[p->n++] = (struct place){i, a};
		}
	}
	return 0;
}

static int take_parts(const struct pst_host_edit_file *file, struct places *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		const struct place *l = &p->place[i];

		p->part[i].text =
			strndup(file[l->file].text + l->a.off, l->a.len);
		if (!p->part[i].text)
			return -ENOMEM;
	}
	/* What has no place yet: our drop-in, or a line that is not there. */
	p->part[p->n].text = strdup("");
	return p->part[p->n].text ? 0 : -ENOMEM;
}

/* The part as the shell's value; to be freed. */
static char *quoted(const struct place *l, const char *text)
{
	if (l->a.open || strcspn(text, " \t") == strlen(text))
		return strdup(text);
	return pst_text_format("\"%s\"", text);
}

/* Puts the changed parts of a file back, the last first. */
static int put_parts(struct pst_host_edit_file *file, size_t i,
		     const struct places *p, char **ret)
{
	char *text = strdup(file[i].text), *value, *next;
	size_t behind = SIZE_MAX;

	while (text) {
		const struct place *l = NULL;
		size_t k, at = 0;

		for (k = 0; k < p->n; k++)
			if (p->place[k].file == i && p->part[k].changed &&
			    p->place[k].a.off < behind &&
			    (!l || p->place[k].a.off > l->a.off)) {
				l = &p->place[k];
				at = k;
			}
		if (!l)
			break;
		behind = l->a.off;
		value = quoted(l, p->part[at].text);
		next = value ? pst_host_text_replace(text, l->a.off, l->a.len,
						     value)
			     : NULL;
		free(value);
		free(text);
		text = next;
	}
	*ret = text;
	return text ? 0 : -ENOMEM;
}

/* The line or file that holds what had no place. */
static char *new_line(const char *old, const char *name, const char *words,
		      bool own)
{
	PST_CLEANUP_FREE char *line = NULL;

	if (own)
		return pst_text_format(PST_HOST_EDIT_MARK
				       "; undo: penstock host undo\n"
				       "%s=\"${%s} %s\"\n",
				       name, name, words);
	line = pst_text_format("%s=\"%s\"\n", name, words);
	return line ? pst_host_text_append(old, line) : NULL;
}

/* All new texts are made before the first is taken over. */
static int write_all(struct pst_host_edit_file *file, size_t n, size_t own,
		     const char *name, const struct places *p)
{
	char **text = calloc(n, sizeof(*text));
	const char *rest = p->part[p->n].text;
	size_t i, to = own < n ? own : 0;
	int r = text ? 0 : -ENOMEM;

	for (i = 0; r == 0 && i < n; i++)
		if (file[i].text && i != own)
			r = put_parts(file, i, p, &text[i]);
	if (r == 0 && *rest) {
		char *made = new_line(text[to], name, rest, own < n);

		free(text[to]);
		text[to] = made;
		r = made ? 0 : -ENOMEM;
	}
	for (i = 0; text && i < n; i++) {
		if (r == 0) {
			free(file[i].text);
			file[i].text = text[i];
		} else {
			free(text[i]);
		}
	}
	free(text);
	return r;
}

/* first: a variable whose words come before, or NULL. */
static int edit(struct pst_host_edit_file *file, size_t n, size_t own,
		const char *first, const char *name,
		const struct pst_host_params *want, struct pst_error *err)
{
	struct places *p = calloc(1, sizeof(*p));
	size_t n_read = own < n ? own : n, n_first = 0, i, add_to;
	int r = 0;

	if (!p)
		return pst_oom(err);
	if (first) {
		r = collect(file, n_read, first, false, p, err);
		n_first = p->n;
	}
	if (r == 0)
		r = collect(file, n_read, name, own >= n, p, err);
	if (r == 0 && !first && p->n == 0)
		r = pst_error_set(err, -ENOENT, "nothing sets %s", name);
	if (r == 0)
		r = take_parts(file, p);
	add_to = own < n || p->n == n_first ? p->n : p->n - 1;
	if (r == 0)
		r = pst_host_params_merge(p->part, p->n + 1, add_to, want, err);
	if (r == 0 && own >= n && *p->part[p->n].text && file[0].text &&
	    pst_host_shell_goes_on(file[0].text))
		r = pst_error_set(err, -EINVAL,
				  "the last line of %s goes on (a backslash, a "
				  "quote or a condition is open): no line can "
				  "be added after it",
				  file[0].path);
	if (r == 0)
		r = write_all(file, n, own, name, p);
	for (i = 0; i <= p->n; i++)
		free(p->part[i].text);
	free(p);
	return r == -ENOMEM ? pst_oom(err) : r;
}

int pst_host_edit_grub(struct pst_host_edit_file *file, size_t n, size_t own,
		       const struct pst_host_params *want,
		       struct pst_error *err)
{
	/* GRUB_CMDLINE_LINUX comes first on the kernel's command line. */
	return edit(file, n, own, LINUX, DEFAULT, want, err);
}

int pst_host_edit_variable(struct pst_host_edit_file *file, size_t n,
			   const char *name, const struct pst_host_params *want,
			   struct pst_error *err)
{
	return edit(file, n, SIZE_MAX, NULL, name, want, err);
}
