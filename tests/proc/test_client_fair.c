/* SPDX-License-Identifier: MIT */
/* Clients share an agent: one that is greedy takes nobody's turn. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/penstock.h"
#include "tests/fixtures/agent_proc.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define S   PST_NS_PER_S
#define MIB (1ULL << 20)
/* Operations that a greedy client keeps in its queue. */
#define QUEUE 200
#define CALLS 40

static struct agent_proc agent;

static void setup(void)
{
	agent_open(&agent, 192 * MIB);
}

static void teardown(void)
{
	agent_close(&agent);
}

static struct pst *open_conn(void)
{
	struct pst *c = NULL;
	char text[400];

	ck_assert_msg(pst_open(agent.uri, NULL, &c, text, sizeof(text)) == 0,
		      "%s", text);
	return c;
}

static struct pst_gemm_args square(struct pst *c, uint32_t n)
{
	const size_t size = (size_t)n * n * sizeof(float);
	void *a = NULL, *d = NULL;

	ck_assert_int_eq(pst_alloc(c, size, &a), 0);
	ck_assert_int_eq(pst_alloc(c, size, &d), 0);
	memset(a, 0, size);
	return (struct pst_gemm_args){
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = n,
		.n = n,
		.k = n,
		.lda = n,
		.ldb = n,
		.ldc = n,
		.alpha = 1,
		.a = a,
		.b = a,
		.c = d,
	};
}

/* A client that never has an empty queue. */
struct greedy {
	pthread_t thread;
	struct pst *conn;
	struct pst_gemm_args g;
	atomic_bool stop;
	atomic_ullong compute_ns;
	atomic_uint ops;
	atomic_int result;
};

static void *be_greedy(void *arg)
{
	struct pst_completion done[16];
	struct greedy *w = arg;
	int queued = 0, i, n;
	uint64_t tag;

	while (!w->stop && !w->result) {
		for (; queued < QUEUE && !w->result; queued++)
			w->result = pst_submit_gemm(w->conn, &w->g, 0, &tag);
		n = pst_poll(w->conn, done, 16);
		if (n == 0)
			usleep(200);
		for (i = 0; i < n; i++) {
			w->compute_ns += done[i].compute_ns;
			w->result = done[i].status;
		}
		w->ops += (unsigned int)n;
		queued -= n;
	}
	return NULL;
}

static void start_greedy(struct greedy *w, uint32_t n)
{
	memset(w, 0, sizeof(*w));
	w->conn = open_conn();
	w->g = square(w->conn, n);
	ck_assert_int_eq(pthread_create(&w->thread, NULL, be_greedy, w), 0);
}

static void stop_greedy(struct greedy *w)
{
	w->stop = true;
	pthread_join(w->thread, NULL);
	ck_assert_int_eq(w->result, 0);
	pst_close(w->conn);
}

static void wait_ops(struct greedy *w, unsigned int n)
{
	int i;

	for (i = 0; i < 20000 && w->ops < n && !w->result; i++)
		usleep(1000);
	ck_assert_uint_ge(w->ops, n);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The median of the times that small calls took. */
static uint64_t small_calls(struct pst *c)
{
	struct pst_gemm_args g = square(c, 16);
	uint64_t ns[CALLS], start;
	int i;

	for (i = 0; i < CALLS; i++) {
		/* Not in the turn of the call before. */
		usleep(3000);
		start = pst_now_ns();
		ck_assert_int_eq(pst_gemm(c, &g, 20 * S, NULL), 0);
		ns[i] = pst_now_ns() - start;
	}
	qsort(ns, CALLS, sizeof(ns[0]), by_value);
	return ns[CALLS / 2];
}

START_TEST(a_small_call_waits_for_a_slice_and_not_for_a_queue)
{
	struct pst *c = open_conn();
	struct greedy w;
	uint64_t median, queue_ns;
	unsigned int ops;

	start_greedy(&w, 640);
	wait_ops(&w, 3);
	ops = w.ops;
	median = small_calls(c);
	/* What a call would take behind all that is queued. */
	queue_ns = w.compute_ns / w.ops * QUEUE;
	printf("# %.1f ms a small call (median), behind the queue %.0f ms\n",
	       (double)median / 1e6, (double)queue_ns / 1e6);
	ck_assert_uint_lt(median, queue_ns / 10);
	/* It does not starve either. */
	ck_assert_uint_gt(w.ops, ops);
	stop_greedy(&w);
	pst_close(c);
}
END_TEST

START_TEST(clients_share_by_time_whatever_the_size_of_their_products)
{
	static const uint32_t n[3] = {96, 384, 1500};
	uint64_t before[3], used[3], all = 0;
	struct greedy w[3];
	int i;

	for (i = 0; i < 3; i++)
		start_greedy(&w[i], n[i]);
	/* The largest one's time comes with its end. */
	wait_ops(&w[2], 1);
	for (i = 0; i < 3; i++)
		before[i] = w[i].compute_ns;
	wait_ops(&w[2], 9);
	for (i = 0; i < 3; i++) {
		used[i] = w[i].compute_ns - before[i];
		all += used[i];
	}
	for (i = 0; i < 3; i++) {
		printf("# products of %u: %.0f %% of the time\n", n[i],
		       100.0 * (double)used[i] / (double)all);
		ck_assert_uint_gt(used[i], all / 5);
		ck_assert_uint_lt(used[i], all / 2);
	}
	for (i = 0; i < 3; i++)
		stop_greedy(&w[i]);
}
END_TEST

START_TEST(a_greedy_client_that_dies_leaves_the_agent_to_others)
{
	struct pst *c = open_conn();
	struct greedy w;
	uint64_t start;

	start_greedy(&w, 1500);
	wait_ops(&w, 1);
	stop_greedy(&w);
	start = pst_now_ns();
	small_calls(c);
	/* 200 products of a second each would take longer. */
	ck_assert_uint_lt(pst_now_ns() - start, 20 * S);
	pst_close(c);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_small_call_waits_for_a_slice_and_not_for_a_queue);
	tcase_add_test(
		tc, clients_share_by_time_whatever_the_size_of_their_products);
	tcase_add_test(tc,
		       a_greedy_client_that_dies_leaves_the_agent_to_others);
}

int main(void)
{
	return pst_unit_run("client_fair", add, 120);
}
