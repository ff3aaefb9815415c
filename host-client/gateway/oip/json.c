/* SPDX-License-Identifier: MIT */
/* Reads JSON piece by piece, without a tree. */
#include "host-client/gateway/oip/json.h"

#include <string.h>

void pst_gw_json_init(struct pst_gw_json *j, const char *text, size_t n)
{
	*j = (struct pst_gw_json){.at = text, .end = text + n};
}

bool pst_gw_json_fail(struct pst_gw_json *j, const char *wrong)
{
	if (!j->wrong)
		j->wrong = wrong;
	return false;
}

char pst_gw_json_peek(struct pst_gw_json *j)
{
	while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' ||
				  *j->at == '\n' || *j->at == '\r'))
		j->at++;
	return j->at < j->end && !j->wrong ? *j->at : '\0';
}

static bool take(struct pst_gw_json *j, char c)
{
	if (pst_gw_json_peek(j) != c || !c)
		return false;
	j->at++;
	return true;
}

bool pst_gw_json_open(struct pst_gw_json *j, char bracket)
{
	if (!take(j, bracket))
		return pst_gw_json_fail(j, bracket == '{'
						   ? "an object is expected"
						   : "an array is expected");
	if (++j->depth > PST_GW_JSON_DEPTH)
		return pst_gw_json_fail(j, "it is nested too deeply");
	j->first = true;
	return true;
}

bool pst_gw_json_more(struct pst_gw_json *j, char bracket)
{
	const bool first = j->first;

	j->first = false;
	if (j->wrong)
		return false;
	if (take(j, bracket)) {
		j->depth--;
		return false;
	}
	if (!first && !take(j, ','))
		return pst_gw_json_fail(j, "a comma or a bracket is missing");
	return true;
}

/* ---- Strings ---- */

static int hex4(struct pst_gw_json *j)
{
	int i, c, v = 0;

	for (i = 0; i < 4; i++) {
		c = j->at < j->end ? *j->at++ : 0;
		if (c >= '0' && c <= '9')
			v = v * 16 + c - '0';
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			v = v * 16 + (c | 32) - 'a' + 10;
		else
			return -1;
	}
	return v;
}

/* Behind \u: a character, of two halves if it has to be. 0: none. */
static unsigned int escaped(struct pst_gw_json *j)
{
	int high = hex4(j), low;

	if (high < 0xd800 || high > 0xdfff)
		return high > 0 ? (unsigned int)high : 0;
	if (high > 0xdbff || j->end - j->at < 6 || j->at[0] != '\\' ||
	    j->at[1] != 'u')
		return 0;
	j->at += 2;
	low = hex4(j);
	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	return 0x10000U + ((unsigned int)(high - 0xd800) << 10) +
	       (unsigned int)(low - 0xdc00);
}

