/* SPDX-License-Identifier: MIT */
/* Region files and memfds: creating, stamping, opening, locking, formatting. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/region/region.h"

#define MIB (1ULL << 20)

static struct pst_region_create small = {
	.file_size = 6 * MIB,
	.mode = 0600,
	.uid = (uid_t)-1,
	.gid = (gid_t)-1,
	.node = -1,
};
static const struct pst_wire_limits limits = {.max_dim = 7, .max_clients = 3};
static struct pst_error err;

static const char *make(const char *name)
{
	const char *path = tmpdir_path(name);
	uint8_t uuid[16];
	int r;

	r = pst_region_create_file(path, &small, uuid, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	return path;
}

static int open_spec(const char *kind, const char *rest, struct pst_region *r)
{
	char spec[PATH_MAX + 16];

	snprintf(spec, sizeof(spec), "%s:%s", kind, rest);
	return pst_region_open(spec, "/nonexistent", r, &err);
}

static unsigned int entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

/* Changes one byte of the stamp on disk. */
static void spoil(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	uint8_t b;

	ck_assert_int_eq(pread(fd, &b, 1, (off_t)PST_WIRE_PREAMBLE + at), 1);
	b ^= 0x55;
	ck_assert_int_eq(pwrite(fd, &b, 1, (off_t)PST_WIRE_PREAMBLE + at), 1);
	close(fd);
}

START_TEST(a_created_file_has_size_mode_and_stamp_and_nothing_beside_it)
{
	struct pst_region_create c = small;
	struct pst_wire_stamp s;
	uint8_t uuid[16];
	struct stat st;
	int fd;

	c.mode = 0640;
	c.prefault = true;
	ck_assert_int_eq(
		pst_region_create_file(tmpdir_path("r"), &c, uuid, &err), 0);
	ck_assert_uint_eq(entries(tmpdir), 1);
	fd = open(tmpdir_path("r"), O_RDONLY);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq((uint64_t)st.st_size, 6 * MIB);
	ck_assert_uint_eq((uint64_t)st.st_blocks * 512, 6 * MIB);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	ck_assert_int_eq(pread(fd, &s, sizeof(s), PST_WIRE_PREAMBLE),
			 sizeof(s));
	ck_assert_int_eq(pst_stamp_check(&s, 6 * MIB, &err), 0);
	ck_assert_mem_eq(s.uuid, uuid, 16);
	ck_assert_uint_eq(uuid[6] >> 4, 4);
	ck_assert_uint_eq(uuid[8] >> 6, 2);
	close(fd);
}
END_TEST

START_TEST(an_existing_file_is_kept_unless_replacing_is_asked_for)
{
	struct pst_region_create c = small;
	const char *path = make("r");
	uint8_t uuid[16];
	struct stat a, b;

	ck_assert_int_eq(stat(path, &a), 0);
	ck_assert_int_eq(pst_region_create_file(path, &c, uuid, &err), -EEXIST);
	ck_assert_int_eq(stat(path, &b), 0);
	ck_assert_uint_eq(a.st_ino, b.st_ino);
	c.replace = true;
	c.file_size = 8 * MIB;
	ck_assert_int_eq(pst_region_create_file(path, &c, uuid, &err), 0);
	ck_assert_int_eq(stat(path, &b), 0);
	ck_assert_uint_eq((uint64_t)b.st_size, 8 * MIB);
	ck_assert_uint_eq(entries(tmpdir), 1);
}
END_TEST

START_TEST(sizes_that_cannot_be_a_region_are_refused)
{
	static const uint64_t bad[] = {
		0, 1, 4 * MIB, 7 * MIB, 6 * MIB + 1, 1ULL << 47, UINT64_MAX};
	struct pst_region_create c = small;
	uint8_t uuid[16];
	size_t i;
	bool huge;
	int fd;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		c.file_size = bad[i];
		ck_assert_int_eq(pst_region_create_file(tmpdir_path("r"), &c,
							uuid, &err),
				 -EINVAL);
		ck_assert_int_eq(
			pst_region_create_memfd(bad[i], &fd, &huge, &err),
			-EINVAL);
	}
	c = small;
	c.mode = 0666;
	ck_assert_int_eq(
		pst_region_create_file(tmpdir_path("r"), &c, uuid, &err),
		-EINVAL);
	ck_assert_uint_eq(entries(tmpdir), 0);
}
END_TEST

