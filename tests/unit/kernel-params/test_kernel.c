/* SPDX-License-Identifier: MIT */
/* Kernel releases, and the vsock fixes that they lack. */
#include <string.h>

#include "kernel-params/machine/kernel.h"
#include "tests/fixtures/unit.h"

/* The names of all missing fixes, without "CVE-". */
static const char *missing(const char *release)
{
	static char list[256];
	struct pst_host_kernel_version v;
	const struct pst_host_vsock_fix *f;
	size_t i;

	*list = '\0';
	ck_assert_int_eq(pst_host_kernel_version_parse(release, &v), 0);
	for (i = 0; (f = pst_host_vsock_fix_missing(&v, i)); i++) {
		strcat(list, i ? " " : "");
		strcat(list, f->cve + strlen("CVE-"));
	}
	return list;
}

START_TEST(a_release_begins_with_its_version)
{
	struct pst_host_kernel_version v;

	ck_assert_int_eq(pst_host_kernel_version_parse("6.12.7-arch1-1", &v),
			 0);
	ck_assert(v.major == 6 && v.minor == 12 && v.patch == 7);
	ck_assert_int_eq(pst_host_kernel_version_parse("7.1-rc1", &v), 0);
	ck_assert(v.major == 7 && v.minor == 1 && v.patch == 0);
	ck_assert_int_eq(pst_host_kernel_version_parse("", &v), -EINVAL);
	ck_assert_int_eq(pst_host_kernel_version_parse("six", &v), -EINVAL);
	ck_assert_int_eq(pst_host_kernel_version_parse("-6.1", &v), -EINVAL);
	ck_assert_int_eq(pst_host_kernel_version_parse("6", &v), -EINVAL);
}
END_TEST

START_TEST(each_series_has_its_own_first_fixed_level)
{
	ck_assert_str_eq(missing("6.12.7-arch1-1"),
			 "2025-21756 2026-23069 2026-46214");
	ck_assert_str_eq(missing("6.12.16"), "2026-23069 2026-46214");
	ck_assert_str_eq(missing("6.12.90"), "");
	ck_assert_str_eq(missing("6.6.139"), "2026-46214");
	ck_assert_str_eq(missing("7.0.8"), "2026-46214");
	ck_assert_str_eq(missing("7.0.9"), "");
	ck_assert_str_eq(missing("7.1.0"), "");
	ck_assert_str_eq(missing("8.0.0"), "");
}
END_TEST

START_TEST(a_series_that_ended_never_got_them)
{
	/* 6.11 ended before 2025, 6.17 before the fixes of 2026. */
	ck_assert_str_eq(missing("6.11.8"), "2025-21756 2026-23069 2026-46214");
	ck_assert_str_eq(missing("6.17.13"), "2026-23069 2026-46214");
	ck_assert_str_eq(missing("5.10.12"),
			 "2021-26708 2024-50264 2025-21756 2026-23069 "
			 "2026-46214");
}
END_TEST

START_TEST(a_fault_begins_with_a_version_too)
{
	ck_assert_str_eq(missing("4.4.302"), "");
	ck_assert_str_eq(missing("5.4.286"), "2026-23069");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_release_begins_with_its_version);
	tcase_add_test(tc, each_series_has_its_own_first_fixed_level);
	tcase_add_test(tc, a_series_that_ended_never_got_them);
	tcase_add_test(tc, a_fault_begins_with_a_version_too);
}

int main(void)
{
	return pst_unit_run("kernel", add, 10);
}
