/* SPDX-License-Identifier: MIT */
/* Odd spellings of a request's head: whose host it names, which path, which
 * type of body. */
#include <string.h>

#include "host-client/gateway/http/head.h"
#include "tests/fixtures/unit.h"

static const char *const more[] = {"box.example", "192.0.2.1", "[2001:db8::1]"};
static const struct pst_gw_names names = {more, PST_ARRAY_SIZE(more)};

START_TEST(hosts_of_this_machine)
{
	static const char *const good[] = {
		"localhost",        "LocalHost:80", "127.0.0.1",
		"127.0.0.1:65535",  "[::1]",        "[::1]:9811",
		"box.example:9",    "BOX.EXAMPLE",  "192.0.2.1:1",
		"[2001:DB8::1]:80", "localhost:",   "box.example",
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(good); i++)
		ck_assert_msg(pst_gw_host_is_ours(good[i], &names), "%s",
			      good[i]);
}
END_TEST

START_TEST(hosts_that_only_look_like_it)
{
	static const char *const bad[] = {
		"",
		":",
		":80",
		"[",
		"[]",
		"[::1",
		"[::1]x",
		"[::1].evil",
		"::1",
		"::1:80",
		"[::1]:80:80",
		"localhost.",
		"localhost.evil",
		"evil.localhost",
		"localhost@evil",
		"evil@localhost",
		"me:pass@localhost",
		"localhost:80@evil",
		"localhost:80:80",
		"localhost:-1",
		"localhost:+80",
		"localhost: 80",
		"localhost:1234567",
		"localhost/",
		"localhost#",
		"localhost, evil",
		"localhost evil",
		" localhost",
		"localhost ",
		"127.0.0.1.evil",
		"127.0.0.2",
		"127.1",
		"2130706433",
		"0x7f000001",
		"0.0.0.0",
		"box.example.evil",
		"box",
		"box.exampl",
		"192.0.2.11",
		"[2001:db8::1",
		"2001:db8::1",
		"[::ffff:127.0.0.1]",
		"loc\xc4\xb1lhost",
		"http://localhost",
	};
	size_t i;

	ck_assert(!pst_gw_host_is_ours(NULL, &names));
	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_msg(!pst_gw_host_is_ours(bad[i], &names), "%s",
			      bad[i]);
}
END_TEST

START_TEST(targets_in_absolute_form)
{
	static const struct {
		const char *target, *path, *host;
	} of[] = {
		{"/health", "/health", ""},
		{"*", "*", ""},
		{"http:/health", "http:/health", ""},
		{"http://localhost/health", "/health", "localhost"},
		{"HTTP://Box.Example:80/a/b", "/a/b", "Box.Example:80"},
		{"https://[::1]:9/", "/", "[::1]:9"},
		{"http://localhost", "/", "localhost"},
		{"http:///health", "/health", ":"},
		{"http://", "/", ":"},
		{"http://0123456789012345/x", "/x", ":"},
		{"http://012345678901234/x", "/x", "012345678901234"},
		{"ftp://localhost/x", "ftp://localhost/x", ""},
	};
	char host[16];
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(of); i++) {
		ck_assert_str_eq(
			pst_gw_path_of(of[i].target, host, sizeof(host)),
			of[i].path);
		ck_assert_str_eq(host, of[i].host);
	}
}
END_TEST

START_TEST(names_of_fields)
{
	static const char *const bad[] = {
		"",           "Origin ",  "Origin\t", " Origin",
		"Ori gin",    "Or\"igin", "Origin\r", "Or\xc3\xafgin",
		"Origin\x7f", "Origin,",  "(Origin)"};
	size_t i;

	ck_assert(pst_gw_field_is_good("Origin"));
	ck_assert(pst_gw_field_is_good("X-a_1!#$%&'*+.^`|~"));
	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_msg(!pst_gw_field_is_good(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(control_characters_are_in_no_value)
{
	ck_assert(pst_gw_value_is_good(NULL, 0));
	ck_assert(pst_gw_value_is_good("", 0));
	ck_assert(pst_gw_value_is_good("a b\tc ~\xc3\xa9\xff", 10));
	ck_assert(!pst_gw_value_is_good("localhost\0evil", 14));
	ck_assert(!pst_gw_value_is_good("a\0", 2));
	ck_assert(!pst_gw_value_is_good("a\rOrigin: x", 11));
	ck_assert(!pst_gw_value_is_good("a\n", 2));
	ck_assert(!pst_gw_value_is_good("\x7f", 1));
}
END_TEST

START_TEST(types_that_no_form_sends)
{
	static const char *const good[] = {
		"application/json",
		"APPLICATION/JSON",
		"application/json; charset=utf-8",
		"application/json;charset=utf-8",
		"application/octet-stream",
		"application/octet-stream ",
	};
	static const char *const bad[] = {
		"",
		"application/jsonp",
		"application/json,text/plain",
		"text/plain",
		"text/plain; application/json",
		"application/x-www-form-urlencoded",
		"multipart/form-data; boundary=x",
		"application",
		"json",
		"*/*",
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(good); i++)
		ck_assert_msg(pst_gw_type_is_good(good[i]), "%s", good[i]);
	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_msg(!pst_gw_type_is_good(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(characters_of_paths)
{
	static const char *const paths[][2] = {
		{"/v2/models/g%65mm", "/v2/models/gemm"},
		{"%c3%BC%20+", "\xc3\xbc +"},
		{"%2525", "%25"},
		{"gemm%00x", "gemm%00x"},
		{"gemm%2fready%2F", "gemm%2fready%2F"},
		{"%", "%"},
		{"%4", "%4"},
		{"%4g%g4%%41", "%4g%g4%A"},
		{"%4\x11%:1", "%4\x11%:1"},
		{"", ""},
	};
	char text[32];
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(paths); i++) {
		snprintf(text, sizeof(text), "%s", paths[i][0]);
		ck_assert_uint_eq(pst_gw_unescape(text), strlen(paths[i][1]));
		ck_assert_str_eq(text, paths[i][1]);
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, control_characters_are_in_no_value);
	tcase_add_test(tc, hosts_of_this_machine);
	tcase_add_test(tc, hosts_that_only_look_like_it);
	tcase_add_test(tc, targets_in_absolute_form);
	tcase_add_test(tc, names_of_fields);
	tcase_add_test(tc, characters_of_paths);
	tcase_add_test(tc, types_that_no_form_sends);
}

int main(void)
{
	return pst_unit_run("gateway_head", add, 10);
}