START_TEST(a_missing_directory_is_told_by_name)
{
	uint8_t uuid[16];

	ck_assert_int_eq(
		pst_region_create_file(tmpdir_path("no/r"), &small, uuid, &err),
		-ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "no/r"));
}
END_TEST

/* In a mount namespace of its own; false where that is not allowed. */
static bool mount_here(const char *type, const char *options)
{
	char opts[64];

	snprintf(opts, sizeof(opts), "%s", options);
	if (unshare(CLONE_NEWNS) < 0)
		return false;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	return mount("none", tmpdir, type, 0, opts) == 0;
}

START_TEST(a_full_tmpfs_is_an_error_and_leaves_nothing)
{
	uint8_t uuid[16];
	int fd;

	/* Needs root, as the two below. */
	if (!mount_here("tmpfs", "size=5M"))
		return;
	ck_assert_int_eq(
		pst_region_create_file(tmpdir_path("r"), &small, uuid, &err),
		-ENOSPC);
	ck_assert_uint_eq(entries(tmpdir), 0);
	/* One with holes would end in SIGBUS at the first full page. */
	fd = open(tmpdir_path("sparse"), O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(ftruncate(fd, 6 * MIB), 0);
	{
		struct pst_wire_stamp s = {.magic = PST_WIRE_STAMP_MAGIC,
					   .version = 1,
					   .file_size = 6 * MIB};
		struct pst_region r;

		ck_assert_int_eq(pwrite(fd, &s, sizeof(s), PST_WIRE_PREAMBLE),
				 sizeof(s));
		ck_assert_int_eq(open_spec("file", tmpdir_path("sparse"), &r),
				 -ENOSPC);
	}
	close(fd);
	umount(tmpdir);
}
END_TEST

START_TEST(hugepages_are_taken_or_the_sentence_says_how_many_are_missing)
{
	struct pst_region r;
	uint8_t uuid[16];
	int rc;

	if (!mount_here("hugetlbfs", "pagesize=2M"))
		return;
	rc = pst_region_create_file(tmpdir_path("r"), &small, uuid, &err);
	if (rc == 0) {
		ck_assert_int_eq(open_spec("file", tmpdir_path("r"), &r), 0);
		ck_assert_uint_eq(r.page_size, 2 * MIB);
		r.base[r.size - 1] = 1;
		pst_region_close(&r);
	} else {
		ck_assert_int_eq(rc, -ENOSPC);
		ck_assert_ptr_nonnull(strstr(err.text, "3 hugepages"));
		ck_assert_ptr_nonnull(strstr(err.text, "vm.nr_hugepages="));
		ck_assert_uint_eq(entries(tmpdir), 0);
	}
	unlink(tmpdir_path("r"));
	umount(tmpdir);
}
END_TEST

START_TEST(pages_of_1_gib_are_refused)
{
	uint8_t uuid[16];

	if (!mount_here("hugetlbfs", "pagesize=1G"))
		return;
	ck_assert_int_eq(
		pst_region_create_file(tmpdir_path("r"), &small, uuid, &err),
		-EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "2 MiB"));
	umount(tmpdir);
}
END_TEST

