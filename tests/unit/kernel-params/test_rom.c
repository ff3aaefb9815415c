/* SPDX-License-Identifier: MIT */
/* Tests of what is made of ROMs: ones in order, and ones that lie. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-params/device/rom.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"

#define UNIT 512
#define SIZE (4 * UNIT)

static const struct pst_host_rom_want card = {0x10de, 0x17c2, false};
static struct pst_host_findings fs;
static struct pst_host_rom rom;

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void image(uint8_t *p, unsigned int units, unsigned int type, bool last)
{
	memset(p, 0, (size_t)units * UNIT);
	put16(p, 0xaa55);
	p[2] = (uint8_t)units;
	put16(p + 0x18, 0x40);
	memcpy(p + 0x40, "PCIR", 4);
	put16(p + 0x44, 0x10de);
	put16(p + 0x46, 0x17c2);
	put16(p + 0x4a, 0x18);
	p[0x4c] = 3;
	put16(p + 0x50, units);
	p[0x54] = (uint8_t)type;
	p[0x55] = last ? 0x80 : 0;
	if (type == PST_HOST_ROM_EFI) {
		put16(p + 4, 0x0ef1);
		put16(p + 0x0a, 0x8664);
	}
}

static void balance(uint8_t *p, size_t n)
{
	uint8_t sum = 0;
	size_t i;

	for (i = 0; i < n - 1; i++)
		sum = (uint8_t)(sum + p[i]);
	p[n - 1] = (uint8_t)-sum;
}

/* An x86 image of two units, and UEFI's of one. */
static void make(uint8_t p[SIZE])
{
	memset(p, 0xff, SIZE);
	image(p, 2, PST_HOST_ROM_X86, false);
	balance(p, 2 * UNIT);
	image(p + 2 * UNIT, 1, PST_HOST_ROM_EFI, true);
}

/* Of exactly so many bytes of the heap, so that a sanitizer sees one more. */
static void check_of(const uint8_t *p, size_t n,
		     const struct pst_host_rom_want *want)
{
	uint8_t *copy = malloc(n ? n : 1);

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, p, n);
	pst_host_findings_done(&fs);
	fs = (struct pst_host_findings){0};
	pst_host_rom_check(copy, n, want, &rom, &fs);
	free(copy);
	ck_assert_uint_le(rom.n, PST_HOST_ROM_IMAGES);
	ck_assert_uint_le(rom.begin, n);
	ck_assert_uint_le(rom.end, n);
}

static void says(const char *id, enum pst_host_finding_status status,
		 const char *words)
{
	size_t i;

	for (i = 0; i < fs.n; i++)
		if (strcmp(fs.f[i].id, id) == 0)
			break;
	ck_assert_msg(i < fs.n, "no %s", id);
	ck_assert_msg(fs.f[i].status == status && strstr(fs.f[i].seen, words),
		      "%s is %s: %s", id,
		      pst_host_finding_status_name(fs.f[i].status),
		      fs.f[i].seen);
}

START_TEST(a_rom_in_order_passes)
{
	uint8_t p[SIZE];

	make(p);
	check_of(p, SIZE, &card);
	ck_assert_uint_eq(pst_host_findings_count(&fs, PST_HOST_PASS), fs.n);
	ck_assert_uint_eq(rom.n, 2);
	ck_assert_uint_eq(rom.end, 3 * UNIT);
	ck_assert(rom.efi);
	says("rom.images", PST_HOST_PASS, "x86 10de:17c2, 1024 bytes; EFI");
	/* Without a card, ids are compared with nothing. */
	check_of(p, SIZE, &(struct pst_host_rom_want){0});
	ck_assert_uint_eq(fs.n, 4);
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
	uint8_t p[SIZE], q[SIZE + UNIT];

	make(p);
	p[100] ^= 1;
	check_of(p, SIZE, &card);
	says("rom.checksum", PST_HOST_WARN, "image 0");
	make(p);
	put16(p + 2 * UNIT + 0x46, 0x17c3);
	check_of(p, SIZE, &card);
	says("rom.ids", PST_HOST_FAIL, "image 1 is for 10de:17c3");
	make(p);
	p[2 * UNIT + 0x0a] = 0;
	check_of(p, SIZE, &card);
	says("rom.efi", PST_HOST_WARN, "no image");
	make(p);
	p[2 * UNIT + 0x55] = 0;
	check_of(p, SIZE, &card);
	says("rom.images", PST_HOST_WARN, "has no signature");
	check_of(p, 3 * UNIT, &card);
	says("rom.images", PST_HOST_WARN, "none is marked last");
	make(p);
	put16(p + 0x18, 2 * UNIT + 0x40);
	check_of(p, SIZE, &card);
	says("rom.signature", PST_HOST_FAIL, "begins at byte 1024");
	make(p);
	check_of(p, 2 * UNIT - 1, &card);
	says("rom.signature", PST_HOST_FAIL, "no image");
	check_of(p, 3 * UNIT - 1, &card);
	says("rom.images", PST_HOST_WARN, "longer than the ROM");
	memset(q, 0, sizeof(q));
	memcpy(q, "NVGI", 4);
	memcpy(q + UNIT, p, SIZE);
	check_of(q, sizeof(q), &card);
	says("rom.signature", PST_HOST_FAIL,
	     "byte 512, behind the header of "
	     "NVIDIA");
	memset(p, 0xff, SIZE);
	check_of(p, SIZE, &card);
	says("rom.signature", PST_HOST_FAIL, "which begin with FF");
	check_of(p, 0, &card);
	says("rom.signature", PST_HOST_FAIL, "no image in 0 bytes");
	make(p);
	check_of(p, SIZE, &(struct pst_host_rom_want){0x10de, 0x17c2, true});
	says("rom.shadow", PST_HOST_WARN, "copy in memory");
}
END_TEST

