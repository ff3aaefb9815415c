/* SPDX-License-Identifier: MIT */
/* Evaluates assignments of shell-like files. */
#include "kernel-params/syntax/settings.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* What a tree made to waste memory may leave in one variable. */
#define VALUE_MAX (256 << 10)

/* Bytes that all values of one variable may have together: each "+=" is a new
 * one. */
#define WORK_MAX (16U << 20)

/* More words are no setting of modules or files. */
#define WORDS_MAX 4096

#define SEP PST_HOST_SETTING_SEP

struct reader {
	const char *p;
	unsigned int line;
	struct pst_host_setting *s;
	size_t n;
	const char *path;
	char *fault;
};

static void tell(const struct reader *r, const char *cause)
{
	if (!*r->fault)
		snprintf(r->fault, PST_HOST_FAULT_MAX, "%.100s line %u: %s",
			 r->path, r->line, cause);
}

static void step(struct reader *r)
{
	r->line += *r->p == '\n';
	r->p++;
}

static bool is_name(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static struct pst_host_setting *find(const struct reader *r, const char *name,
				     size_t len)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (strlen(r->s[i].name) == len &&
		    memcmp(r->s[i].name, name, len) == 0)
			return &r->s[i];
	return NULL;
}

/* to NULL: the word is of something else. */
static void put(FILE *to, char c)
{
	if (to)
		fputc(c, to);
}

/* A value, its first element or all, into to. split: blanks part words, since
 * it stands without quotes in an array. */
static void put_value(const char *value, bool all, bool split, FILE *to)
{
	for (; *value && (all || *value != SEP); value++)
		fputc(split && isspace((unsigned char)*value) ? SEP : *value,
		      to);
}

/* What a '$' stands for, put into to. */
static void expand(struct reader *r, bool split, FILE *to)
{
	const char *p = r->p + 1, *name;
	bool brace = *p == '{', all = false;
	const struct pst_host_setting *s;

	p += brace;
	for (name = p; is_name(*p);)
		p++;
	s = find(r, name, (size_t)(p - name));
	if (brace && (strncmp(p, "[@]", 3) == 0 || strncmp(p, "[*]", 3) == 0)) {
		all = true;
		p += 3;
	}
	if (p == name || (brace && *p != '}')) {
		tell(r, "only a shell can tell what it sets");
		step(r);
		return;
	}
	if (!s)
		tell(r, "it uses a variable that is not known here");
	else if (s->value && to && ftello(to) < VALUE_MAX)
		put_value(s->value, all, split, to);
	r->p = p + brace;
}

/* What no shell takes as it was meant. */
static bool is_foreign(const struct reader *r)
{
	static const char *const quotes[] = {"\xe2\x80\x9c", "\xe2\x80\x9d",
					     "\xe2\x80\x98", "\xe2\x80\x99"};
	size_t i;

	if (*r->p == '\r') {
		tell(r, "it ends in CR LF, the line end of DOS");
		return true;
	}
	for (i = 0; i < PST_ARRAY_SIZE(quotes); i++)
		if (strncmp(r->p, quotes[i], 3) == 0)
			tell(r, "it has typographic quotes");
	return false;
}

/* One word, quotes taken off, up to white space or an operator. in_array: it is
 * an element. */
static void take_word(struct reader *r, bool in_array, FILE *to)
{
	struct reader opened = *r;
	char quote = 0;

	for (; *r->p; step(r)) {
		if (quote ? *r->p == quote : *r->p == '"' || *r->p == '\'') {
			quote = quote ? 0 : *r->p;
			opened.line = r->line;
			continue;
		}
		if (!quote &&
		    (isspace((unsigned char)*r->p) || strchr(";&|()<>", *r->p)))
			return;
		if (is_foreign(r))
			continue;
		if (quote != '\'' && *r->p == '\\' && r->p[1]) {
			step(r);
			if (*r->p != '\n')
				put(to, *r->p);
			continue;
		}
		if (quote != '\'' && *r->p == '`')
			tell(r, "only a shell can tell what it sets");
		if (quote != '\'' && *r->p == '$') {
			expand(r, in_array && !quote, to);
			r->p--;
			continue;
		}
		put(to, *r->p);
	}
	if (quote)
		tell(&opened, "a quote is opened and not closed");
}

/* The words of an array, from behind its bracket to behind the other. sep: some
 * are there already. */
