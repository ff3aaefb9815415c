/* SPDX-License-Identifier: MIT */
/* A text that grows: the body of a reply, JSON mostly. */
#ifndef PST_HOST_CLIENT_GATEWAY_HTTP_TEXT_H
#define PST_HOST_CLIENT_GATEWAY_HTTP_TEXT_H

#include "transport/base/util.h"

/* All zero is an empty one. After a failed allocation it stays as it is, and
 * failed is set: who is done asks once. */
struct pst_gw_text {
	char *at;
	size_t n, size;
	bool failed;
};

void pst_gw_text_done(struct pst_gw_text *t);

/* Room for n more bytes, which the caller writes and adds to t->n. NULL: out of
 * memory. */
char *pst_gw_text_room(struct pst_gw_text *t, size_t n);

void pst_gw_text_bytes(struct pst_gw_text *t, const char *s, size_t n);
void pst_gw_text_add(struct pst_gw_text *t, const char *s);
void pst_gw_text_format(struct pst_gw_text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A string of JSON, in quotes. What is no UTF-8 becomes U+FFFD. */
void pst_gw_text_json(struct pst_gw_text *t, const char *s);

#endif