START_TEST(a_list_of_devices_counts)
{
	uint8_t p[SIZE];

	make(p);
	put16(p + 0x46, 0x17c3);
	put16(p + 0x48, 0x20);
	put16(p + 0x60, 0x17f0);
	put16(p + 0x62, 0x17c2);
	balance(p, 2 * UNIT);
	check_of(p, SIZE, &card);
	says("rom.ids", PST_HOST_PASS, "the card's");
	/* Older revisions have no list there; one that leaves the image ends.
	 */
	p[0x4c] = 0;
	check_of(p, SIZE, &card);
	says("rom.ids", PST_HOST_FAIL, "image 0");
	p[0x4c] = 3;
	put16(p + 0x48, 2 * UNIT - 0x41);
	check_of(p, SIZE, &card);
	says("rom.ids", PST_HOST_FAIL, "image 0");
	put16(p + 0x48, 0xffff);
	check_of(p, SIZE, &card);
	says("rom.ids", PST_HOST_FAIL, "image 0");
}
END_TEST

/* Every value of every byte that has a meaning, at every length. */
START_TEST(lies_are_read_within_bounds_all)
{
	uint8_t p[SIZE];
	size_t at, n;
	int v;

	for (at = 0; at < 0x60; at++)
		for (v = 0; v < 256; v++) {
			make(p);
			p[at] = (uint8_t)v;
			check_of(p, SIZE, &card);
			make(p);
			p[2 * UNIT + at] = (uint8_t)v;
			check_of(p, SIZE, &card);
		}
	for (n = 0; n <= SIZE; n++) {
		make(p);
		put16(p + 0x18, (unsigned int)(n & 0xffff));
		check_of(p, n, &card);
		make(p);
		put16(p + 0x18, 0xffff);
		check_of(p, n, &card);
	}
	/* A chain without an end, and one whose images are of no size. */
	for (n = 0; n < SIZE; n += UNIT)
		image(p + n, 1, PST_HOST_ROM_EFI, false);
	check_of(p, SIZE, &card);
	put16(p + 0x50, 0);
	check_of(p, SIZE, &card);
	says("rom.signature", PST_HOST_FAIL, "byte 512");
}
END_TEST

START_TEST(a_shadow_is_told_by_its_place)
{
	struct pst_host_pci_dev d = {.vendor = 0x10de};

	ck_assert(!pst_host_rom_is_shadow(&d));
	d.bar[6] = (struct pst_host_pci_bar){0xc0000, 0xdffff, 0x212};
	ck_assert(pst_host_rom_is_shadow(&d));
	d.bar[6] = (struct pst_host_pci_bar){0xfb000000, 0xfb07ffff, 0x46200};
	ck_assert(!pst_host_rom_is_shadow(&d));
}
END_TEST

/* When it is about to be read a link takes its place, which is read through
 * and not written to. */
static void put_link(void *ctx, const char *path, enum pst_host_root_use use)
{
	if (use != PST_HOST_ROOT_READ)
		return;
	ck_assert_int_eq(rename(tmpdir_path("rom"), tmpdir_path("image")), 0);
	ck_assert_int_eq(symlink("image", tmpdir_path("rom")), 0);
}

START_TEST(one_that_cannot_be_hidden_again_gives_nothing)
{
	const struct pst_host_pci_dev d = {.name = "0000:01:00.0", .path = "."};
	struct pst_host_root root;
	struct pst_error err;
	uint8_t *bytes = NULL;
	size_t size = 0;
	FILE *f;

	tmpdir_make();
	f = fopen(tmpdir_path("rom"), "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs("0\n...", f), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(pst_host_root_open(tmpdir, &root, &err), 0);
	root.live = true;
	root.asked = put_link;
	ck_assert_int_eq(pst_host_rom_read(&root, &d, &bytes, &size, &err),
			 -ELOOP);
	ck_assert_ptr_null(bytes);
	pst_host_root_close(&root);
	tmpdir_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_rom_in_order_passes);
	tcase_add_test(tc, what_is_wrong_is_said);
	tcase_add_test(tc, a_list_of_devices_counts);
	tcase_add_test(tc, lies_are_read_within_bounds_all);
	tcase_add_test(tc, a_shadow_is_told_by_its_place);
	tcase_add_test(tc, one_that_cannot_be_hidden_again_gives_nothing);
}

int main(void)
{
	return pst_unit_run("rom", add, 60);
}