START_TEST(an_opened_file_is_mapped_from_its_header_to_its_end)
{
	const char *path = make("r");
	struct pst_region r;
	uint8_t b;
	int fd;

	ck_assert_msg(open_spec("file", path, &r) == 0, "%s", err.text);
	ck_assert_int_eq(r.provider, PST_PROVIDER_FILE);
	ck_assert_int_eq(r.caching, PST_CACHING_WB);
	ck_assert_str_eq(r.name, path);
	ck_assert_uint_eq(r.size, 4 * MIB);
	ck_assert_uint_eq(r.file_size, 6 * MIB);
	ck_assert_uint_eq((uintptr_t)r.base % PST_WIRE_UNIT, 0);
	ck_assert_uint_eq(pst_region_header(&r)->stamp.magic,
			  PST_WIRE_STAMP_MAGIC);
	r.base[r.size - 1] = 0xa5;
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(pread(fd, &b, 1, 6 * MIB - 1), 1);
	ck_assert_uint_eq(b, 0xa5);
	close(fd);
	pst_region_close(&r);
	ck_assert_ptr_null(r.base);
	pst_region_close(&r);
}
END_TEST

START_TEST(what_is_not_a_region_is_refused_and_not_changed)
{
	struct pst_region r = {.name = "untouched"};
	const char *path = tmpdir_path("f");
	int fd;

	ck_assert_int_eq(open_spec("file", path, &r), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_int_eq(access(path, F_OK), -1);
	ck_assert_int_eq(open_spec("file", "/dev/zero", &r), -EPROTO);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(open_spec("file", path, &r), -EMSGSIZE);
	ck_assert_int_eq(ftruncate(fd, 6 * MIB), 0);
	ck_assert_int_eq(open_spec("file", path, &r), -EPROTO);
	ck_assert_int_eq(ftruncate(fd, 6 * MIB + 1), 0);
	ck_assert_int_eq(open_spec("file", path, &r), -EMSGSIZE);
	ck_assert_int_eq(fchmod(fd, 0606), 0);
	ck_assert_int_eq(open_spec("file", path, &r), -EPERM);
	close(fd);
	ck_assert_str_eq(r.name, "untouched");
}
END_TEST

START_TEST(a_resized_or_spoilt_region_is_refused)
{
	const char *path = make("r");
	struct pst_region r;

	ck_assert_int_eq(truncate(path, 8 * MIB), 0);
	ck_assert_int_eq(open_spec("file", path, &r), -EMSGSIZE);
	ck_assert_int_eq(truncate(path, 6 * MIB), 0);
	spoil(path, offsetof(struct pst_wire_stamp, version));
	ck_assert_int_eq(open_spec("file", path, &r), -EPROTO);
	spoil(path, offsetof(struct pst_wire_stamp, version));
	spoil(path, offsetof(struct pst_wire_stamp, reserved1) + 23);
	ck_assert_int_eq(open_spec("file", path, &r), -EPROTO);
	spoil(path, offsetof(struct pst_wire_stamp, reserved1) + 23);
	spoil(path, 0);
	ck_assert_int_eq(open_spec("file", path, &r), -EPROTO);
	spoil(path, 0);
	ck_assert_int_eq(open_spec("file", path, &r), 0);
	pst_region_close(&r);
}
END_TEST

START_TEST(specifications_that_mean_nothing_are_refused)
{
	static const char *const bad[] = {
		"",      "fil:x",         "memfd:",   "memfd:x",  "memfd:1M",
		"fd:-1", "fd:x",          "autos",    "memfd:7M", "dax:",
		"dax:x", "file:",         "ivshmem:", "file",     "memfd",
		"fd",    "ivshmem:00:00", "fd:999"};
	struct pst_region r;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		ck_assert_msg(pst_region_open(bad[i], "/nonexistent", &r,
					      &err) == -EINVAL,
			      "\"%s\" was not refused", bad[i]);
		/* That a descriptor is not open its number does not say. */
		ck_assert_msg(pst_region_check(bad[i], &err) ==
				      (strcmp(bad[i], "fd:999") ? -EINVAL : 0),
			      "\"%s\" was not told", bad[i]);
	}
}
END_TEST

