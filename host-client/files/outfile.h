/* SPDX-License-Identifier: MIT */
/* An output file that appears under its name whole, or not at all. */
#ifndef PST_HOST_CLIENT_FILES_OUTFILE_H
#define PST_HOST_CLIENT_FILES_OUTFILE_H

#include <stddef.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/* Until pst_outfile_commit() it has no name, or, where the file system cannot
 * do that, a temporary one in the same directory. */
struct pst_outfile {
	int fd;
	char *path; /* the final one, symbolic links resolved; NULL: not open */
	char *temp; /* a temporary name, used or to be used */
};

/*
 * Prepares to write path: finds out now whether that will be possible. An
 * existing regular file is replaced at commit and untouched before. A symbolic
 * link is followed to it, unless somebody else put it into a directory where
 * everybody may (-EACCES), whatever fs.protected_symlinks says.
 * Returns 0, -EACCES, -ENOENT (no such directory), -EISDIR, -EINVAL (exists
 * and is no regular file), -errno; sentences name the path.
 *
 * One at a time in a process: SIGINT, SIGTERM and SIGHUP, unless ignored, are
 * caught until commit or abandon, remove the temporary name and then do what
 * they would have done.
 */
PST_MUST_USE int pst_outfile_open(const char *path, struct pst_outfile *ret,
				  struct pst_error *err);

/* Appends n bytes. Returns 0 or -errno. */
PST_MUST_USE int pst_outfile_write(struct pst_outfile *o, const void *data,
				   size_t n, struct pst_error *err);

/* Flushes to the disk and gives the file its name. Returns 0 or -errno; ends
 * o also on failure. */
PST_MUST_USE int pst_outfile_commit(struct pst_outfile *o,
				    struct pst_error *err);

/* Drops what was written. Does nothing after commit, or for a zeroed one. */
void pst_outfile_abandon(struct pst_outfile *o);

#endif
