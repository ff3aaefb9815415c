/* SPDX-License-Identifier: MIT */
/* Edits arrays of shell files, with a lexer for their words. */
#include "kernel-params/edit/edit_array.h"

#include <ctype.h>
#include <string.h>

#include "kernel-params/scan/rivals.h"
#include "kernel-params/syntax/cmdline.h"
#include "kernel-params/syntax/shell_text.h"

/* Words of one array, at most. */
#define MAX_WORDS 512
#define WORD_MAX  128

struct word {
	size_t off, len; /* with its quotes */
	char text[WORD_MAX];
};

/* The assignment that counts, and its words. */
struct array {
	size_t open; /* behind the bracket or quote */
	size_t n;
	struct word word[MAX_WORDS];
};

static int unsafe(const char *path, const char *var, struct pst_error *err)
{
	return pst_error_set(err, -EINVAL,
			     "%s sets %s in a way that cannot be edited "
			     "safely: add the modules there by hand",
			     path, var);
}

/* Reads one word at p, up to stop or white space; its end, or NULL. */
static const char *read_word(const char *p, char stop, struct word *w)
{
	char quote = 0;
	size_t n = 0;

	for (; *p && (quote || (!isspace((unsigned char)*p) && *p != stop));
	     p++) {
		if (quote ? *p == quote : *p == '"' || *p == '\'') {
			quote = quote ? 0 : *p;
			continue;
		}
		if (*p == '`' || *p == '\\' || (*p == '$' && p[1] == '(') ||
		    (!quote && strchr("();&|<>", *p)) || n + 1 == WORD_MAX)
			return NULL;
		w->text[n++] = *p;
	}
	w->text[n] = '\0';
	return quote ? NULL : p;
}

/* The words from open to the closing stop; behind it, or NULL. */
static const char *read_words(const char *text, size_t open, char stop,
			      struct array *a)
{
	const char *p = text + open, *from;

	a->open = open;
	a->n = 0;
	for (;;) {
		while (isspace((unsigned char)*p))
			p++;
		if (*p == stop)
			return p + 1;
		if (*p == '#' && stop == ')') {
			p = strchrnul(p, '\n');
			continue;
		}
		if (!*p || a->n == MAX_WORDS)
			return NULL;
		from = p;
		p = read_word(p, stop, &a->word[a->n]);
		if (!p)
			return NULL;
		a->word[a->n].off = (size_t)(from - text);
		a->word[a->n++].len = (size_t)(p - from);
	}
}

/*
 * The last assignment of var that does not add, or the first one that does. 1
 * found, 0 none, -EINVAL (a line is not clear).
 */
static int find_array(const char *text, const char *var, struct array *a)
{
	size_t len = strlen(var);
	const char *line, *p;
	bool found = false;

	for (line = text; *line;
	     line = strchrnul(line, '\n'), line += *line == '\n') {
		p = line + strspn(line, " \t");
		if (strncmp(p, var, len) != 0 ||
		    (p[len] != '=' && strncmp(p + len, "+=", 2) != 0))
			continue;
		if (p != line)
			return -EINVAL;
		if (p[len] == '+' && found)
			continue;
		p += len + 1 + (p[len] == '+');
		if (!strchr("(\"'", *p) || !*p)
			return -EINVAL;
		p = read_words(text, (size_t)(p + 1 - text),
			       (char)(*p == '(' ? ')' : *p), a);
		if (!p)
			return -EINVAL;
		p += strspn(p, " \t");
		if (*p && *p != '\n' && *p != '#')
			return -EINVAL;
		found = true;
		/* On from the line in which it ends. */
		line = p;
	}
	return found;
}

static const struct word *find_word(const struct array *a, const char *word)
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
		const struct word *w = find_word(a, *words);

		if (!w || (size_t)(w - a->word) > first)
			return false;
	}
	return true;
}

/* Whether w is one of words. */
static bool is_ours(const struct word *w, const char *const *words)
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
