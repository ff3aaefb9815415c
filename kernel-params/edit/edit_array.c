/* SPDX-License-Identifier: MIT */
/* Edits arrays of shell files. */
#include "kernel-params/edit/edit_array.h"

#include <ctype.h>
#include <string.h>

#include "kernel-params/edit/replace.h"
#include "kernel-params/scan/rivals.h"
#include "kernel-params/syntax/cmdline.h"
#include "kernel-params/syntax/settings.h"

/* Words of one array, at most. */
#define MAX_WORDS 512
#define WORD_MAX  128

/* The assignment that counts, and its words. */
struct array {
	size_t open; /* behind the bracket or quote */
	size_t n;
	struct pst_host_shell_word word[MAX_WORDS];
};

static int unsafe(const char *path, const char *var, struct pst_error *err)
{
	return pst_error_set(err, -EINVAL,
			     "%s sets %s in a way that cannot be edited "
			     "safely: add the modules there by hand",
			     path, var);
}

/*
 * The last assignment of var that does not add, or the first one that does. 1
 * found, 0 none, -EINVAL (a line is not clear).
 */
static int find_array(const char *text, const char *var, struct array *a)
{
	struct pst_host_shell_assign is, last;
	struct pst_host_shell_pos at = {0};
	bool found = false;
	size_t pos = 0;

	while (pst_host_shell_next(text, var, &at, &is)) {
		if (!is.clear || !is.open)
			return -EINVAL;
		if (is.adds && found)
			continue;
		last = is;
		found = true;
	}
	if (!found)
		return 0;
	a->open = last.off;
	for (a->n = 0; pst_host_shell_word(text, &last, &pos, &a->word[a->n]);)
		if (++a->n == MAX_WORDS)
			return -EINVAL;
	return 1;
}

static const struct pst_host_shell_word *find_word(const struct array *a,
						   const char *word)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		if (pst_host_param_name_eq(a->word[i].text, word))
			return &a->word[i];
	return NULL;
}

/* Whether all words are there, and before every rival. */
static bool satisfied(const struct array *a, const char *const *words,
		      bool (*rival)(const char *word))
{
	size_t first = a->n, i;

	for (i = a->n; rival && i-- > 0;)
		if (rival(a->word[i].text))
			first = i;
	for (; *words; words++) {
		const struct pst_host_shell_word *w = find_word(a, *words);

		if (!w || (size_t)(w - a->word) > first)
			return false;
	}
	return true;
}

/* Whether w is one of words. */
static bool is_ours(const struct pst_host_shell_word *w,
		    const char *const *words)
{
	for (; *words; words++)
		if (pst_host_param_name_eq(w->text, *words))
			return true;
	return false;
}

/* What is behind the opening bracket, without our words. */
static char *without(const char *old, const struct array *a,
		     const char *const *words)
{
	size_t at = a->open, i, size, from;
	char *ret = NULL;
	FILE *f = open_memstream(&ret, &size);

	if (!f)
		return NULL;
	for (i = 0; i < a->n; i++) {
		if (!is_ours(&a->word[i], words))
			continue;
		from = a->word[i].off;
		while (from > at && isblank((unsigned char)old[from - 1]))
			from--;
		fprintf(f, "%.*s", (int)(from - at), old + at);
		at = a->word[i].off + a->word[i].len;
	}
	fputs(old + at, f);
	if (fclose(f) == 0)
		return ret;
	free(ret);
	return NULL;
}

static char *rewrite(const char *old, const struct array *a,
		     const char *const *words)
{
	PST_CLEANUP_FREE char *rest = without(old, a, words);
	char *ret = NULL;
	size_t size, i;
	FILE *f = rest ? open_memstream(&ret, &size) : NULL;

	if (!f)
		return NULL;
	fprintf(f, "%.*s", (int)a->open, old);
	for (i = 0; words[i]; i++)
		fprintf(f, "%s%s", i ? " " : "", words[i]);
	if (!isspace((unsigned char)*rest) && *rest != ')' &&
	    !(*rest == old[a->open - 1]))
		fputc(' ', f);
	fputs(rest, f);
	if (fclose(f) == 0)
		return ret;
	free(ret);
	return NULL;
}

static char *new_line(const char *old, const char *var,
		      const char *const *words)
{
	char *line = NULL, *ret;
	size_t size, i;
	FILE *f = open_memstream(&line, &size);

	if (!f)
		return NULL;
	fprintf(f, "%s=(", var);
	for (i = 0; words[i]; i++)
		fprintf(f, "%s%s", i ? " " : "", words[i]);
	fputs(")\n", f);
	ret = fclose(f) == 0 ? pst_host_text_append(old, line) : NULL;
	free(line);
	return ret;
}

int pst_host_edit_array(const char *old, const char *path, const char *var,
			const char *const *words,
			bool (*rival)(const char *word), char **ret,
			struct pst_error *err)
{
	struct array *a = calloc(1, sizeof(*a));
	int r = a ? find_array(old, var, a) : -ENOMEM;

	if (r == 0 && pst_host_shell_goes_on(old))
		r = -EINVAL;
	if (r == -EINVAL) {
		free(a);
		return unsafe(path, var, err);
	}
	if (r == 0)
		*ret = new_line(old, var, words);
	else if (r > 0 && satisfied(a, words, rival))
		*ret = strdup(old);
	else if (r > 0)
		*ret = rewrite(old, a, words);
	free(a);
	if (r < 0 || !*ret)
		return pst_oom(err);
	return 0;
}

bool pst_host_array_has_rival(const char *text, const char *var)
{
	struct array *a = calloc(1, sizeof(*a));
	bool has = false;
	size_t i;

	if (a && find_array(text, var, a) > 0)
		for (i = 0; i < a->n; i++)
			has |= pst_host_module_is_rival(a->word[i].text);
	free(a);
	return has;
}

/* ---- initramfs-tools -------------------------------------------------------
 */

/* The module's name in a line; "" for a comment. */
static void line_module(const char *line, char name[WORD_MAX])
{
	size_t len;

	line += strspn(line, " \t");
	len = strcspn(line, " \t\r\n#");
	if (len >= WORD_MAX)
		len = 0;
	memcpy(name, line, len);
	name[len] = '\0';
}

/* Offset of the line of a module (or the first rival's) from, or SIZE_MAX. */
static size_t find_line(const char *text, const char *module,
			bool (*rival)(const char *word))
{
	const char *line;
	char name[WORD_MAX];

	for (line = text; *line;
	     line = strchrnul(line, '\n'), line += *line == '\n') {
		line_module(line, name);
		if (*name && (module ? pst_host_param_name_eq(name, module)
				     : rival(name)))
			return (size_t)(line - text);
	}
	return SIZE_MAX;
}

int pst_host_edit_module_list(const char *old, const char *const *words,
			      bool (*rival)(const char *word), char **ret)
{
	PST_CLEANUP_FREE char *add = calloc(1, WORD_MAX * 8);
	size_t at = old ? find_line(old, NULL, rival) : SIZE_MAX, is, i;

	if (!add)
		return -ENOMEM;
	for (i = 0; words[i] && i < 8; i++) {
		is = old ? find_line(old, words[i], rival) : SIZE_MAX;
		if (is == SIZE_MAX || is > at)
			snprintf(add + strlen(add), WORD_MAX, "%s\n", words[i]);
	}
	if (!*add)
		*ret = strdup(old ? old : "");
	else if (at == SIZE_MAX)
		*ret = pst_host_text_append(old, add);
	else
		*ret = pst_host_text_replace(old, at, 0, add);
	return *ret ? 0 : -ENOMEM;
}
