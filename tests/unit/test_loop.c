/* SPDX-License-Identifier: MIT */
/* The event loop: the same tests over poll and io_uring. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#include "tests/unit/unit.h"
#include "transport/loop_impl.h"
#include "transport/util.h"

#define SOON (2 * PST_NS_PER_S)

/* Every test runs over each; the last as on a kernel without multishot. */
static const enum pst_loop_kind kinds[] = {PST_LOOP_POLL, PST_LOOP_URING,
					   PST_LOOP_URING};
static struct pst_loop *loop;
static struct pst_error err;

/* One end in the loop, the other the test's. */
struct stream {
	struct pst_source *src;
	int mine, theirs;
	uint64_t n_bytes;
	uint64_t largest;
	uint64_t order; /* bytes expected to count up from here */
	int n_calls, n_ends;
	int64_t end; /* 0 or -errno; 1 while there was none */
	bool remove_on_data, remove_on_end;
};

static void open_loop(int i)
{
	ck_assert_int_eq(pst_loop_open(kinds[i], &loop, &err), 0);
	ck_assert_int_eq(pst_loop_kind(loop), kinds[i]);
	ck_assert_str_eq(pst_loop_why(loop), "");
	loop->no_multishot = i == 2;
}

static void on_data(void *arg, const uint8_t *buf, int64_t n)
{
	struct stream *s = arg;
	int64_t i, bad = 0;

	s->n_calls++;
	if (n > 0) {
		/* An assertion a byte takes libcheck too long. */
		for (i = 0; i < n; i++)
			bad += buf[i] != (uint8_t)(s->order++ % 251);
		ck_assert_int_eq(bad, 0);
		s->n_bytes += (uint64_t)n;
		if ((uint64_t)n > s->largest)
			s->largest = (uint64_t)n;
	} else {
		s->n_ends++;
		s->end = n;
	}
	if (n > 0 ? s->remove_on_data : s->remove_on_end) {
		pst_loop_remove(loop, s->src);
		s->src = NULL;
	}
}

static void stream_open(struct stream *s)
{
	int sv[2];

	*s = (struct stream){.end = 1};
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
			 0);
	s->theirs = sv[0];
	s->mine = sv[1];
	s->src = pst_loop_add_stream(loop, s->theirs, on_data, s);
	ck_assert_ptr_nonnull(s->src);
}

static void stream_close(struct stream *s)
{
	pst_loop_remove(loop, s->src);
	close(s->theirs);
	if (s->mine >= 0)
		close(s->mine);
}

/* The test's end sends n bytes of the counting pattern from byte at. */
static void say(struct stream *s, uint64_t at, size_t n)
{
	uint8_t *buf = malloc(n);
	size_t i;

	for (i = 0; i < n; i++)
		buf[i] = (uint8_t)((at + i) % 251);
	ck_assert_int_eq(send(s->mine, buf, n, MSG_NOSIGNAL), (ssize_t)n);
	free(buf);
}

/* Rounds until the condition holds, at most SOON. */
#define RUN_UNTIL(condition)                                                   \
	do {                                                                   \
		uint64_t until_ = pst_now_ns() + SOON;                         \
                                                                               \
		while (!(condition) && pst_now_ns() < until_)                  \
			ck_assert_int_ge(                                      \
				pst_loop_run(loop, 10 * PST_NS_PER_MS), 0);    \
		ck_assert(condition);                                          \
	} while (0)

/* A few rounds in which nothing is expected. */
static void run_idle(void)
{
	int i;

	for (i = 0; i < 5; i++)
		ck_assert_int_eq(pst_loop_run(loop, PST_NS_PER_MS), 0);
}

static int lowest_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	close(fd);
	return fd;
}

START_TEST(bytes_arrive_in_order)
{
	struct stream s;
	uint64_t at = 0;
	int i;

	open_loop(_i);
	stream_open(&s);
	run_idle();
	for (i = 1; i < 200; i++) {
		say(&s, at, (size_t)i * 7);
		at += (uint64_t)i * 7;
		RUN_UNTIL(s.n_bytes == at);
	}
	ck_assert_int_eq(s.n_ends, 0);
	run_idle();
	stream_close(&s);
	pst_loop_close(loop);
}
END_TEST

static void *talk(void *arg)
{
	static uint8_t buf[8 << 20];
	struct stream *s = arg;
	size_t i;

	for (i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i % 251);
	ck_assert_int_eq(send(s->mine, buf, sizeof(buf), MSG_NOSIGNAL),
			 sizeof(buf));
	shutdown(s->mine, SHUT_WR);
	return NULL;
}

