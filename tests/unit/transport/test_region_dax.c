/* SPDX-License-Identifier: MIT */
/* The dax provider against a made-up sysfs tree with files as devices. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/region/region.h"

#define MIB (1ULL << 20)

static struct pst_error err;

static void put(const char *dir, const char *file, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void put_number(const char *dir, const char *file, uint64_t n)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64 "\n", n);
	put(dir, file, text);
}

static void make_dir(const char *name)
{
	ck_assert_int_eq(mkdir(tmpdir_path(name), 0700), 0);
}

/* A device of size bytes, blank; its directory in sysfs. */
static const char *device(const char *name, uint64_t size)
{
	static char dir[PATH_MAX], node[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/%s", tmpdir_path("sys/bus/dax/devices"),
		 name);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	put_number(dir, "size", size);
	put_number(dir, "align", 2 * MIB);
	put(dir, "dev", "253:0\n");
	snprintf(node, sizeof(node), "%s/dev", tmpdir);
	put(node, name, "");
	snprintf(node, sizeof(node), "%s/dev/%s", tmpdir, name);
	ck_assert_int_eq(truncate(node, (off_t)size), 0);
	return dir;
}

static void setup(void)
{
	tmpdir_make();
	make_dir("dev");
	make_dir("sys");
	make_dir("sys/bus");
	make_dir("sys/bus/dax");
	make_dir("sys/bus/dax/devices");
	make_dir("sys/bus/pci");
	make_dir("sys/bus/pci/devices");
}

static int open_it(const char *spec, struct pst_region *r)
{
	return pst_region_open(spec, tmpdir_path("sys"), r, &err);
}

static void stamp(const char *spec)
{
	struct pst_region r;

	ck_assert_msg(open_it(spec, &r) == 0, "%s", err.text);
	pst_region_close(&r);
}

/* An ivshmem device whose BAR is a region's file with the device's data. */
static void same_as_ivshmem(const char *node)
{
	const char *dir = tmpdir_path("sys/bus/pci/devices/0000:00:04.0");
	static char text[4 * MIB], bar[PATH_MAX + 16];
	int in, out;

	ck_assert_int_eq(mkdir(dir, 0700), 0);
	put(dir, "vendor", "0x1af4\n");
	put(dir, "device", "0x1110\n");
	put(dir, "enable", "1\n");
	put(dir, "resource", "0 0 0\n0 0 0\n0x800000 0xdfffff 0x200\n");
	snprintf(bar, sizeof(bar), "%s/resource2", dir);
	in = open(node, O_RDONLY);
	out = open(bar, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(read(in, text, sizeof(text)), sizeof(text));
	ck_assert_int_eq(pwrite(out, text, sizeof(text), 2 * MIB),
			 sizeof(text));
	close(in);
	close(out);
}

START_TEST(no_device_and_no_bus_are_said_so)
{
	struct pst_region r;

	ck_assert_int_eq(open_it("dax", &r), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "/dev/daxX.Y"));
	ck_assert_int_eq(pst_region_open("dax", "/nonexistent", &r, &err),
			 -ENODEV);
	ck_assert_int_eq(open_it("dax:dax0.0", &r), -ENODEV);
}
END_TEST

START_TEST(an_unstamped_device_is_listed_and_taken_only_by_its_name)
{
	struct pst_region r, again;

	device("dax1.0", 8 * MIB);
	put(device("dax0.0", 4 * MIB), "resource", "0x140000000\n");
	ck_assert_int_eq(open_it("auto", &r), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "dax0.0 (6 MiB, no stamp)"));
	ck_assert_msg(open_it("dax:dax0.0", &r) == 0, "%s", err.text);
	ck_assert_int_eq(r.provider, PST_PROVIDER_DAX);
	ck_assert_int_eq(r.caching, PST_CACHING_WB);
	ck_assert_str_eq(r.name, "dax0.0");
	ck_assert_uint_eq(r.page_size, 2 * MIB);
	ck_assert_uint_eq(r.phys, 0x140000000);
	ck_assert_uint_eq(r.size, 4 * MIB);
	ck_assert_uint_eq(r.file_size, 6 * MIB);
	ck_assert_uint_eq((uintptr_t)r.base % PST_WIRE_UNIT, 0);
	ck_assert_int_eq(open_it("auto", &again), -EBUSY);
	pst_region_close(&r);
	ck_assert_msg(open_it("auto", &again) == 0, "%s", err.text);
	ck_assert_str_eq(again.name, "dax0.0");
	pst_region_close(&again);
}
END_TEST

