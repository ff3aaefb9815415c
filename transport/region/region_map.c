/* SPDX-License-Identifier: MIT */
/* The client's side of a region: opens it without creating, maps it in
 * pieces. */
#include "transport/region/region.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "transport/base/util.h"
#include "transport/region/region_int.h"

enum holes {
	HOLES_FILL,   /* of one's own file */
	HOLES_REFUSE, /* whatever it is, it was made by somebody else */
	HOLES_KEEP,   /* they are filled before they are used */
};

/* What a file with that name may be, once it was inspected. */
static int take(int fd, const char *name, enum holes holes,
		const struct pst_region_file *f, struct pst_region_map *ret,
		struct pst_error *err)
{
	struct pst_region_map m = {.fd = fd};
	int r;

	r = pst_region_read_stamp(fd, name, f, m.uuid, err);
	if (r == 0 && holes != HOLES_KEEP)
		r = pst_region_allocate(fd, name, holes == HOLES_FILL, f, err);
	if (r < 0)
		return r;
	m.file_size = f->size;
	m.hugetlb = f->hugetlb;
	m.page_size = f->page_size;
	*ret = m;
	return 0;
}

int pst_region_map_open(const char *path, struct pst_region_map *ret,
			struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	struct pst_region_file f;
	int r;

	fd = pst_region_open_path(path, err);
	if (fd < 0)
		return fd;
	r = pst_region_inspect(fd, path, &f, err);
	if (r == 0)
		r = take(fd, path, HOLES_FILL, &f, ret, err);
	if (r == 0)
		fd = -1;
	return r;
}

static int inspect_sealed(int fd, const char *name, struct pst_region_file *ret,
			  struct pst_error *err)
{
	int r;

	/* First of all: only a memfd has seals. Of another file the next
	 * question could go to a program of the sender's (FUSE), which may
	 * take its time. */
	if (fcntl(fd, F_GET_SEALS) <= 0)
		return pst_error_set(err, -EPERM, "%s is no sealed memfd",
				     name);
	r = pst_region_inspect(fd, name, ret, err);
	if (r < 0)
		return r;
	if (!ret->memfd)
		return pst_error_set(err, -EPERM, "%s is no memfd", name);
	return pst_region_check_sealed(ret, name, err);
}

static int take_passed(int fd, const struct pst_region_sender *from,
		       struct pst_region_map *ret, struct pst_error *err)
{
	const uint64_t max = from->max_size ? from->max_size : PST_MAX_REGION;
	char user[PST_REGION_USER], name[96];
	struct pst_region_file f;
	int r;

	pst_region_user_name(from->uid, user);
	snprintf(name, sizeof(name), "the region that the agent (%s) sent",
		 user);
	r = inspect_sealed(fd, name, &f, err);
	if (r < 0)
		return r;
	if (f.size > max)
		return pst_error_set(err, -EMSGSIZE,
				     "%s has %" PRIu64 " MiB, and %" PRIu64
				     " are allowed (?size=)",
				     name, f.size >> 20, max >> 20);
	/* Seals do not keep anybody from punching holes. Ordinary memory fills
	 * them again; where the pool is empty a hugepage ends in SIGBUS. */
	if (f.hugetlb &&
	    (!pst_region_trusts(from->uid) || !pst_region_trusts(f.uid)))
		return pst_error_set(err, -EPERM,
				     "%s lies in hugepages, which its owner "
				     "could free again: name its file by "
				     "?region=PATH",
				     name);
	return take(fd, name, HOLES_REFUSE, &f, ret, err);
}

int pst_region_map_fd(int fd, const struct pst_region_sender *from,
		      struct pst_region_map *ret, struct pst_error *err)
{
	int r;

	r = take_passed(fd, from, ret, err);
	if (r < 0)
		pst_close_fd(fd);
	return r;
}

int pst_region_map_sparse(int fd, struct pst_region_map *ret,
			  struct pst_error *err)
{
	static const char name[] = "the agent's region";
	struct pst_region_file f;
	int r;

	r = inspect_sealed(fd, name, &f, err);
	if (r == 0)
		r = take(fd, name, HOLES_KEEP, &f, ret, err);
	if (r < 0)
		pst_close_fd(fd);
	return r;
}

void pst_region_map_close(struct pst_region_map *m)
{
	if (!m)
		return;
	pst_close_fd(m->fd);
	*m = (struct pst_region_map){.fd = -1};
}

int pst_region_map_span(const struct pst_region_map *m,
			const struct pst_span *span, void *at, void **ret_addr,
			struct pst_error *err)
{
	uint64_t size = m->file_size - PST_WIRE_PREAMBLE;
	void *p;
	int r;

	if (!span->size || span->off % PST_WIRE_UNIT ||
	    span->size % PST_WIRE_UNIT || span->size > size ||
	    span->off > size - span->size)
		return pst_error_set(err, -EINVAL,
				     "%" PRIu64 " bytes at offset %" PRIu64
				     " do not lie in the region",
				     span->size, span->off);
	r = pst_region_map_file(m->fd, PST_WIRE_PREAMBLE + span->off,
				span->size, at, &p);
	if (r < 0)
		return pst_error_set_errno(
			err, r, "cannot map %" PRIu64 " bytes of the region",
			span->size);
	pst_region_populate(p, span->size);
	*ret_addr = p;
	return 0;
}

int pst_region_map_detach(void *addr, uint64_t size)
{
	void *p;

	/* One system call: a thread that touches the range meets the old
	 * memory or the new, never a hole. */
	p = mmap(addr, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0);
	if (p == MAP_FAILED) {
		(void)mprotect(addr, size, PROT_NONE);
		return -ENOMEM;
	}
	(void)madvise(addr, size, MADV_DONTFORK);
	return 0;
}
