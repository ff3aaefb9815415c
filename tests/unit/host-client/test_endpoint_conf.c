/* SPDX-License-Identifier: MIT */
/* Endpoints by name: configuration files and where they are looked for. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "host-client/lib/plain/endpoint.h"
#include "host-client/penstock.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"

static struct pst_error err;
static char uri[64];

static int parse(const char *text)
{
	memset(&err, 0, sizeof(err));
	return pst_endpoint_conf_parse(text, strlen(text), uri, sizeof(uri),
				       &err);
}

START_TEST(an_endpoint_line_is_found_among_comments)
{
	ck_assert_int_eq(parse("endpoint = unix:///run/a"), 0);
	ck_assert_str_eq(uri, "unix:///run/a");
	ck_assert_int_eq(parse("# one\n\n  # two\n\tendpoint=vsock://3:7070"
			       "?region=/dev/shm/a#b  # three\r\n"),
			 0);
	ck_assert_str_eq(uri, "vsock://3:7070?region=/dev/shm/a#b");
}
END_TEST

START_TEST(anything_else_is_refused_with_its_line)
{
	ck_assert_int_eq(parse(""), -EINVAL);
	ck_assert_int_eq(parse("# endpoint = unix:///a\n"), -EINVAL);
	ck_assert_int_eq(parse("endpoint\n"), -EINVAL);
	ck_assert_int_eq(parse("\nendpoint =  # nothing\n"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "line 2"));
	ck_assert_int_eq(parse("endpoints = unix:///a\n"), -EINVAL);
	ck_assert_int_eq(parse("= unix:///a\n"), -EINVAL);
	ck_assert_int_eq(parse("endpoint = unix:///a\n\n"
			       "endpoint = unix:///b\n"),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "line 3"));
	ck_assert_int_eq(parse("endpoint = unix:///a\033[2J\n"), -EINVAL);
	ck_assert_int_eq(pst_endpoint_conf_parse("endpoint = a\0b", 14, uri,
						 sizeof(uri), &err),
			 -EINVAL);
	ck_assert_int_eq(parse("endpoint = unix:///0123456789012345678901234567"
			       "890123456789012345678901234567890123456789"),
			 -EMSGSIZE);
}
END_TEST

START_TEST(a_name_cannot_leave_its_directory)
{
	static const char *const bad[] = {"",    ".hidden", "../up", "a/b",
					  "a b", "-e",      "_a"};
	const char *dirs[] = {NULL};
	struct pst_endpoint ep;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(pst_endpoint_lookup(bad[i], dirs, &ep, &err),
				 -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, "digit first"));
	}
}
END_TEST

static void write_conf(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	ck_assert_int_eq(chmod(path, mode), 0);
}

START_TEST(the_first_directory_that_has_the_name_counts)
{
	const char *dirs[3] = {"/nonexistent", NULL, NULL};
	struct pst_endpoint ep;

	tmpdir_make();
	ck_assert_int_eq(pst_endpoint_lookup("vm", dirs, &ep, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "vm.conf"));
	dirs[1] = tmpdir;
	write_conf(tmpdir_path("vm.conf"), "endpoint = unix:///run/vm\n", 0644);
	ck_assert_int_eq(pst_endpoint_lookup("vm", dirs, &ep, &err), 0);
	ck_assert_int_eq(ep.scheme, PST_SCHEME_UNIX);
	ck_assert_str_eq(ep.path, "/run/vm");
	write_conf(tmpdir_path("vm.conf"), "endpoint = ftp://vm\n", 0644);
	ck_assert_int_eq(pst_endpoint_lookup("vm", dirs, &ep, &err), -EINVAL);
	/* The sentence begins with the file. */
	ck_assert_ptr_nonnull(strstr(err.text, "vm.conf: "));
	tmpdir_remove();
}
END_TEST

START_TEST(a_file_that_anybody_could_have_written_is_refused)
{
	const char *dirs[2] = {NULL, NULL};
	struct pst_endpoint ep;

	tmpdir_make();
	dirs[0] = tmpdir;
	write_conf(tmpdir_path("vm.conf"), "endpoint = unix:///run/vm\n", 0666);
	ck_assert_int_eq(pst_endpoint_lookup("vm", dirs, &ep, &err), -EPERM);
	ck_assert_int_eq(mkfifo(tmpdir_path("pipe.conf"), 0600), 0);
	ck_assert_int_eq(pst_endpoint_lookup("pipe", dirs, &ep, &err), -EINVAL);
	ck_assert_int_eq(mkdir(tmpdir_path("dir.conf"), 0700), 0);
	ck_assert_int_eq(pst_endpoint_lookup("dir", dirs, &ep, &err), -EINVAL);
	write_conf(tmpdir_path("big.conf"), "", 0600);
	ck_assert_int_eq(
		truncate(tmpdir_path("big.conf"), PST_ENDPOINT_CONF_MAX + 1),
		0);
	ck_assert_int_eq(pst_endpoint_lookup("big", dirs, &ep, &err),
			 -EMSGSIZE);
	tmpdir_remove();
}
END_TEST

START_TEST(a_name_is_looked_up_in_the_users_configuration)
{
	struct pst_endpoint ep;
	char dir[PATH_MAX], cwd[PATH_MAX / 2];

	tmpdir_make();
	ck_assert_int_eq(mkdir(tmpdir_path("penstock"), 0700), 0);
	ck_assert_int_eq(mkdir(tmpdir_path("penstock/endpoints.d"), 0700), 0);
	write_conf(tmpdir_path("penstock/endpoints.d/pst-test-vm.conf"),
		   "endpoint = unix:///run/vm\n", 0600);
	ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
	snprintf(dir, sizeof(dir), "%s/%s", cwd, tmpdir);
	setenv("XDG_CONFIG_HOME", dir, 1);
	ck_assert_int_eq(pst_endpoint_resolve("pst-test-vm", &ep, &err), 0);
	setenv("PENSTOCK_ENDPOINT", "pst-test-vm", 1);
	ck_assert_int_eq(pst_endpoint_resolve(NULL, &ep, &err), 0);
	ck_assert_str_eq(ep.path, "/run/vm");
	setenv("PENSTOCK_ENDPOINT", "", 1);
	ck_assert_int_eq(pst_endpoint_resolve(NULL, &ep, &err), -ENOENT);
	tmpdir_remove();
}
END_TEST

START_TEST(an_endpoint_is_checked_without_connecting)
{
	char text[64] = "";

	ck_assert_int_eq(pst_endpoint_check("unix:///nonexistent", NULL, 0), 0);
	ck_assert_int_eq(pst_endpoint_check("ftp://a", text, sizeof(text)),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(text, "ftp"));
	ck_assert_int_eq(pst_endpoint_check("../up", NULL, 0), -EINVAL);
	ck_assert_int_eq(pst_endpoint_check("no-such-name", text, sizeof(text)),
			 -ENOENT);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, an_endpoint_line_is_found_among_comments);
	tcase_add_test(tc, anything_else_is_refused_with_its_line);
	tcase_add_test(tc, a_name_cannot_leave_its_directory);
	tcase_add_test(tc, the_first_directory_that_has_the_name_counts);
	tcase_add_test(tc, a_file_that_anybody_could_have_written_is_refused);
	tcase_add_test(tc, a_name_is_looked_up_in_the_users_configuration);
	tcase_add_test(tc, an_endpoint_is_checked_without_connecting);
}

int main(void)
{
	return pst_unit_run("endpoint_conf", add, 10);
}
