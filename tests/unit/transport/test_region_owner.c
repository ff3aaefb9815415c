/* SPDX-License-Identifier: MIT */
/* Whose regions and sockets are taken, and what of a passed one is believed. */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/region/region.h"
#include "transport/sock.h"

#define MIB     (1ULL << 20)
#define NOBODY  65534
#define SOMEONE 12345

static const struct pst_region_sender root = {.uid = 0};
static const struct pst_region_sender stranger = {.uid = SOMEONE};
static struct pst_region_create eight = {
	.file_size = 8 * MIB,
	.mode = 0660,
	.uid = (uid_t)-1,
	.gid = (gid_t)-1,
	.node = -1,
};
static struct pst_region_map map;
static struct pst_error err;
static const char *path;

static void setup(void)
{
	uint8_t uuid[16];

	tmpdir_make();
	path = tmpdir_path("r");
	ck_assert_int_eq(pst_region_create_file(path, &eight, uuid, &err), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(seteuid(0) < 0 && getuid() == 0, 0);
	tmpdir_remove();
}

/* Whether there are two users here. */
static bool are_two(void)
{
	if (geteuid() == 0)
		return true;
	fprintf(stderr, "# left out: only root is two users\n");
	return false;
}

static void expect(int want, const char *words)
{
	int r = pst_region_map_open(path, &map, &err);

	ck_assert_msg(r == want, "%d: %s", r, r < 0 ? err.text : "");
	if (r == 0)
		pst_region_map_close(&map);
	else if (words)
		ck_assert_msg(strstr(err.text, words), "%s", err.text);
}

START_TEST(a_region_of_another_user_is_taken_by_nobody_else)
{
	struct pst_region r;
	char spec[PATH_MAX + 8];

	if (!are_two())
		return;
	ck_assert_int_eq(chmod(tmpdir, 0755), 0);
	ck_assert_int_eq(chown(path, NOBODY, NOBODY), 0);
	expect(-EPERM, "nobody");
	snprintf(spec, sizeof(spec), "file:%s", path);
	ck_assert_int_eq(pst_region_open(spec, "/sys", &r, &err), -EPERM);
	/* Its owner does. */
	ck_assert_int_eq(seteuid(NOBODY), 0);
	expect(0, NULL);
	ck_assert_int_eq(pst_region_open(spec, "/sys", &r, &err), 0);
	pst_region_close(&r);
}
END_TEST

START_TEST(a_region_of_roots_is_taken_by_its_group)
{
	if (!are_two())
		return;
	ck_assert_int_eq(chmod(tmpdir, 0755), 0);
	ck_assert_int_eq(chown(path, 0, NOBODY), 0);
	ck_assert_int_eq(setegid(NOBODY), 0);
	ck_assert_int_eq(seteuid(NOBODY), 0);
	expect(0, NULL);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(setegid(0), 0);
}
END_TEST

START_TEST(holes_are_filled_in_ones_own_file_only)
{
	struct stat st;
	int fd;

	fd = open(path, O_RDWR);
	ck_assert_int_eq(fallocate(fd,
				   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   6 * MIB, 2 * MIB),
			 0);
	if (are_two()) {
		ck_assert_int_eq(chmod(tmpdir, 0755), 0);
		ck_assert_int_eq(chown(path, 0, NOBODY), 0);
		ck_assert_int_eq(setegid(NOBODY), 0);
		ck_assert_int_eq(seteuid(NOBODY), 0);
		expect(-EPERM, "has holes");
		ck_assert_int_eq(seteuid(0), 0);
		ck_assert_int_eq(setegid(0), 0);
		ck_assert_int_eq(fstat(fd, &st), 0);
		ck_assert_int_eq(st.st_blocks * 512, 6 * MIB);
	}
	expect(0, NULL);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_blocks * 512, 8 * MIB);
	close(fd);
}
END_TEST

START_TEST(a_symbolic_link_is_no_region)
{
	ck_assert_int_eq(symlink("r", tmpdir_path("link")), 0);
	path = tmpdir_path("link");
	expect(-ELOOP, "symbolic link");
}
END_TEST

