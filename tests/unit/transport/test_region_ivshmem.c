/* SPDX-License-Identifier: MIT */
/* The ivshmem provider against a made-up sysfs tree with files as BARs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/region/region.h"
#include "transport/region/region_int.h"

#define MIB (1ULL << 20)
#define BAR 0x3800000000ULL

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

static void put_resource(const char *dir, uint64_t size)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "0x00000000febd1000 0x00000000febd10ff 0x0000000000040200\n"
		 "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		 "0x%016llx 0x%016llx 0x000000000014220c\n"
		 "0x0000000000000000 0x0000000000000000 0x0000000000000000\n",
		 BAR, BAR + size - 1);
	put(dir, "resource", text);
}

/* A device directory with a BAR 2 of size bytes, blank; wc: with the
 * write-combining file, which is the same memory. */
static const char *device(const char *addr, uint64_t size, bool wc)
{
	const char *dir = tmpdir_path("bus/pci/devices");
	static char path[PATH_MAX], bar[PATH_MAX + 16], bar_wc[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, addr);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	put(path, "vendor", "0x1af4\n");
	put(path, "device", "0x1110\n");
	put(path, "enable", "0\n");
	put_resource(path, size);
	put(path, "resource2", "");
	snprintf(bar, sizeof(bar), "%s/resource2", path);
	ck_assert_int_eq(truncate(bar, (off_t)size), 0);
	snprintf(bar_wc, sizeof(bar_wc), "%s_wc", bar);
	if (wc)
		ck_assert_int_eq(link(bar, bar_wc), 0);
	return path;
}

static void setup(void)
{
	tmpdir_make();
	ck_assert_int_eq(mkdir(tmpdir_path("bus"), 0700), 0);
	ck_assert_int_eq(mkdir(tmpdir_path("bus/pci"), 0700), 0);
	ck_assert_int_eq(mkdir(tmpdir_path("bus/pci/devices"), 0700), 0);
}

static int open_it(const char *spec, struct pst_region *r)
{
	return pst_region_open(spec, tmpdir, r, &err);
}

static void stamp(const char *spec)
{
	struct pst_region r;

	ck_assert_msg(open_it(spec, &r) == 0, "%s", err.text);
	pst_region_close(&r);
}

START_TEST(no_device_and_no_pci_at_all_are_said_so)
{
	struct pst_region r;

	ck_assert_int_eq(open_it("auto", &r), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "1af4:1110"));
	ck_assert_int_eq(pst_region_open("auto", "/nonexistent", &r, &err),
			 -ENODEV);
}
END_TEST

START_TEST(an_unstamped_device_is_found_and_listed_but_not_taken)
{
	const char *dir = device("0000:00:04.0", 8 * MIB, true);
	struct pst_region r;
	char byte[64], zero[64] = "", path[PATH_MAX + 16];
	int fd;

	ck_assert_int_eq(open_it("auto", &r), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "0000:00:04.0"));
	ck_assert_ptr_nonnull(strstr(err.text, "no stamp"));
	snprintf(path, sizeof(path), "%s/resource2", dir);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(pread(fd, byte, 64, PST_WIRE_PREAMBLE), 64);
	ck_assert_mem_eq(byte, zero, 64);
	close(fd);
}
END_TEST

START_TEST(a_named_device_is_enabled_and_stamped_and_then_found_alone)
{
	char path[PATH_MAX + 16], text[8];
	struct pst_region r, again;
	const char *dir;

	device("0000:00:03.0", 8 * MIB, true);
	dir = device("0000:00:04.0", 16 * MIB, true);
	ck_assert_msg(open_it("ivshmem:00:04.0", &r) == 0, "%s", err.text);
	snprintf(path, sizeof(path), "%s/enable", dir);
	ck_assert_int_ge(pst_read_text(path, text, sizeof(text)), 1);
	ck_assert_int_eq(text[0], '1');
	ck_assert_int_eq(r.provider, PST_PROVIDER_IVSHMEM);
	ck_assert_str_eq(r.name, "0000:00:04.0");
	ck_assert_uint_eq(r.file_size, 16 * MIB);
	ck_assert_uint_eq(r.size, 14 * MIB);
	ck_assert_uint_eq(r.phys, BAR + 2 * MIB);
	ck_assert_uint_eq(r.page_size, 4096);
	ck_assert_int_eq(open_it("auto", &again), -EBUSY);
	pst_region_close(&r);

	ck_assert_msg(open_it("auto", &again) == 0, "%s", err.text);
	ck_assert_str_eq(again.name, "0000:00:04.0");
	pst_region_close(&again);
	/* By name it keeps its stamp. */
	ck_assert_int_eq(open_it("ivshmem:0000:00:04.0", &r), 0);
	ck_assert_mem_eq(r.uuid, again.uuid, 0);
	ck_assert_mem_eq(r.uuid, pst_region_header(&r)->stamp.uuid, 16);
	pst_region_close(&r);
}
END_TEST

