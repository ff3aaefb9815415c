/* SPDX-License-Identifier: MIT */
/* An output file that appears under its name whole, or not at all. */
#include "host-client/files/outfile.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* As many as the kernel follows. */
#define MAX_LINKS 40U

static const int caught[] = {SIGINT, SIGTERM, SIGHUP};

/* For the handler only: empty when there is nothing to remove. */
static char doomed[PATH_MAX];
static struct sigaction before[PST_ARRAY_SIZE(caught)];

static void on_signal(int sig)
{
	if (doomed[0])
		unlink(doomed);
	/* SA_RESETHAND: it now does what it does by default, once unblocked. */
	raise(sig);
}

static void catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal,
			       .sa_flags = (int)SA_RESETHAND};
	size_t i;

	sigemptyset(&sa.sa_mask);
	for (i = 0; i < PST_ARRAY_SIZE(caught); i++) {
		sigaction(caught[i], NULL, &before[i]);
		if (before[i].sa_handler != SIG_IGN)
			sigaction(caught[i], &sa, NULL);
	}
}

static void release_signals(void)
{
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(caught); i++)
		sigaction(caught[i], &before[i], NULL);
	doomed[0] = '\0';
}

/*
 * Whether whoever made this link may send us elsewhere: in a directory where
 * everybody puts files, as /tmp, only the caller and the directory's owner. The
 * kernel asks the same where fs.protected_symlinks is on, but only when it
 * opens a file, and we replace one.
 */
static bool may_follow(const struct stat *dir, const struct stat *link)
{
	return !(dir->st_mode & S_ISVTX) || !(dir->st_mode & S_IWOTH) ||
	       link->st_uid == geteuid() || link->st_uid == dir->st_uid;
}

/* Splits path into its directory and the name in it; both are the caller's. */
static int split(const char *path, char **ret_dir, char **ret_base)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	char *dir;

	if (!slash)
		dir = strdup(".");
	else
		dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	*ret_dir = dir;
	*ret_base = strdup(base);
	return dir && *ret_base ? 0 : -ENOMEM;
}

/* What the link name in dir says, as a path: 0, 1 (it is no link), or -errno.
 * One descriptor for both questions: the link could be changed between them. */
static int follow(const char *dir, const char *name, char **ret)
{
	PST_CLEANUP_FD int dirfd = -1;
	PST_CLEANUP_FD int fd = -1;
	struct stat dst, st;
	char text[PATH_MAX];
	ssize_t n;

	dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return -errno;
	fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || fstat(dirfd, &dst) < 0)
		return -errno;
	if (!S_ISLNK(st.st_mode))
		return 1;
	if (!may_follow(&dst, &st))
		return -EACCES;
	n = readlinkat(fd, "", text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	if (asprintf(ret, "%s%s%s", text[0] == '/' ? "" : dir,
		     text[0] == '/' ? "" : "/", text) < 0)
		return -ENOMEM;
	return 0;
}

/* The path at which the file itself is, links at its end followed; NULL: there
 * is no file. */
static int follow_all(const char *path, char **ret)
{
	char *at = strdup(path), *dir, *name, *next;
	unsigned int i;
	int r = at ? 0 : -ENOMEM;

	for (i = 0; r == 0; i++) {
		next = NULL;
		r = split(at, &dir, &name);
		if (r == 0)
			r = i < MAX_LINKS
				    ? follow(dir, *name ? name : ".", &next)
				    : -ELOOP;
		free(dir);
		free(name);
		if (r == 0) {
			free(at);
			at = next;
		}
	}
	if (r == 1) {
		*ret = at;
		return 0;
	}
	free(at);
	/* A link that leads nowhere is no name to make a file under. */
	return r == -ENOENT && i == 1 ? 1 : r;
}

