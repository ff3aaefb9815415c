/* SPDX-License-Identifier: MIT */
/* The serving thread over a real loop, with a device that does not let go. */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest-agent/serve/server.h"
#include "tests/fixtures/agent_fixture.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/shm.h"
#include "transport/sock.h"

#define DRAIN_NS (400 * PST_NS_PER_MS)
#define NEVER    1000000

static struct pst_backend_ops ops;
static uint8_t *region; /* as the backend was given it */
static struct pst_agent_server *server;
static int sock = -1, stop_fd = -1;
static struct pst_lane_client lane;
static pthread_t thread;
static int result;
static struct pst_error result_err;
static uint64_t watchdog_ns;
static int manager = -1; /* receives what the server tells systemd */

static int open_backend(uint8_t *base, uint64_t size, uint32_t threads,
			struct pst_backend **ret, struct pst_error *err)
{
	region = base;
	return fixture_open(base, size, threads, ret, err);
}

/* i: 0 for io_uring if the kernel has it, 1 for poll. */
static void start_server(int i)
{
	struct pst_agent_server_config config = {
		.region = "memfd:6M",
		.sysfs = "/nonexistent",
		.backend = &ops,
		.spin_ns = 10 * PST_NS_PER_US,
		.drain_ns = DRAIN_NS,
		.watchdog_ns = watchdog_ns,
		.limits = {.max_clients = 2,
			   .max_dim = NEVER,
			   .max_elems = 1000000},
		.loop = i ? PST_LOOP_POLL : PST_LOOP_AUTO,
	};
	struct pst_error err = {0};
	int fds[2];

	pst_agent_log_set_level(PST_AGENT_LOG_ERROR);
	ops = fixture_ops;
	ops.open = open_backend;
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	sock = fds[0];
	config.serve_fd = fds[1];
	stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(stop_fd, 0);
	ck_assert_msg(pst_agent_server_open(&config, &server, &err) == 0, "%s",
		      err.text);
	ck_assert_int_eq(pst_agent_server_watch_stop(server, stop_fd, &err), 0);
}

static void teardown(void)
{
	pst_agent_server_close(server);
	close(stop_fd);
	pst_close_fd(sock);
}

static void *serve(void *arg)
{
	result = pst_agent_server_run(server, &result_err);
	return NULL;
}

static void run_server(void)
{
	ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
}

/* Joins soon; returns what pst_agent_server_run() did. */
static int server_ends(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += PST_HANG_NS / PST_NS_PER_S;
	ck_assert_msg(pthread_timedjoin_np(thread, NULL, &ts) == 0,
		      "the server does not end");
	return result;
}

static void receive(struct pst_frame *f)
{
	static uint8_t buf[70000];
	uint64_t deadline = pst_now_ns() + PST_HANG_NS;
	struct pst_wire_frame h;
	struct pst_error err = {0};
	size_t n = 0, want = sizeof(h);
	int r, fd;

	while (n < want) {
		r = pst_sock_recv(sock, buf + n, want - n, &fd, deadline, &err);
		ck_assert_msg(r > 0, "%s", err.text);
		pst_close_fd(fd);
		n += (size_t)r;
		if (n == sizeof(h)) {
			memcpy(&h, buf, sizeof(h));
			want += h.length;
		}
	}
	ck_assert_int_eq(pst_frame_decode(buf, n, PST_READER_CLIENT, f, &err),
			 (int64_t)n);
}

static void send_frame(uint16_t type, const void *payload, uint32_t n)
{
	const struct pst_frame f = {
		.type = type, .payload = payload, .length = n};
	uint8_t buf[256];
	int64_t size = pst_frame_encode(&f, buf, sizeof(buf));

	ck_assert_int_gt(size, 0);
	ck_assert_int_eq(write(sock, buf, (size_t)size), size);
}

