/* SPDX-License-Identifier: MIT */
/* Reads JSON piece by piece, without a tree: what a request says lies where it
 * was received until it is wanted, and numbers keep all their bits. */
#ifndef PST_HOST_CLIENT_GATEWAY_OIP_JSON_H
#define PST_HOST_CLIENT_GATEWAY_OIP_JSON_H

#include "transport/base/util.h"

/* Nested arrays and objects at most. */
#define PST_GW_JSON_DEPTH 32U

/* A text that is being read. The first failure stays: every function does
 * nothing then and returns 0 or false. */
struct pst_gw_json {
	const char *at, *end;
	const char *wrong; /* a phrase, or NULL */
	unsigned int depth;
	bool first; /* nothing was read yet in the innermost one */
};

/* A value that is read later. */
struct pst_gw_span {
	const char *at;
	size_t n;
};

void pst_gw_json_init(struct pst_gw_json *j, const char *text, size_t n);

/* Says what is wrong, unless something was before. Returns false. */
bool pst_gw_json_fail(struct pst_gw_json *j, const char *wrong);

/* The first character of the next value; 0: there is none. */
char pst_gw_json_peek(struct pst_gw_json *j);

/*
 * An array or object: open with '[' or '{', then as long as more is true read
 * one value (and in an object its key before), then it is closed.
 *
 *	for (pst_gw_json_open(j, '['); pst_gw_json_more(j, ']');)
 *		n = pst_gw_json_u64(j);
 */
bool pst_gw_json_open(struct pst_gw_json *j, char bracket);
bool pst_gw_json_more(struct pst_gw_json *j, char bracket);

/* A string, decoded, into size bytes with its NUL; too long a one fails. */
bool pst_gw_json_string(struct pst_gw_json *j, char *ret, size_t size);
/* The same with the colon behind it; a longer key than size becomes "". */
bool pst_gw_json_key(struct pst_gw_json *j, char *ret, size_t size);

/* Whether it is null, which is taken then. */
bool pst_gw_json_null(struct pst_gw_json *j);
uint64_t pst_gw_json_u64(struct pst_gw_json *j);
bool pst_gw_json_bool(struct pst_gw_json *j);
/* The text of a number of an array or object, in the grammar of JSON, on which
 * strtod() stops where it ends; n 0: there is none. */
struct pst_gw_span pst_gw_json_number(struct pst_gw_json *j);
/* Any value, which is checked to be one. */
struct pst_gw_span pst_gw_json_skip(struct pst_gw_json *j);

/* Nothing but white space may be left. Returns whether all was well. */
bool pst_gw_json_done(struct pst_gw_json *j);

#endif
