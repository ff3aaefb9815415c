/* SPDX-License-Identifier: MIT */
/* Opens and closes what an agent serves, by its specification. */
#include "transport/region/region.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "transport/base/util.h"
#include "transport/region/region_int.h"

/* Makes the map of which units have their memory. */
static int start_sparse(struct pst_region *r, const struct pst_region_file *f,
			struct pst_error *err)
{
	const uint64_t there = PST_REGION_SPARSE_MIN - PST_WIRE_PREAMBLE;

	if (!f->memfd)
		return pst_error_set(err, -EINVAL, "%s is no memfd", r->name);
	r->backed = calloc(1, (f->size - PST_WIRE_PREAMBLE) / PST_WIRE_UNIT);
	if (!r->backed)
		return pst_oom(err);
	memset(r->backed, 1, there / PST_WIRE_UNIT);
	return 0;
}

/* Locks, checks and maps the file behind fd, which becomes ret's on success
 * and stays the caller's on failure. */
static int take_file(int fd, const char *name, bool sparse,
		     struct pst_region *ret, struct pst_error *err)
{
	struct pst_wire_format format;
	struct pst_region_file f;
	struct pst_region r = {.fd = fd, .caching = PST_CACHING_WB};
	void *base;
	ssize_t n;
	int rc;

	rc = pst_region_inspect(fd, name, &f, err);
	if (rc < 0)
		return rc;
	if (f.memfd && (rc = pst_region_check_sealed(&f, name, err)) < 0)
		return rc;
	n = pread(fd, &format, sizeof(format),
		  PST_WIRE_PREAMBLE +
			  (off_t)offsetof(struct pst_wire_header, format));
	rc = pst_region_lock(
		fd, name, n == (ssize_t)sizeof(format) ? &format : NULL, err);
	if (rc < 0)
		return rc;
	rc = pst_region_read_stamp(fd, name, &f, r.uuid, err);
	if (rc < 0)
		return rc;
	snprintf(r.name, sizeof(r.name), "%s", name);
	rc = sparse ? start_sparse(&r, &f, err)
		    : pst_region_allocate(fd, name, true, &f, err);
	if (rc < 0)
		return rc;

	r.provider = f.memfd ? PST_PROVIDER_MEMFD : PST_PROVIDER_FILE;
	r.file_size = f.size;
	r.size = f.size - PST_WIRE_PREAMBLE;
	r.page_size = (uint32_t)f.page_size;
	rc = pst_region_map_file(fd, PST_WIRE_PREAMBLE, r.size, NULL, &base);
	if (rc < 0) {
		free(r.backed);
		return pst_error_set_errno(err, rc, "cannot map %s", name);
	}
	r.base = base;
	pst_region_populate(base,
			    sparse ? PST_REGION_SPARSE_MIN - PST_WIRE_PREAMBLE
				   : r.size);
	*ret = r;
	return 0;
}

static int open_file(const char *path, struct pst_region *ret,
		     struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	int r;

	fd = pst_region_open_path(path, err);
	if (fd < 0)
		return fd;
	r = take_file(fd, path, false, ret, err);
	if (r == 0)
		fd = -1;
	return r;
}

static int parse_memfd(const char *text, uint64_t *ret, struct pst_error *err)
{
	if (pst_parse_size(text, ret) < 0)
		return pst_error_set(err, -EINVAL,
				     "memfd:%s is not a size, such as "
				     "memfd:256M",
				     text);
	return pst_region_check_size(*ret, err);
}

static int parse_fd(const char *text, int *ret, struct pst_error *err)
{
	uint64_t n;

	if (pst_parse_u64(text, 0, INT32_MAX, &n) < 0)
		return pst_error_set(err, -EINVAL,
				     "fd:%s is not the number of a descriptor",
				     text);
	*ret = (int)n;
	return 0;
}

static int open_memfd(const char *text, struct pst_region *ret,
		      struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	uint64_t size;
	bool huge;
	int r;

	r = parse_memfd(text, &size, err);
	if (r < 0)
		return r;
	r = pst_region_create_memfd(size, &fd, &huge, err);
	if (r < 0)
		return r;
	r = take_file(fd, "memfd", false, ret, err);
	if (r == 0)
		fd = -1;
	return r;
}

/*
 * A lock belongs to the open file description, which an inherited descriptor
 * shares with the process that made it. So the region is opened anew where
 * that can be done.
 */
