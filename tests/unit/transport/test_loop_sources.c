/* SPDX-License-Identifier: MIT */
/* Listeners, ready descriptors and waiting in the event loop, over poll and
 * io_uring, and what is done where io_uring is denied. */
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/un.h>

#include <liburing.h>
#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#include "tests/fixtures/loop_env.h"

struct ready {
	struct pst_source *src;
	int fd, n_calls;
	bool leave;
};

static void on_ready(void *arg)
{
	struct ready *r = arg;
	uint64_t v;

	r->n_calls++;
	if (!r->leave)
		ck_assert_int_eq(read(r->fd, &v, sizeof(v)), sizeof(v));
}

START_TEST(a_ready_source_calls_as_long_as_it_is_readable)
{
	struct ready r = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	int i;

	open_loop(_i);
	r.src = pst_loop_add_ready(loop, r.fd, on_ready, &r);
	ck_assert_ptr_nonnull(r.src);
	run_idle();
	for (i = 1; i < 10; i++) {
		eventfd_write(r.fd, 1);
		RUN_UNTIL(r.n_calls == i);
		run_idle();
	}
	r.leave = true;
	eventfd_write(r.fd, 1);
	RUN_UNTIL(r.n_calls == 15);
	pst_loop_remove(loop, r.src);
	run_idle();
	close(r.fd);
	pst_loop_close(loop);
}
END_TEST

/* A listener on an abstract address, and what connected to it. */
struct server {
	struct pst_source *src;
	struct sockaddr_un sa;
	socklen_t len;
	int fd, n_accepted;
	int last;
	bool remove_on_accept;
	uint64_t rest_ns; /* after each connection */
};

static uint64_t on_accept(void *arg, int fd)
{
	struct server *s = arg;

	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	s->n_accepted++;
	if (s->last >= 0)
		close(s->last);
	s->last = fd;
	if (s->remove_on_accept) {
		pst_loop_remove(loop, s->src);
		s->src = NULL;
	}
	return s->rest_ns ? pst_now_ns() + s->rest_ns : 0;
}

static void server_open(struct server *s)
{
	*s = (struct server){.sa = {.sun_family = AF_UNIX}, .last = -1};
	s->len = sizeof(sa_family_t);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(s->fd, 0);
	/* Autobind: the kernel chooses an abstract name. */
	ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&s->sa, s->len), 0);
	s->len = sizeof(s->sa);
	ck_assert_int_eq(getsockname(s->fd, (struct sockaddr *)&s->sa, &s->len),
			 0);
	ck_assert_int_eq(listen(s->fd, 64), 0);
	s->src = pst_loop_add_listener(loop, s->fd, on_accept, s);
	ck_assert_ptr_nonnull(s->src);
}

static int server_connect(struct server *s)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&s->sa, s->len), 0);
	return fd;
}

static void server_close(struct server *s)
{
	pst_loop_remove(loop, s->src);
	close(s->fd);
	if (s->last >= 0)
		close(s->last);
}

START_TEST(a_thousand_connections_leave_no_descriptor_behind)
{
	int before = lowest_fd(), i;
	struct server s;

	open_loop(_i);
	server_open(&s);
	for (i = 1; i <= 1000; i++) {
		int fd = server_connect(&s);
		struct stream c = {.end = 1, .mine = fd};

		RUN_UNTIL(s.n_accepted == i);
		c.theirs = s.last;
		s.last = -1;
		c.src = pst_loop_add_stream(loop, c.theirs, on_data, &c);
		ck_assert_ptr_nonnull(c.src);
		say(&c, 0, 64);
		RUN_UNTIL(c.n_bytes == 64);
		close(fd);
		c.mine = -1;
		if (i % 3) {
			RUN_UNTIL(c.n_ends == 1);
		}
		stream_close(&c);
	}
	server_close(&s);
	pst_loop_close(loop);
	ck_assert_int_eq(lowest_fd(), before);
}
END_TEST

START_TEST(a_burst_of_connections_is_accepted_whole)
{
	struct server s;
	int fds[50], i;

	open_loop(_i);
	server_open(&s);
	for (i = 0; i < 50; i++)
		fds[i] = server_connect(&s);
	RUN_UNTIL(s.n_accepted == 50);
	for (i = 0; i < 50; i++)
		close(fds[i]);
	server_close(&s);
	pst_loop_close(loop);
}
END_TEST

START_TEST(a_listener_removed_in_its_callback_accepts_no_more)
{
	int before = lowest_fd(), i, fds[5];
	struct server s;

	open_loop(_i);
	server_open(&s);
	s.remove_on_accept = true;
	for (i = 0; i < 5; i++)
		fds[i] = server_connect(&s);
	RUN_UNTIL(s.n_accepted == 1);
	run_idle();
	ck_assert_int_eq(s.n_accepted, 1);
	for (i = 0; i < 5; i++)
		close(fds[i]);
	server_close(&s);
	pst_loop_close(loop);
	ck_assert_int_eq(lowest_fd(), before);
}
END_TEST

