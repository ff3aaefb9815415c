/* SPDX-License-Identifier: MIT */
/* The one reader of shell-like files: words, arrays, statements. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "kernel-params/syntax/shell_int.h"

#define VALUE_MAX PST_HOST_SHELL_VALUE_MAX
#define SEP       PST_HOST_SETTING_SEP

void pst_host_shell_tell(const struct pst_host_shell *r, const char *cause)
{
	if (*r->fault)
		return;
	if (r->path)
		snprintf(r->fault, PST_HOST_FAULT_MAX, "%.100s line %u: %s",
			 r->path, r->line, cause);
	else
		snprintf(r->fault, PST_HOST_FAULT_MAX, "%s", cause);
}

/* Without a path only positions are asked for, and values matter to none. */
static void tell_shell(struct pst_host_shell *r, const char *cause)
{
	r->needs_shell = true;
	if (r->path)
		pst_host_shell_tell(r, cause);
}

void pst_host_shell_step(struct pst_host_shell *r)
{
	r->line += *r->p == '\n';
	r->p++;
}

bool pst_host_shell_is_name(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static struct pst_host_setting *find(const struct pst_host_shell *r,
				     const char *name, size_t len)
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
static void expand(struct pst_host_shell *r, bool split, FILE *to)
{
	const char *p = r->p + 1, *name;
	bool brace = *p == '{', all = false;
	const struct pst_host_setting *s;

	p += brace;
	for (name = p; pst_host_shell_is_name(*p);)
		p++;
	s = find(r, name, (size_t)(p - name));
	if (brace && (strncmp(p, "[@]", 3) == 0 || strncmp(p, "[*]", 3) == 0)) {
		all = true;
		p += 3;
	}
	if (p == name || (brace && *p != '}')) {
		tell_shell(r, "only a shell can tell what it sets");
		pst_host_shell_step(r);
		return;
	}
	if (!s)
		tell_shell(r, "it uses a variable that is not known here");
	else if (s->value && to && ftello(to) < VALUE_MAX)
		put_value(s->value, all, split, to);
	r->p = p + brace;
}

/* What no shell takes as it was meant. */
static bool is_foreign(const struct pst_host_shell *r)
{
	static const char *const quotes[] = {"\xe2\x80\x9c", "\xe2\x80\x9d",
					     "\xe2\x80\x98", "\xe2\x80\x99"};
	size_t i;

	if (*r->p == '\r') {
		pst_host_shell_tell(r, "it ends in CR LF, the line end of DOS");
		return true;
	}
	for (i = 0; i < PST_ARRAY_SIZE(quotes); i++)
		if (strncmp(r->p, quotes[i], 3) == 0)
			pst_host_shell_tell(r, "it has typographic quotes");
	return false;
}

/* One word, quotes taken off, up to white space or an operator. in_array: it is
 * an element. */
void pst_host_shell_take_word(struct pst_host_shell *r, bool in_array, FILE *to)
{
	struct pst_host_shell opened = *r;
	char quote = 0;

	for (; *r->p; pst_host_shell_step(r)) {
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
			pst_host_shell_step(r);
			if (*r->p != '\n')
				put(to, *r->p);
			continue;
		}
		if (quote != '\'' && *r->p == '`')
			tell_shell(r, "only a shell can tell what it sets");
		if (quote != '\'' && *r->p == '$') {
			expand(r, in_array && !quote, to);
			r->p--;
			continue;
		}
		put(to, *r->p);
	}
	r->open |= quote;
	if (quote)
		pst_host_shell_tell(&opened,
				    "a quote is opened and not closed");
}

/* The words of an array, from behind its bracket to behind the other. sep: some
 * are there already. */
void pst_host_shell_take_array(struct pst_host_shell *r, bool sep, FILE *to)
{
	while (*r->p && *r->p != ')') {
		const char *before = r->p;

		if (*r->p == '#') {
			r->p += strcspn(r->p, "\n");
		} else if (r->p[0] == '\\' && r->p[1] == '\n') {
			pst_host_shell_step(r);
			pst_host_shell_step(r);
		} else if (isspace((unsigned char)*r->p)) {
			is_foreign(r);
			pst_host_shell_step(r);
		} else {
			if (sep)
				put(to, SEP);
			sep = true;
			pst_host_shell_take_word(r, true, to);
			if (r->path && r->p > before && r->p[-1] == ',')
				pst_host_shell_tell(
					r, "a comma stands behind a word, of "
					   "which it becomes a part");
			if (r->p == before)
				pst_host_shell_step(r);
		}
	}
	if (!*r->p)
		pst_host_shell_tell(r, "a bracket is opened and not closed");
	else
		r->p++;
}

/* Whether what stands behind a name was meant as an assignment: "A = x". */
static bool is_split(const char *p)
{
	size_t blanks = strspn(p, " \t");

	return (blanks && (p[blanks] == '=' ||
			   (p[blanks] == '+' && p[blanks + 1] == '='))) ||
	       (*p == '+' && p[1 + strspn(p + 1, " \t")] == '=');
}

