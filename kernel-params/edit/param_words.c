/* SPDX-License-Identifier: MIT */
/* Splits a command line into words, and joins them to the same bytes again. */
#include "kernel-params/edit/param_words.h"

#include <stdarg.h>
#include <string.h>

static const char white[] = " \t\r\n";

/* Length of the word at p: white space ends it, unless in double quotes.
 * *ret_open: they are not closed. */
static size_t word_len(const char *p, bool *ret_open)
{
	bool quoted = false;
	size_t n;

	for (n = 0; p[n] && (quoted || !strchr(white, p[n])); n++)
		if (p[n] == '"')
			quoted = !quoted;
	*ret_open = quoted;
	return n;
}

/* Puts a word at place i; takes text and lead, also when it fails. */
static int insert(struct pst_host_words *w, size_t i, size_t part, char *lead,
		  char *text)
{
	size_t cap = w->cap ? 2 * w->cap : 32;
	struct pst_host_word *grown;

	if (lead && text && w->n == w->cap) {
		grown = reallocarray(w->word, cap, sizeof(*w->word));
		if (grown) {
			w->word = grown;
			w->cap = cap;
		}
	}
	if (!lead || !text || w->n == w->cap) {
		free(lead);
		free(text);
		return -ENOMEM;
	}
	memmove(&w->word[i + 1], &w->word[i], (w->n - i) * sizeof(*w->word));
	w->word[i] = (struct pst_host_word){
		.lead = lead,
		.text = text,
		.part = part,
	};
	w->n++;
	return 0;
}

/* One piece; 1 when a "--" is in it, from which on it is all tail. */
static int take_part(struct pst_host_words *w, const char *p, size_t part)
{
	size_t lead, len;
	bool open;
	int r;

	for (;;) {
		lead = strspn(p, white);
		len = word_len(p + lead, &open);
		if (open)
			return -EINVAL;
		if (len == 0 || (len == 2 && strncmp(p + lead, "--", 2) == 0))
			break;
		if (w->n == PST_HOST_PARAMS_MAX_WORDS)
			return -EMSGSIZE;
		r = insert(w, w->n, part, strndup(p, lead),
			   strndup(p + lead, len));
		if (r < 0)
			return r;
		p += lead + len;
	}
	w->tail[part] = strdup(p);
	if (!w->tail[part])
		return -ENOMEM;
	return len != 0;
}

int pst_host_words_init(struct pst_host_words *w,
			const struct pst_host_params_part *part, size_t n_parts,
			size_t add_to, struct pst_error *err)
{
	bool ended = false;
	size_t i;
	int r;

	*w = (struct pst_host_words){.n_parts = n_parts, .add_to = add_to};
	w->tail = calloc(n_parts, sizeof(*w->tail));
	if (!w->tail)
		return -ENOMEM;
	for (i = 0; i < n_parts; i++) {
		if (ended) {
			w->tail[i] = strdup(part[i].text);
			r = w->tail[i] ? 0 : -ENOMEM;
		} else {
			r = take_part(w, part[i].text, i);
		}
		if (r == -EMSGSIZE)
			return pst_error_set(
				err, r,
				"more than %d words on the command line",
				PST_HOST_PARAMS_MAX_WORDS);
		if (r == -EINVAL)
			return pst_error_set(err, r,
					     "a double quote on the command "
					     "line is not closed");
		if (r < 0)
			return r;
		if (r > 0 && i < add_to)
			return pst_error_set(
				err, -EINVAL,
				"\"--\" on the kernel's command line gives "
				"what follows to init: parameters cannot be "
				"added behind it");
		ended |= r > 0;
	}
	return 0;
}

void pst_host_words_done(struct pst_host_words *w)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		free(w->word[i].lead);
		free(w->word[i].text);
	}
	free(w->word);
	for (i = 0; w->tail && i < w->n_parts; i++)
		free(w->tail[i]);
	free(w->tail);
}

int pst_host_words_add(struct pst_host_words *w, const char *fmt, ...)
{
	bool first = true;
	size_t i, at = 0;
	va_list ap;
	char *text;
	int r;

	for (i = 0; i < w->n; i++) {
		if (w->word[i].part <= w->add_to)
			at = i + 1;
		first &= w->word[i].part != w->add_to;
	}
	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0)
		return -ENOMEM;
	return insert(w, at, w->add_to, strdup(first ? "" : " "), text);
}

int pst_host_words_set(struct pst_host_words *w, size_t i, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0)
		return -ENOMEM;
	free(w->word[i].text);
	w->word[i].text = text;
	return 0;
}

void pst_host_words_remove(struct pst_host_words *w, size_t i)
{
	struct pst_host_word *next = &w->word[i + 1];

	/* The first word's place in its piece goes to the next one. */
	if (!*w->word[i].lead && i + 1 < w->n &&
	    next->part == w->word[i].part) {
		free(next->lead);
		next->lead = w->word[i].lead;
	} else {
		free(w->word[i].lead);
	}
	free(w->word[i].text);
	memmove(&w->word[i], next, (w->n - i - 1) * sizeof(*w->word));
	w->n--;
}

/* The text of one piece, or NULL. */
static char *join(const struct pst_host_words *w, size_t part)
{
	char *text = NULL;
	size_t size, i;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (i = 0; i < w->n; i++)
		if (w->word[i].part == part)
			fprintf(f, "%s%s", w->word[i].lead, w->word[i].text);
	/* A "--" keeps its distance from a word that is new before it. */
	if (w->tail[part][0] == '-' && ftell(f) > 0)
		fputc(' ', f);
	fputs(w->tail[part], f);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

int pst_host_words_write(const struct pst_host_words *w,
			 struct pst_host_params_part *part)
{
	char **all = calloc(w->n_parts, sizeof(*all));
	size_t i;

	if (!all)
		return -ENOMEM;
	for (i = 0; i < w->n_parts; i++) {
		all[i] = join(w, i);
		if (!all[i]) {
			while (i > 0)
				free(all[--i]);
			free(all);
			return -ENOMEM;
		}
	}
	for (i = 0; i < w->n_parts; i++) {
		part[i].changed = strcmp(all[i], part[i].text) != 0;
		free(part[i].text);
		part[i].text = all[i];
	}
	free(all);
	return 0;
}
