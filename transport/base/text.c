/* SPDX-License-Identifier: MIT */
/* Checks the characters of names and texts, and formats texts. */
#include "transport/base/text.h"

#include <stdarg.h>
#include <string.h>

#define ALNUM                                                                  \
	"abcdefghijklmnopqrstuvwxyz"                                           \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"                                           \
	"0123456789"

bool pst_name_is_good(const char *text)
{
	size_t n = strnlen(text, PST_NAME_MAX + 1);

	return n && n <= PST_NAME_MAX && strchr(ALNUM, text[0]) &&
	       strspn(text, ALNUM "-_.") == n;
}

size_t pst_utf8_length(const char *s)
{
	/* By length: the marks of a first byte, and the least code. */
	static const struct {
		unsigned char mask, mark;
		uint32_t least;
	} forms[] = {
		{0x80, 0x00, 0x1},
		{0xe0, 0xc0, 0x80},
		{0xf0, 0xe0, 0x800},
		{0xf8, 0xf0, 0x10000},
	};
	unsigned char first = (unsigned char)s[0];
	uint32_t code;
	size_t n, i;

	for (n = 0; n < PST_ARRAY_SIZE(forms); n++)
		if ((first & forms[n].mask) == forms[n].mark)
			break;
	if (n == PST_ARRAY_SIZE(forms))
		return 0;
	code = first & (unsigned char)~forms[n].mask;
	for (i = 1; i <= n; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | ((unsigned char)s[i] & 0x3f);
	}
	/* No other form of a shorter one, no surrogate, none above the last. */
	if (code < forms[n].least || (code >= 0xd800 && code <= 0xdfff) ||
	    code > 0x10ffff)
		return 0;
	return n + 1;
}

bool pst_utf8_is_valid(const char *text)
{
	size_t n;

	for (; *text; text += n) {
		n = pst_utf8_length(text);
		if (!n)
			return false;
	}
	return true;
}

bool pst_utf8_is_plain(const char *text)
{
	const uint8_t *p;

	for (p = (const uint8_t *)text; *p; p++)
		if (*p < ' ' || *p == 0x7f ||
		    (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
			return false;
	return pst_utf8_is_valid(text);
}

char *pst_utf8_copy(const char *text)
{
	static const char unknown[] = "\xef\xbf\xbd";
	char *ret = malloc(strlen(text) * strlen(unknown) + 1), *to = ret;
	size_t n;

	if (!ret)
		return NULL;
	for (; *text; text += n ? n : 1) {
		n = pst_utf8_length(text);
		to = mempcpy(to, n ? text : unknown, n ? n : strlen(unknown));
	}
	*to = '\0';
	return ret;
}

void pst_text_clean(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

char *pst_text_format(const char *fmt, ...)
{
	va_list ap;
	char *ret;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&ret, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : ret;
}
