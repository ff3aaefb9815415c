/* SPDX-License-Identifier: MIT */
/* Endpoint URIs and listening addresses: what is read, what is refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/sock.h"

static struct pst_endpoint ep;
static struct pst_error err;

static int parse(const char *uri)
{
	memset(&ep, 0xee, sizeof(ep));
	memset(&err, 0, sizeof(err));
	return pst_endpoint_parse(uri, &ep, &err);
}

START_TEST(a_vsock_endpoint_has_cid_port_and_region)
{
	ck_assert_int_eq(parse("vsock://3:7070?region=/dev/hugepages/r"), 0);
	ck_assert_int_eq(ep.scheme, PST_SCHEME_VSOCK);
	ck_assert_uint_eq(ep.cid, 3);
	ck_assert_uint_eq(ep.port, 7070);
	ck_assert_str_eq(ep.region, "/dev/hugepages/r");
	ck_assert_str_eq(ep.path, "");
	ck_assert_int_eq(parse("vsock://4294967294:4294967294"), 0);
	ck_assert_uint_eq(ep.cid, UINT32_MAX - 1);
	ck_assert_uint_eq(ep.port, UINT32_MAX - 1);
	ck_assert_str_eq(ep.region, "");
}
END_TEST

START_TEST(a_hybrid_endpoint_takes_its_port_behind_the_last_colon)
{
	ck_assert_int_eq(parse("vsock-uds:///run/a:b.sock:52?region=/r"), 0);
	ck_assert_int_eq(ep.scheme, PST_SCHEME_VSOCK_UDS);
	ck_assert_str_eq(ep.path, "/run/a:b.sock");
	ck_assert_uint_eq(ep.port, 52);
	ck_assert_str_eq(ep.region, "/r");
}
END_TEST

START_TEST(a_unix_endpoint_has_a_path_and_perhaps_a_region)
{
	ck_assert_int_eq(parse("unix:///run/penstock.sock"), 0);
	ck_assert_int_eq(ep.scheme, PST_SCHEME_UNIX);
	ck_assert_str_eq(ep.path, "/run/penstock.sock");
	ck_assert_int_eq(parse("unix:///s?region=relative"), 0);
	ck_assert_str_eq(ep.region, "relative");
}
END_TEST

START_TEST(spawn_takes_agent_size_and_threads)
{
	ck_assert_int_eq(parse("spawn:"), 0);
	ck_assert_int_eq(ep.scheme, PST_SCHEME_SPAWN);
	ck_assert_uint_eq(ep.size, 0);
	ck_assert_uint_eq(ep.threads, 0);
	ck_assert_int_eq(parse("spawn:?threads=2&agent=/x/agent&size=64M"), 0);
	ck_assert_uint_eq(ep.size, 64ULL << 20);
	ck_assert_uint_eq(ep.threads, 2);
	ck_assert_str_eq(ep.agent, "/x/agent");
}
END_TEST

START_TEST(escapes_are_decoded_in_paths)
{
	ck_assert_int_eq(parse("unix:///a%20b%3fc?region=/r%26s%3d%7E%2f"), 0);
	ck_assert_str_eq(ep.path, "/a b?c");
	ck_assert_str_eq(ep.region, "/r&s=~/");
	/* The escape of a colon is no separator. */
	ck_assert_int_eq(parse("vsock-uds:///a%3A1:2"), 0);
	ck_assert_str_eq(ep.path, "/a:1");
	ck_assert_uint_eq(ep.port, 2);
}
END_TEST

static const char *const refused[] = {
	"",
	"vm",
	"tcp://localhost:1",
	"VSOCK://3:1",
	"vsock:3:1",
	"vsock://",
	"vsock://3",
	"vsock://:1",
	"vsock://3:",
	"vsock://0:1",
	"vsock://-1:1",
	"vsock://3:+1",
	"vsock://3:1 ",
	"vsock://3:4294967295",
	"vsock://4294967295:1",
	"vsock://99999999999999999999999999:1",
	"vsock://3:00000000000000000000000000001",
	"vsock://3:1/",
	"vsock://3:1?",
	"vsock://3:1?region",
	"vsock://3:1?region=",
	"vsock://3:1?region=/a&",
	"vsock://3:1?region=/a&region=/a",
	"vsock://3:1?size=1M",
	"vsock://3:1?Region=/a",
	"vsock://3:1?regio=/a",
	"vsock://3:1?region=/a%",
	"vsock://3:1?region=/a%2",
	"vsock://3:1?region=/a%zz",
	"vsock://3:1?region=/a%00b",
	"vsock-uds:///path",
	"vsock-uds://path:1",
	"vsock-uds://:1",
	"vsock-uds:///:1",
	"unix://",
	"unix:///",
	"unix://path",
	"unix:///a%0",
	"unix:///a?threads=1",
	"spawn",
	"spawn://x",
	"spawn:?region=/a",
	"spawn:?size=0",
	"spawn:?size=lots",
	"spawn:?size=1M&size=1M",
	"spawn:?threads=0",
	"spawn:?threads=1000000",
	"spawn:?threads=2&",
};

