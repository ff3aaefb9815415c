/* SPDX-License-Identifier: MIT */
/* Reads structures that begin with their size, from callers of older and newer
 * headers. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_ARGS_H
#define PST_HOST_CLIENT_LIB_PLAIN_ARGS_H

#include <stddef.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/* A structure as this library knows it. */
struct pst_args_kind {
	const char *init; /* the macro that its caller begins with */
	size_t size;
	size_t least; /* of the oldest that says what is needed */
};

/*
 * Copies args to ret, kind->size bytes. Members that the caller does not know
 * are zero. -EINVAL: the size is not set, or a member that this library does
 * not know is not zero.
 */
PST_MUST_USE int pst_args_take(const struct pst_args_kind *kind,
			       const void *args, void *ret,
			       struct pst_error *err);

#endif
