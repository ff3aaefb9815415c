/* SPDX-License-Identifier: MIT */
/* Replaces a file: temporary file, fsync, rename, fsync of the directory. */
#include "kernel-params/root/hostfile.h"

#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

/* Bytes of all names, and of one value, of extended attributes. */
#define XATTR_NAMES_MAX 4096
#define XATTR_VALUE_MAX 65536

/* "dir/name" of path, without the slash it begins with. */
static int split(const char *path, char dir[PST_HOST_ROOT_PATH_MAX], char *name,
		 size_t size)
{
	const char *slash;

	path += strspn(path, "/");
	slash = strrchr(path, '/');
	if (snprintf(name, size, "%s", slash ? slash + 1 : path) >= (int)size ||
	    !*name)
		return -EMSGSIZE;
	return pst_host_path(dir, "%.*s", slash ? (int)(slash - path) : 1,
			     slash ? path : ".");
}

/* The directory without any link in its path, each followed below the root. */
static int resolve(const struct pst_host_root *root, const char *dir,
		   char real[PST_HOST_ROOT_PATH_MAX])
{
	char next[PST_HOST_ROOT_PATH_MAX];
	size_t len;
	int r = 0;

	*real = '\0';
	for (; r == 0 && *dir; dir += len + (dir[len] == '/')) {
		len = strcspn(dir, "/");
		r = pst_host_path(next, "%s/%.*s", real, (int)len, dir);
		if (r == 0)
			r = pst_host_root_dir(root, next, real,
					      PST_HOST_ROOT_PATH_MAX);
	}
	return r;
}

