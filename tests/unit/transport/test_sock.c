/* SPDX-License-Identifier: MIT */
/* Sockets: deadlines, the CONNECT handshake, passed descriptors, listening. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/fixtures/fds.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/sock.h"

static struct pst_error err;
static char dir[] = "/tmp/pst-sock-XXXXXX";
static char path[64];

static void setup(void)
{
	strcpy(dir, "/tmp/pst-sock-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	memset(&err, 0, sizeof(err));
}

static void teardown(void)
{
	unlink(path);
	rmdir(dir);
}

static uint64_t in_ms(uint64_t ms)
{
	return pst_now_ns() + ms * PST_NS_PER_MS;
}

static void pair(int sv[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
			 0);
}

static struct pst_listen listen_at(void)
{
	struct pst_listen l = {.scheme = PST_SCHEME_UNIX};

	strcpy(l.path, path);
	return l;
}

static struct pst_endpoint endpoint(enum pst_scheme scheme)
{
	struct pst_endpoint ep = {.scheme = scheme, .port = 7070};

	strcpy(ep.path, path);
	return ep;
}

START_TEST(bytes_sent_are_received)
{
	char buf[16];
	int sv[2];

	pair(sv);
	ck_assert_int_eq(
		pst_sock_send(sv[0], "hello", 5, -1, in_ms(20000), &err), 0);
	ck_assert_int_eq(pst_sock_recv(sv[1], buf, sizeof(buf), NULL,
				       in_ms(20000), &err),
			 5);
	ck_assert_mem_eq(buf, "hello", 5);
	close(sv[0]);
	close(sv[1]);
}
END_TEST

START_TEST(reading_ends_at_its_deadline)
{
	uint64_t start = pst_now_ns();
	char c;
	int sv[2];

	pair(sv);
	ck_assert_int_eq(pst_sock_recv(sv[1], &c, 1, NULL, in_ms(30), &err),
			 -ETIMEDOUT);
	ck_assert_uint_ge(pst_now_ns() - start, 30 * PST_NS_PER_MS);
	ck_assert_str_ne(err.text, "");
	/* A deadline in the past still takes what is there. */
	ck_assert_int_eq(pst_sock_send(sv[0], "x", 1, -1, 0, &err), 0);
	ck_assert_int_eq(pst_sock_recv(sv[1], &c, 1, NULL, 0, &err), 1);
	close(sv[0]);
	close(sv[1]);
}
END_TEST

START_TEST(writing_to_a_peer_that_does_not_read_ends_at_its_deadline)
{
	static char lots[4 << 20];
	int sv[2];

	pair(sv);
	ck_assert_int_eq(
		pst_sock_send(sv[0], lots, sizeof(lots), -1, in_ms(30), &err),
		-ETIMEDOUT);
	close(sv[0]);
	close(sv[1]);
}
END_TEST

static void *read_all(void *arg)
{
	static char buf[65536];
	uint64_t total = 0;
	int fd = *(int *)arg, n;

	while ((n = pst_sock_recv(fd, buf, sizeof(buf), NULL, in_ms(20000),
				  NULL)) > 0)
		total += (uint64_t)n;
	return (void *)total;
}

START_TEST(a_long_message_goes_through_a_full_socket_whole)
{
	static char lots[4 << 20];
	pthread_t thread;
	void *total;
	int sv[2];

	pair(sv);
	ck_assert_int_eq(pthread_create(&thread, NULL, read_all, &sv[1]), 0);
	ck_assert_int_eq(pst_sock_send(sv[0], lots, sizeof(lots), -1,
				       in_ms(20000), &err),
			 0);
	close(sv[0]);
	pthread_join(thread, &total);
	ck_assert_uint_eq((uintptr_t)total, sizeof(lots));
	close(sv[1]);
}
END_TEST

