/* SPDX-License-Identifier: MIT */
/* Files, links and directories below a root: by openat2(2), or step by step. */
#include "kernel-params/root/root.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

/* As many links as the kernel follows in one path (path_resolution(7)). */
#define MAX_LINKS 40

int pst_host_path(char ret[PST_HOST_ROOT_PATH_MAX], const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(ret, PST_HOST_ROOT_PATH_MAX, fmt, ap);
	va_end(ap);
	return n < 0 || n >= PST_HOST_ROOT_PATH_MAX ? -EMSGSIZE : 0;
}

int pst_host_root_open(const char *dir, struct pst_host_root *ret,
		       struct pst_error *err)
{
	struct stat own, slash;
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return pst_error_set_errno(err, errno, "cannot open %s", dir);
	*ret = (struct pst_host_root){.fd = fd};
	if (fstat(fd, &own) == 0 && stat("/", &slash) == 0)
		ret->live = own.st_dev == slash.st_dev &&
			    own.st_ino == slash.st_ino;
	return 0;
}

void pst_host_root_close(struct pst_host_root *r)
{
	if (!r)
		return;
	pst_close_fd(r->fd);
	r->fd = -1;
}

/* Drops the last component of a path without a slash at its end. */
static void pop(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
	else
		*path = '\0';
}

/* Adds one component; "." and ".." are dealt with. 0 or -EMSGSIZE. */
static int push(char *path, const char *name, size_t n)
{
	size_t len = strlen(path);

	if (n == 0 || (n == 1 && name[0] == '.'))
		return 0;
	if (n == 2 && name[0] == '.' && name[1] == '.') {
		pop(path);
		return 0;
	}
	if (len + n + 2 > PST_HOST_ROOT_PATH_MAX)
		return -EMSGSIZE;
	if (len)
		path[len++] = '/';
	memcpy(path + len, name, n);
	path[len + n] = '\0';
	return 0;
}

/* Adds every component of text, from the root when it begins with a slash. */
static int push_all(char *path, const char *text)
{
	int r = 0;

	if (*text == '/')
		*path = '\0';
	while (*text && r == 0) {
		size_t n = strcspn(text, "/");

		r = push(path, text, n);
		text += n;
		text += *text == '/';
	}
	return r;
}

