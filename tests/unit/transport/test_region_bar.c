/* SPDX-License-Identifier: MIT */
/* The ivshmem provider where a made-up module penstock_bar has the device. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/region/region_int.h"

#define MIB  (1ULL << 20)
#define SIZE (8 * MIB)
#define DIR  "sys/bus/pci/devices/0000:00:04.0"
#define BAR  DIR "/misc/penstock3"
#define NODE "dev/penstock3"

static struct pst_error err;

static void put(const char *file, const char *text)
{
	FILE *f = fopen(tmpdir_path(file), "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

/* A device that the module has. Through sysfs it can only be seen. */
static void setup(void)
{
	static const char *const dirs[] = {"dev",
					   "sys",
					   "sys/bus",
					   "sys/bus/pci",
					   "sys/bus/pci/devices",
					   DIR,
					   DIR "/misc",
					   BAR};
	size_t i;

	tmpdir_make();
	for (i = 0; i < PST_ARRAY_SIZE(dirs); i++)
		ck_assert_int_eq(mkdir(tmpdir_path(dirs[i]), 0700), 0);
	put(DIR "/vendor", "0x1af4\n");
	put(DIR "/device", "0x1110\n");
	put(DIR "/resource", "0 0 0\n0 0 0\n0x800000 0xffffff 0x200\n");
	put(BAR "/page_size", "2097152\n");
	put(BAR "/caching", "WB\n");
	put(BAR "/dev", "10:123\n");
	put(NODE, "");
	ck_assert_int_eq(truncate(tmpdir_path(NODE), SIZE), 0);
}

static int open_it(const char *spec, struct pst_region *r)
{
	return pst_region_open(spec, tmpdir_path("sys"), r, &err);
}

START_TEST(a_device_that_the_module_has_is_mapped_through_it)
{
	struct pst_region r, again;
	uint8_t b;
	int fd;

	ck_assert_msg(open_it("ivshmem:00:04.0", &r) == 0, "%s", err.text);
	ck_assert_int_eq(r.provider, PST_PROVIDER_IVSHMEM);
	ck_assert_int_eq(r.caching, PST_CACHING_WB);
	ck_assert_uint_eq(r.page_size, 2 * MIB);
	ck_assert_uint_eq(r.file_size, SIZE);
	ck_assert_uint_eq(r.size, SIZE - 2 * MIB);
	ck_assert_uint_eq(r.phys, 0x800000 + 2 * MIB);
	ck_assert_str_eq(r.name, "0000:00:04.0 by /dev/penstock3");
	r.base[r.size - 1] = 9;
	fd = open(tmpdir_path(NODE), O_RDONLY);
	ck_assert_int_eq(pread(fd, &b, 1, SIZE - 1), 1);
	ck_assert_uint_eq(b, 9);
	close(fd);
	pst_region_close(&r);
	ck_assert_msg(open_it("auto", &again) == 0, "%s", err.text);
	ck_assert_str_eq(again.name, "0000:00:04.0 by /dev/penstock3");
	pst_region_close(&again);
}
END_TEST

START_TEST(an_unstamped_device_is_not_chosen)
{
	struct pst_region r;

	ck_assert_int_eq(open_it("auto", &r), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "no stamp"));
}
END_TEST

START_TEST(what_the_module_says_of_its_pages_is_checked)
{
	static const char *const bad[] = {"", "0", "-1", "4194304", "x"};
	struct pst_region r;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		put(BAR "/page_size", bad[i]);
		ck_assert_msg(open_it("ivshmem:00:04.0", &r) == -EPROTO,
			      "page size \"%s\" was believed", bad[i]);
	}
	put(BAR "/page_size", "4096");
	put(BAR "/caching", "marvellous");
	ck_assert_int_eq(open_it("ivshmem:00:04.0", &r), 0);
	ck_assert_uint_eq(r.page_size, 4096);
	ck_assert_int_eq(r.caching, PST_CACHING_UNKNOWN);
	pst_region_close(&r);
}
END_TEST