START_TEST(closing_the_loop_frees_what_was_accepted_and_not_delivered)
{
	int before = lowest_fd(), i, fds[20];
	struct stream streams[3];
	struct server s;

	open_loop(_i);
	server_open(&s);
	ck_assert_int_eq(pst_loop_run(loop, 0), 0);
	for (i = 0; i < 3; i++) {
		stream_open(&streams[i]);
		say(&streams[i], 0, 5000);
	}
	for (i = 0; i < 20; i++)
		fds[i] = server_connect(&s);
	/* No source removed, nothing delivered. */
	pst_loop_close(loop);
	for (i = 0; i < 20; i++)
		close(fds[i]);
	for (i = 0; i < 3; i++) {
		close(streams[i].mine);
		close(streams[i].theirs);
	}
	close(s.fd);
	ck_assert_int_eq(lowest_fd(), before);
}
END_TEST

START_TEST(a_listener_without_descriptors_rests_and_goes_on)
{
	struct rlimit old, none;
	struct server s;
	int fd, rounds = 0;
	uint64_t until;

	open_loop(_i);
	server_open(&s);
	ck_assert_int_eq(pst_loop_run(loop, 0), 0);
	fd = server_connect(&s);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)fd + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	until = pst_now_ns() + 200 * PST_NS_PER_MS;
	while (pst_now_ns() < until) {
		ck_assert_int_ge(pst_loop_run(loop, 200 * PST_NS_PER_MS), 0);
		rounds++;
	}
	ck_assert_int_lt(rounds, 40);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	RUN_UNTIL(s.n_accepted == 1);
	close(fd);
	fd = server_connect(&s);
	RUN_UNTIL(s.n_accepted == 2);
	close(fd);
	server_close(&s);
	pst_loop_close(loop);
}
END_TEST

START_TEST(waiting_ends_at_its_time)
{
	uint64_t start;
	struct stream s;

	open_loop(_i);
	stream_open(&s);
	ck_assert_int_eq(pst_loop_run(loop, 0), 0);
	start = pst_now_ns();
	while (pst_now_ns() - start < 30 * PST_NS_PER_MS)
		ck_assert_int_eq(pst_loop_run(loop, 30 * PST_NS_PER_MS), 0);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	ck_assert_int_eq(pst_loop_run(loop, 0), 0);
	stream_close(&s);
	pst_loop_close(loop);
}
END_TEST

static void *talk_later(void *arg)
{
	struct timespec ts = {0, 5 * 1000 * 1000};
	struct stream *s = arg;
	int i;

	for (i = 0; i < 20; i++) {
		nanosleep(&ts, NULL);
		say(s, (uint64_t)i * 4, 4);
	}
	return NULL;
}

START_TEST(a_thread_that_only_looks_sees_what_arrives)
{
	pthread_t thread;
	struct stream s;
	uint64_t until;

	open_loop(_i);
	stream_open(&s);
	ck_assert_int_eq(pst_loop_run(loop, 0), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, talk_later, &s), 0);
	/* No call that sleeps or enters the kernel otherwise. */
	until = pst_now_ns() + PST_HANG_NS;
	while (s.n_bytes < 80 && pst_now_ns() < until)
		ck_assert_int_ge(pst_loop_run(loop, 0), 0);
	ck_assert_uint_eq(s.n_bytes, 80);
	pthread_join(thread, NULL);
	stream_close(&s);
	pst_loop_close(loop);
}
END_TEST

static void *wake_up(void *arg)
{
	struct timespec ts = {0, 20 * 1000 * 1000};

	nanosleep(&ts, NULL);
	say(arg, 0, 1);
	return NULL;
}

START_TEST(an_unlimited_wait_ends_when_something_comes)
{
	pthread_t thread;
	struct stream s;
	int rounds = 0;

	open_loop(_i);
	stream_open(&s);
	ck_assert_int_eq(pthread_create(&thread, NULL, wake_up, &s), 0);
	while (s.n_bytes == 0 && rounds++ < 100)
		ck_assert_int_ge(pst_loop_run(loop, UINT64_MAX), 0);
	ck_assert_uint_eq(s.n_bytes, 1);
	pthread_join(thread, NULL);
	stream_close(&s);
	pst_loop_close(loop);
}
END_TEST

START_TEST(doing_nothing_with_nothing_is_allowed)
{
	open_loop(_i);
	pst_loop_remove(loop, NULL);
	ck_assert_int_eq(pst_loop_run(loop, 0), 0);
	ck_assert_int_eq(pst_loop_run(loop, PST_NS_PER_MS), 0);
	pst_loop_close(loop);
	pst_loop_close(NULL);
}
END_TEST

