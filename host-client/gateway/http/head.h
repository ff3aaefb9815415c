/* SPDX-License-Identifier: MIT */
/* Checks the head of a request: pure functions over its fields. */
#ifndef PST_HOST_CLIENT_GATEWAY_HTTP_HEAD_H
#define PST_HOST_CLIENT_GATEWAY_HTTP_HEAD_H

#include "transport/base/util.h"

/* Who may be asked for, besides the loopback's names and addresses. */
struct pst_gw_names {
	const char *const *name;
	unsigned int n;
};

/*
 * Whether a Host header names this host: localhost, an address of the loopback,
 * or one of names, each with or without a port. A page of another site that
 * makes its name point here is refused by that (DNS rebinding).
 */
bool pst_gw_host_is_ours(const char *host, const struct pst_gw_names *names);

/*
 * The path of a request's target. Of one in absolute form, "http://HOST/PATH",
 * which programs send to what they take for a proxy, copies HOST to ret_host of
 * size bytes; else that becomes empty. A HOST without room is no host of ours.
 */
const char *pst_gw_path_of(const char *target, char *ret_host, size_t size);

/*
 * Decodes %XX of a path in place, but for a NUL, behind which nobody would read
 * on, and a slash, which is part of a name. Returns the new length.
 */
size_t pst_gw_unescape(char *text);

/* Whether the name of a field has only characters of a token (RFC 9110, 5.6.2):
 * "Origin :" is another field for some, and the same for others. */
bool pst_gw_field_is_good(const char *name);

/* Whether the n bytes of a field's value are without control characters but
 * tabs (RFC 9110, 5.5): what follows a NUL or a bare CR is seen by some, and
 * not by others. NULL has none. */
bool pst_gw_value_is_good(const char *value, size_t n);

/* Whether a Content-Type header is of JSON or of bytes, which no form of a web
 * page can send. */
bool pst_gw_type_is_good(const char *type);

/* The length in a Content-Length header, digits only. 0 or -EINVAL. */
PST_MUST_USE int pst_gw_length(const char *text, uint64_t *ret);

/* The token of "Bearer TOKEN", or NULL. */
const char *pst_gw_bearer(const char *authorization);

/*
 * The token that an Authorization header shows: of "Bearer TOKEN", or the
 * password of "Basic BASE64", which a browser asks a person for. Copies it to
 * room of size bytes. Returns room, or NULL.
 */
const char *pst_gw_token_of(const char *authorization, char *room, size_t size);

/* The number of a digit of base64, or -1. */
int pst_gw_base64_digit(char c);

/* Whether two tokens are equal, in a time that tells only their lengths. */
bool pst_gw_token_equal(const char *a, const char *b);

/*
 * Whether path matches pattern, in which "*" stands for one segment of 1 to
 * size - 1 bytes. Copies those segments, in order, into ret_words; there are
 * max of them at most.
 */
bool pst_gw_path_match(const char *pattern, const char *path, unsigned int max,
		       char (*ret_words)[64]);

#endif
