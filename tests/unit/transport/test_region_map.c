/* SPDX-License-Identifier: MIT */
/* The client's piecewise mapping of a region, and its detachment. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/region/region.h"

#define MIB (1ULL << 20)

static const struct pst_region_create eight = {
	.file_size = 8 * MIB,
	.mode = 0600,
	.uid = (uid_t)-1,
	.gid = (gid_t)-1,
	.node = -1,
};
static struct pst_error err;
static struct pst_region_map map;
static uint8_t uuid[16];

static void setup(void)
{
	tmpdir_make();
	ck_assert_int_eq(
		pst_region_create_file(tmpdir_path("r"), &eight, uuid, &err),
		0);
	ck_assert_msg(pst_region_map_open(tmpdir_path("r"), &map, &err) == 0,
		      "%s", err.text);
}

static void teardown(void)
{
	pst_region_map_close(&map);
	tmpdir_remove();
}

static uint8_t *span(uint64_t off, uint64_t size)
{
	struct pst_span s = {.off = off, .size = size};
	void *p;

	ck_assert_msg(pst_region_map_span(&map, &s, NULL, &p, &err) == 0, "%s",
		      err.text);
	return p;
}

START_TEST(a_region_file_is_opened_with_its_size_and_uuid)
{
	ck_assert_uint_eq(map.file_size, 8 * MIB);
	ck_assert_mem_eq(map.uuid, uuid, 16);
	ck_assert_int_eq(fcntl(map.fd, F_GETFD), FD_CLOEXEC);
}
END_TEST

START_TEST(a_client_never_creates_and_takes_no_file_that_others_can_write)
{
	struct pst_region_map m;
	const char *path = tmpdir_path("f");
	int fd;

	ck_assert_int_eq(pst_region_map_open(path, &m, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_int_eq(access(path, F_OK), -1);
	ck_assert_int_eq(pst_region_map_open(tmpdir, &m, &err), -EISDIR);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(ftruncate(fd, 8 * MIB), 0);
	ck_assert_int_eq(pst_region_map_open(path, &m, &err), -EPROTO);
	close(fd);
	path = tmpdir_path("r");
	ck_assert_int_eq(chmod(path, 0602), 0);
	ck_assert_int_eq(pst_region_map_open(path, &m, &err), -EPERM);
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert_int_eq(truncate(path, 6 * MIB), 0);
	ck_assert_int_eq(pst_region_map_open(path, &m, &err), -EMSGSIZE);
}
END_TEST

START_TEST(a_descriptor_is_taken_only_sealed_and_is_closed_when_refused)
{
	const struct pst_region_sender me = {.uid = geteuid()};
	struct pst_region_map m;
	bool huge;
	int fd;

	fd = open(tmpdir_path("r"), O_RDWR);
	ck_assert_int_eq(pst_region_map_fd(fd, &me, &m, &err), -EPERM);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(pst_region_create_memfd(6 * MIB, &fd, &huge, &err), 0);
	ck_assert_msg(pst_region_map_fd(fd, &me, &m, &err) == 0, "%s",
		      err.text);
	ck_assert_int_eq(m.fd, fd);
	pst_region_map_close(&m);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	pst_region_map_close(&m);
}
END_TEST

START_TEST(spans_are_the_file_behind_its_preamble)
{
	uint8_t *ctl = span(0, 2 * MIB), *last = span(4 * MIB, 2 * MIB);
	uint8_t *all = span(0, 6 * MIB);
	uint8_t b = 0x77;

	ck_assert_uint_eq(((struct pst_wire_header *)(void *)ctl)->stamp.magic,
			  PST_WIRE_STAMP_MAGIC);
	ck_assert_uint_eq((uintptr_t)last % PST_WIRE_UNIT, 0);
	ck_assert_int_eq(pwrite(map.fd, &b, 1, 8 * MIB - 1), 1);
	ck_assert_uint_eq(last[2 * MIB - 1], 0x77);
	ck_assert_uint_eq(all[6 * MIB - 1], 0x77);
	munmap(ctl, 2 * MIB);
	munmap(last, 2 * MIB);
	munmap(all, 6 * MIB);
}
END_TEST

START_TEST(spans_outside_the_file_are_refused)
{
	static const struct pst_span bad[] = {
		{0, 0},
		{1, 2 * MIB},
		{0, 1},
		{0, 8 * MIB},
		{6 * MIB, 2 * MIB},
		{4 * MIB, 4 * MIB},
		{UINT64_MAX - 2 * MIB + 1, 2 * MIB},
		{2 * MIB, UINT64_MAX - 2 * MIB + 1},
	};
	void *p = NULL;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(
			pst_region_map_span(&map, &bad[i], NULL, &p, &err),
			-EINVAL);
	ck_assert_ptr_null(p);
}
END_TEST

START_TEST(a_span_can_be_mapped_over_an_address_of_the_callers)
{
	struct pst_span s = {.off = 4 * MIB, .size = 2 * MIB};
	/* volatile: one byte under two addresses. */
	volatile uint8_t *area = span(0, 6 * MIB);
	void *p, *at = (void *)(uintptr_t)(area + 2 * MIB);

	ck_assert_int_eq(pst_region_map_detach(at, 2 * MIB), 0);
	ck_assert_int_eq(pst_region_map_span(&map, &s, at, &p, &err), 0);
	ck_assert_ptr_eq(p, at);
	area[2 * MIB] = 0x31;
	ck_assert_uint_eq(area[4 * MIB], 0x31);
	munmap((void *)(uintptr_t)area, 6 * MIB);
}
END_TEST