/* Opens it step by step, so that a link that comes in between is no way out. */
static int open_dir(const struct pst_host_root *root, const char *dir)
{
	char real[PST_HOST_ROOT_PATH_MAX], *p = real;
	int r = resolve(root, dir, real), fd, next;

	if (r < 0)
		return r;
	fd = openat(root->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && *p) {
		char *name = p;

		p = strchrnul(p, '/');
		if (*p)
			*p++ = '\0';
		if (!*name)
			continue;
		next = openat(fd, name,
			      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		pst_close_fd(fd);
		fd = next;
	}
	return fd < 0 ? -errno : fd;
}

int pst_host_file_open(const struct pst_host_root *root, const char *path,
		       struct pst_host_file *ret, struct pst_error *err)
{
	char dir[PST_HOST_ROOT_PATH_MAX];
	int r;

	*ret = (struct pst_host_file){.dir = -1, .path = path};
	/* Room for the hidden name. */
	r = split(path, dir, ret->name, sizeof(ret->name) - 16);
	if (r < 0)
		return pst_error_set(err, r, "the path %s is too long", path);
	r = open_dir(root, dir);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return pst_error_set_errno(err, -r, "cannot open /%s", dir);
	ret->dir = r;
	return 0;
}

void pst_host_file_close(struct pst_host_file *f)
{
	pst_close_fd(f->dir);
	f->dir = -1;
}

/* All that was missing has been made, but for what a link leads to. */
static int no_dir(const struct pst_host_file *f, struct pst_error *err)
{
	return pst_error_set(err, -ENOENT,
			     "cannot make %s: a link in its way leads nowhere",
			     f->path);
}

int pst_host_file_mkdir(const struct pst_host_root *root, const char *path,
			struct pst_error *err)
{
	struct pst_host_file f;
	int r = pst_host_file_open(root, path, &f, err);

	if (r < 0)
		return r;
	if (f.dir < 0)
		return no_dir(&f, err);
	/* Whatever the umask is: others than root have to read what is in it.
	 */
	if (mkdirat(f.dir, f.name, 0755) < 0
		    ? errno != EEXIST
		    : fchmodat(f.dir, f.name, 0755, 0) < 0)
		r = pst_error_set_errno(err, errno, "cannot make %s", path);
	else if (fsync(f.dir) < 0)
		r = pst_error_set_errno(err, errno, "cannot write %s", path);
	pst_host_file_close(&f);
	return r;
}

void pst_host_file_rmdir(const struct pst_host_root *root, const char *path)
{
	struct pst_host_file f;

	if (pst_host_file_open(root, path, &f, NULL) < 0)
		return;
	if (f.dir >= 0)
		(void)unlinkat(f.dir, f.name, AT_REMOVEDIR);
	pst_host_file_close(&f);
}

static void temp_name(const struct pst_host_file *f, char buf[272])
{
	snprintf(buf, 272, ".%s.penstock", f->name);
}

/* Extended attributes (SELinux label, ACL, capabilities) of from, if any. */
static int copy_xattrs(int from, int to)
{
	PST_CLEANUP_FREE char *names = malloc(XATTR_NAMES_MAX);
	PST_CLEANUP_FREE char *value = malloc(XATTR_VALUE_MAX);
	ssize_t n, len;
	char *p;

	if (!names || !value)
		return -ENOMEM;
	n = flistxattr(from, names, XATTR_NAMES_MAX);
	if (n < 0)
		return errno == ENOTSUP || errno == ENOSYS ? 0 : -errno;
	for (p = names; p < names + n; p += strlen(p) + 1) {
		len = fgetxattr(from, p, value, XATTR_VALUE_MAX);
		if (len < 0)
			return -errno;
		if (fsetxattr(to, p, value, (size_t)len, 0) < 0 &&
		    errno != ENOTSUP)
			return -errno;
	}
	return 0;
}

/* Gives the file to what the one that is there has. 0, 1 (none), -errno. */
static int copy_metadata(const struct pst_host_file *f, int to)
{
	PST_CLEANUP_FD int from =
		openat(f->dir, f->name,
		       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat is, now;

	if (from < 0)
		return errno == ENOENT ? 1 : errno == ELOOP ? -EINVAL : -errno;
	if (fstat(from, &is) < 0 || fstat(to, &now) < 0)
		return -errno;
	if (!S_ISREG(is.st_mode))
		return -EINVAL;
	if ((is.st_uid != now.st_uid || is.st_gid != now.st_gid) &&
	    fchown(to, is.st_uid, is.st_gid) < 0)
		return -errno;
	if ((is.st_mode & 07777) != (now.st_mode & 07777) &&
	    fchmod(to, is.st_mode & 07777) < 0)
		return -errno;
	return copy_xattrs(from, to);
}

static int write_all(int fd, const char *p)
{
	size_t left = strlen(p);

	while (left > 0) {
		ssize_t n = write(fd, p, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		left -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int pst_host_file_write(const struct pst_host_file *f, const char *text,
			unsigned int mode, struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	char temp[272];
	int r;

	if (f->dir < 0)
		return no_dir(f, err);
	temp_name(f, temp);
	pst_host_file_discard(f);
	fd = openat(f->dir, temp,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return pst_error_set_errno(err, errno, "cannot write beside %s",
					   f->path);
	r = copy_metadata(f, fd);
	if (r == 1)
		r = fchmod(fd, mode) < 0 ? -errno : 0;
	if (r == 0)
		r = write_all(fd, text);
	if (r == 0)
		return 0;
	pst_host_file_discard(f);
	if (r == -EINVAL)
		return pst_error_set(err, r,
				     "%s is a symbolic link or no regular "
				     "file: something else manages it",
				     f->path);
	return pst_error_set_errno(err, -r, "cannot write %s", f->path);
}

int pst_host_file_commit(const struct pst_host_file *f, struct pst_error *err)
{
	char temp[272];

	temp_name(f, temp);
	if (renameat(f->dir, temp, f->dir, f->name) < 0 || fsync(f->dir) < 0)
		return pst_error_set_errno(err, errno, "cannot replace %s",
					   f->path);
	return 0;
}

void pst_host_file_discard(const struct pst_host_file *f)
{
	char temp[272];

	temp_name(f, temp);
	if (f->dir >= 0)
		(void)unlinkat(f->dir, temp, 0);
}

int pst_host_file_remove(const struct pst_host_file *f, struct pst_error *err)
{
	if (f->dir < 0)
		return 0;
	if ((unlinkat(f->dir, f->name, 0) < 0 && errno != ENOENT) ||
	    fsync(f->dir) < 0)
		return pst_error_set_errno(err, errno, "cannot remove %s",
					   f->path);
	return 0;
}
