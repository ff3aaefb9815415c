/* SPDX-License-Identifier: MIT */
/* The library and a real agent process: work, deadlines, death, restart. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "host-client/lib/session/conn.h"
#include "tests/fixtures/agent_proc.h"
#include "tests/fixtures/unit.h"
#include "tests/fixtures/write_old.h"

#define MS  PST_NS_PER_MS
#define MIB (1ULL << 20)
/* A product of this size takes one thread about a second. */
#define BIG 2560U

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED                                                              \
	(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif

static struct agent_proc agent;
static struct pst *c;
static char text[400];

static void open_conn(struct pst **ret)
{
	int r = pst_open(agent.uri, NULL, ret, text, sizeof(text));

	ck_assert_msg(r == 0, "%s", text);
}

static void setup(void)
{
	agent_open(&agent, 192 * MIB);
	open_conn(&c);
}

static void teardown(void)
{
	pst_close(c);
	agent_close(&agent);
}

static void *get(struct pst *conn, size_t size)
{
	void *p = NULL;
	int r = pst_alloc(conn, size, &p);

	pst_last_error(conn, text, sizeof(text));
	ck_assert_msg(r == 0, "%s", text);
	return p;
}

static struct pst_gemm_args square(uint32_t n, const void *a, const void *b,
				   void *d)
{
	return (struct pst_gemm_args){
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F64,
		.m = n,
		.n = n,
		.k = n,
		.lda = n,
		.ldb = n,
		.ldc = n,
		.alpha = 1,
		.a = a,
		.b = b,
		.c = d,
	};
}

/* C = A * B for constant matrices, each n x n, checked. Returns 0, or the
 * call's error, or 1 for a wrong result. */
static int multiply(struct pst *conn, uint32_t n, double x, double y)
{
	size_t size = (size_t)n * n * sizeof(double), i;
	double *a, *b, *d;
	void *p[3];
	struct pst_gemm_args g;
	int r;

	for (i = 0; i < 3; i++) {
		r = pst_alloc(conn, size, &p[i]);
		if (r < 0)
			return r;
	}
	a = p[0];
	b = p[1];
	d = p[2];
	for (i = 0; i < (size_t)n * n; i++) {
		a[i] = x;
		b[i] = y;
		d[i] = -1;
	}
	g = square(n, a, b, d);
	r = pst_gemm(conn, &g, 10 * PST_NS_PER_S, NULL);
	for (i = 0; i < (size_t)n * n && !r; i++)
		if (d[i] != n * x * y)
			r = 1;
	for (i = 0; i < 3; i++)
		if (pst_free(conn, p[i]) < 0)
			r = 1;
	return r;
}

/* A product that is under way for about a second. */
static struct pst_gemm_args big_product(void **ret_a, void **ret_c)
{
	size_t size = (size_t)BIG * BIG * sizeof(double);

	*ret_a = get(c, size);
	*ret_c = get(c, size);
	memset(*ret_a, 0, size);
	return square(BIG, *ret_a, *ret_a, *ret_c);
}

static uint64_t stat_of(const char *name)
{
	struct pst_options o = {
		.size = sizeof(o),
		.flags = PST_OPEN_CONTROL_ONLY,
	};
	uint64_t v;
	struct pst *k;
	char *json;

	ck_assert_int_eq(pst_open(agent.uri, &o, &k, text, sizeof(text)), 0);
	ck_assert_int_eq(pst_query(k, PST_QUERY_STATS, &json), 0);
	v = json_number(json, name);
	free(json);
	pst_close(k);
	return v;
}

START_TEST(a_product_is_right)
{
	ck_assert_int_eq(multiply(c, 1, 2, 3), 0);
	ck_assert_int_eq(multiply(c, 64, 2, 3), 0);
	ck_assert_int_eq(multiply(c, 300, 0.5, 3), 0);
}
END_TEST

struct worker {
	pthread_t thread;
	struct pst *conn;
	int id;
	int result;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	int i;

	for (i = 0; i < 200 && !w->result; i++)
		w->result = multiply(w->conn, 8 + (uint32_t)i % 30, w->id + 1,
				     i + 1);
	return NULL;
}

static void work_together(struct pst *const *conns, int n)
{
	struct worker w[4] = {0};
	int i;

	for (i = 0; i < 4; i++) {
		w[i].conn = conns[i % n];
		w[i].id = i;
		pthread_create(&w[i].thread, NULL, work, &w[i]);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(w[i].thread, NULL);
		ck_assert_int_eq(w[i].result, 0);
	}
}

START_TEST(four_threads_share_a_connection)
{
	work_together(&c, 1);
}
END_TEST

START_TEST(two_connections_get_their_own_results)
{
	struct pst *both[2] = {c, NULL};

	open_conn(&both[1]);
	work_together(both, 2);
	pst_close(both[1]);
}
END_TEST

START_TEST(two_processes_get_their_own_results)
{
	struct worker w = {0};
	pid_t pid[2];
	int i, status;

	/* fork() with a thread about is no friend of TSan. */
	pst_close(c);
	c = NULL;
	for (i = 0; i < 2; i++) {
		pid[i] = fork();
		ck_assert_int_ge(pid[i], 0);
		if (pid[i])
			continue;
		w.id = i;
		if (pst_open(agent.uri, NULL, &w.conn, NULL, 0) < 0)
			_exit(2);
		work(&w);
		pst_close(w.conn);
		_exit(w.result ? 1 : 0);
	}
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
		ck_assert_int_eq(status, 0);
	}
}
END_TEST