struct writer {
	volatile uint64_t *words;
	uint64_t count; /* written so far */
	int stop;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;
	uint64_t i = 0, n = 2 * MIB / 8;

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		w->words[i % n] = i + 1;
		i++;
		__atomic_store_n(&w->count, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void wait_for_progress(struct writer *w)
{
	uint64_t start = __atomic_load_n(&w->count, __ATOMIC_ACQUIRE);
	uint64_t deadline = pst_now_ns() + 10 * PST_NS_PER_S;

	/* Twice around, so that every page was written meanwhile. */
	while (__atomic_load_n(&w->count, __ATOMIC_ACQUIRE) <
	       start + 2 * (2 * MIB / 8))
		ck_assert_uint_lt(pst_now_ns(), deadline);
}

START_TEST(a_thread_writing_across_a_detach_lives_and_reaches_nobody)
{
	struct writer w = {.words = (void *)span(2 * MIB, 2 * MIB)};
	uint8_t *file = span(2 * MIB, 2 * MIB);
	size_t i, n_reached = 0;
	pthread_t t;

	ck_assert_int_eq(pthread_create(&t, NULL, write_on, &w), 0);
	wait_for_progress(&w);
	ck_assert_uint_ne(((uint64_t *)(void *)file)[0], 0);
	ck_assert_int_eq(
		pst_region_map_detach((void *)(uintptr_t)w.words, 2 * MIB), 0);
	memset(file, 0, 2 * MIB);
	wait_for_progress(&w);
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELEASE);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	for (i = 0; i < 2 * MIB; i++)
		n_reached += file[i] != 0;
	ck_assert_uint_eq(n_reached, 0);
	ck_assert_uint_ne(w.words[0], 0);
	munmap(file, 2 * MIB);
	munmap((void *)(uintptr_t)w.words, 2 * MIB);
}
END_TEST

/* Whether a child of fork(2) has memory at addr. */
static bool child_sees(const void *addr)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		unsigned char v;
		long page = sysconf(_SC_PAGESIZE);

		_exit(mincore((void *)(uintptr_t)addr, (size_t)page, &v) == 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status) == 1;
}

START_TEST(a_forked_child_has_neither_the_region_nor_what_replaced_it)
{
	uint8_t *p = span(2 * MIB, 2 * MIB);
	void *heap = aligned_alloc((size_t)sysconf(_SC_PAGESIZE), 65536);

	ck_assert(child_sees(heap));
	free(heap);
	ck_assert(!child_sees(p));
	ck_assert_int_eq(pst_region_map_detach(p, 2 * MIB), 0);
	ck_assert(!child_sees(p));
	munmap(p, 2 * MIB);
}
END_TEST

START_TEST(a_sparse_region_has_memory_for_what_is_asked_for_only)
{
	const struct pst_span span = {.off = 6 * MIB, .size = 4 * MIB};
	struct pst_region r;
	struct stat st;
	char spec[32];
	int fd;

	ck_assert_int_eq(pst_region_create_sparse(64 * MIB, &fd, &err), 0);
	snprintf(spec, sizeof(spec), "sparse:%d", fd);
	ck_assert_msg(pst_region_open(spec, "/sys", &r, &err) == 0, "%s",
		      err.text);
	ck_assert_int_eq(fstat(r.fd, &st), 0);
	ck_assert_int_eq(st.st_blocks * 512, 6 * MIB);
	ck_assert_int_eq(pst_region_back(&r, &span, &err), 0);
	ck_assert_int_eq(fstat(r.fd, &st), 0);
	ck_assert_int_eq(st.st_blocks * 512, 10 * MIB);
	pst_region_close(&r);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_region_file_is_opened_with_its_size_and_uuid);
	tcase_add_test(
		tc,
		a_client_never_creates_and_takes_no_file_that_others_can_write);
	tcase_add_test(
		tc,
		a_descriptor_is_taken_only_sealed_and_is_closed_when_refused);
	tcase_add_test(tc, spans_are_the_file_behind_its_preamble);
	tcase_add_test(tc, spans_outside_the_file_are_refused);
	tcase_add_test(tc, a_span_can_be_mapped_over_an_address_of_the_callers);
	tcase_add_test(
		tc, a_thread_writing_across_a_detach_lives_and_reaches_nobody);
	tcase_add_test(tc,
		       a_sparse_region_has_memory_for_what_is_asked_for_only);
	tcase_add_test(
		tc, a_forked_child_has_neither_the_region_nor_what_replaced_it);
}

int main(void)
{
	return pst_unit_run("region_map", add, 30);
}
