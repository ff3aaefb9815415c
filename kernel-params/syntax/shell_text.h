/* SPDX-License-Identifier: MIT */
/* Finds where a shell file assigns a variable, for editing in place. */
#ifndef PST_KERNEL_PARAMS_SYNTAX_SHELL_TEXT_H
#define PST_KERNEL_PARAMS_SYNTAX_SHELL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * One assignment of a plain value. The value's text, without its quotes, is
 * len bytes at off; it may have "$" and escapes in it, which stay what they
 * are. clear is false where the line does more than assign one quoted or bare
 * word for sure: continued lines, conditions, several quotes, a command
 * behind it. Such a line must not be edited; off and len mean nothing then.
 */
struct pst_host_shell_assign {
	size_t off, len;
	unsigned int line; /* counted from 1 */
	char quote;        /* '"', '\'' or 0 */
	bool clear;
	bool adds; /* +=, or the value names its own variable */
};

/*
 * The next assignment of the variable from *pos on, which moves behind it.
 * False when there is none. *line counts along; both begin at 0. Comments are
 * no assignments.
 */
bool pst_host_shell_next(const char *text, const char *name, size_t *pos,
			 unsigned int *line, struct pst_host_shell_assign *ret);

/* Why the line that ends at end (*pos of the above) does more than assign one
 * value; a text that is cut off where it is long. */
void pst_host_shell_fault(const char *text, size_t end, char *ret, size_t size);

/* Whether the last line goes on, so that none can be put behind it. */
bool pst_host_shell_goes_on(const char *text);

/*
 * text with len bytes at off replaced by by; to be freed. NULL: out of memory.
 */
char *pst_host_text_replace(const char *text, size_t off, size_t len,
			    const char *by);

/* text (NULL: nothing) and more lines behind it, a missing newline put between;
 * to be freed. NULL: out of memory. */
char *pst_host_text_append(const char *text, const char *more);

#endif