START_TEST(a_malformed_uri_is_refused_with_a_sentence)
{
	struct pst_endpoint before;

	memset(&before, 0xee, sizeof(before));
	ck_assert_int_eq(parse(refused[_i]), -EINVAL);
	ck_assert_int_eq(err.code, -EINVAL);
	ck_assert_uint_ge(strlen(err.text), 10);
	ck_assert_mem_eq(&ep, &before, sizeof(ep));
	ck_assert_int_eq(pst_endpoint_parse(refused[_i], &ep, NULL), -EINVAL);
}
END_TEST

START_TEST(the_sentence_says_what_was_expected)
{
	ck_assert_int_eq(parse("http://x"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "vsock://CID:PORT"));
	ck_assert_int_eq(parse("vsock://x:1"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "expected vsock://CID:PORT"));
	ck_assert_int_eq(parse("unix:///a?speed=9"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "'speed'"));
}
END_TEST

START_TEST(a_path_that_does_not_fit_is_too_long)
{
	char uri[5000] = "unix:///";
	size_t prefix = strlen("unix://");

	memset(uri + prefix + 1, 'x', 106);
	ck_assert_int_eq(parse(uri), 0);
	ck_assert_uint_eq(strlen(ep.path), 107);
	uri[prefix + 107] = 'x';
	ck_assert_int_eq(parse(uri), -EMSGSIZE);
	strcpy(uri, "vsock://3:1?region=/");
	prefix = strlen(uri) - 1;
	memset(uri + prefix + 1, 'x', 4094);
	uri[prefix + 4095] = '\0';
	ck_assert_int_eq(parse(uri), 0);
	ck_assert_uint_eq(strlen(ep.region), 4095);
	strcat(uri, "x");
	ck_assert_int_eq(parse(uri), -EMSGSIZE);
}
END_TEST

START_TEST(an_agent_listens_on_vsock_or_unix)
{
	struct pst_listen l;

	ck_assert_int_eq(pst_listen_parse("vsock:7070", &l, &err), 0);
	ck_assert_int_eq(l.scheme, PST_SCHEME_VSOCK);
	ck_assert_uint_eq(l.port, 7070);
	ck_assert_int_eq(pst_listen_parse("unix:rel/a%20b", &l, &err), 0);
	ck_assert_int_eq(l.scheme, PST_SCHEME_UNIX);
	ck_assert_str_eq(l.path, "rel/a%20b");
}
END_TEST

static const char *const bad_listens[] = {
	"",          "vsock", "vsock:", "vsock:x", "vsock:4294967295",
	"vsock:3:1", "unix:", "tcp:1",  "spawn:",
};

START_TEST(a_malformed_listening_address_is_refused)
{
	struct pst_listen l;

	ck_assert_int_eq(pst_listen_parse(bad_listens[_i], &l, &err), -EINVAL);
	ck_assert_uint_ge(strlen(err.text), 10);
}
END_TEST

START_TEST(a_listening_path_that_does_not_fit_is_too_long)
{
	char spec[200] = "unix:";
	struct pst_listen l;

	memset(spec + 5, 'x', 107);
	ck_assert_int_eq(pst_listen_parse(spec, &l, &err), 0);
	spec[5 + 107] = 'x';
	ck_assert_int_eq(pst_listen_parse(spec, &l, &err), -EMSGSIZE);
}
END_TEST

static void add(TCase *t)
{
	tcase_add_test(t, a_vsock_endpoint_has_cid_port_and_region);
	tcase_add_test(t,
		       a_hybrid_endpoint_takes_its_port_behind_the_last_colon);
	tcase_add_test(t, a_unix_endpoint_has_a_path_and_perhaps_a_region);
	tcase_add_test(t, spawn_takes_agent_size_and_threads);
	tcase_add_test(t, escapes_are_decoded_in_paths);
	tcase_add_loop_test(t, a_malformed_uri_is_refused_with_a_sentence, 0,
			    (int)PST_ARRAY_SIZE(refused));
	tcase_add_test(t, the_sentence_says_what_was_expected);
	tcase_add_test(t, a_path_that_does_not_fit_is_too_long);
	tcase_add_test(t, an_agent_listens_on_vsock_or_unix);
	tcase_add_loop_test(t, a_malformed_listening_address_is_refused, 0,
			    (int)PST_ARRAY_SIZE(bad_listens));
	tcase_add_test(t, a_listening_path_that_does_not_fit_is_too_long);
}

int main(void)
{
	return pst_unit_run("endpoint", add, 10);
}