START_TEST(an_event_loop_collects_products)
{
	struct pollfd p = {.fd = pst_fd(c), .events = POLLIN};
	struct pst_completion done[8];
	struct pst_gemm_args g;
	int i, got = 0;
	uint64_t tag;
	void *a, *d;

	a = get(c, 200 * 200 * 8);
	d = get(c, 200 * 200 * 8);
	memset(a, 0, 200 * 200 * 8);
	g = square(200, a, a, d);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(pst_submit_gemm(c, &g, 0, &tag), 0);
	while (got < 100) {
		if (pst_arm(c) == 0)
			ck_assert_int_eq(poll(&p, 1, 5000), 1);
		i = pst_poll(c, done, 8);
		got += i;
		while (i > 0)
			ck_assert_int_eq(done[--i].status, 0);
	}
	ck_assert_int_eq(got, 100);
}
END_TEST

struct big_call {
	struct pst_gemm_args g;
	int result;
	uint64_t end_ns;
};

static void *call_big(void *arg)
{
	struct big_call *b = arg;

	b->result = pst_gemm(c, &b->g, PST_FOREVER, NULL);
	b->end_ns = pst_now_ns();
	return NULL;
}

/* Every byte of the arena in the region file. */
static bool arena_has(uint8_t byte)
{
	const uint8_t *p = agent.file + PST_WIRE_PREAMBLE + PST_WIRE_CTL_SIZE;

	return memchr(p, byte,
		      agent.size - PST_WIRE_PREAMBLE - PST_WIRE_CTL_SIZE) !=
	       NULL;
}

START_TEST(an_agent_killed_in_mid_call_is_survived)
{
	size_t size = (size_t)BIG * BIG * sizeof(double);
	struct big_call b = {0};
	void *a, *d, *q;
	pthread_t t;
	uint64_t killed;
	uint8_t byte;

	b.g = big_product(&a, &d);
	pthread_create(&t, NULL, call_big, &b);
	usleep(200 * 1000);
	killed = pst_now_ns();
	agent_kill(&agent);
	pthread_join(t, NULL);
	ck_assert_msg(b.result == -ECONNRESET || b.result == -ESTALE, "%d",
		      b.result);
	ck_assert_uint_lt(b.end_ns - killed, PST_HANG_NS);
	ck_assert_int_eq(pst_gemm(c, &b.g, PST_HANG_NS, NULL), -ESTALE);
	ck_assert_int_eq(pst_take(c, &byte, d, 1), -ESTALE);
	write_old(a, size, 0xa7);
	ck_assert(!arena_has(0xa7));
	agent_start(&agent);
	ck_assert_int_eq(multiply(c, 100, 2, 3), 0);
	q = get(c, size);
	memset(q, 0, size);
	write_old(d, size, 0xa7);
	ck_assert(!arena_has(0xa7));
	ck_assert_int_eq(pst_gemm(c, &b.g, PST_HANG_NS, NULL), -ESTALE);
	ck_assert_int_eq(pst_free(c, a), 0);
	ck_assert_int_eq(pst_free(c, d), 0);
	ck_assert_int_eq(pst_free(c, q), 0);
}
END_TEST