/* The name that will be replaced: path, or what its link points to. */
static int resolve(const char *path, char **ret, struct pst_error *err)
{
	struct stat st;
	char *real = NULL;
	int r;

	r = follow_all(path, &real);
	if (r == 1) {
		*ret = strdup(path);
		return *ret ? 0 : -ENOMEM;
	}
	if (r == -EACCES && lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		return pst_error_set(err, r,
				     "%.200s is a symbolic link that somebody "
				     "else has put there",
				     path);
	if (r < 0)
		return pst_error_set_errno(err, r, "%.200s", path);
	*ret = real;
	if (lstat(real, &st) < 0)
		return pst_error_set_errno(err, errno, "%.200s", path);
	if (S_ISDIR(st.st_mode))
		return pst_error_set(err, -EISDIR, "%.200s is a directory",
				     path);
	if (!S_ISREG(st.st_mode))
		return pst_error_set(err, -EINVAL,
				     "%.200s exists and is not a regular file",
				     path);
	if (access(real, W_OK) < 0)
		return pst_error_set_errno(err, errno, "%.200s", path);
	return 0;
}

/* Chooses a temporary name beside o->path, in dir. */
static int choose_temp(struct pst_outfile *o, char dir[PATH_MAX])
{
	const char *slash = strrchr(o->path, '/');
	const char *base = slash ? slash + 1 : o->path;
	int n = (int)(base - o->path);
	uint64_t random;
	int r;

	if (!*base)
		return *o->path ? -EISDIR : -ENOENT;
	if (n > PATH_MAX - 256)
		return -ENAMETOOLONG;
	if (n)
		snprintf(dir, PATH_MAX, "%.*s", n, o->path);
	else
		strcpy(dir, ".");
	r = pst_random(&random, sizeof(random));
	if (r < 0)
		return r;
	if (asprintf(&o->temp, "%s/.%.200s.%016" PRIx64, dir, base, random) <
	    0) {
		o->temp = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int create(struct pst_outfile *o, struct pst_error *err)
{
	char dir[PATH_MAX];
	int r;

	r = choose_temp(o, dir);
	if (r < 0)
		return pst_error_set_errno(err, -r, "%.200s", o->path);
	/* Without a name nothing can be left behind, whatever kills us; it
	 * gets one through /proc. */
	if (access("/proc/self/fd", X_OK) == 0) {
		o->fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
		if (o->fd >= 0)
			return 0;
	}
	/* Any failure may mean that the file system cannot do that; a name
	 * fails with the true reason. */
	strcpy(doomed, o->temp);
	o->fd = open(o->temp, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
	if (o->fd >= 0)
		return 0;
	r = errno;
	doomed[0] = '\0';
	return pst_error_set_errno(err, r, "cannot write %.200s", o->path);
}

int pst_outfile_open(const char *path, struct pst_outfile *ret,
		     struct pst_error *err)
{
	struct pst_outfile o = {.fd = -1};
	int r;

	*ret = (struct pst_outfile){.fd = -1};
	r = resolve(path, &o.path, err);
	if (r == 0) {
		catch_signals();
		r = create(&o, err);
		if (r < 0)
			release_signals();
	}
	if (r < 0) {
		free(o.path);
		free(o.temp);
		return r;
	}
	*ret = o;
	return 0;
}

int pst_outfile_write(struct pst_outfile *o, const void *data, size_t n,
		      struct pst_error *err)
{
	const char *p = data;
	ssize_t done;

	while (n) {
		done = write(o->fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return pst_error_set_errno(
				err, errno, "cannot write %.200s", o->path);
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

static void end(struct pst_outfile *o)
{
	if (doomed[0])
		unlink(doomed);
	pst_close_fd(o->fd);
	release_signals();
	free(o->path);
	free(o->temp);
	*o = (struct pst_outfile){.fd = -1};
}

void pst_outfile_abandon(struct pst_outfile *o)
{
	if (o->path)
		end(o);
}

int pst_outfile_commit(struct pst_outfile *o, struct pst_error *err)
{
	char proc[64];
	int r;

	if (fsync(o->fd) < 0)
		goto failed;
	if (!doomed[0]) {
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", o->fd);
		strcpy(doomed, o->temp);
		if (linkat(AT_FDCWD, proc, AT_FDCWD, o->temp,
			   AT_SYMLINK_FOLLOW) < 0)
			goto failed;
	}
	if (rename(o->temp, o->path) < 0)
		goto failed;
	doomed[0] = '\0';
	end(o);
	return 0;
failed:
	r = pst_error_set_errno(err, errno, "cannot write %.200s", o->path);
	end(o);
	return r;
}
