/* SPDX-License-Identifier: MIT */
/* The client's side of a region: open without creating, map in pieces. */
#include "transport/region.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "transport/region_int.h"
#include "transport/util.h"

/* must_seal: it has no name that would protect it. sparse: its holes are
 * filled before they are used. */
static int take(int fd, const char *name, bool must_seal, bool sparse,
		struct pst_region_map *ret, struct pst_error *err)
{
	struct pst_region_map m = {.fd = fd};
	struct pst_region_file f;
	int r;

	r = pst_region_inspect(fd, name, &f, err);
	if (r < 0)
		return r;
	if (must_seal && !f.sealed)
		return pst_error_set(err, -EPERM,
				     "%s is not sealed against shrinking",
				     name);
	r = pst_region_read_stamp(fd, name, &f, m.uuid, err);
	if (r < 0)
		return r;
	if (!sparse)
		r = pst_region_allocate(fd, name, &f, err);
	if (r < 0)
		return r;
	m.file_size = f.size;
	m.hugetlb = f.hugetlb;
	m.page_size = f.page_size;
	*ret = m;
	return 0;
}

int pst_region_map_open(const char *path, struct pst_region_map *ret,
			struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	int r;

	fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return pst_error_set_errno(err, errno,
					   "cannot open region file %s", path);
	r = take(fd, path, false, false, ret, err);
	if (r == 0)
		fd = -1;
	return r;
}

int pst_region_map_fd(int fd, struct pst_region_map *ret, struct pst_error *err)
{
	int r;

	r = take(fd, "the region that the agent sent", true, false, ret, err);
	if (r < 0)
		pst_close_fd(fd);
	return r;
}

int pst_region_map_sparse(int fd, struct pst_region_map *ret,
			  struct pst_error *err)
{
	int r;

	r = take(fd, "the agent's region", true, true, ret, err);
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