/* A session with a lease, whose offset is returned. */
static uint64_t open_session(void)
{
	struct pst_wire_header *header = (struct pst_wire_header *)region;
	struct pst_wire_hello h = {.version = 1, .name = "test"};
	struct pst_wire_lease l = {.size = 1};
	struct pst_wire_challenge c;
	struct pst_wire_welcome w;
	struct pst_frame f;

	receive(&f);
	ck_assert_int_eq(pst_frame_challenge(&f, &c, NULL), 0);
	h.epoch = c.epoch;
	h.nonce_slot = c.nonce_slot;
	pst_shm_read(h.nonce, header->nonce[c.nonce_slot].bytes,
		     sizeof(h.nonce));
	send_frame(PST_WIRE_HELLO, &h, sizeof(h));
	receive(&f);
	ck_assert_uint_eq(f.status, PST_WIRE_OK);
	ck_assert_int_eq(pst_frame_welcome(&f, &w, NULL), 0);
	pst_lane_client_init(&lane, pst_region_lane(region, w.lane),
			     &header->agent_wake);
	send_frame(PST_WIRE_LEASE, &l, sizeof(l));
	receive(&f);
	ck_assert_uint_eq(f.status, PST_WIRE_OK);
	ck_assert_int_eq(pst_frame_lease(&f, &l, NULL), 0);
	return l.off;
}

/* So many steps, so many cancels refused. */
static void submit(uint64_t off, uint32_t steps, uint32_t stubborn)
{
	const struct pst_wire_sqe sqe = {
		.op = PST_WIRE_OP_GEMM,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.order = PST_WIRE_COL_MAJOR,
		.trans = PST_WIRE_TRANSA,
		.m = 1,
		.n = steps,
		.k = stubborn,
		.batch = 1,
		.lda = stubborn + 1,
		.ldb = stubborn + 1,
		.ldc = 1,
		.off_c = off,
	};

	ck_assert_int_eq(pst_lane_client_submit(&lane, &sqe), 0);
	if (pst_lane_client_must_wake(&lane))
		send_frame(PST_WIRE_WAKE, NULL, 0);
}

static void reap(struct pst_wire_cqe *cqe)
{
	uint64_t deadline = pst_now_ns() + PST_HANG_NS;

	while (pst_lane_client_reap(&lane, cqe) == 0)
		ck_assert_uint_lt(pst_now_ns(), deadline);
}

static atomic_bool at_work, may_end;

/* A backend that is never done, and one that never gives up. */
static int step_forever(struct pst_backend *b, struct pst_backend_op *bop,
			struct pst_error *err)
{
	at_work = true;
	return 0;
}

/* 40 ms from when it may end. */
static int step_slowly(struct pst_backend *b, struct pst_backend_op *bop,
		       struct pst_error *err)
{
	at_work = true;
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	return may_end && ++bop->cursor[0] >= 40;
}

static int refuse_cancel(struct pst_backend *b, struct pst_backend_op *bop)
{
	return 0;
}

START_TEST(it_ends_when_its_only_connection_does)
{
	start_server(_i);
	run_server();
	open_session();
	pst_close_fd(sock);
	sock = -1;
	ck_assert_int_eq(server_ends(), 0);
}
END_TEST

START_TEST(it_serves_many_operations_with_and_without_sleeping)
{
	struct timespec pause = {.tv_nsec = 3000000};
	struct pst_wire_cqe cqe;
	uint64_t off;
	int i;

	start_server(_i);
	run_server();
	off = open_session();
	for (i = 0; i < 2000; i++) {
		submit(off, 1, 0);
		reap(&cqe);
		ck_assert_uint_eq(cqe.status, PST_WIRE_OK);
		if (i % 50 == 0)
			nanosleep(&pause, NULL);
	}
	pst_close_fd(sock);
	sock = -1;
	ck_assert_int_eq(server_ends(), 0);
}
END_TEST

