/* SPDX-License-Identifier: MIT */
/* Reads a file straight into the region, without a bounce copy. */
#include "host-client/files/fileread.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <liburing.h>

#include "transport/base/util.h"

/* What O_DIRECT wants of address, offset and length on any common disk. */
#define ALIGN 4096U
/* Enough under way to keep a disk busy, small enough to share it. */
#define CHUNK (1U << 20)
#define DEPTH 8U
/* The interval of polling if the kernel cannot be asked to wait. */
#define RETRY_NS (1 * PST_NS_PER_MS)

static_assert(CHUNK % ALIGN == 0, "chunks begin aligned");

/* One chunk under way. */
struct chunk {
	uint64_t off;  /* in the file and in dst */
	uint32_t len;  /* bytes asked for, from off */
	uint32_t need; /* bytes without which it is not done, at most len */
	uint32_t got;  /* bytes there, from off */
	uint32_t from; /* where the present request begins, from off */
};

struct reader {
	struct io_uring ring;
	int fd;
	bool direct;
	uint8_t *dst;
	uint64_t size;
	uint64_t next;       /* offset of the first byte not asked for */
	unsigned int n_busy; /* chunks whose completion is to come */
	int failed;          /* the first -errno, 0: none */
	struct chunk chunks[DEPTH];
};

static void ask(struct reader *r, struct chunk *c)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

	/* The queue has room for every chunk. */
	assert(sqe);
	c->from = r->direct ? c->got - c->got % ALIGN : c->got;
	io_uring_prep_read(sqe, r->fd, r->dst + c->off + c->from,
			   c->len - c->from, c->off + c->from);
	io_uring_sqe_set_data(sqe, c);
	r->n_busy++;
}

/* Asks for the next chunk, if there is one; it never reaches beyond
 * pst_fileread_room(size), whatever becomes of the file. */
static void ask_next(struct reader *r, struct chunk *c)
{
	uint64_t left = r->size - r->next;
	uint32_t need = left < CHUNK ? (uint32_t)left : CHUNK;

	if (left == 0 || r->failed)
		return;
	*c = (struct chunk){.off = r->next, .len = need, .need = need};
	if (r->direct)
		c->len = (uint32_t)pst_round_up(need, ALIGN);
	r->next += need;
	ask(r, c);
}

static void completed(struct reader *r, struct chunk *c, int res)
{
	r->n_busy--;
	if (res == -EINTR) {
		if (!r->failed)
			ask(r, c);
		return;
	}
	/* No byte further than the last time is the file's end: also when a
	 * direct read begins again at the block it had a part of. */
	if (res >= 0 && c->from + (uint32_t)res <= c->got)
		res = -ENODATA;
	if (res < 0) {
		if (!r->failed)
			r->failed = res;
		return;
	}
	c->got = c->from + (uint32_t)res;
	if (c->got >= c->need)
		ask_next(r, c);
	else if (!r->failed)
		ask(r, c);
}

/* Submits and waits for one completion. Requests that the kernel has must
 * come back before dst may be given up: that wait has no deadline, as pread
 * has none. */
static int wait_one(struct reader *r)
{
	static const struct timespec retry = {0, RETRY_NS};
	struct io_uring_cqe *cqe;
	struct chunk *c;
	int res;

	res = io_uring_submit_and_wait(&r->ring, 1);
	if (res < 0 && res != -EINTR) {
		if (io_uring_sq_ready(&r->ring) == r->n_busy)
			return res; /* the kernel has none */
		nanosleep(&retry, NULL);
	}
	while (io_uring_peek_cqe(&r->ring, &cqe) == 0) {
		c = io_uring_cqe_get_data(cqe);
		res = cqe->res;
		io_uring_cqe_seen(&r->ring, cqe);
		completed(r, c, res);
	}
	return 0;
}

static int read_uring(int fd, bool direct, void *dst, uint64_t size)
{
	struct reader r = {
		.fd = fd, .direct = direct, .dst = dst, .size = size};
	unsigned int i;
	int res;

	res = io_uring_queue_init(DEPTH, &r.ring, 0);
	if (res < 0)
		return res;
	for (i = 0; i < DEPTH; i++)
		ask_next(&r, &r.chunks[i]);
	while (r.n_busy > 0) {
		res = wait_one(&r);
		if (res < 0)
			break;
	}
	io_uring_queue_exit(&r.ring);
	return res < 0 ? res : r.failed;
}

/*
 * The same file opened again: F_SETFL would change the description that the
 * caller shares with others.
 */
static int open_direct(int fd)
{
	char path[64];
	int direct;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	return direct < 0 ? -errno : direct;
}

/*
 * Whether the page cache has the file, by its first, middle and last byte:
 * then a copy from there is several times faster than any disk. A kernel that
 * cannot tell says no.
 */
static bool is_cached(int fd, uint64_t size)
{
	const uint64_t at[] = {0, size / 2, size - 1};
	uint8_t byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(at); i++)
		if (preadv2(fd, &iov, 1, (off_t)at[i], RWF_NOWAIT) != 1)
			return false;
	return true;
}

static int read_direct(int fd, void *dst, uint64_t size)
{
	PST_CLEANUP_FD int direct = -1;

	if ((uintptr_t)dst % ALIGN)
		return -EINVAL;
	direct = open_direct(fd);
	if (direct < 0)
		return direct;
	return read_uring(direct, true, dst, size);
}

static int read_pread(int fd, void *dst, uint64_t size)
{
	uint64_t off = 0;

	while (off < size) {
		uint64_t left = size - off;
		ssize_t n =
			pread(fd, (uint8_t *)dst + off,
			      left < INT32_MAX ? left : INT32_MAX, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		off += (uint64_t)n;
	}
	return 0;
}

static int read_how(int fd, void *dst, uint64_t size, enum pst_fileread_how how)
{
	switch (how) {
	case PST_FILEREAD_URING_DIRECT:
		return read_direct(fd, dst, size);
	case PST_FILEREAD_URING:
		return read_uring(fd, false, dst, size);
	case PST_FILEREAD_AUTO:
	case PST_FILEREAD_PREAD:
		break;
	}
	return read_pread(fd, dst, size);
}

int pst_fileread(int fd, void *dst, uint64_t size, enum pst_fileread_how how,
		 enum pst_fileread_how *ret_how, struct pst_error *err)
{
	enum pst_fileread_how used = how;
	struct stat st;
	int r;

	if (size > INT64_MAX)
		return pst_error_set(err, -EOVERFLOW, "file size overflows");
	if (fstat(fd, &st) < 0)
		return pst_error_set_errno(err, errno, "reading the file");
	/* A read of a pipe could wait for ever. */
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return pst_error_set(err, -EINVAL,
				     "neither a regular file nor a block "
				     "device");
	if (how == PST_FILEREAD_AUTO)
		used = size > 0 && is_cached(fd, size)
			       ? PST_FILEREAD_URING
			       : PST_FILEREAD_URING_DIRECT;
	for (;;) {
		r = read_how(fd, dst, size, used);
		/* The end of a file is the same for every reader. */
		if (r == 0 || r == -ENODATA || how != PST_FILEREAD_AUTO ||
		    used == PST_FILEREAD_PREAD)
			break;
		used++;
	}
	if (r == -ENODATA)
		return pst_error_set(
			err, r, "the file ended before byte %" PRIu64, size);
	if (r < 0)
		return pst_error_set_errno(err, -r, "reading the file");
	if (ret_how)
		*ret_how = used;
	return 0;
}
