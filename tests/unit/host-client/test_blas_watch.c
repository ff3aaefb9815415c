/* SPDX-License-Identifier: MIT */
/* Which pages were written: whatever a process can do to its memory is seen,
 * and memory that others can write to is refused. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host-client/blas/watch.h"
#include "tests/fixtures/unit.h"

#define PAGE  ((size_t)PST_BLAS_PAGE)
#define PAGES ((size_t)2048)
#define SIZE  (PAGES * PAGE)

static char *mem;
static size_t written;

static void setup(void)
{
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(mem != MAP_FAILED);
	memset(mem, 1, SIZE);
}

static void teardown(void)
{
	munmap(mem, SIZE);
}

static void count(void *arg, uintptr_t from, uintptr_t to)
{
	(void)arg;
	ck_assert(from < to && from >= (uintptr_t)mem &&
		  to <= (uintptr_t)mem + SIZE);
	written += (to - from) / PAGE;
}

static int look(void)
{
	written = 0;
	return pst_blas_watch_look((uintptr_t)mem, (uintptr_t)mem + SIZE, count,
				   NULL);
}

static void check_written(size_t pages)
{
	ck_assert_int_eq(look(), 0);
	ck_assert_uint_eq(written, pages);
	ck_assert_int_eq(look(), 0);
	ck_assert_uint_eq(written, 0);
}

static int start(void *at)
{
	return pst_blas_watch_start((uintptr_t)at, (uintptr_t)at + SIZE);
}

/* False on a kernel before 6.7, where nothing is ever kept. */
static bool watched(void)
{
	if (!pst_blas_watch_can()) {
		printf("# this kernel has no PAGEMAP_SCAN\n");
		return false;
	}
	ck_assert_int_eq(start(mem), 0);
	ck_assert_int_eq(look(), 0);
	ck_assert_uint_eq(written, PAGES);
	return true;
}

START_TEST(what_is_written_is_seen_once)
{
	size_t i;
	int fd;

	if (!watched())
		return;
	check_written(0);
	mem[5 * PAGE + 7] = 2;
	check_written(1);
	/* More runs than one call of the kernel returns. */
	for (i = 0; i < PAGES; i += 2)
		mem[i * PAGE] = 3;
	check_written(PAGES / 2);
	/* By the kernel. */
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, mem + 10 * PAGE, 2 * PAGE), 2 * PAGE);
	close(fd);
	check_written(2);
}
END_TEST

START_TEST(what_is_taken_away_is_seen)
{
	volatile char *p = mem;
	size_t i;

	if (!watched())
		return;
	ck_assert_int_eq(madvise(mem, SIZE, MADV_DONTNEED), 0);
	ck_assert_int_eq(look(), 0);
	ck_assert_uint_eq(written, PAGES);
	for (i = 0; i < PAGES; i++)
		ck_assert_int_eq(p[i * PAGE], 0);
	ck_assert_int_eq(look(), 0);
	check_written(0);
	p[0] = 1;
	check_written(1);
}
END_TEST

START_TEST(a_child_has_its_own)
{
	int status;
	pid_t pid;

	if (!watched())
		return;
	pid = fork();
	if (pid == 0) {
		memset(mem, 4, SIZE);
		pst_blas_watch_forked();
		_exit(pst_blas_watch_can() && start(mem) == 0 && look() == 0 &&
				      written == PAGES && look() == 0 &&
				      written == 0
			      ? 0
			      : 1);
	}
	mem[0] = 2;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	check_written(1);
}
END_TEST

START_TEST(another_mapping_is_not_the_same)
{
	void *p;

	if (!watched())
		return;
	p = mmap(mem + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ck_assert(p == mem + 8 * PAGE);
	ck_assert_int_eq(look(), -EPERM);
	ck_assert_int_eq(start(mem), 0);
	ck_assert_int_eq(look(), 0);
	pst_blas_watch_stop((uintptr_t)mem, (uintptr_t)mem + SIZE);
	ck_assert_int_eq(look(), -EPERM);
}
END_TEST

START_TEST(memory_that_others_write_to_is_refused)
{
	const int prot = PROT_READ | PROT_WRITE;
	const int fd = memfd_create("shared", MFD_CLOEXEC);
	void *p[3];
	size_t i;

	ck_assert_int_eq(ftruncate(fd, (off_t)SIZE), 0);
	p[0] = mmap(NULL, SIZE, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	p[1] = mmap(NULL, SIZE, prot, MAP_SHARED, fd, 0);
	p[2] = mmap(NULL, SIZE, prot, MAP_PRIVATE, fd, 0);
	for (i = 0; i < 3; i++) {
		ck_assert(p[i] != MAP_FAILED);
		if (pst_blas_watch_can())
			ck_assert_int_eq(start(p[i]), -EPERM);
		munmap(p[i], SIZE);
	}
	/* Nor what has a gap. */
	munmap(mem + 3 * PAGE, PAGE);
	if (pst_blas_watch_can())
		ck_assert_int_eq(start(mem), -EPERM);
	close(fd);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_is_written_is_seen_once);
	tcase_add_test(tc, what_is_taken_away_is_seen);
	tcase_add_test(tc, a_child_has_its_own);
	tcase_add_test(tc, another_mapping_is_not_the_same);
	tcase_add_test(tc, memory_that_others_write_to_is_refused);
}

int main(void)
{
	return pst_unit_run("blas_watch", add, 30);
}
