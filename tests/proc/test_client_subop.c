/* SPDX-License-Identifier: MIT */
/* Waiting for a part of a call whose end is expected late: without wake-ups
 * until then, unless somebody else needs them. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "host-client/lib/gemm/subop.h"
#include "host-client/lib/session/conn.h"
#include "tests/fixtures/fake_agent.h"
#include "tests/fixtures/unit.h"

#define MS PST_NS_PER_MS
/* What each product is said to have taken. */
#define TOOK_NS (4000 * MS)

static struct fake fake;
static struct pst *c;
static struct pst_gemm_args product, small;
static _Atomic uint64_t took_ns;
static _Thread_local struct pst_error err;

static void took(struct pst_wire_cqe *cqe)
{
	cqe->compute_ns = took_ns;
}

static void sleep_ns(uint64_t ns)
{
	const struct timespec ts = {.tv_nsec = (long)ns};

	nanosleep(&ts, NULL);
}

static void learn(const struct pst_gemm_args *g, uint64_t ns)
{
	struct pst_completion done;
	uint64_t tag;
	int i;

	took_ns = ns;
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(pst_subop_gemm(c, g, &tag, &err), 0);
		ck_assert_int_eq(
			pst_subop_wait(c, tag, PST_HANG_NS, &done, &err), 0);
	}
}

/* A connection that knows how long such products take, and one of the long
 * ones on its way that does not end. */
static uint64_t begin(void)
{
	char text[400];
	uint64_t tag;
	void *mem;
	int r;

	memset(&fake, 0, sizeof(fake));
	fake.complete = took;
	fake_open(&fake);
	r = pst_open(fake.uri, NULL, &c, text, sizeof(text));
	ck_assert_msg(r == 0, "%s", text);
	ck_assert_int_eq(pst_alloc(c, 4096, &mem), 0);
	product = (struct pst_gemm_args){
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = 8,
		.n = 8,
		.k = 8,
		.lda = 8,
		.ldb = 8,
		.ldc = 8,
		.alpha = 1,
		.a = mem,
		.b = (float *)mem + 64,
		.c = (float *)mem + 128,
	};
	small = product;
	small.m = 4;
	learn(&small, 10 * MS);
	learn(&product, TOOK_NS);
	fake.hold = true;
	ck_assert_int_eq(pst_subop_gemm(c, &product, &tag, &err), 0);
	return tag;
}

static void end(uint64_t tag)
{
	pst_subop_abandon(c, tag);
	pst_close(c);
	fake_close(&fake);
}

/* The word that the agent reads before it sends a WAKE. */
static bool is_armed(void)
{
	return pst_shm_load(&fake.lane[0].lane->client_wake.value) & 1;
}

static void *expect(void *arg)
{
	const uint64_t *tag = arg;

	return (void *)(intptr_t)pst_subop_expect(c, *tag, 10000 * MS, &err);
}

static void *call_nop(void *arg)
{
	return (void *)(intptr_t)pst_nop(c, 10000 * MS, NULL);
}

static void join(pthread_t t)
{
	void *r;

	pthread_join(t, &r);
	ck_assert_int_eq((int)(intptr_t)r, 0);
}

START_TEST(nobody_is_woken_before_the_end_is_near)
{
	const uint64_t start = pst_now_ns();
	uint64_t tag = begin(), after;
	pthread_t t;

	pthread_create(&t, NULL, expect, &tag);
	sleep_ns(50 * MS);
	ck_assert(!is_armed());
	fake.hold = false;
	join(t);
	after = pst_now_ns() - start;
	/* The sleep is cut into ticks, at each of which it looks. */
	ck_assert_uint_lt(after, TOOK_NS);
	end(tag);
}
END_TEST