/* An agent that has a region of 4 GiB less the preamble. */
START_TEST(pages_that_the_kernel_maps_one_by_one_are_told_by_their_faults)
{
	const uint64_t size = (4096 - 2) * MIB;

	ck_assert_uint_eq(pst_region_bar_page(2 * MIB, size, 0), 2 * MIB);
	ck_assert_uint_eq(pst_region_bar_page(2 * MIB, size, 2047), 2 * MIB);
	ck_assert_uint_eq(pst_region_bar_page(2 * MIB, size, 2060), 2 * MIB);
	ck_assert_uint_eq(pst_region_bar_page(2 * MIB, size, size / 4096),
			  4096);
	ck_assert_uint_eq(pst_region_bar_page(4096, size, size / 4096), 4096);
}
END_TEST

START_TEST(a_node_that_is_not_the_device_is_refused)
{
	struct pst_region r;

	ck_assert_int_eq(truncate(tmpdir_path(NODE), SIZE / 2), 0);
	ck_assert_int_eq(open_it("ivshmem:00:04.0", &r), -ENODEV);
	ck_assert_int_eq(unlink(tmpdir_path(NODE)), 0);
	ck_assert_int_eq(open_it("ivshmem:00:04.0", &r), -ENOENT);
	ck_assert_int_eq(symlink("/dev/zero", tmpdir_path(NODE)), 0);
	ck_assert_int_eq(open_it("ivshmem:00:04.0", &r), -ELOOP);
}
END_TEST

START_TEST(other_names_in_the_directory_are_not_the_module)
{
	static const char *const others[] = {"penstock",   "penstockx",
					     "penstock-1", "penstock3x",
					     "penstock 3", "hw_random"};
	struct pst_region r;
	char name[128];
	size_t i;

	ck_assert_int_eq(unlink(tmpdir_path(BAR "/page_size")), 0);
	ck_assert_int_eq(unlink(tmpdir_path(BAR "/caching")), 0);
	ck_assert_int_eq(unlink(tmpdir_path(BAR "/dev")), 0);
	ck_assert_int_eq(rmdir(tmpdir_path(BAR)), 0);
	for (i = 0; i < PST_ARRAY_SIZE(others); i++) {
		snprintf(name, sizeof(name), DIR "/misc/%s", others[i]);
		ck_assert_int_eq(mkdir(tmpdir_path(name), 0700), 0);
	}
	/* By sysfs, then, where there is no resource2 here. */
	ck_assert_int_lt(open_it("ivshmem:00:04.0", &r), 0);
	ck_assert_ptr_null(strstr(err.text, "penstock"));
}
END_TEST

START_TEST(of_a_device_that_the_module_has_a_group_gets_the_node)
{
	struct stat st;

	ck_assert_int_eq(chmod(tmpdir_path(NODE), 0600), 0);
	ck_assert_msg(pst_region_grant("ivshmem:00:04.0", tmpdir_path("sys"),
				       getegid(), &err) == 1,
		      "%s", err.text);
	ck_assert_int_eq(stat(tmpdir_path(NODE), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0660);
	ck_assert_uint_eq(st.st_gid, getegid());
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, tmpdir_remove);
	tcase_add_test(tc, a_device_that_the_module_has_is_mapped_through_it);
	tcase_add_test(tc, an_unstamped_device_is_not_chosen);
	tcase_add_test(tc, what_the_module_says_of_its_pages_is_checked);
	tcase_add_test(
		tc,
		pages_that_the_kernel_maps_one_by_one_are_told_by_their_faults);
	tcase_add_test(tc, a_node_that_is_not_the_device_is_refused);
	tcase_add_test(tc,
		       of_a_device_that_the_module_has_a_group_gets_the_node);
	tcase_add_test(tc, other_names_in_the_directory_are_not_the_module);
}

int main(void)
{
	return pst_unit_run("region_bar", add, 20);
}
