/* SPDX-License-Identifier: MIT */
/* An output file that appears under its name whole, or not at all. */
#include "host-client/outfile.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

/* The name that will be replaced: path, or what its link points to. */
static int resolve(const char *path, char **ret, struct pst_error *err)
{
	struct stat st;
	char *real;

	if (lstat(path, &st) < 0) {
		if (errno != ENOENT)
			return pst_error_set_errno(err, errno, "%.200s", path);
		*ret = strdup(path);
		return *ret ? 0 : -ENOMEM;
	}
	real = realpath(path, NULL);
	if (!real)
		return pst_error_set_errno(err, errno, "%.200s", path);
	*ret = real;
	if (stat(real, &st) < 0)
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
	int rc;

	if (!*base)
		return *o->path ? -EISDIR : -ENOENT;
	if (n > PATH_MAX - 256)
		return -ENAMETOOLONG;
	if (n)
		snprintf(dir, PATH_MAX, "%.*s", n, o->path);
	else
		strcpy(dir, ".");
	rc = pst_random(&random, sizeof(random));
	if (rc < 0)
		return rc;
	if (asprintf(&o->temp, "%s/.%.200s.%016llx", dir, base,
		     (unsigned long long)random) < 0) {
		o->temp = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int create(struct pst_outfile *o, struct pst_error *err)
{
	char dir[PATH_MAX];
	int rc;

	rc = choose_temp(o, dir);
	if (rc < 0)
		return pst_error_set_errno(err, -rc, "%.200s", o->path);
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
	rc = errno;
	doomed[0] = '\0';
	return pst_error_set_errno(err, rc, "cannot write %.200s", o->path);
}

int pst_outfile_open(const char *path, struct pst_outfile *ret,
		     struct pst_error *err)
{
	struct pst_outfile o = {.fd = -1};
	int rc;

	*ret = (struct pst_outfile){.fd = -1};
	rc = resolve(path, &o.path, err);
	if (rc == 0) {
		catch_signals();
		rc = create(&o, err);
		if (rc < 0)
			release_signals();
	}
	if (rc < 0) {
		free(o.path);
		free(o.temp);
		return rc;
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
	int rc;

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
	rc = pst_error_set_errno(err, errno, "cannot write %.200s", o->path);
	end(o);
	return rc;
}
