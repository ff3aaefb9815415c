/* SPDX-License-Identifier: MIT */
/* Where the virtual machine's UUID comes from. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "guest-agent/service/identity.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define CREDENTIAL "0123abcd-0000-4000-8000-000000000001"
#define DMI        "0123abcd-0000-4000-8000-000000000002"
#define NIL        "00000000-0000-0000-0000-000000000000"

static struct pst_agent_identity id;
static struct pst_error err;
static char sysfs[PATH_MAX], credentials[PATH_MAX];

static void write_file(const char *name, const char *text)
{
	int fd = open(tmpdir_path(name),
		      O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void setup(void)
{
	static const char *const dirs[] = {"sys", "sys/class", "sys/class/dmi",
					   "sys/class/dmi/id", "cred"};
	size_t i;

	tmpdir_make();
	for (i = 0; i < PST_ARRAY_SIZE(dirs); i++)
		ck_assert_int_eq(mkdir(tmpdir_path(dirs[i]), 0700), 0);
	snprintf(sysfs, sizeof(sysfs), "%s", tmpdir_path("sys"));
	snprintf(credentials, sizeof(credentials), "%s", tmpdir_path("cred"));
	write_file("sys/class/dmi/id/product_uuid", DMI "\n");
}

static void teardown(void)
{
	tmpdir_remove();
}

static void expect(const char *dir, const char *want)
{
	char text[37];

	ck_assert_msg(pst_agent_identity_read(sysfs, dir, &id, &err) == 0, "%s",
		      err.text);
	pst_uuid_format(id.vm_uuid, text);
	ck_assert_str_eq(text, want);
}

START_TEST(the_credential_goes_before_what_only_root_can_read)
{
	write_file("cred/vm-uuid", CREDENTIAL "\n");
	expect(credentials, CREDENTIAL);
	ck_assert_str_ne(id.kernel, "");
}
END_TEST

START_TEST(without_a_credential_it_comes_from_dmi)
{
	expect(NULL, DMI);
	expect(credentials, DMI);
	write_file("cred/vm-uuid", NIL "\n");
	expect(credentials, DMI);
}
END_TEST

START_TEST(what_is_nowhere_is_nil)
{
	unlink(tmpdir_path("sys/class/dmi/id/product_uuid"));
	expect(NULL, NIL);
	write_file("cred/vm-uuid", NIL);
	expect(credentials, NIL);
}
END_TEST

START_TEST(a_credential_that_is_no_uuid_is_an_error)
{
	static const char *const bad[] = {
		"",
		"Not Settable",
		CREDENTIAL "0",
		"0123abcd-0000-4000-8000-00000000000",
		CREDENTIAL CREDENTIAL CREDENTIAL,
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		write_file("cred/vm-uuid", bad[i]);
		ck_assert_int_lt(
			pst_agent_identity_read(sysfs, credentials, &id, &err),
			0);
		ck_assert_ptr_nonnull(strstr(err.text, "cred/vm-uuid"));
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_credential_goes_before_what_only_root_can_read);
	tcase_add_test(tc, without_a_credential_it_comes_from_dmi);
	tcase_add_test(tc, what_is_nowhere_is_nil);
	tcase_add_test(tc, a_credential_that_is_no_uuid_is_an_error);
}

int main(void)
{
	return pst_unit_run("identity", add, 10);
}
