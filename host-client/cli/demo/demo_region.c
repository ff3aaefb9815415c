/* SPDX-License-Identifier: MIT */
/* Places the demo's region: on hugepages if there are any, else on ordinary
 * pages. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "host-client/cli/demo/demo.h"
#include "kernel-params/machine/hugepages.h"
#include "kernel-params/machine/mounts.h"
#include "transport/region/region.h"

#define ROOM_FACTOR 2
/* Room for a session's smallest lease and for what buddies waste. */
#define ROOM_MORE (16ULL << 20)

uint64_t pst_demo_region_size(uint64_t bytes)
{
	uint64_t size = PST_DEMO_REGION_MIN, need;

	if (pst_mul_overflow(bytes, ROOM_FACTOR, &need) ||
	    pst_add_overflow(need,
			     PST_WIRE_PREAMBLE + PST_WIRE_CTL_SIZE + ROOM_MORE,
			     &need))
		return 0;
	while (size && size < need)
		size <<= 1;
	return size;
}

/* The pool of 2 MiB pages, and a hugetlbfs of them that we may write to. */
struct huge {
	uint64_t free_pages, all_pages;
	char mount[PST_DEMO_PATH_MAX / 2]; /* "": none */
};

static bool is_usable(const struct pst_host_hugetlbfs *at, size_t size)
{
	return at->page_size == PST_HOST_HUGE_2M && strlen(at->path) < size &&
	       access(at->path, W_OK | X_OK) == 0;
}

static void find_huge(struct huge *ret)
{
	const struct pst_host_hugepool *pool;
	struct pst_host_memory memory;
	struct pst_host_mounts mounts;
	struct pst_host_root root;
	struct pst_error err;
	size_t i;

	memset(ret, 0, sizeof(*ret));
	if (pst_host_root_open("/", &root, &err) < 0)
		return;
	if (pst_host_memory_scan(&root, &memory, &err) == 0) {
		pool = pst_host_memory_pool(&memory, PST_HOST_HUGE_2M, -1);
		ret->free_pages =
			pst_host_hugepool_unused(pool) / PST_HOST_HUGE_2M;
		ret->all_pages =
			pst_host_hugepool_size(pool) / PST_HOST_HUGE_2M;
		pst_host_mounts_read(&root, memory.default_hugepage, &mounts);
		for (i = 0; i < mounts.n && !ret->mount[0]; i++)
			if (is_usable(&mounts.mount[i], sizeof(ret->mount)))
				strcpy(ret->mount, mounts.mount[i].path);
		pst_host_memory_done(&memory);
	}
	pst_host_root_close(&root);
}

/* Makes parent/NAME; the state file knows of it before it is there. */
static int make_file(struct pst_demo_state *s, const char *parent,
		     uint64_t size, struct pst_demo_region *ret,
		     struct pst_error *err)
{
	struct pst_region_create create = {
		.file_size = size,
		.mode = 0600,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
		.node = -1,
		/* What is not there now would be a SIGBUS later. */
		.prefault = true,
	};
	uint8_t uuid[16];
	int r;

	snprintf(s->region, sizeof(s->region), "%s%s", parent,
		 strrchr(s->dir, '/'));
	r = pst_demo_state_write(s, err);
	if (r == 0)
		r = pst_region_create_file(s->region, &create, uuid, err);
	if (r == 0)
		strcpy(ret->path, s->region);
	else
		s->region[0] = '\0';
	return r;
}

static int make_memfd(uint64_t size, struct pst_demo_region *ret,
		      struct pst_error *err)
{
	bool huge;
	int r;

	r = pst_region_create_memfd(size, &ret->fd, &huge, err);
	if (r)
		return r;
	/* Born open to all, and a client refuses such a region. */
	if (fchmod(ret->fd, 0600)) {
		r = -errno;
		close(ret->fd);
		ret->fd = -1;
		return pst_error_set_errno(err, -r, "memfd");
	}
	/* QEMU, which inherits it, and its number in there. */
	snprintf(ret->path, sizeof(ret->path), "/proc/self/fd/%d", ret->fd);
	ret->where = huge ? "memfd of 2 MiB hugepages" : "memfd";
	return 0;
}

int pst_demo_region_make(struct pst_demo_state *s, uint64_t size,
			 struct pst_demo_region *ret, struct pst_error *err)
{
	uint64_t need = size / PST_WIRE_UNIT, have;
	struct huge huge;
	bool mounted;

	find_huge(&huge);
	have = huge.free_pages;
	mounted = huge.mount[0];
	memset(ret, 0, sizeof(*ret));
	ret->fd = -1;
	/* Somebody may be faster at the pool: then on to the next place. */
	if (have >= need && mounted &&
	    make_file(s, huge.mount, size, ret, err) == 0) {
		ret->where = "2 MiB hugepages";
		return 0;
	}
	if (have >= need && !mounted && make_memfd(size, ret, err) == 0)
		return 0;
	snprintf(ret->note, sizeof(ret->note),
		 "the region gets ordinary pages: %s (%" PRIu64 " of %" PRIu64
		 " 2 MiB "
		 "hugepages free). For hugepages, as root: sysctl "
		 "vm.nr_hugepages=%" PRIu64 "; " PST_HOST_MOUNT_2M,
		 mounted ? "the pool is too small" : "no writable hugetlbfs",
		 have, need, huge.all_pages + need - (have < need ? have : 0));
	ret->where = "/dev/shm, 4 KiB pages";
	if (make_file(s, "/dev/shm", size, ret, err) == 0)
		return 0;
	return make_memfd(size, ret, err);
}
