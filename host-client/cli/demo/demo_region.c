/* SPDX-License-Identifier: MIT */
/* Where the demo's region goes: hugepages if there are any, else not. */
#include <fcntl.h>
#include <mntent.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "host-client/cli/demo/demo.h"
#include "transport/region/region.h"

#define POOL        "/sys/kernel/mm/hugepages/hugepages-2048kB/"
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

static uint64_t pool_count(const char *name)
{
	char path[128], text[32];
	uint64_t n;

	snprintf(path, sizeof(path), POOL "%s", name);
	if (pst_read_text(path, text, sizeof(text)) < 0 ||
	    pst_parse_u64(text, 0, UINT32_MAX, &n))
		return 0;
	return n;
}

/* Pages that nobody has and nobody was promised. */
static uint64_t pool_free(void)
{
	uint64_t free_pages = pool_count("free_hugepages");
	uint64_t promised = pool_count("resv_hugepages");

	return free_pages > promised ? free_pages - promised : 0;
}

/* The first hugetlbfs of 2 MiB pages that we may write to. */
static bool find_hugetlbfs(char *ret, size_t size)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent entry, *m;
	bool found = false;
	char buf[4096];
	struct statfs st;

	while (f && !found && (m = getmntent_r(f, &entry, buf, sizeof(buf)))) {
		if (strcmp(m->mnt_type, "hugetlbfs") == 0 &&
		    statfs(m->mnt_dir, &st) == 0 &&
		    st.f_bsize == PST_WIRE_UNIT &&
		    access(m->mnt_dir, W_OK | X_OK) == 0 &&
		    strlen(m->mnt_dir) < size) {
			strcpy(ret, m->mnt_dir);
			found = true;
		}
	}
	if (f)
		endmntent(f);
	return found;
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
	int rc;

	snprintf(s->region, sizeof(s->region), "%s%s", parent,
		 strrchr(s->dir, '/'));
	rc = pst_demo_state_write(s, err);
	if (rc == 0)
		rc = pst_region_create_file(s->region, &create, uuid, err);
	if (rc == 0)
		strcpy(ret->path, s->region);
	else
		s->region[0] = '\0';
	return rc;
}

static int make_memfd(uint64_t size, struct pst_demo_region *ret,
		      struct pst_error *err)
{
	bool huge;
	int rc;

	rc = pst_region_create_memfd(size, &ret->fd, &huge, err);
	if (rc)
		return rc;
	/* Born open to all, and a client refuses such a region. */
	if (fchmod(ret->fd, 0600)) {
		rc = -errno;
		close(ret->fd);
		ret->fd = -1;
		return pst_error_set_errno(err, -rc, "memfd");
	}
	/* QEMU, which inherits it, and its number in there. */
	snprintf(ret->path, sizeof(ret->path), "/proc/self/fd/%d", ret->fd);
	ret->where = huge ? "memfd of 2 MiB hugepages" : "memfd";
	return 0;
}

int pst_demo_region_make(struct pst_demo_state *s, uint64_t size,
			 struct pst_demo_region *ret, struct pst_error *err)
{
	uint64_t need = size / PST_WIRE_UNIT, have = pool_free();
	char mount[PST_DEMO_PATH_MAX / 2];
	bool mounted = find_hugetlbfs(mount, sizeof(mount));

	memset(ret, 0, sizeof(*ret));
	ret->fd = -1;
	/* Somebody may be faster at the pool: then on to the next place. */
	if (have >= need && mounted &&
	    make_file(s, mount, size, ret, err) == 0) {
		ret->where = "2 MiB hugepages";
		return 0;
	}
	if (have >= need && !mounted && make_memfd(size, ret, err) == 0)
		return 0;
	snprintf(ret->note, sizeof(ret->note),
		 "the region gets ordinary pages: %s (%llu of %llu 2 MiB "
		 "hugepages free). For hugepages, as root: sysctl "
		 "vm.nr_hugepages=%llu; mount -t hugetlbfs none "
		 "/dev/hugepages",
		 mounted ? "the pool is too small" : "no writable hugetlbfs",
		 (unsigned long long)have, (unsigned long long)need,
		 (unsigned long long)(pool_count("nr_hugepages") + need -
				      (have < need ? have : 0)));
	ret->where = "/dev/shm, 4 KiB pages";
	if (make_file(s, "/dev/shm", size, ret, err) == 0)
		return 0;
	return make_memfd(size, ret, err);
}
