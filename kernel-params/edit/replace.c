/* SPDX-License-Identifier: MIT */
/* Puts pieces into a text. */
#include "kernel-params/edit/replace.h"

#include <string.h>

#include "transport/base/text.h"

char *pst_host_text_replace(const char *text, size_t off, size_t len,
			    const char *by)
{
	return pst_text_format("%.*s%s%s", (int)off, text, by,
			       text + off + len);
}

char *pst_host_text_append(const char *text, const char *more)
{
	size_t n = text ? strlen(text) : 0;

	return pst_text_format("%s%s%s", text ? text : "",
			       n && text[n - 1] != '\n' ? "\n" : "", more);
}