START_TEST(a_descriptor_in_proc_is_a_region)
{
	char proc[64];
	int fd = open(path, O_RDWR);

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	path = proc;
	expect(0, NULL);
	close(fd);
}
END_TEST

START_TEST(a_directory_in_which_others_put_files_holds_no_region)
{
	struct pst_region_create again = eight;
	uint8_t uuid[16];

	again.replace = true;
	ck_assert_int_eq(chmod(tmpdir, 0777), 0);
	expect(-EPERM, "directory");
	ck_assert_int_eq(pst_region_create_file(path, &again, uuid, &err),
			 -EPERM);
	/* As /tmp and /dev/shm. */
	ck_assert_int_eq(chmod(tmpdir, 01777), 0);
	expect(0, NULL);
	ck_assert_int_eq(pst_region_create_file(path, &again, uuid, &err), 0);
	/* One's own group. */
	ck_assert_int_eq(chmod(tmpdir, 0775), 0);
	expect(0, NULL);
	if (!are_two())
		return;
	ck_assert_int_eq(chown(tmpdir, 0, NOBODY), 0);
	expect(-EPERM, "directory");
	/* Who may write to the region itself. */
	ck_assert_int_eq(chown(path, 0, NOBODY), 0);
	expect(0, NULL);
	ck_assert_int_eq(chown(tmpdir, NOBODY, 0), 0);
	ck_assert_int_eq(chmod(tmpdir, 01777), 0);
	expect(-EPERM, "directory");
}
END_TEST

/* ---- Passed descriptors ------------------------------------------------- */

/* A stamped memfd of which only the first 6 MiB have memory. */
static int sparse(uint64_t size, int seals)
{
	int from = open(path, O_RDWR), fd;
	struct pst_wire_stamp s;

	fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	ck_assert_int_eq(fallocate(fd, 0, 0, 6 * MIB), 0);
	ck_assert_int_eq(pread(from, &s, sizeof(s), PST_WIRE_PREAMBLE),
			 sizeof(s));
	s.file_size = size;
	ck_assert_int_eq(pwrite(fd, &s, sizeof(s), PST_WIRE_PREAMBLE),
			 sizeof(s));
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	close(from);
	return fd;
}

#define BOTH (F_SEAL_SHRINK | F_SEAL_GROW)

static void refuse(int fd, const struct pst_region_sender *from, int want,
		   const char *words)
{
	int r = pst_region_map_fd(fd, from, &map, &err);

	ck_assert_msg(r == want, "%d: %s", r, r < 0 ? err.text : "");
	ck_assert_msg(strstr(err.text, words), "%s", err.text);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}

START_TEST(a_passed_region_is_never_given_memory)
{
	struct stat st;
	int fd = sparse(1024 * MIB, BOTH), keep = dup(fd);

	refuse(fd, &root, -EPERM, "has holes");
	ck_assert_int_eq(fstat(keep, &st), 0);
	ck_assert_int_eq(st.st_blocks * 512, 6 * MIB);
	close(keep);
}
END_TEST

START_TEST(a_passed_region_has_a_largest_size)
{
	struct pst_region_sender few = {.max_size = 16 * MIB};

	int fd = sparse(128 * MIB, BOTH), more = dup(fd);

	ck_assert_uint_eq(PST_MAX_REGION, 64ULL << 30);
	refuse(fd, &few, -EMSGSIZE, "16");
	few.max_size = 0;
	refuse(more, &few, -EPERM, "has holes");
}
END_TEST

START_TEST(a_passed_region_is_sealed_both_ways)
{
	refuse(sparse(8 * MIB, F_SEAL_SHRINK), &root, -EPERM, "growing");
	refuse(sparse(8 * MIB, F_SEAL_GROW), &root, -EPERM, "growing");
}
END_TEST

START_TEST(a_memfd_has_hugepages_exactly_if_it_says_so)
{
	const struct pst_region_sender me = {.uid = geteuid()};
	bool huge;
	int fd;

	ck_assert_int_eq(pst_region_create_memfd(6 * MIB, &fd, &huge, &err), 0);
	ck_assert_int_eq(pst_region_map_fd(fd, &me, &map, &err), 0);
	ck_assert(map.hugetlb == huge);
	ck_assert_uint_eq(map.page_size,
			  huge ? 2 * MIB : (uint64_t)sysconf(_SC_PAGESIZE));
	pst_region_map_close(&map);
}
END_TEST

