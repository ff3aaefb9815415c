/* SPDX-License-Identifier: MIT */
/* A temporary directory for one test case, and paths in it. */
#ifndef PST_TESTS_UNIT_TMPDIR_H
#define PST_TESTS_UNIT_TMPDIR_H

#include <check.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char tmpdir[64];

static inline void tmpdir_make(void)
{
	snprintf(tmpdir, sizeof(tmpdir), "unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(tmpdir));
}

static inline int tmpdir_remove_entry(const char *path, const struct stat *st,
				      int type, struct FTW *ftw)
{
	return remove(path);
}

static inline void tmpdir_remove(void)
{
	nftw(tmpdir, tmpdir_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of name in the directory; one of four buffers, taken in turn. */
static inline const char *tmpdir_path(const char *name)
{
	static char buf[4][PATH_MAX];
	static unsigned int next;
	char *p = buf[next++ % 4];

	snprintf(p, PATH_MAX, "%s/%s", tmpdir, name);
	return p;
}

#endif
