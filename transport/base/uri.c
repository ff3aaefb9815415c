/* SPDX-License-Identifier: MIT */
/* Percent-encoding of paths in endpoint URIs (RFC 3986, section 2.1). */
#include "transport/base/uri.h"

#include <string.h>

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int pst_uri_append(char *dst, size_t size, const char *text)
{
	const size_t before = strlen(dst);
	size_t n = before;

	for (; *text; text++) {
		bool escaped = strchr("%?#&:", *text) ||
			       (unsigned char)*text <= ' ' || *text == 0x7f;

		if (n + (escaped ? 3 : 1) >= size) {
			dst[before] = '\0';
			return -EMSGSIZE;
		}
		if (escaped)
			n += (size_t)snprintf(dst + n, size - n, "%%%02X",
					      (unsigned char)*text);
		else
			dst[n++] = *text;
	}
	dst[n] = '\0';
	return 0;
}

int pst_uri_unescape(const char *s, size_t n, char *ret, size_t size)
{
	size_t i, used = 0;

	for (i = 0; i < n; i++) {
		char c = s[i];

		if (c == '%') {
			int hi = n - i > 2 ? hex(s[i + 1]) : -1;
			int lo = n - i > 2 ? hex(s[i + 2]) : -1;

			if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
				return -EINVAL;
			c = (char)(hi * 16 + lo);
			i += 2;
		}
		if (used + 1 >= size)
			return -EMSGSIZE;
		ret[used++] = c;
	}
	ret[used] = '\0';
	return 0;
}