START_TEST(a_device_that_does_not_let_go_of_a_dead_clients_work_ends_it)
{
	uint64_t start;

	start_server(_i);
	ops.step = step_forever;
	ops.cancel = refuse_cancel;
	run_server();
	submit(open_session(), 1, 0);
	PST_UNTIL(at_work);
	/* A second connection would keep it alive; this one's death must not
	 * end it before the device had its time. */
	start = pst_now_ns();
	send_frame(PST_WIRE_CANCEL, &(uint64_t){0}, sizeof(uint64_t));
	ck_assert_int_eq(server_ends(), -ETIMEDOUT);
	ck_assert_uint_ge(pst_now_ns() - start, DRAIN_NS / 2);
	ck_assert_ptr_nonnull(strstr(result_err.text, "give up"));
}
END_TEST

START_TEST(stopping_waits_for_a_device_no_longer_than_it_may)
{
	const uint64_t one = 1;
	uint64_t start;
	struct pst_frame f;

	start_server(_i);
	ops.step = step_forever;
	ops.cancel = refuse_cancel;
	run_server();
	submit(open_session(), 1, 0);
	PST_UNTIL(at_work);
	start = pst_now_ns();
	ck_assert_int_eq(write(stop_fd, &one, sizeof(one)), sizeof(one));
	receive(&f);
	ck_assert_uint_eq(f.type, PST_WIRE_ERROR);
	ck_assert_uint_eq(f.status, PST_WIRE_ESHUTDOWN);
	ck_assert_uint_ge(pst_now_ns() - start, DRAIN_NS / 2);
	pst_close_fd(sock);
	sock = -1;
	server_ends();
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
}
END_TEST

START_TEST(stopping_lets_what_runs_end_and_refuses_what_waits)
{
	const uint64_t one = 1;
	struct pst_wire_cqe cqe;
	struct pst_frame f;
	uint64_t off;
	int i;

	start_server(_i);
	ops.step = step_slowly;
	run_server();
	off = open_session();
	for (i = 0; i < 30; i++)
		submit(off, 1, 0);
	PST_UNTIL(at_work);
	ck_assert_int_eq(write(stop_fd, &one, sizeof(one)), sizeof(one));
	may_end = true;
	for (i = 0; i < 30; i++) {
		reap(&cqe);
		ck_assert_uint_eq(cqe.status,
				  i == 0 ? PST_WIRE_OK : PST_WIRE_ESHUTDOWN);
	}
	receive(&f);
	ck_assert_uint_eq(f.status, PST_WIRE_ESHUTDOWN);
	pst_close_fd(sock);
	sock = -1;
	ck_assert_int_eq(server_ends(), 0);
}
END_TEST

START_TEST(a_second_word_to_stop_neither_kills_nor_hurries_it)
{
	const uint64_t one = 1;
	struct pst_wire_cqe cqe;
	uint64_t off;
	int i;

	start_server(_i);
	ops.step = step_slowly;
	run_server();
	off = open_session();
	submit(off, 1, 0);
	PST_UNTIL(at_work);
	for (i = 0; i < 3; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
		ck_assert_int_eq(write(stop_fd, &one, sizeof(one)),
				 sizeof(one));
	}
	may_end = true;
	reap(&cqe);
	ck_assert_uint_eq(cqe.status, PST_WIRE_OK);
	pst_close_fd(sock);
	sock = -1;
	ck_assert_int_eq(server_ends(), 0);
}
END_TEST

/* ---- The watchdog ------------------------------------------------------- */

#define WATCHDOG_NS (300 * PST_NS_PER_MS)

static void start_watched(int i)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char path[64];

	snprintf(path, sizeof(path), "@pst-test-server-%d", (int)getpid());
	memcpy(sun.sun_path + 1, path + 1, strlen(path) - 1);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(manager, 0);
	ck_assert_int_eq(
		bind(manager, (struct sockaddr *)&sun,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				 strlen(path))),
		0);
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", path, 1), 0);
	watchdog_ns = WATCHDOG_NS;
	start_server(i);
	run_server();
}

