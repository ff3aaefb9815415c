/* SPDX-License-Identifier: MIT */
/* Puts pieces into a text. */
#ifndef PST_KERNEL_PARAMS_EDIT_REPLACE_H
#define PST_KERNEL_PARAMS_EDIT_REPLACE_H

#include <stddef.h>

/*
 * text with len bytes at off replaced by by; to be freed. NULL: out of memory.
 */
char *pst_host_text_replace(const char *text, size_t off, size_t len,
			    const char *by);

/* text (NULL: nothing) and more lines behind it, a missing newline put between;
 * to be freed. NULL: out of memory. */
char *pst_host_text_append(const char *text, const char *more);

#endif
