/* SPDX-License-Identifier: MIT */
/* Finds lists of words in settings of any language, without evaluating them,
 * and where words stand. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "kernel-params/boot/initramfs_int.h"

#define MAX_WORDS 2000

int pst_host_early_add_word(struct pst_host_names *l, const char *word,
			    size_t n)
{
	if (l->n >= MAX_WORDS) {
		l->truncated = true;
		return 0;
	}
	return pst_host_names_add(l, word, n);
}

/* Words up to the character end, past comments. Sets *p behind it. */
static int list_words(const char **p, const char *end,
		      struct pst_host_names *words)
{
	int r = 0;

	while (**p && !strchr(end, **p) && r == 0) {
		size_t n;

		if (**p == '#') {
			*p += strcspn(*p, "\n");
			continue;
		}
		n = strcspn(*p, " \t\r\n\"'()[];#");
		if (n)
			r = pst_host_early_add_word(words, *p, n);
		*p += n;
		if (!n && **p && !strchr(end, **p))
			(*p)++;
	}
	if (**p)
		(*p)++;
	return r;
}

static bool is_ident(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-';
}

/* A name with a dot may be the end of a longer one, others are whole. */
static bool wanted(const char *name, size_t n, const char *const *names)
{
	for (; *names; names++) {
		size_t k = strlen(*names);

		if (k > n || memcmp(name + n - k, *names, k) != 0)
			continue;
		if (k == n || (name[n - k - 1] == '.' && strchr(*names, '.')))
			return true;
	}
	return false;
}

/* What follows a wanted name: an optional '+', '=' and a list. */
static int value_words(const char **p, struct pst_host_names *words)
{
	size_t n;

	*p += strspn(*p, " \t");
	*p += **p == '+';
	if (**p != '=')
		return 0;
	(*p)++;
	*p += strspn(*p, " \t\n");
	/* Nix may have a function before the list: lib.mkBefore [ ... ]. */
	n = strcspn(*p, "[;\n\"'(#");
	if ((*p)[n] == '[')
		*p += n;
	switch (**p) {
	case '(':
		(*p)++;
		return list_words(p, ")", words);
	case '[':
		(*p)++;
		return list_words(p, "]", words);
	case '"':
		(*p)++;
		return list_words(p, "\"", words);
	case '\'':
		(*p)++;
		return list_words(p, "'", words);
	}
	return list_words(p, " \t\n;", words);
}

int pst_host_early_words(const char *text, const char *const *names,
			 struct pst_host_names *words)
{
	const char *p = text;
	int r = 0;

	while (*p && r == 0) {
		size_t n = 0;

		if (*p == '#') {
			p += strcspn(p, "\n");
			continue;
		}
		while (is_ident(p[n]))
			n++;
		if (!n) {
			p++;
			continue;
		}
		if (wanted(p, n, names)) {
			p += n;
			r = value_words(&p, words);
		} else {
			p += n;
		}
	}
	return r;
}

/* ---- Places ---------------------------------------------------------------
 */

int pst_host_early_add_place(struct pst_host_early *e, const char *word,
			     size_t n, const char *path, unsigned int line)
{
	char place[64 + PST_HOST_ROOT_PATH_MAX + 16];
	int len;

	n -= n && word[n - 1] == '?';
	if (n && memchr(word, ',', n) && !*e->fault)
		snprintf(e->fault, sizeof(e->fault),
			 "%.100s line %u: a comma stands behind a word, of "
			 "which it becomes a part",
			 path, line);
	if (!n || n >= 64 || memchr(word, ' ', n))
		return 0;
	len = snprintf(place, sizeof(place), "%.*s %s line %u", (int)n, word,
		       path, line);
	return pst_host_early_add_word(&e->places, place, (size_t)len);
}

int pst_host_early_find_places(const char *text, const char *path,
			       const char *name, struct pst_host_early *e)
{
	struct pst_host_shell_pos at = {0};
	struct pst_host_shell_assign a;
	struct pst_host_shell_word w;
	int r = 0;

	while (r == 0 && pst_host_shell_next(text, name, &at, &a)) {
		unsigned int line = a.line;
		size_t pos = 0, from = a.off;

		while (r == 0 && (a.clear || a.many_lines) &&
		       pst_host_shell_word(text, &a, &pos, &w)) {
			for (; from < w.off; from++)
				line += text[from] == '\n';
			r = pst_host_early_add_place(e, w.text, strlen(w.text),
						     path, line);
		}
	}
	return r;
}