START_TEST(header_and_arena_are_one_range_over_two_mappings)
{
	const char *dir = device("0000:00:04.0", 8 * MIB, false);
	char path[PATH_MAX + 16];
	struct pst_region r;
	uint8_t b[4];
	int fd, wc;

	/* Separate files show which mapping a byte went through. */
	snprintf(path, sizeof(path), "%s/resource2_wc", dir);
	wc = open(path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(ftruncate(wc, 8 * MIB), 0);
	ck_assert_int_eq(open_it("ivshmem:00:04.0", &r), 0);
	ck_assert_int_eq(r.caching, PST_CACHING_WC);
	ck_assert_uint_eq((uintptr_t)r.base % PST_WIRE_UNIT, 0);
	r.base[0x1234] = 1;
	r.base[2 * MIB - 1] = 2;
	r.base[2 * MIB] = 3;
	r.base[r.size - 1] = 4;
	snprintf(path, sizeof(path), "%s/resource2", dir);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(pread(fd, &b[0], 1, 2 * MIB + 0x1234), 1);
	ck_assert_int_eq(pread(fd, &b[1], 1, 4 * MIB - 1), 1);
	ck_assert_int_eq(pread(wc, &b[2], 1, 4 * MIB), 1);
	ck_assert_int_eq(pread(wc, &b[3], 1, 8 * MIB - 1), 1);
	ck_assert_mem_eq(b, "\1\2\3\4", 4);
	close(fd);
	close(wc);
	pst_region_close(&r);
}
END_TEST

START_TEST(without_a_write_combining_file_the_arena_is_uncached)
{
	struct pst_region r;

	device("0000:00:04.0", 8 * MIB, false);
	ck_assert_int_eq(open_it("ivshmem:00:04.0", &r), 0);
	ck_assert_int_eq(r.caching, PST_CACHING_UC);
	r.base[r.size - 1] = 4;
	pst_region_close(&r);
}
END_TEST

START_TEST(several_stamped_devices_are_named_and_none_is_chosen)
{
	struct pst_region r;

	device("0000:00:05.0", 8 * MIB, true);
	device("0000:00:04.0", 8 * MIB, true);
	device("0000:00:06.0", 8 * MIB, true);
	stamp("ivshmem:00:05.0");
	stamp("ivshmem:00:04.0");
	ck_assert_int_eq(open_it("ivshmem", &r), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "0000:00:04.0"));
	ck_assert_ptr_nonnull(strstr(err.text, "0000:00:05.0"));
	ck_assert_ptr_null(strstr(err.text, "0000:00:06.0"));
}
END_TEST

START_TEST(a_bar_of_another_size_than_the_stamp_says_is_refused)
{
	const char *dir = device("0000:00:04.0", 8 * MIB, true);
	char path[PATH_MAX + 16];
	struct pst_region r;

	stamp("ivshmem:00:04.0");
	put_resource(dir, 16 * MIB);
	/* The file and the resource line disagree. */
	ck_assert_int_eq(open_it("ivshmem:00:04.0", &r), -EMSGSIZE);
	snprintf(path, sizeof(path), "%s/resource2", dir);
	ck_assert_int_eq(truncate(path, 16 * MIB), 0);
	/* They agree, and the stamp does not. */
	ck_assert_int_eq(open_it("ivshmem:00:04.0", &r), -EMSGSIZE);
	ck_assert_int_eq(open_it("auto", &r), -ENODEV);
}
END_TEST

