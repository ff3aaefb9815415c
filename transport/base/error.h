/* SPDX-License-Identifier: MIT */
/* A failure described once, where it was seen: -errno and a sentence. */
#ifndef PST_TRANSPORT_BASE_ERROR_H
#define PST_TRANSPORT_BASE_ERROR_H

#include <errno.h>
#include <stdint.h>

struct pst_error {
	int code; /* -errno, 0 when nothing failed */
	char text[384];
};

/* No error. Cheaper than to zero all of it, on the way of every call. */
static inline void pst_error_clear(struct pst_error *e)
{
	e->code = 0;
	e->text[0] = '\0';
}

/*
 * Writes code and the formatted sentence into e, which may be NULL.
 * Returns code, so that `return pst_error_set(e, -EINVAL, ...)` reads well.
 * The sentence has no full stop and no newline at its end; control characters
 * that came in through arguments (peers' and files' text) become '?'.
 */
int pst_error_set(struct pst_error *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As pst_error_set(), with ": " and the text of errno value err appended. */
int pst_error_set_errno(struct pst_error *e, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "what: " before the sentence. Returns e's code. */
int pst_error_prefix(struct pst_error *e, const char *what);

/* Out of memory, said in one way. Returns -ENOMEM. */
static inline int pst_oom(struct pst_error *e)
{
	return pst_error_set(e, -ENOMEM, "out of memory");
}

/* A static phrase for an -errno of the fixed list (penstock.h), for 0, or for
 * any other value. Never NULL. */
const char *pst_errno_text(int err);

#endif