START_TEST(offset_0_of_the_device_is_the_header)
{
	struct pst_wire_stamp s;
	struct pst_region r;
	uint8_t b;
	int fd;

	device("dax0.0", 4 * MIB);
	ck_assert_int_eq(open_it("dax:dax0.0", &r), 0);
	r.base[r.size - 1] = 7;
	fd = open(tmpdir_path("dev/dax0.0"), O_RDONLY);
	ck_assert_int_eq(pread(fd, &s, sizeof(s), 0), sizeof(s));
	ck_assert_int_eq(pst_stamp_check(&s, 6 * MIB, &err), 0);
	ck_assert_mem_eq(s.uuid, r.uuid, 16);
	ck_assert_int_eq(pread(fd, &b, 1, 4 * MIB - 1), 1);
	ck_assert_uint_eq(b, 7);
	close(fd);
	pst_region_close(&r);
}
END_TEST

START_TEST(a_region_that_is_there_in_both_ways_is_opened_as_dax)
{
	struct pst_region r;

	device("dax0.0", 4 * MIB);
	stamp("dax:dax0.0");
	same_as_ivshmem(tmpdir_path("dev/dax0.0"));
	ck_assert_msg(open_it("auto", &r) == 0, "%s", err.text);
	ck_assert_int_eq(r.provider, PST_PROVIDER_DAX);
	pst_region_close(&r);
	ck_assert_msg(open_it("ivshmem", &r) == 0, "%s", err.text);
	ck_assert_int_eq(r.provider, PST_PROVIDER_IVSHMEM);
	pst_region_close(&r);
}
END_TEST

START_TEST(different_regions_of_both_kinds_are_named_and_none_is_chosen)
{
	struct pst_region r;

	device("dax0.0", 4 * MIB);
	stamp("dax:dax0.0");
	same_as_ivshmem(tmpdir_path("dev/dax0.0"));
	device("dax1.0", 4 * MIB);
	stamp("dax:dax1.0");
	ck_assert_int_eq(truncate(tmpdir_path("dev/dax0.0"), 0), 0);
	ck_assert_int_eq(truncate(tmpdir_path("dev/dax0.0"), 4 * MIB), 0);
	ck_assert_int_eq(open_it("auto", &r), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "ivshmem:0000:00:04.0"));
	ck_assert_ptr_nonnull(strstr(err.text, "dax:dax1.0"));
	ck_assert_ptr_null(strstr(err.text, "dax0.0"));
}
END_TEST

START_TEST(nonsense_from_sysfs_is_refused)
{
	static const char *const bad_size[] = {
		"",
		"x",
		"-4194304",
		"0",
		"2097152",
		"4194305",
		"18446744073709551615",
		"18446744073707454464",
		"70368744177664",
	};
	static const char *const bad_align[] = {"0", "1", "3145728",
						"1073741824", "zzz"};
	const char *dir = device("dax0.0", 4 * MIB);
	struct pst_region r;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad_size); i++) {
		put(dir, "size", bad_size[i]);
		ck_assert_msg(open_it("dax:dax0.0", &r) < 0,
			      "size %s was believed", bad_size[i]);
		ck_assert_int_eq(open_it("auto", &r), -ENODEV);
	}
	put_number(dir, "size", 4 * MIB);
	for (i = 0; i < PST_ARRAY_SIZE(bad_align); i++) {
		put(dir, "align", bad_align[i]);
		ck_assert_msg(open_it("dax:dax0.0", &r) < 0,
			      "align %s was believed", bad_align[i]);
	}
}
END_TEST