START_TEST(hugepages_are_taken_from_nobody_who_could_take_them_back)
{
	int fd;

	fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING |
					  MFD_HUGETLB | MFD_HUGE_2MB);
	if (fd < 0)
		return;
	ck_assert_int_eq(ftruncate(fd, 8 * MIB), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, BOTH), 0);
	refuse(fd, &stranger, -EPERM, "hugepages");
}
END_TEST

#ifdef HAVE_SECCOMP
START_TEST(nothing_is_asked_of_a_passed_file_that_has_no_seals)
{
	static const int calls[] = {SCMP_SYS(fstat), SCMP_SYS(newfstatat),
				    SCMP_SYS(statx), SCMP_SYS(fstatfs),
				    SCMP_SYS(pread64)};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int fd = open("/proc/self/exe", O_RDONLY);
	size_t i;

	/* A program behind the file (FUSE) could hold each of them. */
	for (i = 0; i < PST_ARRAY_SIZE(calls); i++)
		ck_assert_int_eq(
			seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EIO), calls[i], 0),
			0);
	ck_assert_int_eq(seccomp_load(ctx), 0);
	seccomp_release(ctx);
	refuse(fd, &root, -EPERM, "no sealed memfd");
}
END_TEST
#endif

/* ---- Sockets ------------------------------------------------------------ */

START_TEST(who_answers_at_a_socket_is_root_the_caller_or_its_owner)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct pst_endpoint ep = {.scheme = PST_SCHEME_UNIX};
	int l, fd;
	uid_t uid = 0;

	if (!are_two())
		return;
	ck_assert_int_eq(chmod(tmpdir, 01777), 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%.64s/s", tmpdir);
	memcpy(ep.path, a.sun_path, sizeof(a.sun_path));
	l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(seteuid(SOMEONE), 0);
	ck_assert_int_eq(bind(l, (void *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(l, 4), 0);
	ck_assert_int_eq(chmod(a.sun_path, 0666), 0);
	ck_assert_int_eq(seteuid(0), 0);

	fd = pst_sock_connect(&ep, PST_NS_PER_S, &err);
	ck_assert_int_eq(pst_sock_check_peer(fd, ep.path, &uid, &err), 0);
	ck_assert_uint_eq(uid, SOMEONE);
	ck_assert_int_eq(chown(ep.path, NOBODY, NOBODY), 0);
	ck_assert_int_eq(pst_sock_check_peer(fd, ep.path, &uid, &err), -EPERM);
	ck_assert_ptr_nonnull(strstr(err.text, "uid 12345 answers"));
	ck_assert_ptr_nonnull(strstr(err.text, "uid 65534"));
	close(fd);
	close(l);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_region_of_another_user_is_taken_by_nobody_else);
	tcase_add_test(tc, a_region_of_roots_is_taken_by_its_group);
	tcase_add_test(tc, holes_are_filled_in_ones_own_file_only);
	tcase_add_test(tc, a_symbolic_link_is_no_region);
	tcase_add_test(tc, a_descriptor_in_proc_is_a_region);
	tcase_add_test(tc,
		       a_directory_in_which_others_put_files_holds_no_region);
	tcase_add_test(tc, a_passed_region_is_never_given_memory);
	tcase_add_test(tc, a_passed_region_has_a_largest_size);
	tcase_add_test(tc, a_passed_region_is_sealed_both_ways);
	tcase_add_test(tc, a_memfd_has_hugepages_exactly_if_it_says_so);
	tcase_add_test(
		tc, hugepages_are_taken_from_nobody_who_could_take_them_back);
#ifdef HAVE_SECCOMP
	tcase_add_test(tc, nothing_is_asked_of_a_passed_file_that_has_no_seals);
#endif
	tcase_add_test(tc,
		       who_answers_at_a_socket_is_root_the_caller_or_its_owner);
}

int main(void)
{
	return pst_unit_run("region_owner", add, 30);
}