START_TEST(a_long_stream_arrives_whole_then_its_end_once)
{
	pthread_t thread;
	struct stream s;

	open_loop(_i);
	stream_open(&s);
	ck_assert_int_eq(pthread_create(&thread, NULL, talk, &s), 0);
	RUN_UNTIL(s.n_ends == 1);
	ck_assert_uint_eq(s.n_bytes, 8 << 20);
	ck_assert_uint_le(s.largest, 64 << 10);
	ck_assert_int_eq(s.end, 0);
	pthread_join(thread, NULL);
	/* Not removed: nothing more comes, and no round spins on it. */
	run_idle();
	ck_assert_int_eq(s.n_ends, 1);
	stream_close(&s);
	pst_loop_close(loop);
}
END_TEST

START_TEST(a_reset_is_reported_once)
{
	struct stream s;

	open_loop(_i);
	stream_open(&s);
	/* Closing with unread bytes resets a Unix stream. */
	ck_assert_int_eq(pst_loop_send(loop, s.src, "unread", 6), 0);
	close(s.mine);
	s.mine = -1;
	RUN_UNTIL(s.n_ends == 1);
	ck_assert_int_eq(s.end, -ECONNRESET);
	run_idle();
	ck_assert_int_eq(s.n_ends, 1);
	ck_assert_int_eq(pst_loop_send(loop, s.src, "x", 1), -ECONNRESET);
	stream_close(&s);
	pst_loop_close(loop);
}
END_TEST

START_TEST(a_source_may_remove_itself_in_its_callback)
{
	struct stream s, t;

	open_loop(_i);
	stream_open(&s);
	stream_open(&t);
	s.remove_on_data = true;
	t.remove_on_end = true;
	say(&s, 0, 10);
	say(&t, 0, 10);
	shutdown(t.mine, SHUT_WR);
	RUN_UNTIL(!s.src && !t.src);
	ck_assert_int_eq(s.n_calls, 1);
	ck_assert_int_eq(t.end, 0);
	say(&s, 10, 10);
	run_idle();
	ck_assert_int_eq(s.n_calls, 1);
	stream_close(&s);
	stream_close(&t);
	pst_loop_close(loop);
}
END_TEST

static struct stream pair_of[2];

/* Whichever comes first removes the other. */
static void remove_other(void *arg, const uint8_t *buf, int64_t n)
{
	struct stream *s = arg;
	struct stream *other = &pair_of[s == &pair_of[0]];

	s->n_calls++;
	ck_assert_ptr_nonnull(s->src);
	pst_loop_remove(loop, other->src);
	other->src = NULL;
}

START_TEST(a_callback_may_remove_another_source_that_is_ready_too)
{
	int i, k;

	open_loop(_i);
	for (k = 0; k < 20; k++) {
		for (i = 0; i < 2; i++) {
			struct stream *s = &pair_of[i];

			stream_open(s);
			pst_loop_remove(loop, s->src);
			s->src = pst_loop_add_stream(loop, s->theirs,
						     remove_other, s);
		}
		ck_assert_int_ge(pst_loop_run(loop, 0), 0);
		say(&pair_of[0], 0, 5);
		say(&pair_of[1], 0, 5);
		for (i = 0; i < 5; i++)
			ck_assert_int_ge(pst_loop_run(loop, PST_NS_PER_MS), 0);
		ck_assert_int_eq(!pair_of[0].src + !pair_of[1].src, 1);
		ck_assert_int_eq(pair_of[0].n_calls + pair_of[1].n_calls, 1);
		stream_close(&pair_of[0]);
		stream_close(&pair_of[1]);
	}
	pst_loop_close(loop);
}
END_TEST

START_TEST(a_descriptor_number_reused_after_removal_is_another_stream)
{
	struct stream s, t;
	int i;

	open_loop(_i);
	for (i = 0; i < 50; i++) {
		stream_open(&s);
		if (i % 2)
			ck_assert_int_ge(pst_loop_run(loop, 0), 0);
		stream_close(&s);
		stream_open(&t);
		ck_assert_int_eq(t.theirs, s.theirs);
		say(&t, 0, 100);
		RUN_UNTIL(t.n_bytes == 100);
		ck_assert_int_eq(s.n_calls, 0);
		stream_close(&t);
	}
	pst_loop_close(loop);
}
END_TEST

START_TEST(closing_a_removed_stream_ends_it_for_the_peer_at_once)
{
	struct stream s;
	char c;

	open_loop(_i);
	stream_open(&s);
	run_idle();
	pst_loop_remove(loop, s.src);
	close(s.theirs);
	ck_assert_int_eq(recv(s.mine, &c, 1, MSG_DONTWAIT), 0);
	close(s.mine);
	pst_loop_close(loop);
}
END_TEST

