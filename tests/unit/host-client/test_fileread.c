/* SPDX-License-Identifier: MIT */
/* Reading files in each way: every byte, no byte too far, every end. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#include "host-client/files/fileread.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define MAX_SIZE (12U << 20)

static const uint64_t sizes[] = {
	0,
	1,
	4095,
	4096,
	4097,
	1 << 20,
	(1 << 20) + 1,
	(8 << 20),
	(8 << 20) - 1,
	(9 << 20) + 123,
};
static const enum pst_fileread_how hows[] = {
	PST_FILEREAD_AUTO, PST_FILEREAD_URING_DIRECT, PST_FILEREAD_URING,
	PST_FILEREAD_PREAD};

static struct pst_error err;
static uint8_t *dst;

static void setup(void)
{
	memset(&err, 0, sizeof(err));
	dst = mmap(NULL, MAX_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(dst, MAP_FAILED);
}

static void teardown(void)
{
	munmap(dst, MAX_SIZE);
}

static uint8_t byte_at(uint64_t i)
{
	return (uint8_t)(i * 2654435761U >> 13);
}

/* An unlinked file of size bytes in folder; "." is the build folder. */
static int make_file(const char *folder, uint64_t size)
{
	uint8_t *data = malloc(size + 1);
	char name[64];
	uint64_t i;
	int fd;

	snprintf(name, sizeof(name), "%s/pst-fileread-XXXXXX", folder);
	fd = mkostemp(name, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(unlink(name), 0);
	for (i = 0; i < size; i++)
		data[i] = byte_at(i);
	ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
	free(data);
	return fd;
}

static uint64_t count_wrong(uint64_t size)
{
	uint64_t i, wrong = 0;

	for (i = 0; i < size; i++)
		wrong += dst[i] != byte_at(i);
	return wrong;
}

/* Whether a way works here at all; says why not. */
static bool works(int fd, enum pst_fileread_how how)
{
	int r = pst_fileread(fd, dst, 1, how, NULL, &err);

	if (r == 0)
		return true;
	/* Only what a kernel or file system may deny. */
	ck_assert(how == PST_FILEREAD_URING_DIRECT ||
		  how == PST_FILEREAD_URING);
	ck_assert(r == -EINVAL || r == -EPERM || r == -ENOSYS ||
		  r == -EOPNOTSUPP);
	fprintf(stderr, "# not tested in way %d: %s\n", (int)how, err.text);
	return false;
}

START_TEST(every_byte_is_read_and_none_behind_the_room)
{
	uint64_t size, room, i;
	enum pst_fileread_how how = hows[_i], used;
	size_t k;
	int fd = make_file(".", 12 << 20);
	bool ok = works(fd, how);

	for (k = 0; ok && k < PST_ARRAY_SIZE(sizes); k++) {
		size = sizes[k];
		room = pst_fileread_room(size);
		memset(dst, 0xa5, MAX_SIZE);
		ck_assert_int_eq(pst_fileread(fd, dst, size, how, &used, &err),
				 0);
		if (how != PST_FILEREAD_AUTO)
			ck_assert_int_eq(used, how);
		ck_assert_uint_eq(count_wrong(size), 0);
		for (i = room; i < MAX_SIZE && dst[i] == 0xa5; i++)
			;
		ck_assert_uint_eq(i, MAX_SIZE);
	}
	close(fd);
}
END_TEST

START_TEST(a_file_of_exactly_the_size_is_read_to_its_last_byte)
{
	size_t k;
	int fd = make_file(".", 1);
	bool ok = works(fd, hows[_i]);

	close(fd);
	for (k = 0; ok && k < PST_ARRAY_SIZE(sizes); k++) {
		fd = make_file(".", sizes[k]);
		memset(dst, 0, MAX_SIZE);
		ck_assert_int_eq(
			pst_fileread(fd, dst, sizes[k], hows[_i], NULL, &err),
			0);
		ck_assert_uint_eq(count_wrong(sizes[k]), 0);
		close(fd);
	}
}
END_TEST

START_TEST(a_file_that_ends_early_is_no_data)
{
	static const uint64_t file[] = {0, 1, 4096, 5000, 1 << 20, 3000000};
	enum pst_fileread_how used = PST_FILEREAD_AUTO;
	size_t k;
	int fd = make_file(".", 1);
	bool ok = works(fd, hows[_i]);

	close(fd);
	for (k = 0; ok && k < PST_ARRAY_SIZE(file); k++) {
		fd = make_file(".", file[k]);
		ck_assert_int_eq(pst_fileread(fd, dst, file[k] + 1, hows[_i],
					      &used, &err),
				 -ENODATA);
		ck_assert_str_ne(err.text, "");
		ck_assert_int_eq(used, PST_FILEREAD_AUTO);
		ck_assert_int_eq(pst_fileread(fd, dst, file[k] + 5000000,
					      hows[_i], NULL, &err),
				 -ENODATA);
		close(fd);
	}
}
END_TEST

START_TEST(auto_takes_another_way_where_direct_is_refused)
{
	enum pst_fileread_how used;
	/* tmpfs before Linux 6.6 refuses O_DIRECT; a memfd is one. */
	int fd = make_file("/dev/shm", 2000000);

	ck_assert_int_eq(
		pst_fileread(fd, dst, 2000000, PST_FILEREAD_AUTO, &used, &err),
		0);
	ck_assert_uint_eq(count_wrong(2000000), 0);
	/* Nothing aligned to give to O_DIRECT. */
	ck_assert_int_eq(pst_fileread(fd, dst + 8, 2000000, PST_FILEREAD_AUTO,
				      &used, &err),
			 0);
	ck_assert(used == PST_FILEREAD_URING || used == PST_FILEREAD_PREAD);
	dst += 8;
	ck_assert_uint_eq(count_wrong(2000000), 0);
	dst -= 8;
	ck_assert_int_eq(pst_fileread(fd, dst + 8, 1, PST_FILEREAD_URING_DIRECT,
				      &used, &err),
			 -EINVAL);
	close(fd);
}
END_TEST

/* Drops a file's pages. Returns false where that cannot be (tmpfs). */
static bool drop_cache(int fd, size_t size)
{
	unsigned char *vec = calloc(1, size / 4096);
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	size_t i, n = 0;

	ck_assert_ptr_nonnull(vec);
	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(fsync(fd), 0);
	ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	ck_assert_int_eq(mincore(map, size, vec), 0);
	for (i = 0; i < size / 4096; i++)
		n += vec[i] & 1;
	munmap(map, size);
	free(vec);
	if (n > 0)
		fprintf(stderr, "# the page cache keeps %zu pages\n", n);
	return n == 0;
}

START_TEST(auto_reads_a_cached_file_from_the_cache_another_from_the_disk)
{
	enum pst_fileread_how used;
	int fd = make_file(".", 4 << 20);
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};

	/* Just written, it is cached; tmpfs does not say so. */
	if (works(fd, PST_FILEREAD_URING) &&
	    preadv2(fd, &iov, 1, 0, RWF_NOWAIT) == 1) {
		ck_assert_int_eq(pst_fileread(fd, dst, 4 << 20,
					      PST_FILEREAD_AUTO, &used, &err),
				 0);
		ck_assert_int_eq(used, PST_FILEREAD_URING);
	}
	if (works(fd, PST_FILEREAD_URING_DIRECT) && drop_cache(fd, 4 << 20)) {
		memset(dst, 0, MAX_SIZE);
		ck_assert_int_eq(pst_fileread(fd, dst, 4 << 20,
					      PST_FILEREAD_AUTO, &used, &err),
				 0);
		ck_assert_int_eq(used, PST_FILEREAD_URING_DIRECT);
		ck_assert_uint_eq(count_wrong(4 << 20), 0);
	}
	close(fd);
}
END_TEST

