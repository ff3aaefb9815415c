/* SPDX-License-Identifier: MIT */
/* The CID of a domain: its own, the wanted one, or the first free one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "libvirt-xml/virt/cid.h"
#include "tests/fixtures/unit.h"

static const struct pst_vm_virt_entry list[] = {
	{.name = "a", .cid = 3},
	{.name = "b", .cid = 5},
	{.name = "none", .cid = 0},
};
#define N ((int)PST_ARRAY_SIZE(list))

static struct pst_error err;

static int choose(uint32_t wanted, const char *name, uint32_t *ret)
{
	memset(&err, 0, sizeof(err));
	return pst_vm_cid_choose(-1, wanted, name, list, N, ret, &err);
}

START_TEST(a_domain_keeps_its_cid_and_a_new_one_gets_the_first_free)
{
	uint32_t cid;

	ck_assert_int_eq(choose(0, "b", &cid), 0);
	ck_assert_uint_eq(cid, 5);
	ck_assert_int_eq(choose(0, "new", &cid), 0);
	ck_assert_uint_eq(cid, 4);
	ck_assert_int_eq(choose(0, "none", &cid), 0);
	ck_assert_uint_eq(cid, 4);
}
END_TEST

START_TEST(a_cid_that_another_domain_has_too_is_not_kept)
{
	static const struct pst_vm_virt_entry both[] = {
		{.name = "a", .cid = 3},
		{.name = "b", .cid = 3},
	};
	uint32_t cid;

	ck_assert_int_eq(pst_vm_cid_choose(-1, 0, "a", both, 2, &cid, &err), 0);
	ck_assert_uint_eq(cid, 4);
}
END_TEST

START_TEST(a_wanted_cid_is_refused_when_another_domain_has_it)
{
	uint32_t cid;

	ck_assert_int_eq(choose(9, "b", &cid), 0);
	ck_assert_uint_eq(cid, 9);
	ck_assert_int_eq(choose(3, "a", &cid), 0);
	ck_assert_int_eq(choose(3, "b", &cid), -EADDRINUSE);
	ck_assert_str_eq(err.text, "CID 3 already belongs to domain a");
}
END_TEST

START_TEST(a_range_that_is_taken_has_none)
{
	uint32_t cid = 7;

	ck_assert_int_eq(pst_vm_cid_find(-1, 3, 1, list, N, &cid), -EADDRINUSE);
	ck_assert_uint_eq(cid, 7);
	ck_assert_int_eq(pst_vm_cid_find(-1, 3, 2, list, N, &cid), 0);
	ck_assert_uint_eq(cid, 4);
	ck_assert_int_eq(pst_vm_cid_find(-1, 3, 1, NULL, 0, &cid), 0);
	ck_assert_uint_eq(cid, 3);
}
END_TEST

START_TEST(a_kernel_that_cannot_say_keeps_nobody_from_a_cid)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	uint32_t cid = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_lt(pst_vm_cid_find(fd, 3, 9, list, N, &cid), 0);
	ck_assert_int_eq(pst_vm_cid_choose(fd, 0, "new", list, N, &cid, &err),
			 0);
	ck_assert_uint_eq(cid, 4);
	close(fd);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(
		tc, a_domain_keeps_its_cid_and_a_new_one_gets_the_first_free);
	tcase_add_test(tc, a_wanted_cid_is_refused_when_another_domain_has_it);
	tcase_add_test(tc, a_cid_that_another_domain_has_too_is_not_kept);
	tcase_add_test(tc, a_range_that_is_taken_has_none);
	tcase_add_test(tc, a_kernel_that_cannot_say_keeps_nobody_from_a_cid);
}

int main(void)
{
	return pst_unit_run("vm_cid", add, 10);
}
