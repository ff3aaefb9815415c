/* SPDX-License-Identifier: MIT */
/* Looks up a group's number. */
#include "transport/base/group.h"

#include <grp.h>

int pst_group_find(const char *text, gid_t *ret)
{
	const struct group *g = getgrnam(text);
	uint64_t n;

	if (g) {
		*ret = g->gr_gid;
		return 0;
	}
	/* (gid_t)-1 means "unchanged" to chown(2). */
	if (pst_parse_u64(text, 0, UINT32_MAX - 1, &n) < 0)
		return -ENOENT;
	*ret = (gid_t)n;
	return 0;
}