START_TEST(a_thread_that_waits_beside_it_is_woken)
{
	uint64_t tag = begin(), start;
	pthread_t t, nop;

	pthread_create(&t, NULL, expect, &tag);
	sleep_ns(20 * MS);
	ck_assert(!is_armed());
	pthread_create(&nop, NULL, call_nop, NULL);
	PST_UNTIL(is_armed());
	start = pst_now_ns();
	fake.hold = false;
	join(nop);
	ck_assert_uint_lt(pst_now_ns() - start, TOOK_NS / 2);
	join(t);
	end(tag);
}
END_TEST

START_TEST(an_event_loop_beside_it_is_told)
{
	struct pst_completion done[4];
	uint64_t tag = begin(), own;
	pthread_t t;

	pthread_create(&t, NULL, expect, &tag);
	sleep_ns(20 * MS);
	ck_assert(!is_armed());
	ck_assert_int_ge(pst_fd(c), 0);
	ck_assert_int_eq(pst_submit_nop(c, 0, &own), 0);
	ck_assert_int_eq(pst_arm(c), 0);
	ck_assert(is_armed());
	fake.hold = false;
	join(t);
	while (pst_poll(c, done, 4) == 0)
		sleep_ns(MS);
	ck_assert_uint_eq(done[0].tag, own);
	end(tag);
}
END_TEST

/* A small product is told of as soon as it ends, however long those before it
 * were to take. tag: of one that is over by now. */
static void run_small(uint64_t tag)
{
	uint64_t nop, start;
	pthread_t t;

	fake.hold = true;
	ck_assert_int_eq(pst_subop_nop(c, &nop, &err), 0);
	ck_assert_int_eq(pst_subop_gemm(c, &small, &tag, &err), 0);
	pthread_create(&t, NULL, expect, &tag);
	sleep_ns(30 * MS);
	start = pst_now_ns();
	fake.hold = false;
	join(t);
	ck_assert_uint_lt(pst_now_ns() - start, TOOK_NS / 2);
	pst_subop_abandon(c, nop);
	end(tag);
}

START_TEST(what_was_given_up_delays_nobody)
{
	uint64_t tag = begin();

	pst_subop_abandon(c, tag);
	run_small(tag);
}
END_TEST

START_TEST(what_ended_early_delays_nobody)
{
	struct pst_completion done;
	uint64_t tag = begin();

	fake.hold = false;
	ck_assert_int_eq(pst_subop_wait(c, tag, PST_HANG_NS, &done, &err), 0);
	run_small(tag);
}
END_TEST

START_TEST(what_was_lost_delays_nobody)
{
	struct pst_completion done;
	uint64_t tag = begin();
	void *mem;

	fake.hang_up = true;
	ck_assert_int_lt(pst_subop_wait(c, tag, PST_HANG_NS, &done, &err), 0);
	fake.hold = false;
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(pst_alloc(c, 4096, &mem), 0);
	small.a = mem;
	small.b = (float *)mem + 64;
	small.c = (float *)mem + 128;
	run_small(tag);
}
END_TEST

START_TEST(a_call_that_gives_up_cancels_all_its_parts)
{
	static float x[3][64];
	uint64_t tag = begin();
	int i;

	product.a = x[0];
	product.b = x[1];
	product.c = x[2];
	ck_assert_int_eq(pst_gemm(c, &product, 300 * MS, NULL), -ETIMEDOUT);
	for (i = 0; i < 20000 && fake.cancels == 0; i++)
		sleep_ns(MS);
	ck_assert_uint_eq(fake.cancels, 1);
	end(tag);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, nobody_is_woken_before_the_end_is_near);
	tcase_add_test(tc, a_thread_that_waits_beside_it_is_woken);
	tcase_add_test(tc, an_event_loop_beside_it_is_told);
	tcase_add_test(tc, what_was_given_up_delays_nobody);
	tcase_add_test(tc, what_ended_early_delays_nobody);
	tcase_add_test(tc, what_was_lost_delays_nobody);
	tcase_add_test(tc, a_call_that_gives_up_cancels_all_its_parts);
}

int main(void)
{
	return pst_unit_run("client_subop", add, 120);
}
