/* SPDX-License-Identifier: MIT */
/* Which pages of this process were written since the last look: by userfaultfd
 * and PAGEMAP_SCAN, Linux 6.7 or newer, without any right. */
#include "host-client/blas/watch.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux's linux/userfaultfd.h and linux/fs.h from 6.7 on. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#define FEATURE_WP_UNPOPULATED (1ULL << 13)
#define FEATURE_WP_ASYNC       (1ULL << 15)

struct page_run {
	uint64_t start, end, categories;
};

struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof, returned;
};

static_assert(sizeof(struct scan) == 96, "struct pm_scan_arg of Linux");

#define SCAN              _IOWR('f', 16, struct scan)
#define SCAN_PROTECT      (1ULL << 0) /* PM_SCAN_WP_MATCHING */
#define SCAN_ONLY_WATCHED (1ULL << 1) /* PM_SCAN_CHECK_WPASYNC */
#define PAGE_IS_WRITTEN   (1ULL << 1)
#define PAGE_IS_PRESENT   (1ULL << 3)
#define RUNS              256U

static int uffd = -1, pagemap = -1;
static bool cannot;

/* ---- What the kernel can ------------------------------------------------ */

static void close_both(void)
{
	if (uffd >= 0)
		close(uffd);
	if (pagemap >= 0)
		close(pagemap);
	uffd = pagemap = -1;
}

bool pst_blas_watch_can(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = FEATURE_WP_ASYNC | FEATURE_WP_UNPOPULATED,
	};
	struct scan s = {.size = sizeof(s), .returned = PAGE_IS_WRITTEN};

	if (cannot || uffd >= 0)
		return !cannot;
	uffd = (int)syscall(SYS_userfaultfd,
			    O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (sysconf(_SC_PAGESIZE) == PST_BLAS_PAGE && uffd >= 0 &&
	    pagemap >= 0 && ioctl(uffd, UFFDIO_API, &api) == 0 &&
	    ioctl(pagemap, SCAN, &s) == 0)
		return true;
	close_both();
	cannot = true;
	return false;
}

void pst_blas_watch_forked(void)
{
	close_both();
	cannot = false;
}

/* ---- What the kernel cannot see ------------------------------------------ */

/* Buffers that a ring of io_uring has. */
static bool has_buffers(const char *fd)
{
	char path[64], line[128];
	unsigned long n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%.10s", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "UserBufs: %lu", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n > 0;
}

bool pst_blas_watch_is_pinned(void)
{
	static const char *const devices[] = {
		"/dev/infiniband/", "/dev/vfio/", "/dev/nvidia",
		"/dev/kfd",         "/dev/dri/",  "/dev/udmabuf"};
	DIR *d = opendir("/proc/self/fd");
	const struct dirent *e;
	bool found = false;
	char to[64];
	ssize_t n;
	size_t i;

	while (d && !found && (e = readdir(d))) {
		n = readlinkat(dirfd(d), e->d_name, to, sizeof(to) - 1);
		if (n <= 0)
			continue;
		to[n] = '\0';
		if (strcmp(to, "anon_inode:[io_uring]") == 0)
			found = has_buffers(e->d_name);
		for (i = 0; i < sizeof(devices) / sizeof(*devices); i++)
			if (strncmp(to, devices[i], strlen(devices[i])) == 0)
				found = true;
	}
	if (d)
		closedir(d);
	/* What cannot be looked at may be anything. */
	return found || !d;
}

/* Whether all of it is private, and of no file: a second mapping could write to
 * anything else. */
static bool is_private(uintptr_t start, uintptr_t end)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long long from, to, inode;
	char *line = NULL, perms[5];
	size_t size = 0;

	while (f && start < end && getline(&line, &size, f) > 0) {
		if (sscanf(line, "%llx-%llx %4s %*s %*s %llu", &from, &to,
			   perms, &inode) != 4 ||
		    to <= start)
			continue;
		if (from > start || perms[3] != 'p' || inode != 0)
			break;
		start = (uintptr_t)to;
	}
	free(line);
	if (f)
		fclose(f);
	return start >= end;
}

/* ---- Watching ------------------------------------------------------------ */

int pst_blas_watch_start(uintptr_t start, uintptr_t end)
{
	struct uffdio_register r = {
		.range = {.start = start, .len = end - start},
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	if (!is_private(start, end))
		return -EPERM;
	return ioctl(uffd, UFFDIO_REGISTER, &r) < 0 ? -errno : 0;
}

void pst_blas_watch_stop(uintptr_t start, uintptr_t end)
{
	struct uffdio_range r = {.start = start, .len = end - start};

	/* Of what is not there nothing is to be ended. */
	(void)ioctl(uffd, UFFDIO_UNREGISTER, &r);
}

int pst_blas_watch_look(uintptr_t start, uintptr_t end,
			void (*written)(void *arg, uintptr_t from,
					uintptr_t to),
			void *arg)
{
	struct page_run runs[RUNS];
	/* A page that is not there was taken away (madvise), and is zero: the
	 * kernel does not count that as written. */
	struct scan s = {
		.size = sizeof(s),
		.flags = SCAN_PROTECT | SCAN_ONLY_WATCHED,
		.start = start,
		.end = end,
		.vec = (uintptr_t)runs,
		.vec_len = RUNS,
		.category_inverted = PAGE_IS_PRESENT,
		.category_anyof = PAGE_IS_WRITTEN | PAGE_IS_PRESENT,
		.returned = PAGE_IS_WRITTEN,
	};
	long i, n;

	while (s.start < end) {
		n = ioctl(pagemap, SCAN, &s);
		if (n < 0)
			return -errno;
		for (i = 0; i < n; i++)
			written(arg, (uintptr_t)runs[i].start,
				(uintptr_t)runs[i].end);
		if (s.walk_end <= s.start)
			return -EIO;
		s.start = s.walk_end;
	}
	return 0;
}
