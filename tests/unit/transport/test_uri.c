/* SPDX-License-Identifier: MIT */
/* Percent-encoding of paths: what is escaped comes back. */
#include <string.h>

#include "tests/fixtures/unit.h"
#include "transport/base/uri.h"
#include "transport/sock.h"

START_TEST(every_byte_of_a_path_comes_back)
{
	char text[256], escaped[1024] = "", back[256];
	unsigned int i;

	for (i = 0; i < 255; i++)
		text[i] = (char)(i + 1);
	text[255] = '\0';
	ck_assert_int_eq(pst_uri_append(escaped, sizeof(escaped), text), 0);
	ck_assert_ptr_null(strpbrk(escaped, " ?#&:\n\t\x7f"));
	ck_assert_int_eq(
		pst_uri_unescape(escaped, strlen(escaped), back, sizeof(back)),
		0);
	ck_assert_str_eq(back, text);
}
END_TEST

START_TEST(an_endpoint_of_escaped_paths_is_read_as_they_are)
{
	static const char path[] = "/run/a:b?c#d&e%41 f";
	struct pst_endpoint ep;
	char uri[256] = "vsock-uds://";

	ck_assert_int_eq(pst_uri_append(uri, sizeof(uri), path), 0);
	strcat(uri, ":7?region=");
	ck_assert_int_eq(pst_uri_append(uri, sizeof(uri), path), 0);
	ck_assert_int_eq(pst_endpoint_parse(uri, &ep, NULL), 0);
	ck_assert_str_eq(ep.path, path);
	ck_assert_str_eq(ep.region, path);
	ck_assert_uint_eq(ep.port, 7);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_and_leaves_the_string)
{
	char dst[8] = "ab:";

	ck_assert_int_eq(pst_uri_append(dst, sizeof(dst), "cdef"), 0);
	ck_assert_str_eq(dst, "ab:cdef");
	dst[3] = '\0';
	ck_assert_int_eq(pst_uri_append(dst, sizeof(dst), "cdefg"), -EMSGSIZE);
	ck_assert_str_eq(dst, "ab:");
	/* The escape is three bytes, and the end one more. */
	ck_assert_int_eq(pst_uri_append(dst, sizeof(dst), "c:"), 0);
	ck_assert_str_eq(dst, "ab:c%3A");
	dst[3] = '\0';
	ck_assert_int_eq(pst_uri_append(dst, sizeof(dst), "cd:"), -EMSGSIZE);
	ck_assert_str_eq(dst, "ab:");
}
END_TEST

START_TEST(escapes_that_are_none_are_refused)
{
	static const char *const bad[] = {"%",  "a%2", "%zz",
					  "%4", "%00", "%4%"};
	char ret[16];
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_msg(pst_uri_unescape(bad[i], strlen(bad[i]), ret,
					       sizeof(ret)) == -EINVAL,
			      "%s", bad[i]);
	/* What lies behind the text is no part of an escape. */
	ck_assert_int_eq(pst_uri_unescape("%41", 2, ret, sizeof(ret)), -EINVAL);
	ck_assert_int_eq(pst_uri_unescape("abc", 3, ret, 3), -EMSGSIZE);
	ck_assert_int_eq(pst_uri_unescape("%41", 3, ret, 2), 0);
	ck_assert_str_eq(ret, "A");
}
END_TEST

static void add(TCase *t)
{
	tcase_add_test(t, every_byte_of_a_path_comes_back);
	tcase_add_test(t, an_endpoint_of_escaped_paths_is_read_as_they_are);
	tcase_add_test(t, what_does_not_fit_is_refused_and_leaves_the_string);
	tcase_add_test(t, escapes_that_are_none_are_refused);
}

int main(void)
{
	return pst_unit_run("uri", add, 10);
}
