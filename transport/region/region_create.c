/* SPDX-License-Identifier: MIT */
/* Makes region files: sized, bound, allocated, stamped. */
#include "transport/region/region.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "transport/base/util.h"
#include "transport/region/numa.h"
#include "transport/region/region_int.h"

/* Not in the C library's headers before 2.28. */
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1U << 0)
#endif

/* A file without a name, or under a temporary one that is removed unless the
 * file got its own. */
struct temporary {
	char path[4096]; /* empty: it has none */
	int fd;
};

static void temporary_done(struct temporary *t)
{
	if (t->path[0])
		unlink(t->path);
	pst_close_fd(t->fd);
}

/* Call it when nothing of the failed file is left, for true numbers. */
static int hugepages_missing(const char *path, uint64_t size,
			     uint64_t page_size, int node,
			     struct pst_error *err)
{
	uint64_t wanted = size / page_size;
	uint64_t n_free = pst_region_pool_free(page_size, node);
	uint64_t total = pst_region_pool_pages(page_size, node, "nr_hugepages");
	char where[32] = "";

	if (node >= 0)
		snprintf(where, sizeof(where), " on node %d", node);
	if (n_free >= wanted)
		return pst_error_set(err, -ENOSPC,
				     "%s: the file system or the control group "
				     "allows fewer than %" PRIu64
				     " hugepages (free%s: %" PRIu64 ")",
				     path, wanted, where, n_free);
	if (node >= 0)
		return pst_error_set(
			err, -ENOSPC,
			"%s: %" PRIu64 " hugepages of %" PRIu64
			" MiB are wanted, %" PRIu64
			" are free%s; write %" PRIu64
			" to /sys/devices/system/node/node%d/hugepages/"
			"hugepages-%" PRIu64 "kB/nr_hugepages",
			path, wanted, page_size >> 20, n_free, where,
			total + wanted - n_free, node, page_size >> 10);
	return pst_error_set(err, -ENOSPC,
			     "%s: %" PRIu64 " hugepages of %" PRIu64
			     " MiB are wanted, %" PRIu64
			     " are free; sysctl vm.nr_hugepages=%" PRIu64
			     " adds what is missing",
			     path, wanted, page_size >> 20, n_free,
			     total + wanted - n_free);
}

/* A file that others could replace is refused by every opener. */
static int check_place(const char *path, const struct pst_region_create *c,
		       struct pst_error *err)
{
	const struct stat file = {.st_mode = c->mode, .st_gid = c->gid};
	const char *base;
	PST_CLEANUP_FD int dir = pst_region_open_dir(path, &base);

	if (dir < 0)
		return pst_error_set_errno(err, dir, "cannot create %s", path);
	return pst_region_check_dir(dir, path, &file, err);
}

/* A file without a name leaves nothing behind if this process is killed. It
 * gets its name through /proc. */
static int open_unnamed(const char *path)
{
	const char *slash = strrchr(path, '/');
	PST_CLEANUP_FREE char *dir = NULL;

	dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	if (!dir || access("/proc/self/fd", X_OK) < 0)
		return -1;
	return open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static int make_temporary(const char *path, struct temporary *ret,
			  struct pst_error *err)
{
	int n;

	ret->fd = open_unnamed(path);
	if (ret->fd >= 0)
		return 0;
	/* If this failed, so does a named file, with the true reason. */
	n = snprintf(ret->path, sizeof(ret->path), "%s.XXXXXX", path);
	if (n < 0 || (size_t)n >= sizeof(ret->path)) {
		ret->path[0] = '\0';
		return pst_error_set(err, -ENAMETOOLONG,
				     "the path is too long");
	}
	ret->fd = mkostemp(ret->path, O_CLOEXEC);
	if (ret->fd < 0) {
		ret->path[0] = '\0';
		return pst_error_set_errno(err, errno, "cannot create %s",
					   path);
	}
	return 0;
}

/* Gives every page its memory, on the node asked for. -ENOSPC has no
 * sentence yet. */
static int fill(int fd, const char *path, const struct pst_region_create *c,
		struct pst_error *err)
{
	struct pst_numa_policy before = {0};
	void *p;
	int r;

	/* Of hugetlbfs, mmap(2) reserves: -ENOMEM says the pool is short. */
	r = pst_region_map_file(fd, 0, c->file_size, NULL, &p);
	if (r == -ENOMEM)
		return -ENOSPC;
	if (r < 0)
		return pst_error_set_errno(err, r, "cannot map %s", path);
	if (c->node >= 0)
		r = pst_numa_bind_memory(p, c->file_size, c->node, err);
	/* The file's pages on tmpfs go by the mapping, on hugetlbfs by this. */
	if (r == 0 && c->node >= 0)
		r = pst_numa_policy_bind(c->node, &before, err);
	if (r == 0 && fallocate(fd, 0, 0, (off_t)c->file_size) < 0 &&
	    errno != EOPNOTSUPP)
		r = errno == ENOSPC
			    ? -ENOSPC
			    : pst_error_set_errno(err, errno,
						  "cannot allocate %s", path);
	pst_numa_policy_restore(&before);
	if (r == 0 && c->prefault)
		pst_region_populate(p, c->file_size);
	munmap(p, c->file_size);
	return r;
}

static int prepare(int fd, const char *path, const struct pst_region_create *c,
		   const struct statfs *fs, struct pst_error *err)
{
	int r;

	if (fs->f_type == TMPFS_MAGIC) {
		r = pst_region_check_ram(c->file_size, err);
		if (r < 0)
			return r;
	}
	if (ftruncate(fd, (off_t)c->file_size) < 0)
		return pst_error_set_errno(err, errno, "cannot size %s", path);
	r = fill(fd, path, c, err);
	if (r < 0)
		return r;
	if (fchown(fd, c->uid, c->gid) < 0)
		return pst_error_set_errno(err, errno,
					   "cannot give %s to its owner and "
					   "group",
					   path);
	if (fchmod(fd, c->mode) < 0)
		return pst_error_set_errno(err, errno,
					   "cannot set the mode of %s", path);
	return 0;
}

/* Links a file that has no name. -EEXIST is a name in use. */
static int link_unnamed(int fd, const char *name)
{
	char proc[32];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, proc, AT_FDCWD, name, AT_SYMLINK_FOLLOW) < 0
		       ? -errno
		       : 0;
}

