/* SPDX-License-Identifier: MIT */
/* Collects findings. */
#include "kernel-params/check/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Texts come out of a tree that anybody could have made. */
static char *printable(char *s)
{
	char *p;

	for (p = s; p && *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return s;
}

void pst_host_finding_add(struct pst_host_findings *fs,
			  enum pst_host_finding_status status, const char *fix,
			  const char *seen_fmt, ...)
{
	struct pst_host_finding f = {
		.id = fs->id,
		.status = status,
		.why = fs->why,
	};
	va_list ap;

	va_start(ap, seen_fmt);
	if (vasprintf(&f.seen, seen_fmt, ap) < 0)
		f.seen = NULL;
	va_end(ap);
	f.fix = printable(strdup(fix ? fix : ""));
	printable(f.seen);
	if (!f.seen || !f.fix || fs->n == PST_HOST_FINDINGS_MAX) {
		free(f.seen);
		free(f.fix);
		fs->no_memory = true;
		return;
	}
	fs->f[fs->n++] = f;
}

size_t pst_host_findings_count(const struct pst_host_findings *fs,
			       enum pst_host_finding_status status)
{
	size_t i, n = 0;

	for (i = 0; i < fs->n; i++)
		n += fs->f[i].status == status;
	return n;
}

void pst_host_findings_done(struct pst_host_findings *fs)
{
	size_t i;

	for (i = 0; i < fs->n; i++) {
		free(fs->f[i].seen);
		free(fs->f[i].fix);
	}
	*fs = (struct pst_host_findings){0};
}

const char *pst_host_finding_status_name(enum pst_host_finding_status s)
{
	static const char *const names[] = {"PASS", "WARN", "FAIL"};

	return names[s];
}

void pst_host_text_add(struct pst_host_text *t, const char *fmt, ...)
{
	size_t room = sizeof(t->buf) - t->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, room, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n < room) {
		t->len += (size_t)n;
		return;
	}
	t->len = sizeof(t->buf) - 1;
	memcpy(t->buf + t->len - 3, "...", 3);
}