START_TEST(other_devices_and_small_bars_are_left_alone)
{
	const char *dir = device("0000:00:04.0", 4 * MIB, true);
	struct pst_region r;

	ck_assert_int_eq(open_it("ivshmem:00:04.0", &r), -EMSGSIZE);
	put(dir, "device", "0x1111\n");
	ck_assert_int_eq(open_it("ivshmem:00:04.0", &r), -ENODEV);
	ck_assert_int_eq(open_it("ivshmem:00:05.0", &r), -ENODEV);
}
END_TEST

START_TEST(nonsense_from_sysfs_is_refused)
{
	static const char *const bad[] = {
		"",
		"\n\n",
		"\n\nzzz\n",
		"\n\n0x0 0x0 0x0\n",
		/* An I/O port, an empty range, a range that wraps. */
		"\n\n0x1000 0x7fffff 0x101\n",
		"\n\n0x800000 0x7fffff 0x200\n",
		"\n\n0x0 0xffffffffffffffff 0x200\n",
	};
	const char *dir = device("0000:00:04.0", 8 * MIB, true);
	struct pst_region r;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		put(dir, "resource", bad[i]);
		ck_assert_msg(open_it("ivshmem:00:04.0", &r) < 0,
			      "resource %zu was believed", i);
		ck_assert_int_eq(open_it("auto", &r), -ENODEV);
	}
}
END_TEST

START_TEST(only_pci_addresses_are_addresses)
{
	static const char *const bad[] = {
		"",
		"0000:00:04",
		"0000:00:04.8",
		"0000:00:20.0",
		"../../x",
		"00:04.0/..",
		"0000:00:04.0x",
		"fffff0:00:04.0",
		"0000:100:04.0",
		"-1:00:04.0",
		"0000:00:04.0.....................",
	};
	char spec[96];
	struct pst_region r;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		snprintf(spec, sizeof(spec), "ivshmem:%s", bad[i]);
		ck_assert_msg(open_it(spec, &r) == -EINVAL,
			      "\"%s\" was not refused", bad[i]);
	}
}
END_TEST

START_TEST(of_a_device_without_a_module_a_group_gets_the_bars_files)
{
	const char *dir = device("0000:00:04.0", 8 * MIB, true);
	char path[PATH_MAX + 16], text[8];
	struct stat st;

	ck_assert_msg(pst_region_grant("ivshmem:00:04.0", tmpdir, getegid(),
				       &err) == 1,
		      "%s", err.text);
	snprintf(path, sizeof(path), "%s/resource2", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0660);
	snprintf(path, sizeof(path), "%s/resource2_wc", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0660);
	/* Only root may switch the device on. */
	snprintf(path, sizeof(path), "%s/enable", dir);
	ck_assert_int_ge(pst_read_text(path, text, sizeof(text)), 1);
	ck_assert_int_eq(text[0], '1');
	ck_assert_int_eq(
		pst_region_grant("ivshmem:00:05.0", tmpdir, getegid(), &err),
		-ENODEV);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, tmpdir_remove);
	tcase_add_test(tc, no_device_and_no_pci_at_all_are_said_so);
	tcase_add_test(tc,
		       an_unstamped_device_is_found_and_listed_but_not_taken);
	tcase_add_test(
		tc, a_named_device_is_enabled_and_stamped_and_then_found_alone);
	tcase_add_test(tc, header_and_arena_are_one_range_over_two_mappings);
	tcase_add_test(tc,
		       without_a_write_combining_file_the_arena_is_uncached);
	tcase_add_test(tc,
		       several_stamped_devices_are_named_and_none_is_chosen);
	tcase_add_test(tc,
		       a_bar_of_another_size_than_the_stamp_says_is_refused);
	tcase_add_test(tc, other_devices_and_small_bars_are_left_alone);
	tcase_add_test(tc, nonsense_from_sysfs_is_refused);
	tcase_add_test(
		tc, of_a_device_without_a_module_a_group_gets_the_bars_files);
	tcase_add_test(tc, only_pci_addresses_are_addresses);
}

int main(void)
{
	return pst_unit_run("region_ivshmem", add, 20);
}
