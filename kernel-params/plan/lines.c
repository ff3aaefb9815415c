/* SPDX-License-Identifier: MIT */
/* A growing list of lines. */
#include "kernel-params/plan/lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int pst_host_lines_vadd(struct pst_host_lines *l, const char *fmt, va_list ap)
{
	char **grown, *line;
	size_t i;

	if (vasprintf(&line, fmt, ap) < 0)
		return -ENOMEM;
	for (i = 0; i < l->n; i++)
		if (strcmp(l->line[i], line) == 0) {
			free(line);
			return 0;
		}
	grown = reallocarray(l->line, l->n + 2, sizeof(*grown));
	if (!grown) {
		free(line);
		return -ENOMEM;
	}
	l->line = grown;
	l->line[l->n++] = line;
	l->line[l->n] = NULL;
	return 0;
}

int pst_host_lines_add(struct pst_host_lines *l, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = pst_host_lines_vadd(l, fmt, ap);
	va_end(ap);
	return r;
}

const char *const *pst_host_lines_list(const struct pst_host_lines *l)
{
	static const char *const none[] = {NULL};

	return l->n ? (const char *const *)l->line : none;
}

void pst_host_lines_done(struct pst_host_lines *l)
{
	while (l->n > 0)
		free(l->line[--l->n]);
	free(l->line);
	l->line = NULL;
}