START_TEST(specifications_of_what_is_not_here_are_none_the_less_good)
{
	static const char *const good[] = {"auto",
					   "ivshmem",
					   "ivshmem:0000:00:05.0",
					   "ivshmem:1f:05.0",
					   "dax",
					   "dax:dax3.1",
					   "memfd:6M",
					   "fd:77",
					   "file:/nonexistent",
					   "memfd:1G",
					   "file:region",
					   "ivshmem:00:04.1"};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(good); i++)
		ck_assert_msg(pst_region_check(good[i], &err) == 0,
			      "\"%s\": %s", good[i], err.text);
}
END_TEST

START_TEST(a_second_agent_is_refused_with_the_pid_of_the_first)
{
	const char *path = make("r");
	struct pst_region a, b;
	uint64_t epoch;
	char pid[16];

	ck_assert_int_eq(open_spec("file", path, &a), 0);
	ck_assert_int_eq(open_spec("file", path, &b), -EBUSY);
	ck_assert_int_eq(pst_region_format(&a, 2, &limits, 100, &epoch, &err),
			 0);
	ck_assert_int_eq(open_spec("file", path, &b), -EBUSY);
	snprintf(pid, sizeof(pid), "pid %d", getpid());
	ck_assert_ptr_nonnull(strstr(err.text, pid));
	/* A pid that cannot be is not repeated. */
	pst_region_header(&a)->format.agent_pid = UINT32_MAX;
	ck_assert_int_eq(open_spec("file", path, &b), -EBUSY);
	ck_assert_ptr_null(strstr(err.text, "pid"));
	pst_region_close(&a);
	ck_assert_int_eq(open_spec("file", path, &b), 0);
	pst_region_close(&b);
}
END_TEST