static int reopen(int fd)
{
	char path[32];
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	return own < 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : own;
}

static int open_inherited(const char *text, bool sparse, struct pst_region *ret,
			  struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	char name[32];
	int n = -1, r;

	r = parse_fd(text, &n, err);
	if (r < 0)
		return r;
	if (fcntl(n, F_GETFD) < 0)
		return pst_error_set(err, -EINVAL, "descriptor %d is not open",
				     n);
	fd = reopen(n);
	if (fd < 0)
		return pst_error_set_errno(err, errno, "descriptor %d", n);
	snprintf(name, sizeof(name), "fd %d", n);
	r = take_file(fd, name, sparse, ret, err);
	if (r == 0) {
		fd = -1;
		close(n);
	}
	return r;
}

/* What follows "word:" in spec, or NULL when it begins otherwise. */
static const char *after(const char *spec, const char *word)
{
	size_t n = strlen(word);

	return strncmp(spec, word, n) == 0 && spec[n] == ':' ? spec + n + 1
							     : NULL;
}

static int no_region(const char *spec, struct pst_error *err)
{
	return pst_error_set(err, -EINVAL,
			     "\"%s\" names no region: auto, ivshmem, "
			     "ivshmem:ADDR, dax, dax:daxX.Y, file:PATH, "
			     "memfd:SIZE, fd:N or sparse:N",
			     spec);
}

/* The only region among the guest's devices of these kinds. */
static int open_found(unsigned int kinds, const char *sysfs,
		      struct pst_region *ret, struct pst_error *err)
{
	struct pst_region_device d;
	int r;

	r = pst_region_find(kinds, sysfs, &d, err);
	if (r < 0)
		return r;
	if (d.provider == PST_PROVIDER_DAX)
		return pst_region_open_dax(d.name, false, sysfs, ret, err);
	return pst_region_open_ivshmem(d.name, false, sysfs, ret, err);
}

int pst_region_check(const char *spec, struct pst_error *err)
{
	static const char *const alone[] = {"auto", "ivshmem", "dax"};
	const char *rest;
	uint64_t size;
	size_t i;
	int fd;

	for (i = 0; i < PST_ARRAY_SIZE(alone); i++)
		if (strcmp(spec, alone[i]) == 0)
			return 0;
	rest = after(spec, "ivshmem");
	if (rest)
		return pst_region_check_ivshmem(rest, err);
	rest = after(spec, "dax");
	if (rest)
		return pst_region_check_dax(rest, err);
	rest = after(spec, "memfd");
	if (rest)
		return parse_memfd(rest, &size, err);
	rest = after(spec, "fd");
	if (!rest)
		rest = after(spec, "sparse");
	if (rest)
		return parse_fd(rest, &fd, err);
	rest = after(spec, "file");
	return rest && *rest ? 0 : no_region(spec, err);
}

int pst_region_open(const char *spec, const char *sysfs, struct pst_region *ret,
		    struct pst_error *err)
{
	const char *rest;
	int r;

	r = pst_region_check(spec, err);
	if (r < 0)
		return r;
	if (strcmp(spec, "auto") == 0)
		return open_found(PST_REGION_IVSHMEM | PST_REGION_DAX, sysfs,
				  ret, err);
	if (strcmp(spec, "ivshmem") == 0)
		return open_found(PST_REGION_IVSHMEM, sysfs, ret, err);
	if (strcmp(spec, "dax") == 0)
		return open_found(PST_REGION_DAX, sysfs, ret, err);
	rest = after(spec, "ivshmem");
	if (rest)
		return pst_region_open_ivshmem(rest, true, sysfs, ret, err);
	rest = after(spec, "dax");
	if (rest)
		return pst_region_open_dax(rest, true, sysfs, ret, err);
	rest = after(spec, "file");
	if (rest)
		return open_file(rest, ret, err);
	rest = after(spec, "memfd");
	if (rest)
		return open_memfd(rest, ret, err);
	rest = after(spec, "sparse");
	if (rest)
		return open_inherited(rest, true, ret, err);
	return open_inherited(after(spec, "fd"), false, ret, err);
}

void pst_region_close(struct pst_region *r)
{
	if (!r || !r->base)
		return;
	munmap(r->base, r->size);
	free(r->backed);
	/* The lock ends with the descriptor, after the last access. */
	pst_close_fd(r->fd);
	*r = (struct pst_region){.fd = -1};
}