START_TEST(a_closed_peer_is_a_reset_and_no_signal)
{
	char c;
	int sv[2];

	pair(sv);
	close(sv[1]);
	ck_assert_int_eq(pst_sock_send(sv[0], "x", 1, -1, in_ms(20000), &err),
			 -ECONNRESET);
	ck_assert_int_eq(pst_sock_recv(sv[0], &c, 1, NULL, in_ms(20000), &err),
			 -ECONNRESET);
	close(sv[0]);
}
END_TEST

START_TEST(a_descriptor_travels_with_the_first_byte)
{
	int memfd = memfd_create("x", MFD_CLOEXEC);
	struct stat a, b;
	char buf[4];
	int sv[2], got = 99;

	pair(sv);
	ck_assert_int_eq(
		pst_sock_send(sv[0], "abcd", 4, memfd, in_ms(20000), &err), 0);
	ck_assert_int_eq(pst_sock_recv(sv[1], buf, 1, &got, in_ms(20000), &err),
			 1);
	ck_assert_int_ge(got, 0);
	ck_assert_int_eq(fstat(memfd, &a), 0);
	ck_assert_int_eq(fstat(got, &b), 0);
	ck_assert_uint_eq(a.st_ino, b.st_ino);
	ck_assert_int_eq(fcntl(got, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(got);
	ck_assert_int_eq(pst_sock_recv(sv[1], buf, 4, &got, in_ms(20000), &err),
			 3);
	ck_assert_int_eq(got, -1);
	close(memfd);
	close(sv[0]);
	close(sv[1]);
}
END_TEST

/* One byte with n copies of fd, as a peer that means ill would send them. */
static void send_fds(int sock, int fd, int n)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * 64)];
	} control = {0};
	char byte = 'x';
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int i;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
	for (i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &fd, sizeof(fd));
	ck_assert_int_eq(sendmsg(sock, &msg, 0), 1);
}

START_TEST(descriptors_beyond_the_first_are_closed)
{
	static const int counts[] = {2, 8, 9, 64};
	size_t i;
	int sv[2], got, before;
	char c;

	pair(sv);
	for (i = 0; i < PST_ARRAY_SIZE(counts); i++) {
		before = count_fds();
		send_fds(sv[0], sv[0], counts[i]);
		ck_assert_int_eq(
			pst_sock_recv(sv[1], &c, 1, &got, in_ms(20000), &err),
			1);
		ck_assert_int_ge(got, 0);
		close(got);
		ck_assert_int_eq(count_fds(), before);
	}
	close(sv[0]);
	close(sv[1]);
}
END_TEST

START_TEST(a_descriptor_that_finds_no_room_is_an_error_and_no_silence)
{
	struct rlimit old, none;
	int sv[2], got;
	char c;

	pair(sv);
	send_fds(sv[0], sv[0], 1);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(pst_sock_recv(sv[1], &c, 1, &got, in_ms(20000), &err),
			 -EMFILE);
	ck_assert_int_eq(got, -1);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(sv[0]);
	close(sv[1]);
}
END_TEST

START_TEST(descriptors_nobody_asked_for_are_dropped)
{
	int sv[2], before;
	char c;

	pair(sv);
	before = count_fds();
	send_fds(sv[0], sv[0], 3);
	ck_assert_int_eq(pst_sock_recv(sv[1], &c, 1, NULL, in_ms(20000), &err),
			 1);
	ck_assert_int_eq(count_fds(), before);
	close(sv[0]);
	close(sv[1]);
}
END_TEST

