/* SPDX-License-Identifier: MIT */
/* Unified differences, read back by patch(1). */
#include "kernel-params/edit/diff.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"

static void diff_is(const char *a, const char *b, const char *want)
{
	char *got;

	ck_assert_int_eq(pst_host_diff_unified("/etc/x", a, b, &got), 0);
	ck_assert_str_eq(got, want);
	free(got);
}

START_TEST(equal_texts_have_no_difference)
{
	diff_is("a\n", "a\n", "");
	diff_is(NULL, NULL, "");
	ck_assert(!pst_host_text_same(NULL, ""));
}
END_TEST

START_TEST(a_changed_line_has_three_lines_around_it)
{
	diff_is("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nX\n6\n7\n8\n9\n",
		"--- a/etc/x\n+++ b/etc/x\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n"
		" 6\n 7\n 8\n");
}
END_TEST

START_TEST(a_new_file_comes_from_dev_null)
{
	diff_is(NULL, "a\nb\n",
		"--- /dev/null\n+++ b/etc/x\n@@ -0,0 +1,2 @@\n+a\n+b\n");
	diff_is("a\n", NULL, "--- a/etc/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
}
END_TEST

START_TEST(a_missing_last_newline_is_said)
{
	diff_is("a", "a\n",
		"--- a/etc/x\n+++ b/etc/x\n@@ -1 +1 @@\n-a\n"
		"\\ No newline at end of file\n+a\n");
}
END_TEST

/* ---- Through patch(1) ---------------------------------------------------- */

static void put(const char *name, const char *text)
{
	FILE *f = fopen(tmpdir_path(name), "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

static void patch_makes_without(const char *a, const char *b,
				const bool *secret)
{
	char command[512], got[65536] = "";
	size_t n = 0;
	char *diff;
	FILE *f;

	ck_assert_int_eq(pst_host_diff_without("x", a, b, secret, &diff), 0);
	if (secret)
		ck_assert_msg(!strstr(diff, "\n a\n"), "%s", diff);
	put("d", diff);
	if (a)
		put("x", a);
	else
		remove(tmpdir_path("x"));
	snprintf(command, sizeof(command),
		 "cd %s && patch -s -F0 -p1 <d >log 2>&1", tmpdir);
	if (*diff)
		ck_assert_msg(system(command) == 0, "patch refused:\n%s", diff);
	f = fopen(tmpdir_path("x"), "r");
	ck_assert_msg(!f == !b, "the file is there, or is not:\n%s", diff);
	if (f) {
		n = fread(got, 1, sizeof(got) - 1, f);
		fclose(f);
		got[n] = '\0';
		ck_assert_str_eq(got, b);
	}
	free(diff);
}

static void patch_makes(const char *a, const char *b)
{
	patch_makes_without(a, b, NULL);
}

static uint32_t next_random(uint32_t *s)
{
	*s = *s * 1664525 + 1013904223;
	return *s >> 8;
}

/* Few different lines, so that much is common. */
static void random_text(uint32_t *seed, char *buf)
{
	uint32_t n = next_random(seed) % 40, i;
	char *p = buf;

	for (i = 0; i < n; i++)
		p += sprintf(p, "%c\n", 'a' + next_random(seed) % 6);
	if (n && next_random(seed) % 4 == 0)
		p--;
	*p = '\0';
}

START_TEST(patch_makes_the_new_text_of_the_old)
{
	char a[128], b[128];
	uint32_t seed = 1;
	int i;

	if (system("command -v patch >/dev/null") != 0) {
		printf("# no patch(1) here: nothing was tried\n");
		return;
	}
	patch_makes(NULL, "new\n");
	patch_makes("old\n", NULL);
	patch_makes("no newline", "no newline\nbut now\n");
	patch_makes("a\n", "");
	for (i = 0; i < 150; i++) {
		random_text(&seed, a);
		random_text(&seed, b);
		patch_makes(a, b);
	}
}
END_TEST

START_TEST(patch_finds_its_place_without_the_secret_lines)
{
	bool secret[41];
	char a[128], b[256], *to;
	uint32_t seed = 7;
	size_t line;
	int i, k;

	if (system("command -v patch >/dev/null") != 0) {
		printf("# no patch(1) here: nothing was tried\n");
		return;
	}
	for (i = 0; i < 150; i++) {
		random_text(&seed, a);
		line = 0;
		to = b;
		for (k = 0; a[k]; k++) {
			*to++ = a[k];
			if (a[k] != '\n') {
				secret[line] = a[k] == 'a';
				continue;
			}
			line++;
			if (next_random(&seed) % 8 == 0)
				to = stpcpy(to, "NEW\n");
		}
		*to = '\0';
		patch_makes_without(a, b, secret);
	}
}
END_TEST

START_TEST(a_secret_line_that_would_go_is_an_error)
{
	static const bool secret[] = {false, true, false};
	char *diff;

	ck_assert_int_eq(pst_host_diff_without("x", "1\n2\n3\n", "1\n3\n",
					       secret, &diff),
			 -EACCES);
	ck_assert_int_eq(pst_host_diff_without("x", "1\n2\n3\n", "1\n2\n4\n",
					       secret, &diff),
			 0);
	ck_assert_str_eq(diff, "--- a/x\n+++ b/x\n@@ -3 +3 @@\n-3\n+4\n");
	free(diff);
}
END_TEST

START_TEST(large_texts_are_one_change_and_still_right)
{
	char *a = calloc(1, 200000), *b = calloc(1, 200000);
	char *p = a, *q = b, *diff;
	int i;

	for (i = 0; i < 5000; i++) {
		p += sprintf(p, "a%d\n", i);
		q += sprintf(q, "b%d\n", i);
	}
	ck_assert_int_eq(pst_host_diff_unified("x", a, b, &diff), 0);
	ck_assert_ptr_nonnull(strstr(diff, "@@ -1,5000 +1,5000 @@"));
	free(diff);
	free(a);
	free(b);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, tmpdir_make, tmpdir_remove);
	tcase_add_test(tc, equal_texts_have_no_difference);
	tcase_add_test(tc, a_changed_line_has_three_lines_around_it);
	tcase_add_test(tc, a_new_file_comes_from_dev_null);
	tcase_add_test(tc, a_missing_last_newline_is_said);
	tcase_add_test(tc, patch_makes_the_new_text_of_the_old);
	tcase_add_test(tc, patch_finds_its_place_without_the_secret_lines);
	tcase_add_test(tc, a_secret_line_that_would_go_is_an_error);
	tcase_add_test(tc, large_texts_are_one_change_and_still_right);
}

int main(void)
{
	return pst_unit_run("diff", add, 60);
}