static void take_array(struct reader *r, bool sep, FILE *to)
{
	while (*r->p && *r->p != ')') {
		const char *before = r->p;

		if (*r->p == '#') {
			r->p += strcspn(r->p, "\n");
		} else if (isspace((unsigned char)*r->p)) {
			is_foreign(r);
			step(r);
		} else {
			if (sep)
				fputc(SEP, to);
			sep = true;
			take_word(r, true, to);
			if (r->p > before && r->p[-1] == ',')
				tell(r, "a comma stands behind a word, of "
					"which it becomes a part");
			if (r->p == before)
				step(r);
		}
	}
	if (!*r->p)
		tell(r, "a bracket is opened and not closed");
	else
		r->p++;
}

/* What stands behind the value of a setting. */
static void look_behind(const struct reader *r)
{
	const char *p = r->p + strspn(r->p, " \t");

	if (*p == '\r')
		tell(r, "it ends in CR LF, the line end of DOS");
	else if (*p && !strchr("\n#;&|", *p) && *p != '}')
		tell(r, "words stand behind the value");
}

static int assign(struct reader *r, struct pst_host_setting *s, bool adds)
{
	const char *old, *first;
	char *value = NULL;
	size_t size;
	FILE *f = open_memstream(&value, &size);

	if (!f)
		return -ENOMEM;
	/* Nothing is built any more. */
	old = s->value && s->work <= WORK_MAX ? s->value : "";
	first = strchrnul(old, SEP);
	if (*r->p == '(') {
		if (adds)
			fputs(old, f);
		r->p++;
		s->array = true;
		take_array(r, adds && s->value && *old, f);
	} else {
		if (adds)
			fprintf(f, "%.*s", (int)(first - old), old);
		take_word(r, false, f);
		if (s->array)
			fputs(first, f);
	}
	look_behind(r);
	if (fclose(f) || !value) {
		free(value);
		return -ENOMEM;
	}
	s->work += size;
	if (size > VALUE_MAX || s->work > WORK_MAX) {
		tell(r, "its value is too long");
		free(value);
		return 0;
	}
	free(s->value);
	s->value = value;
	return 0;
}

/* Whether what stands behind a name was meant as an assignment: "A = x". */
static bool is_split(const char *p)
{
	size_t blanks = strspn(p, " \t");

	return (blanks && (p[blanks] == '=' ||
			   (p[blanks] == '+' && p[blanks + 1] == '='))) ||
	       (*p == '+' && p[1 + strspn(p + 1, " \t")] == '=');
}

int pst_host_settings_take(const char *text, const char *path,
			   struct pst_host_setting *s, size_t n,
			   char fault[PST_HOST_FAULT_MAX])
{
	struct reader r = {text, 1, s, n, path, fault};
	char none[PST_HOST_FAULT_MAX];
	int rc = 0;

	while (*r.p && rc == 0) {
		struct pst_host_setting *to;
		const char *begin;
		size_t len = 0;
		bool adds;

		if (*r.p == '#') {
			r.p += strcspn(r.p, "\n");
			continue;
		}
		if (isspace((unsigned char)*r.p) || strchr(";&|()<>", *r.p)) {
			step(&r);
			continue;
		}
		while (is_name(r.p[len]))
			len++;
		to = len ? find(&r, r.p, len) : NULL;
		adds = to && r.p[len] == '+';
		if (to && r.p[len + adds] == '=') {
			r.p += len + adds + 1;
			rc = assign(&r, to, adds);
			continue;
		}
		if (to && is_split(r.p + len))
			tell(&r, "a blank stands before or in its \"=\"");
		/* A word of something else, whose faults are not ours. */
		begin = r.p;
		*none = '\0';
		r.fault = none;
		take_word(&r, false, NULL);
		r.fault = fault;
		if (r.p == begin)
			step(&r);
	}
	return rc;
}

int pst_host_setting_words(const char *value, struct pst_host_names *words)
{
	static const char between[] = {' ', '\t', '\n', SEP, '\0'};
	const char *p = value;
	int r = 0;

	while (p && *p && r == 0 && words->n < WORDS_MAX) {
		size_t n;

		p += strspn(p, between);
		n = strcspn(p, between);
		if (n)
			r = pst_host_names_add(words, p, n);
		p += n;
	}
	return r;
}

void pst_host_settings_done(struct pst_host_setting *s, size_t n)
{
	while (n-- > 0) {
		free(s[n].value);
		s[n].value = NULL;
		s[n].array = false;
		s[n].work = 0;
	}
}
