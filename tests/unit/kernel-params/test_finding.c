/* SPDX-License-Identifier: MIT */
/* Findings as a list, and texts that grow. */
#include <stdlib.h>
#include <string.h>

#include "kernel-params/check/finding.h"
#include "tests/fixtures/unit.h"

static struct pst_host_findings fs;

START_TEST(findings_are_counted)
{
	fs = (struct pst_host_findings){.id = "a.b", .why = "because"};
	pst_host_finding_add(&fs, PST_HOST_PASS, NULL, "%d seen", 1);
	fs.id = "c.d";
	pst_host_finding_add(&fs, PST_HOST_FAIL, "do it", "x");
	ck_assert_uint_eq(pst_host_findings_count(&fs, PST_HOST_PASS), 1);
	ck_assert_uint_eq(pst_host_findings_count(&fs, PST_HOST_WARN), 0);
	ck_assert_uint_eq(pst_host_findings_count(&fs, PST_HOST_FAIL), 1);
	ck_assert_str_eq(fs.f[0].id, "a.b");
	ck_assert_str_eq(fs.f[0].seen, "1 seen");
	ck_assert_str_eq(fs.f[0].fix, "");
	ck_assert_str_eq(fs.f[1].why, "because");
	pst_host_findings_done(&fs);
	ck_assert_uint_eq(fs.n, 0);
}
END_TEST

START_TEST(texts_are_made_printable)
{
	fs = (struct pst_host_findings){.id = "a", .why = ""};
	pst_host_finding_add(&fs, PST_HOST_WARN, "a\nb\033[1m",
			     "\t\377\177 ok~");
	ck_assert_str_eq(fs.f[0].seen, "??? ok~");
	ck_assert_str_eq(fs.f[0].fix, "a?b?[1m");
	pst_host_findings_done(&fs);
}
END_TEST

START_TEST(a_finding_too_many_is_not_lost_silently)
{
	int i;

	fs = (struct pst_host_findings){.id = "a", .why = ""};
	for (i = 0; i < PST_HOST_FINDINGS_MAX; i++)
		pst_host_finding_add(&fs, PST_HOST_PASS, NULL, "x");
	ck_assert(!fs.no_memory);
	pst_host_finding_add(&fs, PST_HOST_FAIL, NULL, "x");
	ck_assert(fs.no_memory);
	ck_assert_uint_eq(fs.n, PST_HOST_FINDINGS_MAX);
	pst_host_findings_done(&fs);
}
END_TEST

START_TEST(a_text_ends_in_dots_where_it_is_full)
{
	struct pst_host_text t = {0};
	int i;

	pst_host_text_add(&t, "%s %d", "a", 1);
	ck_assert_str_eq(t.buf, "a 1");
	for (i = 0; i < 500; i++)
		pst_host_text_add(&t, "0123456789");
	ck_assert_uint_eq(t.len, sizeof(t.buf) - 1);
	ck_assert_uint_eq(strlen(t.buf), t.len);
	ck_assert_str_eq(t.buf + t.len - 3, "...");
	pst_host_text_add(&t, "%s", "");
	ck_assert_str_eq(t.buf + t.len - 3, "...");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, findings_are_counted);
	tcase_add_test(tc, texts_are_made_printable);
	tcase_add_test(tc, a_finding_too_many_is_not_lost_silently);
	tcase_add_test(tc, a_text_ends_in_dots_where_it_is_full);
}

int main(void)
{
	return pst_unit_run("finding", add, 10);
}