/* A name beside path, for a moment: only rename(2) replaces. */
static int link_temporary(struct temporary *t, const char *path)
{
	uint64_t random;
	int n, r;

	r = pst_random(&random, sizeof(random));
	if (r < 0)
		return r;
	n = snprintf(t->path, sizeof(t->path), "%s.%016" PRIx64, path, random);
	r = n < 0 || (size_t)n >= sizeof(t->path)
		    ? -ENAMETOOLONG
		    : link_unnamed(t->fd, t->path);
	if (r < 0)
		t->path[0] = '\0';
	return r;
}

static int give_name(struct temporary *t, const char *path, bool replace,
		     struct pst_error *err)
{
	int r = 0;

	if (!t->path[0] && !replace) {
		r = link_unnamed(t->fd, path);
	} else {
		if (!t->path[0])
			r = link_temporary(t, path);
		if (r == 0 && renameat2(AT_FDCWD, t->path, AT_FDCWD, path,
					replace ? 0 : RENAME_NOREPLACE) < 0)
			r = -errno;
	}
	if (r < 0)
		return pst_error_set_errno(err, r, "cannot create %s", path);
	t->path[0] = '\0';
	return 0;
}

int pst_region_create_file(const char *path, const struct pst_region_create *c,
			   uint8_t ret_uuid[16], struct pst_error *err)
{
	struct temporary t
		__attribute__((cleanup(temporary_done))) = {.fd = -1};
	struct pst_region_file f;
	uint8_t uuid[16];
	struct statfs fs;
	int r;

	r = pst_region_check_size(c->file_size, err);
	if (r < 0)
		return r;
	if (c->mode & S_IWOTH)
		return pst_error_set(err, -EINVAL,
				     "mode %04o lets everybody write to the "
				     "region",
				     c->mode);
	if (!c->replace &&
	    faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return pst_error_set(err, -EEXIST, "%s exists already", path);
	r = check_place(path, c, err);
	if (r < 0)
		return r;
	r = make_temporary(path, &t, err);
	if (r < 0)
		return r;
	if (fstatfs(t.fd, &fs) < 0)
		return pst_error_set_errno(err, errno, "%s", path);
	if (fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > (long)PST_WIRE_UNIT)
		return pst_error_set(err, -EINVAL,
				     "%s would lie on hugetlbfs with pages of "
				     "%ld MiB; a region needs pages of 2 MiB",
				     path, (long)fs.f_bsize >> 20);
	r = prepare(t.fd, path, c, &fs, err);
	if (r == -ENOSPC) {
		temporary_done(&t);
		t = (struct temporary){.fd = -1};
		if (fs.f_type == HUGETLBFS_MAGIC)
			return hugepages_missing(path, c->file_size,
						 (uint64_t)fs.f_bsize, c->node,
						 err);
		return pst_error_set(err, -ENOSPC,
				     "%s: the file system has no room for "
				     "%" PRIu64 " MiB",
				     path, c->file_size >> 20);
	}
	if (r < 0)
		return r;
	r = pst_region_stamp(t.fd, c->file_size, uuid);
	if (r < 0)
		return pst_error_set_errno(err, r, "cannot stamp %s", path);
	/* What we made must be what everybody else will accept. */
	r = pst_region_inspect(t.fd, path, &f, err);
	if (r < 0)
		return r;
	r = give_name(&t, path, c->replace, err);
	if (r < 0)
		return r;
	memcpy(ret_uuid, uuid, sizeof(uuid));
	return 0;
}