START_TEST(a_client_connects_to_a_listening_unix_socket)
{
	struct pst_listen l = listen_at();
	struct pst_endpoint ep = endpoint(PST_SCHEME_UNIX);
	int server = pst_sock_listen(&l, &err);
	int client, conn;
	struct pst_sock_peer peer;

	ck_assert_int_ge(server, 0);
	ck_assert(fcntl(server, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(server, F_GETFD) & FD_CLOEXEC);
	client = pst_sock_connect(&ep, PST_NS_PER_S, &err);
	ck_assert_int_ge(client, 0);
	ck_assert(!(fcntl(client, F_GETFL) & O_NONBLOCK));
	ck_assert(fcntl(client, F_GETFD) & FD_CLOEXEC);
	conn = accept(server, NULL, NULL);
	ck_assert_int_ge(conn, 0);
	ck_assert_int_eq(pst_sock_peer(conn, &peer), 0);
	ck_assert(peer.is_unix);
	ck_assert_uint_eq(peer.uid, geteuid());
	ck_assert_uint_eq(peer.pid, (uint32_t)getpid());
	close(conn);
	close(client);
	close(server);
}
END_TEST

START_TEST(a_peer_that_cannot_be_told_is_an_error)
{
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int vsock = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int pipe_fds[2];
	struct pst_sock_peer peer;

	ck_assert_int_ge(tcp, 0);
	ck_assert_int_eq(pst_sock_peer(tcp, &peer), -EAFNOSUPPORT);
	close(tcp);
	/* Of the right kind, and connected to nobody. */
	if (vsock >= 0) {
		ck_assert_int_eq(pst_sock_peer(vsock, &peer), -ENOTCONN);
		close(vsock);
	}
	ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	ck_assert_int_eq(pst_sock_peer(pipe_fds[0], &peer), -ENOTSOCK);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	ck_assert_int_eq(pst_sock_peer(pipe_fds[0], &peer), -EBADF);
}
END_TEST

START_TEST(connecting_where_nobody_is_says_so)
{
	struct pst_endpoint ep = endpoint(PST_SCHEME_UNIX);
	int before = count_fds();

	ck_assert_int_eq(pst_sock_connect(&ep, PST_NS_PER_S, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ep.scheme = PST_SCHEME_SPAWN;
	ck_assert_int_eq(pst_sock_connect(&ep, PST_NS_PER_S, &err), -EINVAL);
	ck_assert_int_eq(count_fds(), before);
}
END_TEST

START_TEST(connecting_to_a_full_backlog_ends_in_time)
{
	struct pst_listen l = listen_at();
	struct pst_endpoint ep = endpoint(PST_SCHEME_UNIX);
	int server = pst_sock_listen(&l, &err);
	int fds[300], n = 0, r;

	ck_assert_int_ge(server, 0);
	while (n < 300) {
		r = pst_sock_connect(&ep, 20 * PST_NS_PER_MS, &err);
		if (r < 0)
			break;
		fds[n++] = r;
	}
	ck_assert_int_lt(n, 300);
	ck_assert_int_eq(r, -ETIMEDOUT);
	while (n > 0)
		close(fds[--n]);
	close(server);
}
END_TEST

START_TEST(no_time_limit_is_refused_as_it_counts_down)
{
	struct pst_listen l = listen_at();
	struct pst_endpoint ep = endpoint(PST_SCHEME_UNIX);
	int server = pst_sock_listen(&l, &err), fd;
	uint64_t ns;

	/* Some have 999999.x us left when the kernel is told. */
	for (ns = 0; ns < 20000; ns += 20) {
		fd = pst_sock_connect(&ep, PST_NS_PER_S + ns, &err);
		ck_assert_msg(fd >= 0, "%s", err.text);
		close(accept(server, NULL, NULL));
		close(fd);
	}
	close(server);
}
END_TEST

START_TEST(a_stale_socket_file_is_replaced_a_live_one_is_not)
{
	struct pst_listen l = listen_at();
	int a = pst_sock_listen(&l, &err), b;
	int before = count_fds();

	ck_assert_int_ge(a, 0);
	ck_assert_int_eq(pst_sock_listen(&l, &err), -EADDRINUSE);
	ck_assert_int_eq(count_fds(), before);
	close(a);
	b = pst_sock_listen(&l, &err);
	ck_assert_int_ge(b, 0);
	close(b);
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_left_alone)
{
	struct pst_listen l = listen_at();
	struct stat st;
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_eq(write(fd, "data", 4), 4);
	close(fd);
	ck_assert_int_eq(pst_sock_listen(&l, &err), -EADDRINUSE);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 4);
}
END_TEST

START_TEST(a_socket_file_is_for_owner_and_group_minus_umask)
{
	struct pst_listen l = listen_at();
	struct stat st;
	mode_t old = umask(0);
	int fd = pst_sock_listen(&l, &err);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0660);
	close(fd);
	umask(077);
	fd = pst_sock_listen(&l, &err);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	close(fd);
	umask(old);
}
END_TEST

/* A hybrid's end: what it answers to CONNECT, and what it was told. */
struct hybrid {
	int server;
	const char *answer;
	size_t n;
	char heard[32];
};

static void *serve_hybrid(void *arg)
{
	struct hybrid *h = arg;
	int fd = accept(h->server, NULL, NULL);
	size_t n = 0;

	while (n + 1 < sizeof(h->heard) &&
	       pst_sock_recv(fd, &h->heard[n], 1, NULL, in_ms(20000), NULL) ==
		       1 &&
	       h->heard[n++] != '\n')
		;
	if (h->answer &&
	    pst_sock_send(fd, h->answer, h->n, -1, in_ms(20000), NULL) < 0)
		h->heard[0] = '!';
	return (void *)(intptr_t)fd;
}

static int talk(const char *answer, size_t n, uint64_t timeout_ns,
		struct hybrid *h, int *ret_peer)
{
	struct pst_listen l = listen_at();
	struct pst_endpoint ep = endpoint(PST_SCHEME_VSOCK_UDS);
	pthread_t thread;
	void *peer;
	int r;

	*h = (struct hybrid){.answer = answer, .n = n};
	h->server = pst_sock_listen(&l, &err);
	ck_assert_int_ge(h->server, 0);
	/* The thread's accept waits. */
	ck_assert_int_eq(fcntl(h->server, F_SETFL, 0), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, serve_hybrid, h), 0);
	r = pst_sock_connect(&ep, timeout_ns, &err);
	pthread_join(thread, &peer);
	close(h->server);
	if (ret_peer)
		*ret_peer = (int)(intptr_t)peer;
	else
		close((int)(intptr_t)peer);
	return r;
}

