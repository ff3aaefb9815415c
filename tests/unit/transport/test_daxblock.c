/* SPDX-License-Identifier: MIT */
/* The device-DAX information block against the one a kernel wrote. */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>

#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/region/daxblock.h"
#include "transport/region/region.h"

#define MIB (1ULL << 20)

static const uint8_t uuid[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
				 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67,
				 0x89, 0xab, 0xcd, 0xef};

/*
 * What Linux 6.1 wrote at 4 KiB of a blank nvdimm of 64 MiB when its dax0.0
 * was given mode "ram", align 2097152 and the UUID above, in sysfs; all other
 * bytes were zero.
 */
static const uint8_t begin[96] = {
	'N',  'V',  'D',  'I',  'M',  'M',  '_',  'D',  'A',  'X',  '_',  'I',
	'N',  'F',  'O',  0,    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
	0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0,    0,    0,    0,
	0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
	0,    0,    0,    0,    0x01, 0,    0x04, 0,    0,    0,    0x20, 0,
	0,    0,    0,    0,    0,    0x3e, 0,    0,    0,    0,    0,    0,
	0x01, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
	0,    0,    0x20, 0,    0,    0x10, 0,    0,    0x40, 0,    0,    0,
};
static const uint8_t end[8] = {0x80, 0x2d, 0xbc, 0x85, 0xf2, 0x80, 0xb9, 0xcd};

START_TEST(the_block_is_byte_for_byte_the_kernels_own)
{
	uint8_t want[PST_DAXBLOCK_SIZE] = {0}, got[PST_DAXBLOCK_SIZE];

	memcpy(want, begin, sizeof(begin));
	memcpy(want + sizeof(want) - sizeof(end), end, sizeof(end));
	memset(got, 0x5a, sizeof(got));
	pst_daxblock_make(64 * MIB, uuid, got);
	ck_assert_mem_eq(got, want, sizeof(want));
}
END_TEST

START_TEST(size_and_uuid_are_covered_by_the_checksum)
{
	uint8_t a[PST_DAXBLOCK_SIZE], b[PST_DAXBLOCK_SIZE];
	uint8_t other[16];

	pst_daxblock_make(64 * MIB, uuid, a);
	pst_daxblock_make(128 * MIB, uuid, b);
	ck_assert_mem_ne(a + 4088, b + 4088, 8);
	memcpy(other, uuid, sizeof(other));
	other[15] ^= 1;
	pst_daxblock_make(64 * MIB, other, b);
	ck_assert_mem_ne(a + 4088, b + 4088, 8);
}
END_TEST

static void check_file(int fd, uint64_t size)
{
	uint8_t want[PST_DAXBLOCK_SIZE], got[PST_DAXBLOCK_SIZE];
	struct pst_wire_stamp s;

	ck_assert_int_eq(pread(fd, &s, sizeof(s), PST_WIRE_PREAMBLE),
			 sizeof(s));
	pst_daxblock_make(size, s.uuid, want);
	ck_assert_int_eq(pread(fd, got, sizeof(got), PST_DAXBLOCK_OFFSET),
			 sizeof(got));
	ck_assert_mem_eq(got, want, sizeof(want));
}

START_TEST(every_new_region_carries_the_block_with_its_own_uuid)
{
	const struct pst_region_create c = {.file_size = 8 * MIB,
					    .mode = 0600,
					    .uid = (uid_t)-1,
					    .gid = (gid_t)-1,
					    .node = -1};
	uint8_t id[16];
	bool huge;
	int fd;

	tmpdir_make();
	ck_assert_int_eq(pst_region_create_file(tmpdir_path("r"), &c, id, NULL),
			 0);
	fd = open(tmpdir_path("r"), O_RDONLY | O_CLOEXEC);
	check_file(fd, 8 * MIB);
	close(fd);
	tmpdir_remove();
	ck_assert_int_eq(pst_region_create_memfd(6 * MIB, &fd, &huge, NULL), 0);
	check_file(fd, 6 * MIB);
	close(fd);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, the_block_is_byte_for_byte_the_kernels_own);
	tcase_add_test(tc, size_and_uuid_are_covered_by_the_checksum);
	tcase_add_test(tc,
		       every_new_region_carries_the_block_with_its_own_uuid);
}

int main(void)
{
	return pst_unit_run("daxblock", add, 20);
}
