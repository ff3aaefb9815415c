/* SPDX-License-Identifier: MIT */
/* The syntax of agent.conf: sections, keys and values in a text. */
#include "guest-agent/config.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct parser {
	const char *file;
	unsigned int line;
	const char *section; /* of the keys that follow; NULL: none yet */
	const struct pst_agent_config_key *keys;
	size_t n_keys;
	struct pst_agent_config_value *ret;
	struct pst_error *err;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Cuts blanks off both ends of [s, end), where end may be written. */
static char *trim(char *s, char *end)
{
	while (s < end && is_blank(*s))
		s++;
	while (end > s && is_blank(end[-1]))
		end--;
	*end = '\0';
	return s;
}

static int check_bytes(const struct parser *p, const char *s, const char *end)
{
	for (; s < end; s++)
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
			return pst_error_set(
				p->err, -EINVAL,
				"%s:%u: byte 0x%02x, where only text may be%s",
				p->file, p->line, (unsigned int)*s,
				*s == '\r' ? " (lines end with LF alone)" : "");
	return 0;
}

static int open_section(struct parser *p, char *s, char *end)
{
	char *name;
	size_t i;

	if (end[-1] != ']')
		return pst_error_set(p->err, -EINVAL,
				     "%s:%u: '%.64s' has no ']' at its end",
				     p->file, p->line, s);
	name = trim(s + 1, end - 1);
	for (i = 0; i < p->n_keys; i++)
		if (strcmp(p->keys[i].section, name) == 0) {
			p->section = p->keys[i].section;
			return 0;
		}
	return pst_error_set(p->err, -EINVAL, "%s:%u: unknown section [%.64s]",
			     p->file, p->line, name);
}

static int set_value(struct parser *p, const char *key, char *value)
{
	struct pst_agent_config_value *v;
	size_t i;

	if (!p->section)
		return pst_error_set(p->err, -EINVAL,
				     "%s:%u: %.64s stands before any [section]",
				     p->file, p->line, key);
	for (i = 0; i < p->n_keys; i++)
		if (strcmp(p->keys[i].section, p->section) == 0 &&
		    strcmp(p->keys[i].name, key) == 0)
			break;
	if (i == p->n_keys)
		return pst_error_set(p->err, -EINVAL,
				     "%s:%u: unknown key '%.64s' in [%s]",
				     p->file, p->line, key, p->section);
	v = &p->ret[i];
	if (v->text)
		return pst_error_set(p->err, -EINVAL,
				     "%s:%u: %s again, after line %u", p->file,
				     p->line, key, v->line);
	if (!*value)
		return pst_error_set(p->err, -EINVAL, "%s:%u: %s has no value",
				     p->file, p->line, key);
	v->text = value;
	v->line = p->line;
	return 0;
}

/* One line, [s, end), without its newline, which may be written. */
static int parse_line(struct parser *p, char *s, char *end)
{
	char *equals;
	int r;

	r = check_bytes(p, s, end);
	if (r < 0)
		return r;
	s = trim(s, end);
	end = s + strlen(s);
	if (s == end || *s == '#' || *s == ';')
		return 0;
	if (*s == '[')
		return open_section(p, s, end);
	equals = memchr(s, '=', (size_t)(end - s));
	if (!equals || equals == s)
		return pst_error_set(p->err, -EINVAL,
				     "%s:%u: '%.64s' is neither [section] nor "
				     "key = value",
				     p->file, p->line, s);
	return set_value(p, trim(s, equals), trim(equals + 1, end));
}

int pst_agent_config_parse(const char *file, char *text, size_t n,
			   const struct pst_agent_config_key *keys,
			   size_t n_keys, struct pst_agent_config_value *ret,
			   struct pst_error *err)
{
	struct parser p = {
		.file = file,
		.keys = keys,
		.n_keys = n_keys,
		.ret = ret,
		.err = err,
	};
	char *const end = text + n;
	char *newline;
	size_t i;
	int r;

	for (i = 0; i < n_keys; i++)
		ret[i] = (struct pst_agent_config_value){0};
	while (text < end) {
		p.line++;
		newline = memchr(text, '\n', (size_t)(end - text));
		r = parse_line(&p, text, newline ? newline : end);
		if (r < 0)
			return r;
		if (!newline)
			break;
		text = newline + 1;
	}
	return 0;
}
