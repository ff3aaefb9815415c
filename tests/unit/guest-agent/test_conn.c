/* SPDX-License-Identifier: MIT */
/* Connections and listeners for which there is no room. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest-agent/serve/listeners.h"
#include "tests/fixtures/session_fixture.h"
#include "tests/fixtures/tmpdir.h"

START_TEST(a_listener_too_many_leaves_no_file)
{
	struct pst_agent_listeners l = {.n = PST_AGENT_MAX_LISTENERS};
	struct pst_listen where = {.scheme = PST_SCHEME_UNIX};
	struct pst_error err;

	tmpdir_make();
	snprintf(where.path, sizeof(where.path), "%s", tmpdir_path("sock"));
	ck_assert_int_eq(pst_agent_listeners_open(&l, NULL, NULL, &where, &err),
			 -EINVAL);
	ck_assert_str_eq(err.text, "more than 8 listeners");
	ck_assert_int_eq(access(where.path, F_OK), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_uint_eq(l.n, PST_AGENT_MAX_LISTENERS);
	tmpdir_remove();
}
END_TEST

START_TEST(a_connection_for_which_there_is_no_place_is_told_from_no_memory)
{
	struct pst_agent_conns c;
	struct pst_error err;
	int s[2];

	ck_assert_int_eq(pst_agent_conns_init(&c, &fix.agent, NULL), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	c.door.n = 2 * c.door.max + 100;
	ck_assert_int_eq(pst_agent_conns_serve(&c, s[0], &err), -EBUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "too many wait for HELLO"));
	c.door.n = 0;
	ck_assert_int_eq(fcntl(s[0], F_GETFD), -1);
	close(s[1]);
	pst_agent_conns_done(&c);
}
END_TEST

static void add(TCase *t)
{
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_listener_too_many_leaves_no_file);
	tcase_add_test(
		t,
		a_connection_for_which_there_is_no_place_is_told_from_no_memory);
}

int main(void)
{
	return pst_unit_run("conn", add, 10);
}