static int at(const struct pst_host_root *r, const char *path, int flags)
{
	int fd = openat(r->fd, *path ? path : ".", flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/*
 * One step of walk(): done holds no link; takes the first component of rest,
 * of which a link's text becomes the beginning.
 */
static int walk_step(const struct pst_host_root *r, char *done, char *rest,
		     bool keep_last, unsigned int *links)
{
	char link[PST_HOST_ROOT_PATH_MAX], tail[PST_HOST_ROOT_PATH_MAX];
	size_t n = strcspn(rest, "/");
	ssize_t len;
	int rc;

	strcpy(tail, rest + n + (rest[n] == '/'));
	rc = push(done, rest, n);
	if (rc < 0)
		return rc;
	len = *done ? readlinkat(r->fd, done, link, sizeof(link) - 1) : -1;
	if (len < 0 || (keep_last && !*tail)) {
		strcpy(rest, tail);
		return len < 0 && *done && errno != EINVAL ? -errno : 0;
	}
	link[len] = '\0';
	if (++*links > MAX_LINKS)
		return -ELOOP;
	if (*link == '/')
		*done = '\0';
	else
		pop(done);
	return pst_host_path(rest, "%s/%s", link, tail);
}

/* What openat2() with RESOLVE_IN_ROOT does, for kernels that deny it. */
static int walk(const struct pst_host_root *r, const char *path, int flags)
{
	char done[PST_HOST_ROOT_PATH_MAX] = "", rest[PST_HOST_ROOT_PATH_MAX];
	bool keep_last = flags & O_NOFOLLOW;
	unsigned int links = 0;
	int rc = pst_host_path(rest, "%s", path);

	while (rc == 0 && *rest)
		rc = walk_step(r, done, rest, keep_last, &links);
	return rc < 0 ? rc : at(r, done, flags | O_NOFOLLOW);
}

static int resolve(const struct pst_host_root *r, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd;
	int tries;

	if (strlen(path) >= PST_HOST_ROOT_PATH_MAX)
		return -EMSGSIZE;
	/* EAGAIN: something was renamed meanwhile (openat2(2)). */
	for (tries = 0; !r->own_walk && tries < 8; tries++) {
		fd = syscall(SYS_openat2, r->fd, *path ? path : ".", &how,
			     sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno == ENOSYS || errno == EPERM || errno == E2BIG)
			break;
		if (errno != EAGAIN)
			return -errno;
	}
	return walk(r, path, flags);
}

/* What lies over a path, or NULL. */
static const struct pst_host_overlay *over(const struct pst_host_root *r,
					   const char *path)
{
	size_t i;

	path += strspn(path, "/");
	for (i = 0; i < r->n_over; i++)
		if (strcmp(r->over[i].path + 1, path) == 0)
			return &r->over[i];
	return NULL;
}

static void tell(const struct pst_host_root *r, const char *path,
		 enum pst_host_root_use use)
{
	if (r->asked)
		r->asked(r->asked_ctx, path, use);
}

int pst_host_root_stat(const struct pst_host_root *r, const char *path,
		       struct stat *ret)
{
	const struct pst_host_overlay *o = over(r, path);
	PST_CLEANUP_FD int fd = o ? -1 : resolve(r, path, O_PATH);

	tell(r, path, PST_HOST_ROOT_STAT);
	if (o) {
		*ret = (struct stat){.st_mode = S_IFREG | 0644};
		return o->text ? 0 : -ENOENT;
	}
	if (fd < 0)
		return fd;
	return fstat(fd, ret) < 0 ? -errno : 0;
}

bool pst_host_root_exists(const struct pst_host_root *r, const char *path)
{
	struct stat st;

	return pst_host_root_stat(r, path, &st) == 0;
}

bool pst_host_root_is_link(const struct pst_host_root *r, const char *path)
{
	PST_CLEANUP_FD int fd = resolve(r, path, O_PATH | O_NOFOLLOW);
	struct stat st;

	tell(r, path, PST_HOST_ROOT_STAT);
	return !over(r, path) && fd >= 0 && fstat(fd, &st) == 0 &&
	       S_ISLNK(st.st_mode);
}

int pst_host_root_open_file(const struct pst_host_root *r, const char *path)
{
	struct stat st;
	int fd, rc = pst_host_root_stat(r, path, &st);

	tell(r, path, PST_HOST_ROOT_READ);
	/* Inspected before it is opened: opening a device may have effects. */
	if (rc < 0)
		return rc;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	fd = resolve(r, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	pst_close_fd(fd);
	return -EINVAL;
}

/* Reads until the end or until buf is full. The number of bytes or -errno. */
static ssize_t read_up_to(int fd, char *buf, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, buf + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int read_over(const struct pst_host_overlay *o, size_t max, char **ret,
		     size_t *ret_len)
{
	if (!o->text)
		return -ENOENT;
	*ret_len = strlen(o->text);
	if (*ret_len > max)
		return -EMSGSIZE;
	*ret = strdup(o->text);
	return *ret ? 0 : -ENOMEM;
}

int pst_host_root_read(const struct pst_host_root *r, const char *path,
		       size_t max, char **ret, size_t *ret_len)
{
	const struct pst_host_overlay *o = over(r, path);
	PST_CLEANUP_FD int fd = o ? -1 : pst_host_root_open_file(r, path);
	/* procfs and sysfs do not tell a size, so it grows as it is read. */
	size_t size = 4096 < max ? 4096 : max, len = 0;
	PST_CLEANUP_FREE char *buf = NULL;

	if (o)
		return read_over(o, max, ret, ret_len);
	if (fd < 0)
		return fd;
	for (;;) {
		char *more = realloc(buf, size + 1);
		ssize_t n;

		if (!more)
			return -ENOMEM;
		buf = more;
		n = read_up_to(fd, buf + len, size + 1 - len);
		if (n < 0)
			return (int)n;
		len += (size_t)n;
		if (len <= size)
			break;
		if (size >= max)
			return -EMSGSIZE;
		size = size > max / 4 ? max : size * 4;
	}
	buf[len] = '\0';
	*ret = buf;
	*ret_len = len;
	buf = NULL;
	return 0;
}

int pst_host_root_read_text(const struct pst_host_root *r, const char *path,
			    char *buf, size_t size)
{
	const struct pst_host_overlay *o = over(r, path);
	PST_CLEANUP_FD int fd = o ? -1 : pst_host_root_open_file(r, path);
	ssize_t n;

	if (o && !o->text)
		return -ENOENT;
	if (!o && fd < 0)
		return fd;
	n = o ? stpncpy(buf, o->text, size) - buf : read_up_to(fd, buf, size);
	if (n < 0)
		return (int)n;
	if ((size_t)n == size)
		return -EMSGSIZE;
	if (memchr(buf, '\0', (size_t)n))
		return -EPROTO;
	while (n > 0 && strchr(" \t\r\n", buf[n - 1]))
		n--;
	buf[n] = '\0';
	return (int)n;
}

int pst_host_root_read_u64(const struct pst_host_root *r, const char *path,
			   unsigned int base, uint64_t *ret)
{
	char buf[64], *end;
	unsigned long long v;
	int n = pst_host_root_read_text(r, path, buf, sizeof(buf));

	if (n < 0)
		return n == -EMSGSIZE ? -EPROTO : n;
	if (!*buf || strchr("+- \t\n", *buf))
		return -EPROTO;
	errno = 0;
	v = strtoull(buf, &end, (int)base);
	if (errno || *end || end == buf)
		return -EPROTO;
	*ret = v;
	return 0;
}

int pst_host_root_readlink(const struct pst_host_root *r, const char *path,
			   char *buf, size_t size)
{
	PST_CLEANUP_FD int fd = resolve(r, path, O_PATH | O_NOFOLLOW);
	struct pst_host_root quiet = *r;
	struct stat st;
	ssize_t n;
	int len;

	tell(r, path, PST_HOST_ROOT_LINK);
	quiet.asked = NULL;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(fd, "", buf, size);
		if (n < 0)
			return -errno;
		if ((size_t)n >= size)
			return -EMSGSIZE;
		buf[n] = '\0';
		return (int)n;
	}
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	len = pst_host_root_read_text(&quiet, path, buf, size);
	if (len < 0)
		return len == -EPROTO ? -EINVAL : len;
	/* One relative path with a slash, on one line. */
	if (!strchr(buf, '/') || strpbrk(buf, "\n\t ") || *buf == '/')
		return -EINVAL;
	return len;
}

int pst_host_root_link_name(const struct pst_host_root *r, const char *path,
			    char *buf, size_t size)
{
	char text[PST_HOST_ROOT_PATH_MAX];
	const char *name;
	int n = pst_host_root_readlink(r, path, text, sizeof(text));

	if (n < 0)
		return n;
	while (n > 0 && text[n - 1] == '/')
		text[--n] = '\0';
	name = strrchr(text, '/');
	name = name ? name + 1 : text;
	n = (int)strlen(name);
	if (n == 0 || strcmp(name, "..") == 0 || strcmp(name, ".") == 0)
		return -EINVAL;
	if ((size_t)n >= size)
		return -EMSGSIZE;
	strcpy(buf, name);
	return n;
}

int pst_host_root_dir(const struct pst_host_root *r, const char *path,
		      char *ret, size_t size)
{
	char cur[PST_HOST_ROOT_PATH_MAX] = "", link[PST_HOST_ROOT_PATH_MAX];
	struct stat st;
	unsigned int links;
	int rc = push_all(cur, path);

	for (links = 0; rc == 0 && links < MAX_LINKS; links++) {
		rc = pst_host_root_readlink(r, cur, link, sizeof(link));
		if (rc == -EINVAL) { /* no link: the end of the chain */
			rc = pst_host_root_stat(r, cur, &st);
			if (rc == 0 && !S_ISDIR(st.st_mode))
				rc = -ENOTDIR;
			if (rc == 0 && strlen(cur) >= size)
				rc = -EMSGSIZE;
			if (rc == 0)
				strcpy(ret, cur);
			return rc;
		}
		if (rc < 0)
			return rc;
		pop(cur);
		rc = push_all(cur, link);
	}
	return rc < 0 ? rc : -ELOOP;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names that are in the directory itself. */
static int read_names(int fd, struct pst_host_names *l)
{
	struct dirent *e;
	int rc = 0;
	DIR *d = fdopendir(fd);

	if (!d) {
		rc = -errno;
		pst_close_fd(fd);
		return rc;
	}
	while (rc == 0 && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		l->truncated = l->n == PST_HOST_ROOT_MAX_ENTRIES;
		if (l->truncated)
			break;
		rc = pst_host_names_add(l, e->d_name, strlen(e->d_name));
	}
	closedir(d);
	return rc;
}

/* The name that a file of the overlay has in a directory, or NULL. */
static const char *name_in(const struct pst_host_overlay *o, const char *dir)
{
	const char *name = strrchr(o->path, '/') + 1;
	size_t n = strlen(dir += strspn(dir, "/"));

	while (n && dir[n - 1] == '/')
		n--;
	return (size_t)(name - o->path) == n + 2 &&
			       strncmp(o->path + 1, dir, n) == 0
		       ? name
		       : NULL;
}

/* Brings the overlay's files of a directory into its names. */
static int overlay_names(const struct pst_host_root *r, const char *dir,
			 struct pst_host_names *l)
{
	size_t i, k;
	int rc = 0;

	for (i = 0; i < r->n_over && rc == 0; i++) {
		const char *name = name_in(&r->over[i], dir);

		for (k = 0; name && k < l->n; k++)
			if (strcmp(l->name[k], name) == 0)
				break;
		if (name && k == l->n && r->over[i].text) {
			rc = pst_host_names_add(l, name, strlen(name));
		} else if (name && k < l->n && !r->over[i].text) {
			free(l->name[k]);
			l->name[k] = l->name[--l->n];
		}
	}
	return rc;
}

int pst_host_root_list(const struct pst_host_root *r, const char *path,
		       struct pst_host_names *ret)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names l = {0};
	int fd = resolve(r, path, O_RDONLY | O_DIRECTORY);
	int rc = fd < 0 ? fd : read_names(fd, &l);

	tell(r, path, PST_HOST_ROOT_LIST);
	if (r->n_over && (rc == 0 || rc == -ENOENT)) {
		int over_rc = overlay_names(r, path, &l);

		if (over_rc < 0 || l.n)
			rc = over_rc;
	}
	if (rc < 0)
		return rc;
	if (l.n)
		qsort(l.name, l.n, sizeof(*l.name), by_bytes);
	*ret = l;
	l = (struct pst_host_names){0};
	return 0;
}

int pst_host_names_add(struct pst_host_names *l, const char *name, size_t n)
{
	char **more;

	/* Grown in steps of 64. */
	if (l->n % 64 == 0) {
		more = realloc(l->name, (l->n + 64) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->name = more;
	}
	l->name[l->n] = strndup(name, n);
	if (!l->name[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

void pst_host_names_done(struct pst_host_names *n)
{
	size_t i;

	for (i = 0; i < n->n; i++)
		free(n->name[i]);
	free(n->name);
	*n = (struct pst_host_names){0};
}