/* Whether what is written through p is still seen by the agent. Like
 * write_old(), it races with the library's thread, which is the point. */
__attribute__((no_sanitize("thread"))) static bool arrives(uint8_t *p)
{
	bool r;

	p[0] = 0xa7;
	r = arena_has(0xa7);
	p[0] = 0;
	return r;
}

START_TEST(old_pointers_reach_nobody_though_no_call_is_made)
{
	uint8_t *p = get(c, 4 * MIB);

	memset(p, 0, 4 * MIB);
	agent_kill(&agent);
	agent_start(&agent);
	PST_UNTIL(!arrives(p));
	write_old(p, 4 * MIB, 0xa7);
	ck_assert(!arena_has(0xa7));
}
END_TEST

START_TEST(a_stopped_agent_resumes_and_late_completions_are_dropped)
{
	struct pst_info before = {.size = sizeof(before)};
	struct pst_info after = {.size = sizeof(after)};
	struct pst_completion done;
	uint8_t *p = get(c, 4096);
	uint64_t start;
	void *q;

	ck_assert_int_eq(pst_get_info(c, &before), 0);
	kill(agent.pid, SIGSTOP);
	start = pst_now_ns();
	ck_assert_int_eq(pst_fill(c, p, 4096, 1, 1, 500 * MS, NULL),
			 -ETIMEDOUT);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	start = pst_now_ns();
	ck_assert_int_eq(pst_fill(c, p, 4096, 1, 1, PST_FOREVER, NULL),
			 -ETIMEDOUT);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	ck_assert_int_eq(pst_free(c, p), 0);
	kill(agent.pid, SIGCONT);
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, &done), 0);
	ck_assert_int_eq(pst_poll(c, &done, 1), 0);
	ck_assert_int_eq(pst_get_info(c, &after), 0);
	ck_assert_uint_eq(before.session, after.session);
	ck_assert_uint_eq(before.epoch, after.epoch);
	ck_assert_int_eq(pst_alloc(c, 4096, &q), 0);
	ck_assert_ptr_eq(p, q);
}
END_TEST

START_TEST(a_deadline_keeps_the_buffers_until_the_product_is_done)
{
	struct pst_gemm_args g;
	uint64_t start;
	void *a, *d;

	g = big_product(&a, &d);
	start = pst_now_ns();
	ck_assert_int_eq(pst_gemm(c, &g, 50 * MS, NULL), -ETIMEDOUT);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	ck_assert_int_eq(pst_free(c, a), 0);
	ck_assert_int_eq(pst_free(c, d), 0);
	ck_assert_uint_gt(c->mem.heap.leased, 64 * MIB);
	ck_assert_int_eq(pst_nop(c, 20 * PST_NS_PER_S, NULL), 0);
	/* At most one empty extent is kept. */
	ck_assert_uint_le(c->mem.heap.n, 1);
}
END_TEST

START_TEST(a_cancelled_product_in_the_queue_is_not_computed)
{
	struct pst_gemm_args g;
	uint64_t tag[2];
	void *a, *d;

	g = big_product(&a, &d);
	ck_assert_int_eq(pst_submit_gemm(c, &g, 0, &tag[0]), 0);
	ck_assert_int_eq(pst_submit_gemm(c, &g, 0, &tag[1]), 0);
	ck_assert_int_eq(pst_cancel(c, tag[1]), 0);
	ck_assert_int_eq(pst_wait(c, tag[1], 20 * PST_NS_PER_S, NULL),
			 -ECANCELED);
	ck_assert_int_eq(pst_wait(c, tag[0], 20 * PST_NS_PER_S, NULL), 0);
}
END_TEST

/* A client that works until it is killed. */
static void be_killed(void)
{
	struct pst *conn;

	if (pst_open(agent.uri, NULL, &conn, NULL, 0) < 0)
		_exit(1);
	for (;;)
		if (multiply(conn, 64, 1, 2) < 0)
			_exit(1);
}

