/* SPDX-License-Identifier: MIT */
/* PST_OPEN_WAIT: agents, guests and regions that are about to come. */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/fixtures/tensor_fixture.h"

#define MS PST_NS_PER_MS

static int open_waiting(const char *uri, uint64_t timeout_ns, struct pst **ret)
{
	struct pst_options o = PST_OPTIONS_INIT;

	o.flags = PST_OPEN_WAIT;
	o.timeout_ns = timeout_ns;
	return pst_open(uri, &o, ret, text, sizeof(text));
}

static void *start_soon(void *arg)
{
	usleep(200 * 1000);
	agent_start(&agent);
	return NULL;
}

START_TEST(opening_waits_for_an_agent_that_is_about_to_come)
{
	pthread_t thread;
	struct pst *k;
	int r;

	agent_kill(&agent);
	ck_assert_int_eq(unlink(agent.socket), 0);
	ck_assert_int_eq(pst_open(agent.uri, NULL, &k, text, sizeof(text)),
			 -ENOENT);
	pthread_create(&thread, NULL, start_soon, NULL);
	r = open_waiting(agent.uri, 30 * S, &k);
	pthread_join(thread, NULL);
	ck_assert_msg(r == 0, "%s", text);
	ck_assert_int_eq(pst_nop(k, PST_HANG_NS, NULL), 0);
	pst_close(k);
}
END_TEST

static int stop(void *arg)
{
	return ++*(int *)arg > 2;
}

START_TEST(waiting_for_an_agent_ends_by_its_time_or_by_an_interrupt)
{
	int asked = 0;
	struct pst *k;

	ck_assert_int_eq(open_waiting("unix:///nowhere/at/all", 50 * MS, &k),
			 -ENOENT);
	pst_set_interrupt(stop, &asked);
	ck_assert_int_eq(open_waiting("unix:///nowhere/at/all", 3600 * S, &k),
			 -EINTR);
	pst_set_interrupt(NULL, NULL);
	ck_assert_int_eq(asked, 3);
	/* An endpoint that is none is none later either. */
	ck_assert_int_eq(open_waiting("nonesuch", 3600 * S, &k), -ENOENT);
}
END_TEST

/* ---- The region's file --------------------------------------------------- */

static char away[sizeof(agent.region) + 8];

static void *put_back_soon(void *arg)
{
	usleep(200 * 1000);
	ck_assert_int_eq(rename(away, agent.region), 0);
	return NULL;
}

START_TEST(opening_waits_for_the_regions_file)
{
	pthread_t thread;
	struct pst *k;
	int r;

	snprintf(away, sizeof(away), "%s.away", agent.region);
	ck_assert_int_eq(rename(agent.region, away), 0);
	ck_assert_int_eq(pst_open(agent.uri, NULL, &k, text, sizeof(text)),
			 -ENOENT);
	ck_assert_msg(strstr(text, agent.region), "%s", text);
	pthread_create(&thread, NULL, put_back_soon, NULL);
	r = open_waiting(agent.uri, 30 * S, &k);
	pthread_join(thread, NULL);
	ck_assert_msg(r == 0, "%s", text);
	pst_close(k);
}
END_TEST

/* ---- A guest that boots -------------------------------------------------- */

/* The Unix socket of a machine's vsock device. As long as no agent listens in
 * it, who connects is sent away; then the guest's port is the agent's socket.
 */
static struct {
	char path[80];
	int fd;
	int refusals; /* to come */
	int silences; /* then: what a guest without its driver loses */
} machine;

static int connect_to(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* Copies one way until that side ends. */
static void *copy(void *arg)
{
	const int *fd = arg;
	char buf[4096];
	ssize_t n;

	while ((n = read(fd[0], buf, sizeof(buf))) > 0)
		if (send(fd[1], buf, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	shutdown(fd[1], SHUT_WR);
	return NULL;
}

static void *be_machine(void *arg)
{
	int there[2], back[2], fd;
	pthread_t thread;
	char line[64];

	for (;;) {
		fd = accept(machine.fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		ck_assert_int_eq(read(fd, line, sizeof(line)), 13);
		ck_assert_int_eq(memcmp(line, "CONNECT 7070\n", 13), 0);
		if (machine.refusals > 0) {
			machine.refusals--;
			close(fd);
		} else if (machine.silences-- == 0) {
			break;
		}
	}
	ck_assert_int_eq(send(fd, "OK 1024\n", 8, MSG_NOSIGNAL), 8);
	there[0] = back[1] = fd;
	there[1] = back[0] = connect_to(agent.socket);
	pthread_create(&thread, NULL, copy, there);
	copy(back);
	pthread_join(thread, NULL);
	close(fd);
	close(there[1]);
	return NULL;
}

START_TEST(opening_waits_for_a_guest_behind_a_vsock_device)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	pthread_t thread;
	char uri[200];
	struct pst *k;
	int r;

	snprintf(machine.path, sizeof(machine.path), "%s.vsock", agent.socket);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", machine.path);
	snprintf(uri, sizeof(uri), "vsock-uds://%s:7070?region=%s",
		 machine.path, agent.region);
	machine.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(machine.fd, (struct sockaddr *)&sa, sizeof(sa)),
			 0);
	ck_assert_int_eq(listen(machine.fd, 8), 0);
	machine.refusals = 4;
	machine.silences = 1;
	pthread_create(&thread, NULL, be_machine, NULL);
	ck_assert_int_eq(pst_open(uri, NULL, &k, text, sizeof(text)),
			 -ECONNREFUSED);
	ck_assert_msg(strstr(text, "port 7070"), "%s", text);
	r = open_waiting(uri, 30 * S, &k);
	ck_assert_msg(r == 0, "%s", text);
	ck_assert_int_eq(machine.refusals, 0);
	ck_assert_int_eq(pst_nop(k, PST_HANG_NS, NULL), 0);
	pst_close(k);
	pthread_join(thread, NULL);
	close(machine.fd);
	unlink(machine.path);
}
END_TEST

/* Whatever this kernel says of a machine that does not run. */
START_TEST(waiting_for_a_machine_by_its_cid_ends_in_time)
{
	char uri[160];
	struct pst *k;
	int r;

	snprintf(uri, sizeof(uri), "vsock://1234567890:7070?region=%s",
		 agent.region);
	r = open_waiting(uri, 300 * MS, &k);
	ck_assert_msg(r == -ENODEV || r == -ECONNREFUSED || r == -ETIMEDOUT,
		      "%d: %s", r, text);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, opening_waits_for_an_agent_that_is_about_to_come);
	tcase_add_test(
		tc, waiting_for_an_agent_ends_by_its_time_or_by_an_interrupt);
	tcase_add_test(tc, opening_waits_for_the_regions_file);
	tcase_add_test(tc, opening_waits_for_a_guest_behind_a_vsock_device);
	tcase_add_test(tc, waiting_for_a_machine_by_its_cid_ends_in_time);
}

int main(void)
{
	return pst_unit_run("client_coming", add, 120);
}
