/* SPDX-License-Identifier: MIT */
/* Counts the descriptors of the test, to find those that leak. */
#ifndef PST_TESTS_UNIT_FDS_H
#define PST_TESTS_UNIT_FDS_H

#include <check.h>
#include <dirent.h>

static inline int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

#endif
