/* SPDX-License-Identifier: MIT */
/* Makes memfds that are regions; and what any new region needs: room, a stamp.
 */
#include "transport/region/region.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <sys/mman.h>

#include "transport/base/meminfo.h"
#include "transport/base/util.h"
#include "transport/region/daxblock.h"
#include "transport/region/region_int.h"

uint64_t pst_region_pool_pages(uint64_t page_size, int node, const char *what)
{
	char path[160], text[32];
	uint64_t n;

	if (node >= 0)
		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/hugepages/"
			 "hugepages-%" PRIu64 "kB/%s",
			 node, page_size >> 10, what);
	else
		snprintf(path, sizeof(path),
			 "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/%s",
			 page_size >> 10, what);
	if (pst_read_text(path, text, sizeof(text)) < 0 ||
	    pst_parse_u64(text, 0, UINT64_MAX, &n) < 0)
		return 0;
	return n;
}

uint64_t pst_region_pool_free(uint64_t page_size, int node)
{
	uint64_t n_free =
		pst_region_pool_pages(page_size, node, "free_hugepages");
	uint64_t promised =
		pst_region_pool_pages(page_size, -1, "resv_hugepages");

	return n_free > promised ? n_free - promised : 0;
}

int pst_region_check_ram(uint64_t size, struct pst_error *err)
{
	uint64_t room;

	if (pst_meminfo_available("", &room) < 0 || size <= room)
		return 0;
	return pst_error_set(err, -ENOMEM,
			     "%" PRIu64 " MiB are wanted, %" PRIu64
			     " MiB of memory are available",
			     size >> 20, room >> 20);
}

int pst_region_stamp(int fd, uint64_t size, uint8_t ret_uuid[16])
{
	const uint64_t n = PST_WIRE_PREAMBLE + PST_WIRE_CTL_SIZE;
	uint8_t *base;
	void *p;
	int r;

	/* By a mapping: hugetlbfs has no write(2). */
	r = pst_region_map_file(fd, 0, n, NULL, &p);
	if (r < 0)
		return r;
	base = p;
	r = pst_region_write_stamp((void *)(base + PST_WIRE_PREAMBLE), size,
				   ret_uuid);
	if (r == 0)
		pst_daxblock_make(size, ret_uuid, base + PST_DAXBLOCK_OFFSET);
	munmap(p, n);
	return r;
}

/* A memfd of which the first n bytes have their memory; of a pool of hugepages
 * the rest is promised to it. Returns it or -errno. */
static int new_memfd(uint64_t size, uint64_t n, unsigned int flags)
{
	void *p;
	int fd, r = 0;

	fd = memfd_create("penstock-region",
			  MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		r = -errno;
	/* The reservation belongs to the file and outlives the mapping. */
	if (!r && n < size && (flags & MFD_HUGETLB)) {
		r = pst_region_map_file(fd, 0, size, NULL, &p);
		if (!r)
			munmap(p, size);
	}
	if (!r && fallocate(fd, 0, 0, (off_t)n) < 0)
		r = -errno;
	if (!r)
		return fd;
	close(fd);
	return r;
}

static int create_memfd(uint64_t file_size, uint64_t n, int *ret_fd,
			bool *ret_huge, struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	uint8_t uuid[16];
	bool huge = true;
	int r;

	r = pst_region_check_size(file_size, err);
	if (r < 0)
		return r;
	if (pst_region_pool_free(PST_WIRE_UNIT, -1) >=
	    file_size / PST_WIRE_UNIT)
		fd = new_memfd(file_size, n, MFD_HUGETLB | MFD_HUGE_2MB);
	if (fd < 0) {
		huge = false;
		r = pst_region_check_ram(file_size, err);
		if (r < 0)
			return r;
		fd = new_memfd(file_size, n, 0);
	}
	if (fd < 0)
		return pst_error_set_errno(
			err, fd, "cannot make a memfd of %" PRIu64 " MiB",
			file_size >> 20);
	r = pst_region_stamp(fd, file_size, uuid);
	if (r < 0)
		return pst_error_set_errno(err, r, "cannot stamp the memfd");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
	    0)
		return pst_error_set_errno(err, errno, "cannot seal the memfd");
	*ret_fd = fd;
	*ret_huge = huge;
	fd = -1;
	return 0;
}

int pst_region_create_memfd(uint64_t file_size, int *ret_fd, bool *ret_huge,
			    struct pst_error *err)
{
	return create_memfd(file_size, file_size, ret_fd, ret_huge, err);
}

int pst_region_create_sparse(uint64_t file_size, int *ret_fd,
			     struct pst_error *err)
{
	bool huge;

	return create_memfd(file_size, PST_REGION_SPARSE_MIN, ret_fd, &huge,
			    err);
}
