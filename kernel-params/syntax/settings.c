/* SPDX-License-Identifier: MIT */
/* Evaluates assignments of shell-like files. */
#include "kernel-params/syntax/settings.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "kernel-params/syntax/shell_int.h"

/* Bytes that all values of one variable may have together: each "+=" is a new
 * one. */
#define WORK_MAX (16U << 20)

/* More words are no setting of modules or files. */
#define WORDS_MAX 4096

#define VALUE_MAX PST_HOST_SHELL_VALUE_MAX
#define SEP       PST_HOST_SETTING_SEP

/* What stands behind the value of a setting. */
static void look_behind(const struct pst_host_shell *r)
{
	const char *p = r->p + strspn(r->p, " \t");

	if (*p == '\r')
		pst_host_shell_tell(r, "it ends in CR LF, the line end of DOS");
	else if (*p && !strchr("\n#;&|", *p) && *p != '}')
		pst_host_shell_tell(r, "words stand behind the value");
}

static int assign(struct pst_host_shell *r, struct pst_host_setting *s,
		  bool adds)
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
		pst_host_shell_take_array(r, adds && s->value && *old, f);
	} else {
		if (adds)
			fprintf(f, "%.*s", (int)(first - old), old);
		pst_host_shell_take_word(r, false, f);
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
		pst_host_shell_tell(r, "its value is too long");
		free(value);
		return 0;
	}
	free(s->value);
	s->value = value;
	return 0;
}

int pst_host_settings_take(const char *text, const char *path,
			   struct pst_host_setting *s, size_t n,
			   char fault[PST_HOST_FAULT_MAX])
{
	struct pst_host_shell r = {.p = text,
				   .line = 1,
				   .s = s,
				   .n = n,
				   .path = path,
				   .fault = fault,
				   .first = true};
	struct pst_host_shell_found f;
	int rc = 0;

	if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
		pst_host_shell_tell(&r, "it begins with a byte order mark, "
					"which becomes a part of its first "
					"word");
	while (rc == 0 && pst_host_shell_find(&r, &f)) {
		if (!f.unset) {
			rc = assign(&r, f.to, f.adds);
			continue;
		}
		free(f.to->value);
		f.to->value = NULL;
		f.to->array = false;
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