/* ---- Statements -----------------------------------------------------------
 */

/* What the words of the shell itself do; len bytes at word. */
static void take_command(struct pst_host_shell *r, const char *word, size_t len)
{
	/* 1: it opens, -1: it closes; more: a command follows it. */
	static const struct {
		const char *word;
		int depth;
		bool more;
	} words[] = {
		{"if", 1, true},     {"then", 0, true},   {"elif", 0, true},
		{"else", 0, true},   {"fi", -1, false},   {"while", 1, true},
		{"until", 1, true},  {"for", 1, false},   {"select", 1, false},
		{"do", 0, true},     {"done", -1, false}, {"case", 1, false},
		{"esac", -1, false}, {"{", 1, true},      {"}", -1, false},
		{"!", 0, true},
	};
	size_t i;

	r->unsets = len == 5 && memcmp(word, "unset", len) == 0;
	r->first = false;
	for (i = 0; i < PST_ARRAY_SIZE(words); i++) {
		if (strlen(words[i].word) != len ||
		    memcmp(word, words[i].word, len) != 0)
			continue;
		if (words[i].depth > 0 || r->depth)
			r->depth += (unsigned int)words[i].depth;
		r->first = words[i].more;
	}
}

/* "<<WORD": what follows up to a line of that word is no statement. */
static void note_here(struct pst_host_shell *r)
{
	const char *p = r->p + 2;

	if (*p == '<')
		return;
	p += *p == '-';
	p += strspn(p, " \t\"'\\");
	r->here = p;
	r->here_len = strcspn(p, " \t\r\n\"';&|()<>");
}

/* From the newline before a here-document to the one behind it. */
static void skip_here(struct pst_host_shell *r)
{
	const char *line;
	bool last = false;

	while (*r->p && !last) {
		pst_host_shell_step(r);
		line = r->p + strspn(r->p, "\t");
		last = strncmp(line, r->here, r->here_len) == 0 &&
		       (!line[r->here_len] || line[r->here_len] == '\n');
		r->p = strchrnul(r->p, '\n');
	}
	r->here = NULL;
}

/* Skips white space, operators and comments before the next word. */
static void skip_between(struct pst_host_shell *r)
{
	for (; *r->p; pst_host_shell_step(r)) {
		if (*r->p == '#') {
			r->p += strcspn(r->p, "\n");
			if (!*r->p)
				return;
		}
		if (r->p[0] == '\\' && r->p[1] == '\n') {
			pst_host_shell_step(r);
			continue;
		}
		if (!isspace((unsigned char)*r->p) && !strchr(";&|()<>", *r->p))
			return;
		if (r->p[0] == '<' && r->p[1] == '<') {
			note_here(r);
			pst_host_shell_step(r);
		}
		if (*r->p == '\n' && r->here && r->here_len)
			skip_here(r);
		if (!*r->p)
			return;
		if (strchr("\n;&|()", *r->p)) {
			r->first = true;
			r->unsets = false;
		}
		r->joined |= *r->p == '&' || *r->p == '|';
	}
}

/* The "=" or "+=" behind a setting's name at p, which may have quotes in its
 * brackets: NAME["x"]. NULL: it is another word. */
static const char *behind_name(const char *p, const char *name)
{
	bool in = false;

	for (; *name; p++) {
		if (in && (*p == '"' || *p == '\''))
			continue;
		if (*p != *name)
			return NULL;
		in |= *name++ == '[';
	}
	return p;
}

/* Goes to behind the "=" of the next one. */
bool pst_host_shell_find(struct pst_host_shell *r,
			 struct pst_host_shell_found *ret)
{
	char none[PST_HOST_FAULT_MAX], *fault = r->fault;
	const char *behind, *begin;
	size_t i;

	for (;;) {
		skip_between(r);
		if (!*r->p)
			return false;
		begin = r->p;
		for (i = 0; i < r->n; i++) {
			behind = behind_name(begin, r->s[i].name);
			if (!behind)
				continue;
			*ret = (struct pst_host_shell_found){
				.to = &r->s[i],
				.begin = begin,
				.joined = r->joined,
				.adds = *behind == '+'};
			if (behind[ret->adds] == '=') {
				r->p = behind + ret->adds + 1;
				r->joined = false;
				return true;
			}
			ret->unset =
				r->unsets && !pst_host_shell_is_name(*behind);
			if (ret->unset) {
				r->p = behind;
				return true;
			}
			if (is_split(behind))
				pst_host_shell_tell(
					r, "a blank stands before or in its "
					   "\"=\"");
		}
		/* A word of something else, whose faults are not ours. */
		*none = '\0';
		r->fault = none;
		pst_host_shell_take_word(r, false, NULL);
		r->fault = fault;
		if (r->first)
			take_command(r, begin, (size_t)(r->p - begin));
		r->joined = false;
		if (r->p == begin)
			pst_host_shell_step(r);
	}
}
