/* SPDX-License-Identifier: MIT */
/* Where the files of named endpoints are looked for. */
#ifndef PST_TRANSPORT_BASE_ENDPOINT_DIRS_H
#define PST_TRANSPORT_BASE_ENDPOINT_DIRS_H

#include <limits.h>

#include "transport/base/util.h"

/* The end of their names. */
#define PST_ENDPOINT_SUFFIX ".conf"

struct pst_endpoint_dirs {
	const char *dirs[3]; /* in the order of the search, then NULL */
	char user[PATH_MAX];
};

/*
 * The system's directory, then the user's. A relative path in the environment
 * is ignored (XDG Base Directory Specification), and all of it in a set-user-ID
 * program.
 */
void pst_endpoint_dirs_find(struct pst_endpoint_dirs *ret);

#endif
