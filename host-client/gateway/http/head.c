/* SPDX-License-Identifier: MIT */
/* Checks the head of a request: pure functions over its fields. */
#include "host-client/gateway/http/head.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define WORD_SIZE 64U

/* The name's part of a Host header; 0: it is malformed. */
static size_t host_length(const char *host)
{
	const char *end = host[0] == '[' ? strchr(host, ']') : NULL;
	size_t n = end ? (size_t)(end + 1 - host) : strcspn(host, ":");
	const char *port = host + n;

	if (host[0] == '[' && !end)
		return 0;
	if (!*port)
		return n;
	if (*port != ':' || strlen(port) > 6)
		return 0;
	for (port++; *port; port++)
		if (*port < '0' || *port > '9')
			return 0;
	return n;
}

static bool is(const char *text, size_t n, const char *name)
{
	return strlen(name) == n && strncasecmp(text, name, n) == 0;
}

bool pst_gw_host_is_ours(const char *host, const struct pst_gw_names *names)
{
	const size_t n = host ? host_length(host) : 0;
	unsigned int i;

	if (n == 0)
		return false;
	if (is(host, n, "localhost") || is(host, n, "127.0.0.1") ||
	    is(host, n, "[::1]"))
		return true;
	for (i = 0; i < names->n; i++)
		if (is(host, n, names->name[i]))
			return true;
	return false;
}

const char *pst_gw_path_of(const char *target, char *ret_host, size_t size)
{
	size_t n = strncasecmp(target, "http://", 7) == 0    ? 7
		   : strncasecmp(target, "https://", 8) == 0 ? 8
							     : 0;

	ret_host[0] = '\0';
	if (n == 0)
		return target;
	target += n;
	n = strcspn(target, "/");
	/* Nothing before the slash, or too much, is no name. */
	if (n == 0 || n >= size) {
		snprintf(ret_host, size, ":");
	} else {
		memcpy(ret_host, target, n);
		ret_host[n] = '\0';
	}
	return target[n] ? target + n : "/";
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 32);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t pst_gw_unescape(char *text)
{
	const char *from = text;
	char *to = text;
	int high, low;

	while (*from) {
		high = from[0] == '%' ? hex_digit(from[1]) : -1;
		low = high < 0 ? -1 : hex_digit(from[2]);
		if (low < 0 || high * 16 + low == '\0' ||
		    high * 16 + low == '/') {
			*to++ = *from++;
			continue;
		}
		*to++ = (char)(high * 16 + low);
		from += 3;
	}
	*to = '\0';
	return (size_t)(to - text);
}

bool pst_gw_field_is_good(const char *name)
{
	return *name &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "abcdefghijklmnopqrstuvwxyz"
			    "0123456789!#$%&'*+-.^_`|~") == strlen(name);
}

bool pst_gw_value_is_good(const char *value, size_t n)
{
	size_t i;

	for (i = 0; value && i < n; i++)
		if (((unsigned char)value[i] < ' ' && value[i] != '\t') ||
		    value[i] == 0x7f)
			return false;
	return true;
}

bool pst_gw_type_is_good(const char *type)
{
	const size_t n = strcspn(type, "; \t");

	return is(type, n, "application/json") ||
	       is(type, n, "application/octet-stream");
}

int pst_gw_length(const char *text, uint64_t *ret)
{
	uint64_t n = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || pst_mul_overflow(n, 10, &n) ||
		    pst_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return -EINVAL;
	}
	*ret = n;
	return 0;
}

const char *pst_gw_bearer(const char *authorization)
{
	if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
		return NULL;
	authorization += 7;
	return authorization + strspn(authorization, " ");
}

int pst_gw_base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Returns the bytes, or -EINVAL: other characters, a NUL, or no room. */
static int base64_decode(const char *s, char *room, size_t size)
{
	unsigned int bits = 0, n_bits = 0;
	size_t n = 0;
	int digit;

	for (; *s && *s != '='; s++) {
		digit = pst_gw_base64_digit(*s);
		if (digit < 0)
			return -EINVAL;
		bits = (bits << 6 | (unsigned int)digit) & 0xffff;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		n_bits -= 8;
		if (n + 1 >= size)
			return -EINVAL;
		room[n] = (char)(bits >> n_bits & 0xff);
		if (!room[n++])
			return -EINVAL;
	}
	if (strspn(s, "=") != strlen(s) || strlen(s) > 2)
		return -EINVAL;
	room[n] = '\0';
	return (int)n;
}

const char *pst_gw_token_of(const char *authorization, char *room, size_t size)
{
	const char *bearer = pst_gw_bearer(authorization), *colon;

	if (bearer)
		return (size_t)snprintf(room, size, "%s", bearer) < size ? room
									 : NULL;
	if (!authorization || strncasecmp(authorization, "Basic ", 6) != 0)
		return NULL;
	authorization += 6;
	authorization += strspn(authorization, " ");
	if (base64_decode(authorization, room, size) < 0)
		return NULL;
	/* The name before it says nothing. */
	colon = strchr(room, ':');
	return colon ? colon + 1 : NULL;
}

bool pst_gw_token_equal(const char *a, const char *b)
{
	const size_t n = strlen(a);
	volatile unsigned char diff = 0;
	size_t i;

	if (n != strlen(b))
		return false;
	for (i = 0; i < n; i++)
		diff = (unsigned char)(diff | ((unsigned char)a[i] ^
					       (unsigned char)b[i]));
	return diff == 0;
}

bool pst_gw_path_match(const char *pattern, const char *path, unsigned int max,
		       char (*ret_words)[64])
{
	unsigned int words = 0;
	size_t n;

	for (; *pattern; pattern++) {
		if (*pattern != '*') {
			if (*pattern != *path)
				return false;
			path++;
			continue;
		}
		n = strcspn(path, "/");
		if (n == 0 || n >= WORD_SIZE || words == max)
			return false;
		memcpy(ret_words[words], path, n);
		ret_words[words++][n] = '\0';
		path += n;
	}
	return *path == '\0';
}