static size_t encode(unsigned int c, char *to)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 63));
		to[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 63));
	to[2] = (char)(0x80 | (c >> 6 & 63));
	to[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* One character of a string, decoded to at most 4 bytes; 0: it is wrong. */
static size_t character(struct pst_gw_json *j, char *to)
{
	static const char plain[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	const char *p;
	unsigned int c;

	if ((unsigned char)*j->at < 32)
		return 0;
	to[0] = *j->at++;
	if (to[0] != '\\')
		return 1;
	if (j->at == j->end || !*j->at)
		return 0;
	if (*j->at != 'u') {
		p = strchr(plain, *j->at++);
		if (!p)
			return 0;
		to[0] = means[p - plain];
		return 1;
	}
	j->at++;
	c = escaped(j);
	return c ? encode(c, to) : 0;
}

/* ret NULL: only checked. Returns whether it fitted. */
static bool string(struct pst_gw_json *j, char *ret, size_t size)
{
	bool fits = true;
	size_t n = 0, k;
	char c[4];

	if (!take(j, '"')) {
		pst_gw_json_fail(j, "a string is expected");
		return true;
	}
	while (j->at < j->end && *j->at != '"') {
		k = character(j, c);
		if (k == 0) {
			pst_gw_json_fail(j, "a string is malformed");
			return true;
		}
		fits = fits && n + k < size;
		if (ret && fits)
			memcpy(ret + n, c, k);
		n += k;
	}
	if (j->at == j->end)
		pst_gw_json_fail(j, "a string does not end");
	else
		j->at++;
	if (ret && size)
		ret[fits ? n : 0] = '\0';
	return fits;
}

bool pst_gw_json_string(struct pst_gw_json *j, char *ret, size_t size)
{
	ret[0] = '\0';
	if (!string(j, ret, size))
		pst_gw_json_fail(j, "a string is too long");
	return !j->wrong;
}

bool pst_gw_json_key(struct pst_gw_json *j, char *ret, size_t size)
{
	ret[0] = '\0';
	(void)string(j, ret, size);
	if (!take(j, ':'))
		pst_gw_json_fail(j, "a colon is missing");
	return !j->wrong;
}

/* ---- Other values ---- */

static size_t digits(struct pst_gw_json *j)
{
	const char *from = j->at;

	while (j->at < j->end && *j->at >= '0' && *j->at <= '9')
		j->at++;
	return (size_t)(j->at - from);
}

struct pst_gw_span pst_gw_json_number(struct pst_gw_json *j)
{
	struct pst_gw_span s;
	bool good;

	pst_gw_json_peek(j);
	s.at = j->at;
	if (j->at < j->end && *j->at == '-')
		j->at++;
	good = j->at < j->end &&
	       (*j->at == '0' ? (j->at++, true) : digits(j) > 0);
	if (good && j->at < j->end && *j->at == '.') {
		j->at++;
		good = digits(j) > 0;
	}
	if (good && j->at < j->end && (*j->at | 32) == 'e') {
		j->at++;
		if (j->at < j->end && (*j->at == '+' || *j->at == '-'))
			j->at++;
		good = digits(j) > 0;
	}
	/* What follows ends it for strtod(), too. */
	if (!good || j->at == j->end || !*j->at ||
	    !strchr(",]} \t\r\n", *j->at))
		pst_gw_json_fail(j, "a number is expected");
	s.n = j->wrong ? 0 : (size_t)(j->at - s.at);
	return s;
}

uint64_t pst_gw_json_u64(struct pst_gw_json *j)
{
	const struct pst_gw_span s = pst_gw_json_number(j);
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.at[i] < '0' || s.at[i] > '9' ||
		    pst_mul_overflow(v, 10, &v) ||
		    pst_add_overflow(v, (uint64_t)(s.at[i] - '0'), &v)) {
			pst_gw_json_fail(j, "a whole number from 0 to 2^64 - 1 "
					    "is expected");
			return 0;
		}
	return v;
}

static bool word(struct pst_gw_json *j, const char *w)
{
	const size_t n = strlen(w);

	if (pst_gw_json_peek(j) != w[0] || (size_t)(j->end - j->at) < n ||
	    memcmp(j->at, w, n) != 0)
		return false;
	j->at += n;
	return true;
}

bool pst_gw_json_null(struct pst_gw_json *j)
{
	return word(j, "null");
}

bool pst_gw_json_bool(struct pst_gw_json *j)
{
	if (word(j, "true"))
		return true;
	if (!word(j, "false"))
		pst_gw_json_fail(j, "true or false is expected");
	return false;
}

/* Bounded by PST_GW_JSON_DEPTH. */
static void skip(struct pst_gw_json *j)
{
	const char c = pst_gw_json_peek(j);
	const char close = c == '{' ? '}' : ']';

	if (c == '{' || c == '[') {
		pst_gw_json_open(j, c);
		while (pst_gw_json_more(j, close)) {
			if (c == '{') {
				(void)string(j, NULL, 0);
				if (!take(j, ':'))
					pst_gw_json_fail(j,
							 "a colon is missing");
			}
			skip(j);
		}
	} else if (c == '"') {
		(void)string(j, NULL, 0);
	} else if (c == 't' || c == 'f') {
		(void)pst_gw_json_bool(j);
	} else if (!pst_gw_json_null(j)) {
		(void)pst_gw_json_number(j);
	}
}

struct pst_gw_span pst_gw_json_skip(struct pst_gw_json *j)
{
	struct pst_gw_span s;

	pst_gw_json_peek(j);
	s.at = j->at;
	skip(j);
	s.n = j->wrong ? 0 : (size_t)(j->at - s.at);
	return s;
}

bool pst_gw_json_done(struct pst_gw_json *j)
{
	(void)pst_gw_json_peek(j);
	if (j->at != j->end)
		pst_gw_json_fail(j, "something follows its end");
	return !j->wrong;
}