START_TEST(a_node_that_is_not_the_device_is_refused)
{
	const char *dir = device("dax0.0", 4 * MIB);
	struct pst_region r;

	put_number(dir, "size", 6 * MIB);
	ck_assert_int_eq(open_it("dax:dax0.0", &r), -ENODEV);
	put_number(dir, "size", 4 * MIB);
	ck_assert_int_eq(unlink(tmpdir_path("dev/dax0.0")), 0);
	ck_assert_int_eq(open_it("dax:dax0.0", &r), -ENOENT);
	/* A character device of another number, and no following of links. */
	ck_assert_int_eq(symlink("/dev/null", tmpdir_path("dev/dax0.0")), 0);
	ck_assert_int_eq(open_it("dax:dax0.0", &r), -ELOOP);
	ck_assert_int_eq(unlink(tmpdir_path("dev/dax0.0")), 0);
	if (mknod(tmpdir_path("dev/dax0.0"), S_IFCHR | 0600, 1 << 8 | 3) == 0)
		ck_assert_int_lt(open_it("dax:dax0.0", &r), 0);
}
END_TEST

START_TEST(only_names_of_device_dax_are_names)
{
	static const char *const bad[] = {
		"",        "dax",    "dax0",          "dax0.",
		"dax0.0/", "dax/..", "dax0.0x",       "../../dax0.0",
		"dax-1.0", "pmem0",  "dax99999999.0",
	};
	char spec[64];
	struct pst_region r;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		snprintf(spec, sizeof(spec), "dax:%s", bad[i]);
		ck_assert_msg(open_it(spec, &r) == -EINVAL, "%s", spec);
	}
}
END_TEST

static mode_t mode_of(const char *file)
{
	struct stat st;

	ck_assert_int_eq(stat(tmpdir_path(file), &st), 0);
	ck_assert_uint_eq(st.st_gid, getegid());
	return st.st_mode & 07777;
}

START_TEST(only_a_stamped_or_a_named_device_is_given_to_a_group)
{
	struct pst_region r;

	put(device("dax0.0", 4 * MIB), "resource", "0x140000000\n");
	put(device("dax1.0", 4 * MIB), "resource", "0x180000000\n");
	ck_assert_int_eq(chmod(tmpdir_path("dev/dax0.0"), 0600), 0);
	ck_assert_int_eq(chmod(tmpdir_path("dev/dax1.0"), 0600), 0);
	ck_assert_int_eq(
		pst_region_grant("auto", tmpdir_path("sys"), getegid(), &err),
		0);
	ck_assert_uint_eq(mode_of("dev/dax0.0"), 0600);
	ck_assert_int_eq(open_it("dax:dax1.0", &r), 0);
	pst_region_close(&r);
	ck_assert_int_eq(
		pst_region_grant("auto", tmpdir_path("sys"), getegid(), &err),
		1);
	ck_assert_uint_eq(mode_of("dev/dax0.0"), 0600);
	ck_assert_uint_eq(mode_of("dev/dax1.0"), 0660);
	ck_assert_uint_eq(mode_of("sys/bus/dax/devices/dax1.0/resource"), 0440);
	ck_assert_int_eq(pst_region_grant("dax:dax0.0", tmpdir_path("sys"),
					  getegid(), &err),
			 1);
	ck_assert_uint_eq(mode_of("dev/dax0.0"), 0660);
}
END_TEST

START_TEST(nothing_else_is_given_away)
{
	static const char *const bad[] = {"dax:dax9.0", "dax:../../etc/passwd",
					  "dax:", "ivshmem:/etc/passwd"};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_int_lt(pst_region_grant(bad[i], tmpdir_path("sys"),
						  getegid(), &err),
				 0);
	ck_assert_int_eq(pst_region_grant("file:/etc/passwd",
					  tmpdir_path("sys"), getegid(), &err),
			 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, tmpdir_remove);
	tcase_add_test(tc, no_device_and_no_bus_are_said_so);
	tcase_add_test(
		tc, an_unstamped_device_is_listed_and_taken_only_by_its_name);
	tcase_add_test(tc, offset_0_of_the_device_is_the_header);
	tcase_add_test(tc,
		       a_region_that_is_there_in_both_ways_is_opened_as_dax);
	tcase_add_test(
		tc,
		different_regions_of_both_kinds_are_named_and_none_is_chosen);
	tcase_add_test(tc, nonsense_from_sysfs_is_refused);
	tcase_add_test(tc, a_node_that_is_not_the_device_is_refused);
	tcase_add_test(tc,
		       only_a_stamped_or_a_named_device_is_given_to_a_group);
	tcase_add_test(tc, nothing_else_is_given_away);
	tcase_add_test(tc, only_names_of_device_dax_are_names);
}

int main(void)
{
	return pst_unit_run("region_dax", add, 20);
}
