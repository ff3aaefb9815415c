/* SPDX-License-Identifier: MIT */
/* What a disk image's first bytes are taken for. */
#include <errno.h>
#include <string.h>

#include "libvirt-xml/plan/disk.h"
#include "tests/fixtures/unit.h"

static uint8_t head[65536];

/* A header of qcow2 version 3 that names a backing file at 1024. */
static void qcow2(const char *backing)
{
	memset(head, 0, sizeof(head));
	memcpy(head, "QFI\xfb", 4);
	head[7] = 3;
	head[14] = backing ? 4 : 0;
	head[19] = backing ? (uint8_t)strlen(backing) : 0;
	if (backing)
		memcpy(head + 1024, backing, strlen(backing));
}

START_TEST(every_format_that_qemu_looks_for_is_seen)
{
	static const struct {
		size_t at;
		const char *magic;
		size_t len;
		const char *name;
	} all[] = {
		{0, "QFI\xfb", 4, "qcow2"},
		{0, "QED\0", 4, "qed"},
		{0, "KDMV", 4, "vmdk"},
		{0, "COWD", 4, "vmdk"},
		{0, "# Disk DescriptorFile\n", 22, "vmdk"},
		{64, "\x7f\x10\xda\xbe", 4, "vdi"},
		{0, "vhdxfile", 8, "vhdx"},
		{0, "conectix", 8, "vpc"},
		{0, "LUKS\xba\xbe", 6, "luks"},
		{0, "WithoutFreeSpace", 16, "parallels"},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(all); i++) {
		memset(head, 0, sizeof(head));
		memcpy(head + all[i].at, all[i].magic, all[i].len);
		ck_assert_str_eq(pst_vm_disk_probe(head, sizeof(head)),
				 all[i].name);
		ck_assert_ptr_null(
			pst_vm_disk_probe(head, all[i].at + all[i].len - 2));
	}
	memset(head, 0, sizeof(head));
	ck_assert_ptr_null(pst_vm_disk_probe(head, sizeof(head)));
	ck_assert_ptr_null(pst_vm_disk_probe(head, 0));
}
END_TEST

START_TEST(a_header_says_what_it_lies_over)
{
	struct pst_vm_qcow2 q;

	qcow2(NULL);
	ck_assert_int_eq(pst_vm_qcow2_parse(head, sizeof(head), &q), 0);
	ck_assert_str_eq(q.backing, "");
	ck_assert(!q.has_data_file);
	qcow2("/etc/shadow");
	ck_assert_int_eq(pst_vm_qcow2_parse(head, sizeof(head), &q), 0);
	ck_assert_str_eq(q.backing, "/etc/shadow");
	head[79] = 4;
	ck_assert_int_eq(pst_vm_qcow2_parse(head, sizeof(head), &q), 0);
	ck_assert(q.has_data_file);
	/* In version 2 there is no such field. */
	head[7] = 2;
	ck_assert_int_eq(pst_vm_qcow2_parse(head, sizeof(head), &q), 0);
	ck_assert(!q.has_data_file);
}
END_TEST

START_TEST(a_header_that_lies_is_none)
{
	struct pst_vm_qcow2 q;

	qcow2("x");
	ck_assert_int_eq(pst_vm_qcow2_parse(head, 71, &q), -EPROTO);
	ck_assert_int_eq(pst_vm_qcow2_parse(head, 103, &q), -EPROTO);
	ck_assert_int_eq(pst_vm_qcow2_parse(head, 1024, &q), -EPROTO);
	ck_assert_int_eq(pst_vm_qcow2_parse(head, 1025, &q), 0);
	head[7] = 4;
	ck_assert_int_eq(pst_vm_qcow2_parse(head, sizeof(head), &q), -EPROTO);
	qcow2("x");
	memset(head + 8, 0xff, 8);
	ck_assert_int_eq(pst_vm_qcow2_parse(head, sizeof(head), &q), -EPROTO);
	qcow2("x");
	head[18] = 4;
	ck_assert_int_eq(pst_vm_qcow2_parse(head, sizeof(head), &q), -EPROTO);
	qcow2("");
	ck_assert_int_eq(pst_vm_qcow2_parse(head, sizeof(head), &q), -EPROTO);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, every_format_that_qemu_looks_for_is_seen);
	tcase_add_test(tc, a_header_says_what_it_lies_over);
	tcase_add_test(tc, a_header_that_lies_is_none);
}

int main(void)
{
	return pst_unit_run("vm_disk", add, 10);
}
