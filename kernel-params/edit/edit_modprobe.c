/* SPDX-License-Identifier: MIT */
/* modprobe.d: the drop-in, and ids in a line that somebody else wrote. */
#include "kernel-params/edit/edit_modprobe.h"

#include <string.h>

#include "kernel-params/config/vfio_faults.h"
#include "kernel-params/edit/edit_grub.h"
#include "kernel-params/edit/replace.h"
#include "transport/base/text.h"

const struct pst_host_modconf_line *
pst_host_modprobe_ids_line(const struct pst_host_modconf *now)
{
	return pst_host_modconf_option_line(now, "vfio-pci", "ids");
}

int pst_host_edit_modprobe(const struct pst_host_modconf *now,
			   const struct pst_host_modprobe_want *want,
			   char **ret)
{
	char *text = NULL;
	size_t size, i;
	FILE *f = open_memstream(&text, &size);
	bool any = false;

	if (!f)
		return -ENOMEM;
	fputs(PST_HOST_EDIT_MARK "; undo: penstock host undo\n", f);
	if (want->ids && !pst_host_modprobe_ids_line(now)) {
		fprintf(f, "options vfio-pci ids=%s\n", want->ids);
		any = true;
	}
	for (i = 0; want->modules[i]; i++) {
		const struct pst_host_modconf_line *l =
			pst_host_modconf_softdep(now, want->modules[i]);
		const char *more;

		if (pst_host_modconf_has_pre(l, "vfio-pci"))
			continue;
		fprintf(f, "softdep %s pre: vfio-pci", want->modules[i]);
		more = !l                                  ? ""
		       : strncmp(l->text, "pre: ", 5) == 0 ? l->text + 5
							   : l->text;
		/* The line end of DOS is none of ours. */
		if (*more)
			fprintf(f, " %.*s", (int)strcspn(more, "\r"), more);
		fputc('\n', f);
		any = true;
	}
	if (fclose(f)) {
		free(text);
		return -ENOMEM;
	}
	if (!any) {
		free(text);
		text = NULL;
	}
	*ret = text;
	return 0;
}

/* Where line number n begins, counted from 1. */
static const char *line_at(const char *text, unsigned int n)
{
	for (; n > 1 && *text; n--) {
		text = strchrnul(text, '\n');
		text += *text == '\n';
	}
	return text;
}

/* Adds the ids of n bytes of a list that are not in *value yet. 0 or -ENOMEM.
 */
static int add_ids(char **value, const char *list, size_t n)
{
	const char *end = list + n;

	for (; list < end; list += n + 1) {
		PST_CLEANUP_FREE char *id = NULL;
		char *next;

		n = strcspn(list, ",");
		if (list + n > end)
			n = (size_t)(end - list);
		id = strndup(list, n);
		if (id && (!*id || pst_host_list_has(*value, id)))
			continue;
		next = id ? pst_text_format("%s%s%s", *value,
					    **value ? "," : "", id)
			  : NULL;
		if (!next)
			return -ENOMEM;
		free(*value);
		*value = next;
	}
	return 0;
}

/* The next word from p on, and its length; NULL at the end. */
static const char *next_word(const char *p, size_t *n)
{
	p += strspn(p, " \t\r");
	*n = strcspn(p, " \t\r");
	return *n ? p : NULL;
}

/* Whether a word is ids=, or what a blank cut off it. */
static bool is_of_ids(const char *word, size_t n, bool behind)
{
	return strncmp(word, "ids=", 4) == 0 ||
	       (behind && pst_host_vfio_ids_word(word, n));
}

/* What the line's last ids= has, what blanks cut off it, and more. */
static char *all_ids(const char *line, const char *more)
{
	char *value = strdup("");
	bool behind = false;
	const char *w;
	size_t n;
	int r = value ? 0 : -ENOMEM;

	for (; r == 0 && (w = next_word(line, &n)); line = w + n) {
		if (!is_of_ids(w, n, behind))
			continue;
		if (strncmp(w, "ids=", 4) == 0) {
			*value = '\0';
			r = add_ids(&value, w + 4, n - 4);
		} else {
			r = add_ids(&value, w, n);
		}
		behind = true;
	}
	if (r == 0)
		r = add_ids(&value, more, strlen(more));
	if (r == 0)
		return value;
	free(value);
	return NULL;
}

/* The line with one ids= of that value. */
static char *put_ids(const char *line, const char *value)
{
	const char *w, *rest = line;
	bool behind = false;
	char *ret = NULL;
	size_t n, size;
	FILE *f = open_memstream(&ret, &size);

	if (!f)
		return NULL;
	for (; (w = next_word(line, &n)); line = w + n) {
		const char *to = w;

		if (!is_of_ids(w, n, behind))
			continue;
		/* A word that goes takes the blanks before it along. */
		while (behind && to > rest && strchr(" \t", to[-1]))
			to--;
		fprintf(f, "%.*s", (int)(to - rest), rest);
		if (!behind)
			fprintf(f, "ids=%s", value);
		behind = true;
		rest = w + n;
	}
	fputs(rest, f);
	if (fclose(f) == 0)
		return ret;
	free(ret);
	return NULL;
}

char *pst_host_modprobe_ids_there(const char *old,
				  const struct pst_host_modconf_line *line)
{
	const char *p = line_at(old, line->line);
	PST_CLEANUP_FREE char *raw = strndup(p, strcspn(p, "\n"));

	return raw ? all_ids(raw, "") : NULL;
}

int pst_host_edit_modprobe_ids(const char *old,
			       const struct pst_host_modconf_line *line,
			       const char *ids, char **ret,
			       struct pst_error *err)
{
	const char *p = line_at(old, line->line), *end = strchrnul(p, '\n');
	PST_CLEANUP_FREE char *raw = strndup(p, (size_t)(end - p));
	PST_CLEANUP_FREE char *value = NULL, *text = NULL;

	if (!raw)
		return pst_oom(err);
	if (!strstr(raw, "ids=") || strpbrk(raw, "\\\"'"))
		return pst_error_set(err, -EINVAL,
				     "%s line %u gives vfio-pci its ids in a "
				     "way that cannot be edited safely (%s): "
				     "add %s there by hand",
				     line->file, line->line,
				     strstr(raw, "ids=")
					     ? "a quote or a backslash stands "
					       "in it"
					     : "blanks stand beside its \"=\"",
				     ids);
	value = all_ids(raw, ids);
	text = value ? put_ids(raw, value) : NULL;
	*ret = text ? pst_host_text_replace(old, (size_t)(p - old),
					    (size_t)(end - p), text)
		    : NULL;
	return *ret ? 0 : pst_oom(err);
}