/* Fills s's queue through the loop. Returns the bytes accepted. */
static uint64_t flood(struct stream *s, int *ret)
{
	static uint8_t chunk[32768];
	uint64_t sent = 0;
	size_t i;

	do {
		for (i = 0; i < sizeof(chunk); i++)
			chunk[i] = (uint8_t)((sent + i) % 251);
		*ret = pst_loop_send(loop, s->src, chunk, sizeof(chunk));
		if (*ret == 0)
			sent += sizeof(chunk);
	} while (*ret == 0 && sent < 64 << 20);
	return sent;
}

/* Reads what the loop sent to the test's end, n bytes in all. */
static void listen_to(struct stream *s, uint64_t n)
{
	static uint8_t buf[65536];
	uint64_t got = 0, bad = 0, until = pst_now_ns() + SOON;
	ssize_t r, i;

	while (got < n && pst_now_ns() < until) {
		ck_assert_int_ge(pst_loop_run(loop, 0), 0);
		r = recv(s->mine, buf, sizeof(buf), MSG_DONTWAIT);
		if (r < 0 && errno == EAGAIN)
			continue;
		ck_assert_int_gt(r, 0);
		for (i = 0; i < r; i++)
			bad += buf[i] != (uint8_t)(got++ % 251);
	}
	ck_assert_uint_eq(got, n);
	ck_assert_uint_eq(bad, 0);
}

START_TEST(a_full_queue_refuses_and_loses_nothing_it_took)
{
	struct stream s;
	uint64_t sent;
	size_t pending;
	int r;

	open_loop(_i);
	stream_open(&s);
	sent = flood(&s, &r);
	ck_assert_int_eq(r, -EMSGSIZE);
	pending = pst_loop_pending(s.src);
	ck_assert_uint_gt(pending, (1 << 20) - 32768);
	ck_assert_uint_le(pending, 1 << 20);
	listen_to(&s, sent);
	ck_assert_uint_eq(pst_loop_pending(s.src), 0);
	/* Emptied, it takes more. */
	ck_assert_int_eq(pst_loop_send(loop, s.src, "x", 1), 0);
	run_idle();
	stream_close(&s);
	pst_loop_close(loop);
}
END_TEST