START_TEST(the_callers_descriptor_keeps_its_flags_and_position)
{
	int fd = make_file(".", 100000), flags = fcntl(fd, F_GETFL);

	ck_assert_int_eq(lseek(fd, 77, SEEK_SET), 77);
	if (works(fd, hows[_i]))
		ck_assert_int_eq(
			pst_fileread(fd, dst, 100000, hows[_i], NULL, &err), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL), flags);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 77);
	close(fd);
}
END_TEST

START_TEST(what_cannot_be_read_is_an_error)
{
	int p[2], wronly, fd = make_file(".", 0);
	char name[32];

	/* The same file again, not for reading. */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	wronly = open(name, O_WRONLY | O_CLOEXEC);

	/* An empty pipe would keep a read waiting. */
	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	ck_assert_int_eq(pst_fileread(p[0], dst, 10, hows[_i], NULL, &err),
			 -EINVAL);
	ck_assert_str_ne(err.text, "");
	ck_assert_int_eq(pst_fileread(-1, dst, 10, hows[_i], NULL, &err),
			 -EBADF);
	ck_assert_int_ge(wronly, 0);
	ck_assert_int_eq(
		pst_fileread(wronly, dst, UINT64_MAX, hows[_i], NULL, &err),
		-EOVERFLOW);
	ck_assert_int_eq(write(wronly, "0123456789", 10), 10);
	/* Opened again for reading, it may be read: root may anything. */
	if (hows[_i] != PST_FILEREAD_AUTO &&
	    hows[_i] != PST_FILEREAD_URING_DIRECT)
		ck_assert_int_eq(
			pst_fileread(wronly, dst, 10, hows[_i], NULL, &err),
			-EBADF);
	close(wronly);
	close(fd);
	close(p[0]);
	close(p[1]);
}
END_TEST