#ifdef HAVE_SECCOMP
/* For the rest of the process: each test runs in a child of its own. */
static void deny(int syscall, int err_no)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	ck_assert_ptr_nonnull(ctx);
	ck_assert_int_eq(seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)err_no),
					  syscall, 0),
			 0);
	ck_assert_int_eq(seccomp_load(ctx), 0);
	seccomp_release(ctx);
}

static const struct {
	int syscall, err_no;
} denied[] = {
	{SCMP_SYS(io_uring_setup), EPERM},
	{SCMP_SYS(io_uring_setup), ENOSYS},
	{SCMP_SYS(io_uring_setup), ENOMEM},
	{SCMP_SYS(io_uring_enter), EPERM},
	{SCMP_SYS(io_uring_register), EINVAL}, /* no probe: before 5.6 */
};

START_TEST(where_io_uring_is_denied_poll_is_taken_with_a_reason)
{
	struct stream s;

	deny(denied[_i].syscall, denied[_i].err_no);
	ck_assert_int_eq(pst_loop_open(PST_LOOP_URING, &loop, &err),
			 -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "io_uring"));
	ck_assert_int_eq(pst_loop_open(PST_LOOP_AUTO, &loop, &err), 0);
	ck_assert_int_eq(pst_loop_kind(loop), PST_LOOP_POLL);
	ck_assert_ptr_nonnull(strstr(pst_loop_why(loop), "io_uring"));
	ck_assert_ptr_null(strchr(pst_loop_why(loop), '\n'));
	stream_open(&s);
	say(&s, 0, 10);
	RUN_UNTIL(s.n_bytes == 10);
	stream_close(&s);
	pst_loop_close(loop);
}
END_TEST

START_TEST(without_buffer_rings_streams_are_polled)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	struct stream s;

	if (n_kinds() == 1)
		return;
	/* As kernels before 5.19. */
	ck_assert_int_eq(
		seccomp_rule_add(
			ctx, SCMP_ACT_ERRNO(EINVAL),
			SCMP_SYS(io_uring_register), 1,
			SCMP_A1(SCMP_CMP_EQ, IORING_REGISTER_PBUF_RING, 0)),
		0);
	ck_assert_int_eq(seccomp_load(ctx), 0);
	seccomp_release(ctx);
	ck_assert_int_eq(pst_loop_open(PST_LOOP_URING, &loop, &err), 0);
	stream_open(&s);
	ck_assert_int_eq(s.src->uring.in, PST_URING_POLL);
	say(&s, 0, 10);
	RUN_UNTIL(s.n_bytes == 10);
	stream_close(&s);
	pst_loop_close(loop);
}
END_TEST

START_TEST(a_ring_that_stops_working_ends_in_errors_and_never_hangs)
{
	uint64_t start = pst_now_ns();
	struct stream s, t;

	if (n_kinds() == 1)
		return;
	ck_assert_int_eq(pst_loop_open(PST_LOOP_URING, &loop, &err), 0);
	stream_open(&s);
	ck_assert_int_eq(pst_loop_run(loop, 0), 0);
	deny(SCMP_SYS(io_uring_enter), EPERM);
	/* Never submitted, closed, and its number used again. */
	stream_open(&t);
	stream_close(&t);
	stream_open(&t);
	ck_assert_int_eq(pst_loop_run(loop, PST_NS_PER_MS), -EPERM);
	stream_close(&s);
	stream_close(&t);
	pst_loop_close(loop);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
}
END_TEST
#endif

static void add(TCase *t)
{
	const int n = n_kinds();

	tcase_add_loop_test(t, a_ready_source_calls_as_long_as_it_is_readable,
			    0, n);
	tcase_add_loop_test(
		t, a_thousand_connections_leave_no_descriptor_behind, 0, n);
	tcase_add_loop_test(t, a_burst_of_connections_is_accepted_whole, 0, n);
	tcase_add_loop_test(
		t, a_listener_removed_in_its_callback_accepts_no_more, 0, n);
	tcase_add_loop_test(
		t, closing_the_loop_frees_what_was_accepted_and_not_delivered,
		0, n);
	tcase_add_loop_test(t, a_listener_without_descriptors_rests_and_goes_on,
			    0, n);
	tcase_add_loop_test(t, waiting_ends_at_its_time, 0, n);
	tcase_add_loop_test(t, a_thread_that_only_looks_sees_what_arrives, 0,
			    n);
	tcase_add_loop_test(t, an_unlimited_wait_ends_when_something_comes, 0,
			    n);
	tcase_add_loop_test(t, doing_nothing_with_nothing_is_allowed, 0, n);
#ifdef HAVE_SECCOMP
	tcase_add_loop_test(
		t, where_io_uring_is_denied_poll_is_taken_with_a_reason, 0,
		(int)PST_ARRAY_SIZE(denied));
	tcase_add_test(t, without_buffer_rings_streams_are_polled);
	tcase_add_test(
		t, a_ring_that_stops_working_ends_in_errors_and_never_hangs);
#endif
}

int main(void)
{
	return pst_unit_run("loop_sources", add, 60);
}
