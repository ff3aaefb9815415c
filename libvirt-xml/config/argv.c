/* SPDX-License-Identifier: MIT */
/* A growing argument vector, and its text for a shell. */
#include "libvirt-xml/config/argv.h"

#include <stdarg.h>
#include <string.h>

void pst_vm_argv_add(struct pst_vm_argv *a, const char *fmt, ...)
{
	va_list ap;
	char *s;

	if (a->failed || a->n + 1 >= PST_ARRAY_SIZE(a->v)) {
		a->failed = true;
		return;
	}
	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	if (!s) {
		a->failed = true;
		return;
	}
	a->v[a->n++] = s;
	a->v[a->n] = NULL;
}

void pst_vm_argv_done(struct pst_vm_argv *a)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		free(a->v[i]);
	memset(a, 0, sizeof(*a));
}

void pst_vm_argv_print_word(const char *s, FILE *to)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-./:=,+@%";

	if (*s && strspn(s, plain) == strlen(s)) {
		fputs(s, to);
		return;
	}
	fputc('\'', to);
	for (; *s; s++) {
		if (*s == '\'')
			fputs("'\\''", to);
		else
			fputc(*s, to);
	}
	fputc('\'', to);
}

void pst_vm_argv_print(const struct pst_vm_argv *a, FILE *to)
{
	size_t i;

	for (i = 0; i < a->n; i++) {
		if (i && a->v[i][0] == '-')
			fputs(" \\\n\t", to);
		else if (i)
			fputc(' ', to);
		pst_vm_argv_print_word(a->v[i], to);
	}
	fputc('\n', to);
}
