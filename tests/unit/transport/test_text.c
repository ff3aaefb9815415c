/* SPDX-License-Identifier: MIT */
/* Names, and which bytes are UTF-8. */
#include <string.h>

#include "tests/fixtures/unit.h"
#include "transport/base/text.h"

START_TEST(a_name_begins_with_a_letter_or_digit)
{
	static const char *const good[] = {"a", "0", "vm-1_b.c", "Z-", "1."};
	static const char *const bad[] = {"",    "-a",  "_a",  ".a",      "a/b",
					  "a b", "a\n", "a%i", "\xc3\xa4"};
	char name[PST_NAME_MAX + 2];
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(good); i++)
		ck_assert_msg(pst_name_is_good(good[i]), "%s", good[i]);
	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_msg(!pst_name_is_good(bad[i]), "%s", bad[i]);
	memset(name, 'a', sizeof(name));
	name[PST_NAME_MAX] = '\0';
	ck_assert(pst_name_is_good(name));
	name[PST_NAME_MAX] = 'a';
	name[PST_NAME_MAX + 1] = '\0';
	ck_assert(!pst_name_is_good(name));
}
END_TEST

static const struct {
	const char *text, *clean;
} samples[] = {
	{"", ""},
	{"plain\n", "plain\n"},
	{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
	 "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
	{"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
	/* Latin-1; a first byte alone; one that the text's end cuts off. */
	{"\xe4x", "\xef\xbf\xbdx"},
	{"\xc3", "\xef\xbf\xbd"},
	{"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
	{"\x80", "\xef\xbf\xbd"},
	/* Too long a form, a surrogate, beyond the last, five bytes. */
	{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
	{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	{"\xf4\x90\x80\x80",
	 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	{"\xff.", "\xef\xbf\xbd."},
};

START_TEST(what_is_no_utf8_becomes_the_mark_of_the_unknown)
{
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(samples); i++) {
		char *copy = pst_utf8_copy(samples[i].text);

		ck_assert_str_eq(copy, samples[i].clean);
		ck_assert_int_eq(pst_utf8_is_valid(samples[i].text),
				 strcmp(samples[i].text, copy) == 0);
		ck_assert(pst_utf8_is_valid(copy));
		free(copy);
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_name_begins_with_a_letter_or_digit);
	tcase_add_test(tc, what_is_no_utf8_becomes_the_mark_of_the_unknown);
}

int main(void)
{
	return pst_unit_run("text", add, 10);
}
