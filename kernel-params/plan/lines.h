/* SPDX-License-Identifier: MIT */
/* A growing list of lines. */
#ifndef PST_KERNEL_PARAMS_PLAN_LINES_H
#define PST_KERNEL_PARAMS_PLAN_LINES_H

#include <stdarg.h>
#include <stddef.h>

#include "transport/base/util.h"

/* Ended by NULL. */
struct pst_host_lines {
	char **line;
	size_t n;
};

/* Adds a line unless it is there. 0 or -ENOMEM. */
PST_MUST_USE int pst_host_lines_add(struct pst_host_lines *l, const char *fmt,
				    ...) __attribute__((format(printf, 2, 3)));
PST_MUST_USE int pst_host_lines_vadd(struct pst_host_lines *l, const char *fmt,
				     va_list ap)
	__attribute__((format(printf, 2, 0)));
void pst_host_lines_done(struct pst_host_lines *l);
/* The lines, ended by NULL, also when there are none. */
const char *const *pst_host_lines_list(const struct pst_host_lines *l);

#endif
