/* SPDX-License-Identifier: MIT */
/* Looks up a group's number. */
#ifndef PST_TRANSPORT_BASE_GROUP_H
#define PST_TRANSPORT_BASE_GROUP_H

#include <sys/types.h>

#include "transport/base/util.h"

/* The number of a group that is named, or given as a number, which need not
 * have a name. Returns 0, or -ENOENT with *ret unchanged. */
PST_MUST_USE int pst_group_find(const char *text, gid_t *ret);

#endif