START_TEST(a_hybrid_is_asked_for_the_port_and_the_stream_begins_behind_ok)
{
	static const char answer[] = "OK 1073741824\nPSTK and more";
	struct hybrid h;
	char buf[32];
	int fd, peer, n;

	fd = talk(answer, strlen(answer), PST_NS_PER_S, &h, &peer);
	ck_assert_int_ge(fd, 0);
	ck_assert_str_eq(h.heard, "CONNECT 7070\n");
	n = pst_sock_recv(fd, buf, sizeof(buf), NULL, in_ms(20000), &err);
	ck_assert_int_eq(n, 13);
	ck_assert_mem_eq(buf, "PSTK and more", 13);
	ck_assert_int_eq(pst_sock_send(fd, "up", 2, -1, in_ms(20000), &err), 0);
	n = pst_sock_recv(peer, buf, sizeof(buf), NULL, in_ms(20000), &err);
	ck_assert_int_eq(n, 2);
	close(fd);
	close(peer);
}
END_TEST

static const struct {
	const char *answer;
	size_t n;
} bad_answers[] = {
	{"ERR no\n", 7},
	{"OK\n", 3},
	{"OK \n", 4},
	{"OK x\n", 5},
	{"OK 1\r\n", 6},
	{"OK 99999999999\n", 15},
	{"OK 1\0\n", 6},
	{"\n", 1},
	{"OK 00000000000000000000000000000000000000000000000000000000000000"
	 "000000000000001\n",
	 80},
};

START_TEST(a_bad_answer_to_connect_is_a_protocol_error)
{
	int before = count_fds();
	struct hybrid h;

	ck_assert_int_eq(talk(bad_answers[_i].answer, bad_answers[_i].n,
			      PST_NS_PER_S, &h, NULL),
			 -EPROTO);
	ck_assert_int_eq(count_fds(), before);
}
END_TEST

