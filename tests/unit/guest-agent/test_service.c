/* SPDX-License-Identifier: MIT */
/* What the service manager hands over: sockets, the watchdog. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/listen_fds.h"
#include "transport/base/notify.h"
#include "transport/base/util.h"

#define MAX 8

static struct pst_error err;
static int fds[MAX];

static int count(const char *pid, const char *n)
{
	err = (struct pst_error){0};
	return pst_activation_count(pid, n, 42, MAX, &err);
}

START_TEST(sockets_are_counted_for_this_process_only)
{
	ck_assert_int_eq(count("42", "2"), 2);
	ck_assert_int_eq(count("42", "0"), 0);
	ck_assert_int_eq(count("42", "8"), 8);
	ck_assert_int_eq(count("41", "2"), 0);
	/* Not ours: whatever it says. */
	ck_assert_int_eq(count("41", "many"), 0);
	ck_assert_int_eq(count(NULL, "2"), 0);
	ck_assert_int_eq(count("42", NULL), 0);
}
END_TEST

START_TEST(a_count_that_is_none_is_an_error)
{
	static const char *const bad[] = {"",
					  "-1",
					  "9",
					  "1x",
					  " 1",
					  "4294967297",
					  "18446744073709551617"};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(count("42", bad[i]), -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, "LISTEN_FDS="));
	}
	ck_assert_int_eq(count("0", "1"), -EINVAL);
	ck_assert_int_eq(count("me", "1"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "LISTEN_PID=me"));
}
END_TEST

static void setup(void)
{
	tmpdir_make();
}

static void teardown(void)
{
	tmpdir_remove();
}

/* fd becomes the i-th passed descriptor. */
static void pass(int i, int fd)
{
	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(dup2(fd, PST_ACTIVATION_FIRST + i), 0);
	if (fd != PST_ACTIVATION_FIRST + i)
		close(fd);
}

static int listener(const char *name, int type)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type, 0);

	ck_assert_int_ge(fd, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", tmpdir, name);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	/* Out of the way of those that are passed. */
	ck_assert_int_ge(dup2(fd, 50), 0);
	close(fd);
	return 50;
}

static int take(const char *n)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", n, 1);
	setenv("LISTEN_FDNAMES", "x", 1);
	err = (struct pst_error){0};
	return pst_activation_take(fds, MAX, false, &err);
}

START_TEST(listening_sockets_are_taken_and_made_ready)
{
	char text[128], want[128];
	int fd = listener("a", SOCK_STREAM);

	ck_assert_int_eq(listen(fd, 1), 0);
	pass(0, fd);
	ck_assert_int_eq(take("1"), 1);
	ck_assert_int_eq(fds[0], 3);
	ck_assert_int_eq(fcntl(3, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(fcntl(3, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	pst_activation_describe(3, text, sizeof(text));
	snprintf(want, sizeof(want), "unix:%s/a", tmpdir);
	ck_assert_str_eq(text, want);
	/* No child takes them for its own. */
	ck_assert_ptr_null(getenv("LISTEN_PID"));
	ck_assert_ptr_null(getenv("LISTEN_FDS"));
	ck_assert_ptr_null(getenv("LISTEN_FDNAMES"));
	ck_assert_int_eq(pst_activation_take(fds, MAX, false, &err), 0);
}
END_TEST

START_TEST(what_does_not_listen_is_refused)
{
	int pair[2];

	pass(0, open("/dev/null", O_RDONLY));
	ck_assert_int_eq(take("1"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "descriptor 3"));
	ck_assert_ptr_nonnull(strstr(err.text, "not a socket"));
	close(3);
	ck_assert_int_eq(take("1"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "not open"));
	pass(0, listener("b", SOCK_STREAM));
	ck_assert_int_eq(take("1"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "does not listen"));
	pass(0, listener("c", SOCK_DGRAM));
	ck_assert_int_eq(take("1"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "not a stream socket"));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pass(0, pair[0] == 3 ? dup2(pair[0], 51) : pair[0]);
	ck_assert_int_eq(take("1"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "Accept=no"));
}
END_TEST

START_TEST(a_socket_of_another_family_is_refused)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(dup2(fd, 50), 0);
	close(fd);
	pass(0, 50);
	ck_assert_int_eq(take("1"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "neither a vsock nor"));
}
END_TEST

START_TEST(the_watchdogs_time_is_read_for_this_process_only)
{
	uint64_t ns = 1;

	ck_assert_int_eq(
		pst_service_notify_watchdog("3000000", "42", 42, &ns, &err), 0);
	ck_assert_uint_eq(ns, 3 * PST_NS_PER_S);
	ck_assert_int_eq(
		pst_service_notify_watchdog("3000000", NULL, 42, &ns, &err), 0);
	ck_assert_uint_eq(ns, 3 * PST_NS_PER_S);
	ck_assert_int_eq(
		pst_service_notify_watchdog("3000000", "41", 42, &ns, &err), 0);
	ck_assert_uint_eq(ns, 0);
	ns = 1;
	ck_assert_int_eq(pst_service_notify_watchdog(NULL, "42", 42, &ns, &err),
			 0);
	ck_assert_uint_eq(ns, 0);
}
END_TEST

START_TEST(a_watchdogs_time_that_is_none_is_an_error)
{
	static const char *const bad[] = {"", "0", "-1", "3s",
					  "18446744073709552"};
	uint64_t ns;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(pst_service_notify_watchdog(bad[i], NULL, 42,
							     &ns, &err),
				 -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, "WATCHDOG_USEC="));
	}
	ck_assert_int_eq(
		pst_service_notify_watchdog("1", "self", 42, &ns, &err),
		-EINVAL);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, sockets_are_counted_for_this_process_only);
	tcase_add_test(tc, a_count_that_is_none_is_an_error);
	tcase_add_test(tc, listening_sockets_are_taken_and_made_ready);
	tcase_add_test(tc, what_does_not_listen_is_refused);
	tcase_add_test(tc, a_socket_of_another_family_is_refused);
	tcase_add_test(tc, the_watchdogs_time_is_read_for_this_process_only);
	tcase_add_test(tc, a_watchdogs_time_that_is_none_is_an_error);
}

int main(void)
{
	return pst_unit_run("service", add, 10);
}
