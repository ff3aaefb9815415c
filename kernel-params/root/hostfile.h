/* SPDX-License-Identifier: MIT */
/* Replaces a file below a root, whole or not at all. */
#ifndef PST_KERNEL_PARAMS_ROOT_HOSTFILE_H
#define PST_KERNEL_PARAMS_ROOT_HOSTFILE_H

#include "kernel-params/root/root.h"

/* A place for a file: its directory, open, and its name there. */
struct pst_host_file {
	int dir; /* -1: the directory is missing */
	char name[256];
	const char *path; /* borrowed, for sentences */
};

/*
 * Finds the directory of path; links in its way stay below the root. A missing
 * one is no error, dir is -1 then. 0 (to be ended with pst_host_file_close())
 * or -errno with a sentence.
 */
PST_MUST_USE int pst_host_file_open(const struct pst_host_root *root,
				    const char *path, struct pst_host_file *ret,
				    struct pst_error *err);
void pst_host_file_close(struct pst_host_file *f);

/* Makes one directory, 0755; its parent is there. 0 (also when it is there),
 * or -errno with a sentence. */
PST_MUST_USE int pst_host_file_mkdir(const struct pst_host_root *root,
				     const char *path, struct pst_error *err);

/* Removes an empty directory; anything else is left as it is. */
void pst_host_file_rmdir(const struct pst_host_root *root, const char *path);

/*
 * Writes text beside the file, to disk, under a hidden name of ours: with
 * owner, mode and extended attributes of the file that is there, else with
 * mode. A file that is a symbolic link or no regular file is -EINVAL. 0 or
 * -errno with a sentence, and nothing left behind: -EROFS, -EACCES, -EPERM,
 * -ENOSPC, -EIO.
 */
PST_MUST_USE int pst_host_file_write(const struct pst_host_file *f,
				     const char *text, unsigned int mode,
				     struct pst_error *err);

/* Gives the written file its name. Then the file is the new one, also after a
 * crash. */
PST_MUST_USE int pst_host_file_commit(const struct pst_host_file *f,
				      struct pst_error *err);

/* Removes a written file that was not committed. */
void pst_host_file_discard(const struct pst_host_file *f);

/* Removes the file, also after a crash. A missing one is no error. */
PST_MUST_USE int pst_host_file_remove(const struct pst_host_file *f,
				      struct pst_error *err);

#endif