START_TEST(a_hybrid_that_says_nothing_ends_in_a_timeout)
{
	struct hybrid h;

	ck_assert_int_eq(talk(NULL, 0, 50 * PST_NS_PER_MS, &h, NULL),
			 -ETIMEDOUT);
}
END_TEST

static void *hang_up(void *arg)
{
	int fd = accept(*(int *)arg, NULL, NULL);
	char buf[32];

	/* Unread bytes would make it a reset rather than an end. */
	if (read(fd, buf, sizeof(buf)) < 0)
		return NULL;
	close(fd);
	return arg;
}

START_TEST(a_hybrid_that_hangs_up_means_that_nobody_listens)
{
	struct pst_listen l = listen_at();
	struct pst_endpoint ep = endpoint(PST_SCHEME_VSOCK_UDS);
	int server = pst_sock_listen(&l, &err);
	pthread_t thread;

	ck_assert_int_ge(server, 0);
	ck_assert_int_eq(fcntl(server, F_SETFL, 0), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, hang_up, &server), 0);
	ck_assert_int_eq(pst_sock_connect(&ep, PST_NS_PER_S, &err),
			 -ECONNREFUSED);
	ck_assert_ptr_nonnull(strstr(err.text, "7070"));
	pthread_join(thread, NULL);
	close(server);
}
END_TEST

START_TEST(a_cid_that_no_machine_has_ends_in_time_with_a_sentence)
{
	struct pst_endpoint ep = {
		.scheme = PST_SCHEME_VSOCK, .cid = 0x7ffffff0, .port = 1};
	uint64_t start = pst_now_ns();
	int before = count_fds();
	int r = pst_sock_connect(&ep, 300 * PST_NS_PER_MS, &err);

	/* What it is depends on the kernel's transports; never a hang. */
	ck_assert_int_lt(r, 0);
	ck_assert_str_ne(err.text, "");
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	ck_assert_int_eq(count_fds(), before);
}
END_TEST

static void add(TCase *t)
{
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, bytes_sent_are_received);
	tcase_add_test(t, reading_ends_at_its_deadline);
	tcase_add_test(
		t, writing_to_a_peer_that_does_not_read_ends_at_its_deadline);
	tcase_add_test(t, a_long_message_goes_through_a_full_socket_whole);
	tcase_add_test(t, a_closed_peer_is_a_reset_and_no_signal);
	tcase_add_test(t, a_descriptor_travels_with_the_first_byte);
	tcase_add_test(t, descriptors_beyond_the_first_are_closed);
	tcase_add_test(t, descriptors_nobody_asked_for_are_dropped);
	tcase_add_test(
		t, a_descriptor_that_finds_no_room_is_an_error_and_no_silence);
	tcase_add_test(t, a_client_connects_to_a_listening_unix_socket);
	tcase_add_test(t, a_peer_that_cannot_be_told_is_an_error);
	tcase_add_test(t, connecting_where_nobody_is_says_so);
	tcase_add_test(t, connecting_to_a_full_backlog_ends_in_time);
	tcase_add_test(t, no_time_limit_is_refused_as_it_counts_down);
	tcase_add_test(t, a_stale_socket_file_is_replaced_a_live_one_is_not);
	tcase_add_test(t, a_file_that_is_no_socket_is_left_alone);
	tcase_add_test(t, a_socket_file_is_for_owner_and_group_minus_umask);
	tcase_add_test(
		t,
		a_hybrid_is_asked_for_the_port_and_the_stream_begins_behind_ok);
	tcase_add_loop_test(t, a_bad_answer_to_connect_is_a_protocol_error, 0,
			    (int)PST_ARRAY_SIZE(bad_answers));
	tcase_add_test(t, a_hybrid_that_says_nothing_ends_in_a_timeout);
	tcase_add_test(t, a_hybrid_that_hangs_up_means_that_nobody_listens);
	tcase_add_test(t,
		       a_cid_that_no_machine_has_ends_in_time_with_a_sentence);
}

int main(void)
{
	return pst_unit_run("sock", add, 60);
}