START_TEST(a_message_above_the_queues_size_is_refused_whole)
{
	static uint8_t big[(1 << 20) + 1];
	struct stream s;
	char c;

	open_loop(_i);
	stream_open(&s);
	ck_assert_int_eq(pst_loop_send(loop, s.src, big, sizeof(big)),
			 -EMSGSIZE);
	ck_assert_int_eq(recv(s.mine, &c, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
	stream_close(&s);
	pst_loop_close(loop);
}
END_TEST

START_TEST(a_peer_that_closes_while_bytes_are_queued_ends_the_stream)
{
	struct stream s;
	int r;

	open_loop(_i);
	stream_open(&s);
	flood(&s, &r);
	ck_assert_int_eq(r, -EMSGSIZE);
	run_idle();
	close(s.mine);
	s.mine = -1;
	RUN_UNTIL(s.n_ends == 1 && pst_loop_pending(s.src) == 0);
	ck_assert_int_le(s.end, 0);
	ck_assert_int_eq(pst_loop_send(loop, s.src, "x", 1), -ECONNRESET);
	run_idle();
	ck_assert_int_eq(s.n_ends, 1);
	stream_close(&s);
	pst_loop_close(loop);
}
END_TEST

START_TEST(what_a_peer_said_before_it_closed_comes_before_the_end)
{
	struct stream s;
	int r;

	open_loop(_i);
	stream_open(&s);
	flood(&s, &r);
	say(&s, 0, 3000);
	close(s.mine);
	s.mine = -1;
	RUN_UNTIL(s.n_ends == 1);
	ck_assert_uint_eq(s.n_bytes, 3000);
	stream_close(&s);
	pst_loop_close(loop);
}
END_TEST

START_TEST(a_half_closed_peer_still_gets_what_is_queued)
{
	struct stream s;
	uint64_t sent;
	int r;

	open_loop(_i);
	stream_open(&s);
	sent = flood(&s, &r);
	shutdown(s.mine, SHUT_WR);
	RUN_UNTIL(s.n_ends == 1);
	listen_to(&s, sent);
	run_idle();
	stream_close(&s);
	pst_loop_close(loop);
}
END_TEST

START_TEST(no_stream_gets_two_callbacks_in_a_round)
{
	struct stream noisy, quiet;
	int rounds = 0, before;

	open_loop(_i);
	stream_open(&noisy);
	stream_open(&quiet);
	say(&noisy, 0, 150000);
	say(&quiet, 0, 1);
	while (noisy.n_bytes < 150000 && rounds < 100000) {
		before = noisy.n_calls;
		ck_assert_int_ge(pst_loop_run(loop, PST_NS_PER_MS), 0);
		ck_assert_int_le(noisy.n_calls - before, 1);
		/* A round or two after the first, whatever the other says. */
		if (noisy.n_calls > 2)
			ck_assert_uint_eq(quiet.n_bytes, 1);
		rounds++;
	}
	ck_assert_uint_eq(noisy.n_bytes, 150000);
	ck_assert_uint_le(noisy.largest, 64 << 10);
	stream_close(&noisy);
	stream_close(&quiet);
	pst_loop_close(loop);
}
END_TEST

START_TEST(many_noisy_streams_all_arrive)
{
	static struct stream s[40];
	uint64_t total = 0, until = pst_now_ns() + SOON;
	size_t i;

	open_loop(_i);
	for (i = 0; i < PST_ARRAY_SIZE(s); i++)
		stream_open(&s[i]);
	for (i = 0; i < PST_ARRAY_SIZE(s); i++)
		say(&s[i], 0, 120000);
	while (total < 120000 * PST_ARRAY_SIZE(s) && pst_now_ns() < until) {
		ck_assert_int_ge(pst_loop_run(loop, PST_NS_PER_MS), 0);
		for (total = 0, i = 0; i < PST_ARRAY_SIZE(s); i++)
			total += s[i].n_bytes;
	}
	ck_assert_uint_eq(total, 120000 * PST_ARRAY_SIZE(s));
	for (i = 0; i < PST_ARRAY_SIZE(s); i++)
		stream_close(&s[i]);
	pst_loop_close(loop);
}
END_TEST

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
};

static void on_accept(void *arg, int fd)
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
	/* The first may have been accepted by the armed request already. */
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
	ck_assert_uint_lt(pst_now_ns() - start, PST_NS_PER_S);
	start = pst_now_ns();
	ck_assert_int_eq(pst_loop_run(loop, 0), 0);
	ck_assert_uint_lt(pst_now_ns() - start, 20 * PST_NS_PER_MS);
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
	until = pst_now_ns() + 3 * PST_NS_PER_S;
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
/* Runs in a child of its own (libcheck forks): the filter stays. */
START_TEST(where_io_uring_is_denied_poll_is_taken_with_a_reason)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	struct stream s;

	ck_assert_ptr_nonnull(ctx);
	ck_assert_int_eq(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM),
					  SCMP_SYS(io_uring_setup), 0),
			 0);
	ck_assert_int_eq(seccomp_load(ctx), 0);
	seccomp_release(ctx);
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
#endif

static void add(TCase *t)
{
	int n = (int)PST_ARRAY_SIZE(kinds);

	if (pst_loop_open(PST_LOOP_URING, &loop, &err) < 0) {
		fprintf(stderr, "# not tested over io_uring: %s\n", err.text);
		n = 1;
	} else {
		pst_loop_close(loop);
	}
	tcase_add_loop_test(t, bytes_arrive_in_order, 0, n);
	tcase_add_loop_test(t, a_long_stream_arrives_whole_then_its_end_once, 0,
			    n);
	tcase_add_loop_test(t, a_reset_is_reported_once, 0, n);
	tcase_add_loop_test(t, a_source_may_remove_itself_in_its_callback, 0,
			    n);
	tcase_add_loop_test(
		t, a_callback_may_remove_another_source_that_is_ready_too, 0,
		n);
	tcase_add_loop_test(
		t, a_descriptor_number_reused_after_removal_is_another_stream,
		0, n);
	tcase_add_loop_test(
		t, closing_a_removed_stream_ends_it_for_the_peer_at_once, 0, n);
	tcase_add_loop_test(t, a_full_queue_refuses_and_loses_nothing_it_took,
			    0, n);
	tcase_add_loop_test(t, a_message_above_the_queues_size_is_refused_whole,
			    0, n);
	tcase_add_loop_test(
		t, a_peer_that_closes_while_bytes_are_queued_ends_the_stream, 0,
		n);
	tcase_add_loop_test(
		t, what_a_peer_said_before_it_closed_comes_before_the_end, 0,
		n);
	tcase_add_loop_test(t, a_half_closed_peer_still_gets_what_is_queued, 0,
			    n);
	tcase_add_loop_test(t, no_stream_gets_two_callbacks_in_a_round, 0, n);
	tcase_add_loop_test(t, many_noisy_streams_all_arrive, 0, n);
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
	tcase_add_test(t, where_io_uring_is_denied_poll_is_taken_with_a_reason);
#endif
}

int main(void)
{
	return pst_unit_run("loop", add, 20);
}