/* Signs of life within so long. */
static unsigned int signs(uint64_t ns)
{
	const uint64_t end = pst_now_ns() + ns;
	unsigned int n = 0;
	char buf[64];
	ssize_t r;

	while (pst_now_ns() < end) {
		r = recv(manager, buf, sizeof(buf), MSG_DONTWAIT);
		if (r < 0) {
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
			continue;
		}
		ck_assert_int_eq(r, 10);
		ck_assert_int_eq(memcmp(buf, "WATCHDOG=1", 10), 0);
		n++;
	}
	return n;
}

static void end_watched(void)
{
	pst_close_fd(sock);
	sock = -1;
	ck_assert_int_eq(server_ends(), 0);
	close(manager);
	watchdog_ns = 0;
}

/* Three in the watchdog's time and no more, but for a first one; on a busy
 * machine in one of several tries. */
static void live_signs(void)
{
	unsigned int n = 0, i;

	for (i = 0; i < 10 && n < 6; i++) {
		n = signs(5 * WATCHDOG_NS);
		ck_assert_uint_le(n, 17);
	}
	ck_assert_uint_ge(n, 6);
}

START_TEST(it_gives_signs_of_life_asleep_and_at_work)
{
	uint64_t off;

	start_watched(_i);
	off = open_session();
	live_signs();
	ops.step = step_forever;
	submit(off, 1, 0);
	live_signs();
	end_watched();
}
END_TEST

/* A device call that does not return. */
static int step_hangs(struct pst_backend *b, struct pst_backend_op *bop,
		      struct pst_error *err)
{
	nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 500000000}, NULL);
	return 1;
}

START_TEST(a_serving_thread_that_hangs_gives_none_though_the_heart_beats)
{
	struct pst_wire_word *heart;
	uint64_t beats;

	start_watched(_i);
	ops.step = step_hangs;
	heart = &((struct pst_wire_header *)region)->heartbeat;
	submit(open_session(), 1, 0);
	signs(WATCHDOG_NS);
	beats = pst_shm_load(&heart->value);
	ck_assert_uint_eq(signs(2 * WATCHDOG_NS), 0);
	ck_assert_uint_gt(pst_shm_load(&heart->value), beats + 2);
	end_watched();
}
END_TEST

START_TEST(without_a_watchdog_it_says_nothing)
{
	start_watched(_i);
	pst_close_fd(sock);
	sock = -1;
	ck_assert_int_eq(server_ends(), 0);
	pst_agent_server_close(server);
	close(stop_fd);
	signs(PST_NS_PER_MS);
	watchdog_ns = 0;
	start_server(_i);
	run_server();
	ck_assert_uint_eq(signs(2 * WATCHDOG_NS), 0);
	end_watched();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_loop_test(
		tc, a_second_word_to_stop_neither_kills_nor_hurries_it, 0, 2);
	tcase_add_loop_test(tc, it_gives_signs_of_life_asleep_and_at_work, 0,
			    2);
	tcase_add_loop_test(
		tc,
		a_serving_thread_that_hangs_gives_none_though_the_heart_beats,
		0, 2);
	tcase_add_loop_test(tc, without_a_watchdog_it_says_nothing, 0, 2);
	tcase_add_loop_test(tc, it_ends_when_its_only_connection_does, 0, 2);
	tcase_add_loop_test(
		tc, it_serves_many_operations_with_and_without_sleeping, 0, 2);
	tcase_add_loop_test(
		tc,
		a_device_that_does_not_let_go_of_a_dead_clients_work_ends_it, 0,
		2);
	tcase_add_loop_test(
		tc, stopping_waits_for_a_device_no_longer_than_it_may, 0, 2);
	tcase_add_loop_test(
		tc, stopping_lets_what_runs_end_and_refuses_what_waits, 0, 2);
}

int main(void)
{
	return pst_unit_run("server", add, 30);
}