static int changing = -1;

static void *change(void *arg)
{
	int i;

	for (i = 0; i < 60; i++) {
		if (ftruncate(changing, i % 2 ? MAX_SIZE : 3 << 20) < 0)
			return arg;
		usleep(500);
	}
	return NULL;
}

START_TEST(a_file_that_changes_meanwhile_ends_or_is_read_within_the_room)
{
	const uint64_t size = (5 << 20) + 10;
	const uint64_t room = pst_fileread_room(size);
	pthread_t thread;
	void *failed;
	uint64_t i;
	int r, k;
	bool ok;

	changing = make_file(".", MAX_SIZE);
	ok = works(changing, hows[_i]);
	ck_assert_int_eq(pthread_create(&thread, NULL, change, NULL), 0);
	for (k = 0; ok && k < 30; k++) {
		memset(dst + room, 0xa5, MAX_SIZE - room);
		r = pst_fileread(changing, dst, size, hows[_i], NULL, &err);
		ck_assert(r == 0 || r == -ENODATA);
		for (i = room; i < MAX_SIZE && dst[i] == 0xa5; i++)
			;
		ck_assert_uint_eq(i, MAX_SIZE);
	}
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
	close(changing);
}
END_TEST

#ifdef HAVE_SECCOMP
START_TEST(where_io_uring_is_denied_auto_reads_with_pread)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	enum pst_fileread_how used;
	int fd = make_file(".", 3000000);

	ck_assert_ptr_nonnull(ctx);
	ck_assert_int_eq(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM),
					  SCMP_SYS(io_uring_setup), 0),
			 0);
	ck_assert_int_eq(seccomp_load(ctx), 0);
	seccomp_release(ctx);
	ck_assert_int_eq(
		pst_fileread(fd, dst, 3000000, PST_FILEREAD_AUTO, &used, &err),
		0);
	ck_assert_int_eq(used, PST_FILEREAD_PREAD);
	ck_assert_uint_eq(count_wrong(3000000), 0);
	ck_assert_int_eq(
		pst_fileread(fd, dst, 10, PST_FILEREAD_URING, &used, &err),
		-EPERM);
	close(fd);
}
END_TEST

START_TEST(a_ring_that_may_not_be_entered_falls_back_too)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	enum pst_fileread_how used;
	int fd = make_file(".", 3000000);

	ck_assert_ptr_nonnull(ctx);
	ck_assert_int_eq(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM),
					  SCMP_SYS(io_uring_enter), 0),
			 0);
	ck_assert_int_eq(seccomp_load(ctx), 0);
	seccomp_release(ctx);
	ck_assert_int_eq(
		pst_fileread(fd, dst, 3000000, PST_FILEREAD_AUTO, &used, &err),
		0);
	ck_assert_int_eq(used, PST_FILEREAD_PREAD);
	ck_assert_uint_eq(count_wrong(3000000), 0);
	close(fd);
}
END_TEST
#endif

static void add(TCase *t)
{
	const int n = (int)PST_ARRAY_SIZE(hows);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, every_byte_is_read_and_none_behind_the_room, 0,
			    n);
	tcase_add_loop_test(
		t, a_file_of_exactly_the_size_is_read_to_its_last_byte, 0, n);
	tcase_add_loop_test(t, a_file_that_ends_early_is_no_data, 0, n);
	tcase_add_test(t, auto_takes_another_way_where_direct_is_refused);
	tcase_add_test(
		t,
		auto_reads_a_cached_file_from_the_cache_another_from_the_disk);
	tcase_add_loop_test(
		t, the_callers_descriptor_keeps_its_flags_and_position, 0, n);
	tcase_add_loop_test(t, what_cannot_be_read_is_an_error, 0, n);
	tcase_add_loop_test(
		t,
		a_file_that_changes_meanwhile_ends_or_is_read_within_the_room,
		0, n);
#ifdef HAVE_SECCOMP
	tcase_add_test(t, where_io_uring_is_denied_auto_reads_with_pread);
	tcase_add_test(t, a_ring_that_may_not_be_entered_falls_back_too);
#endif
}

int main(void)
{
	return pst_unit_run("fileread", add, 30);
}
