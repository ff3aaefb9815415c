/* SPDX-License-Identifier: MIT */
/* Percent-encoding of paths in endpoint URIs (RFC 3986, section 2.1). */
#ifndef PST_TRANSPORT_BASE_URI_H
#define PST_TRANSPORT_BASE_URI_H

#include <stddef.h>

#include "transport/base/util.h"

/*
 * Appends text to the string in dst, of size bytes, and escapes what would end
 * a path in a URI. Returns 0, or -EMSGSIZE with dst as it was.
 */
PST_MUST_USE int pst_uri_append(char *dst, size_t size, const char *text);

/*
 * Decodes %XX in [s, +n) into ret, NUL-terminated. Returns 0, -EINVAL (a % that
 * begins no escape, or the escape of NUL), -EMSGSIZE.
 */
PST_MUST_USE int pst_uri_unescape(const char *s, size_t n, char *ret,
				  size_t size);

#endif
