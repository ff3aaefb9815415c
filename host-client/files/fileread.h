/* SPDX-License-Identifier: MIT */
/* Reads a file straight into the region, without a bounce copy. */
#ifndef PST_HOST_CLIENT_FILES_FILEREAD_H
#define PST_HOST_CLIENT_FILES_FILEREAD_H

#include <stddef.h>
#include <stdint.h>

#include "transport/base/error.h"

enum pst_fileread_how {
	PST_FILEREAD_AUTO,
	PST_FILEREAD_URING_DIRECT, /* O_DIRECT through io_uring */
	PST_FILEREAD_URING,        /* buffered through io_uring */
	PST_FILEREAD_PREAD,
};

/*
 * Reads [0, size) of the file open as fd into dst; several requests are under
 * way at once. dst has pst_fileread_room(size) bytes and, for O_DIRECT, is
 * aligned to 4096; bytes behind size up to there may be overwritten. AUTO
 * tries direct, then buffered io_uring, then pread, and begins with buffered
 * when the page cache has the file already; *ret_how (may be NULL)
 * tells which it was. Returns 0, -EINVAL (neither a regular file nor a block
 * device; direct asked for and refused), -EIO, -ENODATA (the file ended before
 * size), -EOVERFLOW, -errno.
 */
int pst_fileread(int fd, void *dst, uint64_t size, enum pst_fileread_how how,
		 enum pst_fileread_how *ret_how, struct pst_error *err);

/* size rounded up to what O_DIRECT needs (4096). */
static inline uint64_t pst_fileread_room(uint64_t size)
{
	return (size + 4095) & ~4095ULL;
}

#endif
