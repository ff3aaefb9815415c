/* SPDX-License-Identifier: MIT */
/* Opens a region's file by its name, and checks the owners of file and
 * directory. */
#include "transport/region/region_int.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* Entries of the user database, some of which are long. */
#define PASSWD_BUF 4096U

void pst_region_user_name(uid_t uid, char ret[PST_REGION_USER])
{
	char buf[PASSWD_BUF];
	struct passwd pw, *found = NULL;

	if (getpwuid_r(uid, &pw, buf, sizeof(buf), &found) == 0 && found)
		snprintf(ret, PST_REGION_USER, "%.32s", pw.pw_name);
	else
		snprintf(ret, PST_REGION_USER, "uid %u", uid);
}

bool pst_region_trusts(uid_t uid)
{
	/* Those of Debian and Arch, of Fedora, and the agent's own. */
	static const char *const names[] = {"libvirt-qemu", "qemu", "penstock"};
	char name[PST_REGION_USER];
	size_t i;

	if (uid == 0 || uid == geteuid())
		return true;
	pst_region_user_name(uid, name);
	for (i = 0; i < PST_ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* 0, or -EPERM with a sentence about name. */
static int check_owner(const char *name, uid_t uid, struct pst_error *err)
{
	char user[PST_REGION_USER];

	if (pst_region_trusts(uid))
		return 0;
	pst_region_user_name(uid, user);
	return pst_error_set(
		err, -EPERM,
		"%s belongs to %s, who could shrink it: a region's file "
		"must belong to root, to the caller, or to QEMU's user",
		name, user);
}

/* A group that may write to a directory gives names to files in it. */
static bool group_counts(gid_t dir, const struct stat *file)
{
	return dir == 0 || dir == getegid() ||
	       (file && (file->st_mode & S_IWGRP) && file->st_gid == dir);
}

int pst_region_check_dir(int dir, const char *path, const struct stat *file,
			 struct pst_error *err)
{
	struct stat st;

	if (fstat(dir, &st) < 0)
		return pst_error_set_errno(err, errno, "directory of %s", path);
	if (!pst_region_trusts(st.st_uid))
		return pst_error_set(err, -EPERM,
				     "the directory of %s belongs to uid %u, "
				     "who could replace the file",
				     path, st.st_uid);
	/* Where it is sticky, only a file's owner takes its name away. */
	if (st.st_mode & S_ISVTX)
		return 0;
	if ((st.st_mode & S_IWOTH) ||
	    ((st.st_mode & S_IWGRP) && !group_counts(st.st_gid, file)))
		return pst_error_set(err, -EPERM,
				     "others may write to the directory of %s "
				     "and so put another file there (chmod "
				     "go-w, or +t)",
				     path);
	return 0;
}

int pst_region_open_dir(const char *path, const char **ret_base)
{
	const char *slash = strrchr(path, '/');
	PST_CLEANUP_FREE char *dir = NULL;
	int fd;

	*ret_base = slash ? slash + 1 : path;
	dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	if (!dir)
		return -ENOMEM;
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int pst_region_open_path(const char *path, struct pst_error *err)
{
	const int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	PST_CLEANUP_FD int dir = -1;
	PST_CLEANUP_FD int fd = -1;
	const char *base;
	struct statfs fs;
	struct stat st;
	int r;

	dir = pst_region_open_dir(path, &base);
	if (dir < 0)
		return pst_error_set_errno(err, dir,
					   "cannot open region file %s", path);
	if (!*base)
		base = ".";
	fd = openat(dir, base, flags | O_NOFOLLOW);
	/* The descriptors in /proc are links that nobody can plant. */
	if (fd < 0 && errno == ELOOP && fstatfs(dir, &fs) == 0 &&
	    fs.f_type == PROC_SUPER_MAGIC)
		fd = openat(dir, base, flags);
	if (fd < 0 && errno == ELOOP)
		return pst_error_set(err, -ELOOP,
				     "the region file %s is a symbolic link: "
				     "name the file itself",
				     path);
	if (fd < 0)
		return pst_error_set_errno(err, errno,
					   "cannot open region file %s", path);
	if (fstat(fd, &st) < 0)
		return pst_error_set_errno(err, errno, "%s", path);
	r = check_owner(path, st.st_uid, err);
	if (r == 0)
		r = pst_region_check_dir(dir, path, &st, err);
	if (r < 0)
		return r;
	r = fd;
	fd = -1;
	return r;
}
