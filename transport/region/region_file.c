/* SPDX-License-Identifier: MIT */
/* Inspects, locks and maps a region's backing file, for both sides. */
#include "transport/region/region_int.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* Linux 5.14; the C library's headers may be older. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
/* Largest pid of a 64-bit kernel (PID_MAX_LIMIT, linux/threads.h). */
#define PID_LIMIT (4U << 20)

/* Without them any other holder of a memfd can change its size. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

static int inspect_pages(int fd, const char *name, struct pst_region_file *f,
			 struct pst_error *err)
{
	struct statfs sfs;

	if (fstatfs(fd, &sfs) < 0)
		return pst_error_set_errno(err, errno, "%s", name);
	f->hugetlb = sfs.f_type == HUGETLBFS_MAGIC;
	f->page_size = f->hugetlb ? (uint64_t)sfs.f_bsize
				  : (uint64_t)sysconf(_SC_PAGESIZE);
	/* Extents are mapped one by one, at offsets that are multiples of the
	 * unit and so cannot be multiples of larger pages. */
	if (f->page_size > PST_WIRE_UNIT)
		return pst_error_set(err, -EINVAL,
				     "%s lies on hugetlbfs with pages of "
				     "%" PRIu64 " MiB; a region needs pages of "
				     "2 MiB (mount option pagesize=2M)",
				     name, f->page_size >> 20);
	return 0;
}

int pst_region_check_sealed(const struct pst_region_file *f, const char *name,
			    struct pst_error *err)
{
	return f->sealed ? 0
			 : pst_error_set(err, -EPERM,
					 "%s is not sealed against shrinking "
					 "and growing",
					 name);
}

int pst_region_inspect(int fd, const char *name, struct pst_region_file *ret,
		       struct pst_error *err)
{
	struct pst_region_file f = {0};
	struct stat st;
	int seals, r;

	if (fstat(fd, &st) < 0)
		return pst_error_set_errno(err, errno, "%s", name);
	if (!S_ISREG(st.st_mode))
		return pst_error_set(err, -EPROTO, "%s is not a regular file",
				     name);
	f.size = (uint64_t)st.st_size;
	/* Every file of tmpfs and hugetlbfs has seals; one that has no name
	 * any more is a memfd, or as good as one. */
	seals = fcntl(fd, F_GET_SEALS);
	f.sealed = seals >= 0 && (seals & SEALS) == SEALS;
	f.uid = st.st_uid;
	f.memfd = seals >= 0 && st.st_nlink == 0;
	/* A memfd has mode 0777 and is reached by descriptor only. */
	if ((st.st_mode & S_IWOTH) && !f.memfd)
		return pst_error_set(err, -EPERM,
				     "%s is writable by everybody: chmod o-w",
				     name);
	r = inspect_pages(fd, name, &f, err);
	if (r < 0)
		return r;
	if (pst_region_check_size(f.size, NULL) < 0)
		return pst_error_set(err, -EMSGSIZE,
				     "%s has %" PRIu64 " bytes: a region has "
				     "at least 6 MiB and a multiple of 2 MiB",
				     name, f.size);
	*ret = f;
	return 0;
}

int pst_region_read_stamp(int fd, const char *name,
			  const struct pst_region_file *f, uint8_t ret_uuid[16],
			  struct pst_error *err)
{
	struct pst_wire_stamp s;
	struct pst_error why;
	ssize_t n;
	int r;

	n = pread(fd, &s, sizeof(s), PST_WIRE_PREAMBLE);
	if (n < 0)
		return pst_error_set_errno(err, errno, "cannot read %s", name);
	if ((size_t)n != sizeof(s))
		return pst_error_set(err, -EMSGSIZE, "%s is too short", name);
	r = pst_stamp_check(&s, f->size, &why);
	if (r < 0)
		return pst_error_set(err, r, "%s: %s", name, why.text);
	memcpy(ret_uuid, s.uuid, sizeof(s.uuid));
	return 0;
}

int pst_region_allocate(int fd, const char *name, bool may_fill,
			const struct pst_region_file *f, struct pst_error *err)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return pst_error_set_errno(err, errno, "%s", name);
	/* st_blocks counts 512 bytes each, whatever the file system. */
	if ((uint64_t)st.st_blocks >= f->size / 512)
		return 0;
	if (!may_fill || f->uid != geteuid())
		return pst_error_set(
			err, -EPERM,
			"%s has holes, and only its owner may fill "
			"them",
			name);
	do
		r = fallocate(fd, 0, 0, (off_t)f->size);
	while (r < 0 && errno == EINTR);
	if (r == 0 || errno == EOPNOTSUPP)
		return 0;
	if (errno == ENOSPC)
		return pst_error_set(err, -ENOSPC,
				     "%s has holes and there is no %s left to "
				     "fill them",
				     name, f->hugetlb ? "hugepage" : "room");
	return pst_error_set_errno(err, errno, "cannot allocate %s", name);
}

int pst_region_reserve(uint64_t size, void **ret)
{
	uint64_t start, aligned, end;
	void *p;

	p = mmap(NULL, size + PST_WIRE_UNIT, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	start = (uintptr_t)p;
	aligned = pst_round_up(start, PST_WIRE_UNIT);
	end = start + size + PST_WIRE_UNIT;
	if (aligned > start)
		munmap(p, aligned - start);
	if (end > aligned + size)
		munmap((void *)(uintptr_t)(aligned + size),
		       end - aligned - size);
	*ret = (void *)(uintptr_t)aligned;
	return 0;
}

int pst_region_map_file(int fd, uint64_t off, uint64_t size, void *at,
			void **ret)
{
	void *where = at, *p;
	int r;

	if (!where) {
		r = pst_region_reserve(size, &where);
		if (r < 0)
			return r;
	}
	p = mmap(where, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 fd, (off_t)off);
	if (p == MAP_FAILED) {
		r = -errno;
		if (!at)
			munmap(where, size);
		return r;
	}
	if (madvise(p, size, MADV_DONTFORK) < 0) {
		r = -errno;
		if (!at)
			munmap(p, size);
		return r;
	}
	/* Only tmpfs with huge=advise listens; others may refuse. */
	(void)madvise(p, size, MADV_HUGEPAGE);
	*ret = p;
	return 0;
}

void pst_region_populate(void *addr, uint64_t size)
{
	(void)madvise(addr, size, MADV_POPULATE_WRITE);
}

int pst_region_lock(int fd, const char *name,
		    const struct pst_wire_format *format, struct pst_error *err)
{
	uint32_t pid;

	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return pst_error_set_errno(err, errno, "cannot lock %s", name);
	pid = format && format->magic == PST_WIRE_FORMAT_MAGIC
		      ? format->agent_pid
		      : 0;
	/* The line is another process's word: name the pid only if there can
	 * be and is such a process. */
	if (pid > 0 && pid <= PID_LIMIT &&
	    (kill((pid_t)pid, 0) == 0 || errno == EPERM))
		return pst_error_set(err, -EBUSY,
				     "%s is served by another agent, pid "
				     "%" PRIu32,
				     name, pid);
	return pst_error_set(err, -EBUSY, "%s is locked by another process",
			     name);
}
