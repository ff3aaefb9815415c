/* SPDX-License-Identifier: MIT */
/* Checks the characters of names and texts, and formats texts. */
#ifndef PST_TRANSPORT_BASE_TEXT_H
#define PST_TRANSPORT_BASE_TEXT_H

#include <stddef.h>

#include "transport/base/util.h"

/* Bytes of the name of a domain or a region at most. */
#define PST_NAME_MAX 64U

/*
 * Whether text is such a name: letters, digits, "-", "_" and ".", a letter or a
 * digit first. So it can be a part of the name of a file or a unit.
 */
bool pst_name_is_good(const char *text);

/* Bytes of the UTF-8 character at s, 1 to 4; 0: there is none, or s ends. */
size_t pst_utf8_length(const char *s);

/* Whether text is UTF-8 (RFC 3629), as XML, JSON and systemd want it. */
bool pst_utf8_is_valid(const char *text);

/* Whether text is UTF-8 without characters that a terminal acts on: U+0000 to
 * U+001F and U+007F to U+009F. */
bool pst_utf8_is_plain(const char *text);

/* A copy in UTF-8 for the caller to free, with U+FFFD for each byte that is
 * none. NULL: out of memory. */
char *pst_utf8_copy(const char *text);

/* Puts '?' for ASCII's controls: what a peer sent must not forge lines or steer
 * a terminal. */
void pst_text_clean(char *s);

/* A text made by printf(), for the caller to free. NULL: out of memory. */
char *pst_text_format(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

#endif
