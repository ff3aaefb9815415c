/* SPDX-License-Identifier: MIT */
/* The tokens that clients on TCP show, from a file. */
#ifndef PST_HOST_CLIENT_GATEWAY_HTTP_TOKEN_H
#define PST_HOST_CLIENT_GATEWAY_HTTP_TOKEN_H

#include "transport/base/error.h"
#include "transport/base/util.h"

#define PST_GW_MAX_TOKENS 64U

struct pst_gw_tokens {
	char *text; /* of the file, which token points into */
	const char *token[PST_GW_MAX_TOKENS];
	unsigned int n;
};

/*
 * Reads path: a token a line, of 16 printable characters or more; empty lines
 * and lines that begin with # do not count. Others than the owner and the group
 * must not be able to read the file. Returns 0 or -errno.
 */
int pst_gw_tokens_read(struct pst_gw_tokens *t, const char *path,
		       struct pst_error *err);
void pst_gw_tokens_done(struct pst_gw_tokens *t);

/* The number of a token, or -1. Looks at all of them, whichever it is. */
int pst_gw_tokens_find(const struct pst_gw_tokens *t, const char *token);

#endif