START_TEST(clients_killed_at_any_time_leave_nothing_behind)
{
	unsigned int seed = 1, i;
	uint64_t leased = 1;
	pid_t pid;

	/* Only the killed ones count. */
	pst_close(c);
	c = NULL;
	for (i = 0; i < 100; i++) {
		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			be_killed();
		usleep((useconds_t)rand_r(&seed) % 20000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	for (i = 0; i < 300 && leased; i++) {
		usleep(10000);
		leased = stat_of("leased_bytes") + stat_of("quarantined_bytes");
	}
	ck_assert_uint_eq(leased, 0);
	ck_assert_uint_eq(stat_of("broken"), 0);
	open_conn(&c);
	ck_assert_int_eq(multiply(c, 64, 3, 4), 0);
}
END_TEST

START_TEST(ten_thousand_calls_grow_neither_side)
{
	uint64_t ours, theirs, start, total;
	uint32_t i;

	for (i = 0; i < 500; i++)
		ck_assert_int_eq(multiply(c, 16 + i % 16, 1, 2), 0);
	ours = anon_kb(getpid());
	theirs = anon_kb(agent.pid);
	for (i = 0; i < 10000; i++)
		ck_assert_int_eq(multiply(c, 16 + i % 16, 1, 2), 0);
	/* A sanitizer keeps what was freed. */
	if (!SANITIZED) {
		ck_assert_uint_le(anon_kb(getpid()), ours + 256);
		ck_assert_uint_le(anon_kb(agent.pid), theirs + 256);
	}
	start = pst_now_ns();
	for (i = 0; i < 1000; i++)
		ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
	total = pst_now_ns() - start;
	printf("# NOP: %" PRIu64 " ns, mean of 1000\n", total / 1000);
}
END_TEST

START_TEST(answers_that_nobody_waits_for_do_not_pile_up)
{
	struct pst_info i = {.size = sizeof(i)},
			after = {.size = sizeof(after)};
	struct pst_completion done;
	uint64_t tag, until;
	int n, r;

	ck_assert_int_eq(pst_get_info(c, &i), 0);
	/* Each cancel is answered; far more than a socket and the agent's
	 * queue hold. A loop that only submits, cancels and polls never waits
	 * on the socket. */
	for (n = 0; n < (SANITIZED ? 5000 : 50000); n++) {
		ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
		/* An agent without CPU time lets the socket fill for a while;
		 * for good is what the test is about. */
		until = pst_now_ns() + PST_HANG_NS;
		while ((r = pst_cancel(c, tag)) == -EAGAIN &&
		       pst_now_ns() < until)
			usleep(1000);
		ck_assert_msg(r == 0 || r == -ENOENT, "cancel %d: %d", n, r);
		while (pst_poll(c, &done, 1) == 0)
			;
	}
	ck_assert_int_eq(pst_ping(c, NULL), 0);
	ck_assert_int_eq(pst_get_info(c, &after), 0);
	ck_assert_uint_eq(i.session, after.session);
}
END_TEST

START_TEST(an_idle_connection_wakes_for_the_watcher_alone)
{
	uint64_t start = pst_now_ns();
	struct rusage a, b;

	ck_assert_int_eq(pst_nop(c, 20000 * MS, NULL), 0);
	ck_assert_int_eq(getrusage(RUSAGE_SELF, &a), 0);
	usleep(1000 * 1000);
	ck_assert_int_eq(getrusage(RUSAGE_SELF, &b), 0);
	/* It looks every 200 ms. */
	ck_assert_uint_le((uint64_t)(b.ru_nvcsw - a.ru_nvcsw),
			  10 + (pst_now_ns() - start) / (100 * MS));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_product_is_right);
	tcase_add_test(tc, four_threads_share_a_connection);
	tcase_add_test(tc, two_connections_get_their_own_results);
	tcase_add_test(tc, two_processes_get_their_own_results);
	tcase_add_test(tc, an_event_loop_collects_products);
	tcase_add_test(tc, an_agent_killed_in_mid_call_is_survived);
	tcase_add_test(tc, old_pointers_reach_nobody_though_no_call_is_made);
	tcase_add_test(
		tc, a_stopped_agent_resumes_and_late_completions_are_dropped);
	tcase_add_test(tc,
		       a_deadline_keeps_the_buffers_until_the_product_is_done);
	tcase_add_test(tc, a_cancelled_product_in_the_queue_is_not_computed);
	tcase_add_test(tc, clients_killed_at_any_time_leave_nothing_behind);
	tcase_add_test(tc, ten_thousand_calls_grow_neither_side);
	tcase_add_test(tc, answers_that_nobody_waits_for_do_not_pile_up);
	tcase_add_test(tc, an_idle_connection_wakes_for_the_watcher_alone);
}

int main(void)
{
	return pst_unit_run("client_agent", add, 120);
}