START_TEST(the_lock_of_a_killed_agent_is_free_again)
{
	const char *path = make("r");
	struct pst_region r;
	int pipefd[2];
	char c;
	pid_t pid;

	ck_assert_int_eq(pipe(pipefd), 0);
	pid = fork();
	if (pid == 0) {
		if (open_spec("file", path, &r) < 0 ||
		    write(pipefd[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	close(pipefd[1]);
	ck_assert_int_eq(read(pipefd[0], &c, 1), 1);
	ck_assert_int_eq(open_spec("file", path, &r), -EBUSY);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(open_spec("file", path, &r), 0);
	pst_region_close(&r);
	close(pipefd[0]);
}
END_TEST

START_TEST(a_memfd_region_is_stamped_and_sealed)
{
	struct pst_region r;

	ck_assert_msg(open_spec("memfd", "8M", &r) == 0, "%s", err.text);
	ck_assert_int_eq(r.provider, PST_PROVIDER_MEMFD);
	ck_assert_uint_eq(r.size, 6 * MIB);
	ck_assert_int_eq(fcntl(r.fd, F_GET_SEALS),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	ck_assert_int_eq(ftruncate(r.fd, 0), -1);
	ck_assert_int_eq(fcntl(r.fd, F_GETFD), FD_CLOEXEC);
	r.base[r.size - 1] = 1;
	pst_region_close(&r);
}
END_TEST

START_TEST(more_memory_than_the_machine_has_is_refused_before_it_is_taken)
{
	bool huge;
	int fd;

	ck_assert_int_eq(pst_region_create_memfd(1ULL << 45, &fd, &huge, &err),
			 -ENOMEM);
	ck_assert_ptr_nonnull(strstr(err.text, "available"));
}
END_TEST

START_TEST(an_inherited_memfd_is_served_under_a_lock_of_its_own)
{
	struct pst_region a, b;
	char n[16];
	bool huge;
	int fd, again;

	ck_assert_int_eq(pst_region_create_memfd(6 * MIB, &fd, &huge, &err), 0);
	again = dup(fd);
	snprintf(n, sizeof(n), "%d", fd);
	ck_assert_msg(open_spec("fd", n, &a) == 0, "%s", err.text);
	ck_assert_int_eq(a.provider, PST_PROVIDER_MEMFD);
	/* It was taken over. */
	ck_assert(a.fd == fd || fcntl(fd, F_GETFD) < 0);
	snprintf(n, sizeof(n), "%d", again);
	ck_assert_int_eq(open_spec("fd", n, &b), -EBUSY);
	/* And the maker's descriptor does not keep the lock alive. */
	pst_region_close(&a);
	ck_assert_int_eq(open_spec("fd", n, &b), 0);
	pst_region_close(&b);
}
END_TEST

START_TEST(an_inherited_memfd_without_seals_is_refused)
{
	struct pst_region r;
	char n[16];
	int fd;

	fd = memfd_create("bare", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(fd, 6 * MIB), 0);
	snprintf(n, sizeof(n), "%d", fd);
	ck_assert_int_eq(open_spec("fd", n, &r), -EPERM);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	ck_assert_int_eq(open_spec("fd", n, &r), -EPERM);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	ck_assert_int_eq(open_spec("fd", n, &r), -EPROTO);
	close(fd);
}
END_TEST

START_TEST(formatting_clears_all_but_the_stamp_and_draws_a_new_epoch)
{
	struct pst_wire_format f;
	struct pst_wire_header *h;
	struct pst_region r;
	uint64_t first, second;
	size_t i, n_left = 0;

	ck_assert_int_eq(open_spec("memfd", "8M", &r), 0);
	h = pst_region_header(&r);
	memcpy(&f, &h->format, sizeof(f));
	ck_assert_int_eq(pst_format_check(&f, r.file_size, &err), -EAGAIN);
	memset(r.base + 64, 0xff, r.size - 64);
	ck_assert_int_eq(pst_region_format(&r, 31, &limits, 100, &first, &err),
			 0);
	memcpy(&f, &h->format, sizeof(f));
	ck_assert_int_eq(pst_format_check(&f, r.file_size, &err), 0);
	ck_assert_uint_eq(f.epoch, first);
	ck_assert_uint_ne(first, 0);
	ck_assert_uint_eq(f.n_lanes, 31);
	ck_assert_uint_eq(f.arena_size, 4 * MIB);
	ck_assert_uint_eq(f.agent_pid, (uint32_t)getpid());
	ck_assert_mem_eq(&h->limits, &limits, sizeof(limits));
	ck_assert_mem_eq(h->stamp.uuid, r.uuid, 16);
	for (i = offsetof(struct pst_wire_header, heartbeat);
	     i < PST_WIRE_CTL_SIZE; i++)
		n_left += r.base[i] != 0;
	ck_assert_uint_eq(n_left, 0);
	/* The arena is nobody's to clear here. */
	ck_assert_uint_eq(r.base[PST_WIRE_CTL_SIZE], 0xff);
	ck_assert_int_eq(pst_region_format(&r, 1, &limits, 100, &second, &err),
			 0);
	ck_assert_uint_ne(first, second);
	ck_assert_int_eq(pst_region_format(&r, 0, &limits, 100, &second, &err),
			 -EINVAL);
	ck_assert_int_eq(pst_region_format(&r, 32, &limits, 100, &second, &err),
			 -EINVAL);
	pst_region_close(&r);
}
END_TEST

START_TEST(every_wrong_field_of_a_format_line_is_refused)
{
	const struct pst_wire_format good = {
		.magic = PST_WIRE_FORMAT_MAGIC,
		.version = 1,
		.features = ~0U,
		.epoch = 1,
		.n_lanes = 31,
		.n_slots = PST_WIRE_SLOTS,
		.arena_off = PST_WIRE_CTL_SIZE,
		.arena_size = 2 * MIB,
		.heartbeat_ms = 100,
	};
	struct pst_wire_format f = good;
	uint64_t size = 6 * MIB;

	ck_assert_int_eq(pst_format_check(&f, size, &err), 0);
	f.magic++;
	ck_assert_int_eq(pst_format_check(&f, size, &err), -EAGAIN);
	f = good, f.version = 2;
	ck_assert_int_eq(pst_format_check(&f, size, &err), -EPROTONOSUPPORT);
	f = good, f.epoch = 0;
	ck_assert_int_eq(pst_format_check(&f, size, &err), -EPROTO);
	f = good, f.n_lanes = 0;
	ck_assert_int_eq(pst_format_check(&f, size, &err), -EPROTO);
	f = good, f.n_lanes = 32;
	ck_assert_int_eq(pst_format_check(&f, size, &err), -EPROTO);
	f = good, f.n_slots = 512;
	ck_assert_int_eq(pst_format_check(&f, size, &err), -EPROTO);
	f = good, f.arena_off = 0;
	ck_assert_int_eq(pst_format_check(&f, size, &err), -EPROTO);
	f = good, f.arena_size = 0;
	ck_assert_int_eq(pst_format_check(&f, size, &err), -EPROTO);
	f = good, f.arena_size = 4 * MIB;
	ck_assert_int_eq(pst_format_check(&f, size, &err), -EPROTO);
	f = good, f.arena_size = 1 * MIB;
	ck_assert_int_eq(pst_format_check(&f, size, &err), -EPROTO);
	f = good, f.heartbeat_ms = 0;
	ck_assert_int_eq(pst_format_check(&f, size, &err), -EPROTO);
	f = good, f.reserved0 = 1;
	ck_assert_int_eq(pst_format_check(&f, size, &err), -EPROTO);
	f = good;
	ck_assert_int_eq(pst_format_check(&f, 0, &err), -EPROTO);
}
END_TEST

START_TEST(names_exist_for_all_values_and_for_none)
{
	ck_assert_str_eq(pst_provider_name(PST_PROVIDER_IVSHMEM), "ivshmem");
	ck_assert_str_eq(pst_provider_name((enum pst_provider)99), "unknown");
	ck_assert_str_eq(pst_caching_name(PST_CACHING_WC), "WC");
	ck_assert_str_eq(pst_caching_name((enum pst_caching)99), "unknown");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, tmpdir_make, tmpdir_remove);
	tcase_add_test(
		tc,
		a_created_file_has_size_mode_and_stamp_and_nothing_beside_it);
	tcase_add_test(tc,
		       an_existing_file_is_kept_unless_replacing_is_asked_for);
	tcase_add_test(tc, sizes_that_cannot_be_a_region_are_refused);
	tcase_add_test(tc, a_missing_directory_is_told_by_name);
	tcase_add_test(tc, a_full_tmpfs_is_an_error_and_leaves_nothing);
	tcase_add_test(
		tc,
		hugepages_are_taken_or_the_sentence_says_how_many_are_missing);
	tcase_add_test(tc, pages_of_1_gib_are_refused);
	tcase_add_test(tc, an_opened_file_is_mapped_from_its_header_to_its_end);
	tcase_add_test(tc, what_is_not_a_region_is_refused_and_not_changed);
	tcase_add_test(tc, a_resized_or_spoilt_region_is_refused);
	tcase_add_test(tc, specifications_that_mean_nothing_are_refused);
	tcase_add_test(
		tc, specifications_of_what_is_not_here_are_none_the_less_good);
	tcase_add_test(tc, a_second_agent_is_refused_with_the_pid_of_the_first);
	tcase_add_test(tc, the_lock_of_a_killed_agent_is_free_again);
	tcase_add_test(tc, a_memfd_region_is_stamped_and_sealed);
	tcase_add_test(
		tc,
		more_memory_than_the_machine_has_is_refused_before_it_is_taken);
	tcase_add_test(tc,
		       an_inherited_memfd_is_served_under_a_lock_of_its_own);
	tcase_add_test(tc, an_inherited_memfd_without_seals_is_refused);
	tcase_add_test(
		tc, formatting_clears_all_but_the_stamp_and_draws_a_new_epoch);
	tcase_add_test(tc, every_wrong_field_of_a_format_line_is_refused);
	tcase_add_test(tc, names_exist_for_all_values_and_for_none);
}

int main(void)
{
	return pst_unit_run("region", add, 20);
}
