/* SPDX-License-Identifier: MIT */
/* A text that grows: the body of a reply, JSON mostly. */
#include "host-client/gateway/http/text.h"

#include <stdarg.h>
#include <string.h>

#include "transport/base/text.h"

#define FIRST_SIZE 512U

void pst_gw_text_done(struct pst_gw_text *t)
{
	free(t->at);
	*t = (struct pst_gw_text){0};
}

char *pst_gw_text_room(struct pst_gw_text *t, size_t n)
{
	size_t size = t->size ? t->size : FIRST_SIZE;
	char *at;

	if (t->failed || n > SIZE_MAX / 4) {
		t->failed = true;
		return NULL;
	}
	while (size - t->n < n)
		size *= 2;
	if (size == t->size)
		return t->at + t->n;
	at = realloc(t->at, size);
	if (!at) {
		t->failed = true;
		return NULL;
	}
	t->at = at;
	t->size = size;
	return at + t->n;
}

void pst_gw_text_bytes(struct pst_gw_text *t, const char *s, size_t n)
{
	char *at = pst_gw_text_room(t, n);

	if (!at)
		return;
	memcpy(at, s, n);
	t->n += n;
}

void pst_gw_text_add(struct pst_gw_text *t, const char *s)
{
	pst_gw_text_bytes(t, s, strlen(s));
}

void pst_gw_text_format(struct pst_gw_text *t, const char *fmt, ...)
{
	va_list args, again;
	char *at;
	int n;

	va_start(args, fmt);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, fmt, args);
	at = n < 0 ? NULL : pst_gw_text_room(t, (size_t)n + 1);
	if (at) {
		vsnprintf(at, (size_t)n + 1, fmt, again);
		t->n += (size_t)n;
	}
	va_end(again);
	va_end(args);
}

void pst_gw_text_json(struct pst_gw_text *t, const char *s)
{
	size_t n;

	pst_gw_text_add(t, "\"");
	for (; *s; s += n) {
		n = pst_utf8_length(s);
		if (n == 0) {
			pst_gw_text_add(t, "\\ufffd");
			n = 1;
		} else if (n == 1 && (*s == '"' || *s == '\\')) {
			pst_gw_text_format(t, "\\%c", *s);
		} else if (n == 1 && ((unsigned char)*s < 32 || *s == 127)) {
			pst_gw_text_format(t, "\\u%04x", (unsigned int)*s);
		} else {
			pst_gw_text_bytes(t, s, n);
		}
	}
	pst_gw_text_add(t, "\"");
}
