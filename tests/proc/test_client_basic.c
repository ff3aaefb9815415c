/* SPDX-License-Identifier: MIT */
/* The library's calls against an agent that behaves. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "host-client/lib/session/conn.h"
#include "tests/fixtures/fake_agent.h"
#include "tests/fixtures/fds.h"
#include "tests/fixtures/unit.h"

#define MS PST_NS_PER_MS

static struct fake fake;
static struct pst *c;
static char text[400];

static void open_with(const struct pst_options *o)
{
	int r = pst_open(fake.uri, o, &c, text, sizeof(text));

	ck_assert_msg(r == 0, "%s", text);
}

static void setup(void)
{
	memset(&fake, 0, sizeof(fake));
	fake_open(&fake);
	open_with(NULL);
}

static void teardown(void)
{
	pst_close(c);
	fake_close(&fake);
}

START_TEST(a_nop_goes_to_the_agent_and_back)
{
	struct pst_completion done;

	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, &done), 0);
	ck_assert_int_eq(done.status, 0);
	ck_assert_uint_eq(done.compute_ns, 7);
}
END_TEST

START_TEST(a_nop_that_sleeps_is_woken)
{
	struct pst_options o = {
		.size = sizeof(o),
		.flags = PST_OPEN_NO_SPIN,
	};
	int i;

	pst_close(c);
	open_with(&o);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
}
END_TEST

START_TEST(a_connection_that_never_sleeps_works_too)
{
	struct pst_options o = {.size = sizeof(o), .spin_ns = UINT64_MAX};

	pst_close(c);
	open_with(&o);
	ck_assert_int_eq(pst_nop(c, PST_FOREVER, NULL), 0);
	fake.hold = true;
	ck_assert_int_eq(pst_nop(c, 20 * MS, NULL), -ETIMEDOUT);
}
END_TEST

START_TEST(a_buffer_is_in_the_region_and_shared_with_the_agent)
{
	uint8_t *p, copy[100];
	void *v;

	ck_assert_int_eq(pst_alloc(c, 1000, &v), 0);
	p = v;
	ck_assert_uint_eq((uintptr_t)p % 64, 0);
	ck_assert_int_eq(pst_fill(c, p, 1000, 0x5a, 1, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(p[0], 0x5a);
	ck_assert_int_eq(p[999], 0x5a);
	ck_assert_int_eq(pst_take(c, copy, p + 900, 100), 0);
	ck_assert_int_eq(copy[99], 0x5a);
	ck_assert_int_eq(pst_take(c, copy, p + 901, 100), -EFAULT);
	ck_assert_int_eq(pst_free(c, p + 64), -EINVAL);
	ck_assert_int_eq(pst_free(c, p), 0);
	ck_assert_int_eq(pst_free(c, p), -EINVAL);
	ck_assert_int_eq(pst_free(c, NULL), 0);
	ck_assert_int_eq(pst_alloc(c, 0, &v), -EINVAL);
}
END_TEST

START_TEST(an_operand_outside_a_buffer_is_refused_with_its_name)
{
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = 4,
		.n = 4,
		.k = 4,
		.lda = 4,
		.ldb = 4,
		.ldc = 4,
		.alpha = 1,
	};
	float outside[16];
	void *a, *b, *p;
	uint64_t tag;

	ck_assert_int_eq(pst_alloc(c, 64, &a), 0);
	ck_assert_int_eq(pst_alloc(c, 63, &b), 0);
	ck_assert_int_eq(pst_alloc(c, 64, &p), 0);
	g.a = a;
	g.b = b;
	g.c = p;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EFAULT);
	pst_last_error(c, text, sizeof(text));
	ck_assert_msg(strncmp(text, "b has 64 bytes", 14) == 0, "%s", text);
	g.b = outside; /* only a call that waits may copy it */
	ck_assert_int_eq(pst_submit_gemm(c, &g, 0, &tag), -EFAULT);
	g.b = NULL;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EFAULT);
	g.b = (char *)a + 2;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EINVAL);
	g.b = p;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EINVAL);
	g.b = a;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), 0);
	/* k = 0 reads neither. */
	g.a = g.b = NULL;
	g.k = 0;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), 0);
	g.k = 4;
	g.alpha = 0;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), 0);
	g.lda = 3;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EINVAL);
	g.lda = 4;
	g.m = 65537;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EMSGSIZE);
}
END_TEST

START_TEST(a_product_that_is_repeated_is_checked_anew_after_a_buffer_went)
{
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = 4,
		.n = 4,
		.k = 4,
		.lda = 4,
		.ldb = 4,
		.ldc = 4,
		.alpha = 1,
	};
	void *a, *b, *p, *q;
	unsigned int taken;
	int i;

	ck_assert_int_eq(pst_alloc(c, 64, &a), 0);
	ck_assert_int_eq(pst_alloc(c, 64, &b), 0);
	ck_assert_int_eq(pst_alloc(c, 64, &p), 0);
	memset(p, 0, 64);
	g.a = a;
	g.b = b;
	g.c = p;
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), 0);
	/* The agent had each of them. */
	ck_assert_uint_eq(*(uint8_t *)p, 3);
	/* Another buffer in its place, too small. */
	ck_assert_int_eq(pst_free(c, b), 0);
	ck_assert_int_eq(pst_alloc(c, 32, &q), 0);
	ck_assert_ptr_eq(q, b);
	taken = fake.taken;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EFAULT);
	pst_last_error(c, text, sizeof(text));
	ck_assert_msg(strncmp(text, "b has 64 bytes", 14) == 0, "%s", text);
	ck_assert_uint_eq(fake.taken, taken);
}
END_TEST

START_TEST(as_many_operations_as_slots_may_be_outstanding)
{
	struct pst_completion done[PST_WIRE_SLOTS + 1];
	uint64_t tags[PST_WIRE_SLOTS], tag;
	int i, n = 0;

	fake.hold = true;
	for (i = 0; i < (int)PST_WIRE_SLOTS; i++)
		ck_assert_int_eq(pst_submit_nop(c, 0, &tags[i]), 0);
	ck_assert_int_eq(pst_submit_nop(c, 0, &tag), -EAGAIN);
	fake.hold = false;
	ck_assert_int_eq(pst_wait(c, tags[100], PST_HANG_NS, &done[0]), 0);
	ck_assert_uint_eq(done[0].tag, tags[100]);
	ck_assert_int_eq(pst_wait(c, tags[100], PST_HANG_NS, &done[0]),
			 -ENOENT);
	for (i = 0; i < 20000 && n < (int)PST_WIRE_SLOTS - 1; i++) {
		n += pst_poll(c, done + n, (int)PST_WIRE_SLOTS + 1 - n);
		usleep(1000);
	}
	ck_assert_int_eq(n, PST_WIRE_SLOTS - 1);
	/* In order, without the one that was waited for. */
	for (i = 0; i < n; i++)
		ck_assert_uint_eq(done[i].tag, tags[i < 100 ? i : i + 1]);
	ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
	ck_assert_int_eq(pst_wait(c, tag, PST_HANG_NS, NULL), 0);
}
END_TEST

START_TEST(a_deadline_ends_the_wait_and_the_buffer_is_freed_later)
{
	struct pst_completion done;
	uint64_t start, tag;
	void *p, *q;

	ck_assert_int_eq(pst_alloc(c, 4096, &p), 0);
	fake.hold = true;
	start = pst_now_ns();
	ck_assert_int_eq(pst_fill(c, p, 4096, 1, 1, 50 * MS, NULL), -ETIMEDOUT);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	pst_last_error(c, text, sizeof(text));
	ck_assert_str_eq(text, "the deadline passed");
	/* Freed by us, still written by the agent: not given out again. */
	ck_assert_int_eq(pst_free(c, p), 0);
	ck_assert_int_eq(pst_free(c, p), -EINVAL);
	ck_assert_int_eq(pst_fill(c, p, 4096, 1, 1, 50 * MS, NULL), -EFAULT);
	ck_assert_int_eq(pst_alloc(c, 4096, &q), 0);
	ck_assert_ptr_ne(p, q);
	fake.hold = false;
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(pst_poll(c, &done, 1), 0);
	ck_assert_int_eq(pst_free(c, q), 0);
	/* Its room is free again, and the first. */
	ck_assert_int_eq(pst_alloc(c, 4096, &q), 0);
	ck_assert_ptr_eq(p, q);
	/* Who waited for a tag may wait again, or collect it. */
	fake.hold = true;
	ck_assert_int_eq(pst_submit_nop(c, 7, &tag), 0);
	ck_assert_int_eq(pst_wait(c, tag, 0, NULL), -ETIMEDOUT);
	ck_assert_int_eq(pst_wait(c, tag, 0, NULL), -ETIMEDOUT);
	fake.hold = false;
	ck_assert_int_eq(pst_wait(c, tag, PST_HANG_NS, &done), 0);
	ck_assert_uint_eq(done.user_data, 7);
	ck_assert_int_eq(pst_wait(c, tag, 0, NULL), -ENOENT);
}
END_TEST

static void claim_300_ms(struct pst_wire_cqe *cqe)
{
	cqe->compute_ns = 300 * MS;
}

static void claim_2_ms(struct pst_wire_cqe *cqe)
{
	cqe->compute_ns = 2 * MS;
}

START_TEST(an_operation_that_ends_before_its_expected_end_wakes_the_sleeper)
{
	uint64_t start, took, least = UINT64_MAX;
	void *p;
	int i;

	ck_assert_int_eq(pst_alloc(c, 4096, &p), 0);
	fake.complete = claim_300_ms;
	for (i = 0; i < 10; i++) {
		start = pst_now_ns();
		ck_assert_int_eq(pst_fill(c, p, 4096, 1, 1, PST_HANG_NS, NULL),
				 0);
		took = pst_now_ns() - start;
		least = took < least ? took : least;
	}
	/* Each would be woken by a tick of 200 ms only, and none by chance. */
	ck_assert_uint_lt(least, 190 * MS);
	/* Nor is a deadline slept past. */
	fake.hold = true;
	start = pst_now_ns();
	ck_assert_int_eq(pst_fill(c, p, 4096, 1, 1, 20 * MS, NULL), -ETIMEDOUT);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	fake.hold = false;
}
END_TEST

static void *release_later(void *arg)
{
	usleep(100000);
	fake.hold = false;
	return NULL;
}

START_TEST(an_operation_that_ends_after_its_expected_end_is_waited_for)
{
	pthread_t thread;
	uint64_t start;
	void *p;
	int i;

	ck_assert_int_eq(pst_alloc(c, 4096, &p), 0);
	fake.complete = claim_2_ms;
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(pst_fill(c, p, 4096, 1, 1, PST_HANG_NS, NULL),
				 0);
	for (i = 0; i < 3; i++) {
		fake.hold = true;
		start = pst_now_ns();
		ck_assert_int_eq(
			pthread_create(&thread, NULL, release_later, NULL), 0);
		ck_assert_int_eq(pst_fill(c, p, 4096, 1, 1, PST_HANG_NS, NULL),
				 0);
		ck_assert_uint_ge(pst_now_ns() - start, 90 * MS);
		pthread_join(thread, NULL);
	}
}
END_TEST

START_TEST(cancel_tells_the_agent_and_does_not_wait)
{
	uint64_t tag;
	int i;

	fake.hold = true;
	ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
	ck_assert_int_eq(pst_cancel(c, tag), 0);
	ck_assert_int_eq(pst_cancel(c, tag + 1), -ENOENT);
	for (i = 0; i < 20000 && !fake.cancels; i++)
		usleep(1000);
	ck_assert_uint_eq(fake.cancels, 1);
	fake.hold = false;
	ck_assert_int_eq(pst_wait(c, tag, PST_HANG_NS, NULL), 0);
}
END_TEST

/* One operation, waited for as an event loop does. */
static void loop_once(void)
{
	struct pollfd p = {.fd = pst_fd(c), .events = POLLIN};
	struct pst_completion done;
	uint64_t tag;
	int n = 0;

	ck_assert_int_ge(p.fd, 0);
	ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
	while (n == 0) {
		if (pst_arm(c) == 0)
			ck_assert_int_eq(
				poll(&p, 1, PST_HANG_NS / PST_NS_PER_MS), 1);
		n = pst_poll(c, &done, 1);
	}
	ck_assert_uint_eq(done.tag, tag);
}

START_TEST(an_event_loop_is_told_of_every_completion)
{
	struct pollfd p = {.fd = pst_fd(c), .events = POLLIN};
	int i;

	for (i = 0; i < 50; i++)
		loop_once();
	/* Nothing is outstanding: armed, and silent. */
	ck_assert_int_eq(pst_arm(c), 0);
	ck_assert_int_eq(poll(&p, 1, 50), 0);
}
END_TEST

static void *call_nops(void *arg)
{
	int i;

	for (i = 0; i < 200; i++)
		if (pst_nop(c, PST_HANG_NS, NULL) != 0)
			return arg;
	return NULL;
}

START_TEST(an_event_loop_is_told_though_other_threads_read_the_socket)
{
	pthread_t t[3];
	void *res;
	int i;

	for (i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, call_nops, &fake);
	for (i = 0; i < 100; i++)
		loop_once();
	for (i = 0; i < 3; i++) {
		pthread_join(t[i], &res);
		ck_assert_ptr_null(res);
	}
}
END_TEST

static atomic_bool asking;

static void *ask(void *arg)
{
	char *json;
	int i;

	for (i = 0; i < 10000; i++) {
		if (pst_query(c, PST_QUERY_INFO, &json) < 0)
			return arg;
		free(json);
	}
	asking = false;
	return NULL;
}

START_TEST(an_event_loop_takes_no_answer_from_a_thread_that_sleeps)
{
	struct pst_completion done;
	uint64_t start = pst_now_ns();
	pthread_t t;
	void *res;

	/* A thread that sleeps on the socket must see the bytes that wake it:
	 * one lost wake-up costs a tick, 200 ms. Without any this takes a
	 * second on a busy machine, with them ten. */
	asking = true;
	pthread_create(&t, NULL, ask, &fake);
	while (asking && pst_now_ns() - start < 8 * PST_NS_PER_S)
		if (pst_arm(c))
			pst_poll(c, &done, 1);
	pthread_join(t, &res);
	ck_assert_ptr_null(res);
	ck_assert_uint_lt(pst_now_ns() - start, 5 * PST_NS_PER_S);
}
END_TEST

START_TEST(questions_are_answered_and_a_control_connection_has_no_lane)
{
	struct pst_options o = {
		.size = sizeof(o),
		.flags = PST_OPEN_CONTROL_ONLY,
	};
	struct pst_info i = PST_INFO_INIT;
	uint64_t ns = 0;
	char *json;
	void *p;

	ck_assert_int_eq(pst_ping(c, &ns), 0);
	ck_assert_uint_gt(ns, 0);
	ck_assert_int_eq(pst_query(c, PST_QUERY_STATS, &json), 0);
	ck_assert_str_eq(json, "{\"fake\":true}");
	free(json);
	ck_assert_int_eq(pst_query(c, (enum pst_topic)9, &json), -EINVAL);
	pst_close(c);
	open_with(&o);
	ck_assert_int_eq(pst_query(c, PST_QUERY_INFO, &json), 0);
	free(json);
	ck_assert_int_eq(pst_alloc(c, 1, &p), -EINVAL);
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), -EINVAL);
	ck_assert_int_eq(pst_arm(c), 0);
	ck_assert_int_eq(pst_get_info(c, &i), 0);
	ck_assert_uint_eq(i.lanes, 0);
	/* No thread of it watches the socket. */
	ck_assert_int_eq(pst_check(c), 0);
	fake.hang_up = true;
	while (pst_check(c) == 0)
		usleep(1000);
	ck_assert_int_eq(pst_query(c, PST_QUERY_INFO, &json), 0);
	free(json);
	ck_assert_int_eq(pst_check(c), 0);
}
END_TEST

START_TEST(empty_extents_go_back_to_the_agent_but_for_one)
{
	void *p[3];
	int i;

	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pst_alloc(c, 2 << 20, &p[i]), 0);
	ck_assert_uint_ge(fake.leases, 2);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pst_free(c, p[i]), 0);
	ck_assert_int_eq(pst_ping(c, NULL), 0);
	ck_assert_uint_eq(fake.releases, fake.leases - 1);
	/* Larger than the arena, and larger than what is left of it. */
	ck_assert_int_eq(pst_alloc(c, 1 << 30, &p[0]), -EMSGSIZE);
	ck_assert_int_eq(pst_alloc(c, 27 << 20, &p[0]), -ENOSPC);
}
END_TEST

START_TEST(the_agents_description_fits_any_size_of_struct)
{
	struct pst_info i = {.size = sizeof(i)};

	ck_assert_int_eq(pst_get_info(c, &i), 0);
	ck_assert_uint_eq(i.epoch, fake.epoch);
	ck_assert_str_eq(i.agent_version, "fake");
	ck_assert_str_eq(i.region_path, "");
	memset(&i, 0x55, sizeof(i));
	i.size = offsetof(struct pst_info, session);
	ck_assert_int_eq(pst_get_info(c, &i), 0);
	ck_assert_uint_eq(i.session, 0x5555555555555555ULL);
	i.size = 0;
	ck_assert_int_eq(pst_get_info(c, &i), -EINVAL);
}
END_TEST

START_TEST(every_error_has_a_phrase_and_each_thread_its_own_sentence)
{
	pthread_t t;

	ck_assert_str_eq(pst_strerror(0), "no error");
	ck_assert_str_ne(pst_strerror(-ESTALE), pst_strerror(-EPROTO));
	ck_assert_ptr_nonnull(pst_strerror(-123456));
	pst_last_error(c, text, sizeof(text));
	ck_assert_str_eq(text, "");
	ck_assert_int_eq(pst_cancel(c, 1), -ENOENT);
	pthread_create(&t, NULL, call_nops, NULL);
	pthread_join(t, NULL);
	pst_last_error(c, text, sizeof(text));
	ck_assert_str_ne(text, "");
	pst_last_error(c, text, 4);
	ck_assert_uint_eq(strlen(text), 3);
}
END_TEST

START_TEST(neither_success_nor_failure_leaks_a_descriptor)
{
	struct pst_options o = {.size = sizeof(o), .timeout_ns = 100 * MS};
	int before = count_fds(), i;
	struct pst *d;
	void *p;

	pst_close(c);
	c = NULL;
	for (i = 0; i < 20; i++) {
		open_with(NULL);
		ck_assert_int_ge(pst_fd(c), 0);
		ck_assert_int_eq(pst_alloc(c, 5 << 20, &p), 0);
		/* The fake serves one at a time: this one is not greeted. */
		ck_assert_int_eq(pst_open(fake.uri, &o, &d, NULL, 0),
				 -ETIMEDOUT);
		pst_close(c);
	}
	open_with(NULL);
	/* The fake has its own end. */
	usleep(20 * 1000);
	ck_assert_int_eq(count_fds(), before);
}
END_TEST

START_TEST(opening_needs_an_endpoint_and_sane_options)
{
	struct pst_options o = {.size = sizeof(o), .flags = 1U << 31};
	struct pst *d;

	unsetenv("PENSTOCK_ENDPOINT");
	ck_assert_int_eq(pst_open(NULL, NULL, &d, text, sizeof(text)), -ENOENT);
	ck_assert_ptr_nonnull(strstr(text, "$PENSTOCK_ENDPOINT"));
	ck_assert_int_eq(pst_open(fake.uri, &o, &d, text, sizeof(text)),
			 -EINVAL);
	o.flags = 0;
	o.size = 3;
	ck_assert_int_eq(pst_open(fake.uri, &o, &d, text, sizeof(text)),
			 -EINVAL);
	ck_assert_int_eq(pst_open("unix:///nowhere/at/all", NULL, &d, text,
				  sizeof(text)),
			 -ENOENT);
	ck_assert_int_eq(pst_open("vsock://3:7070", NULL, &d, NULL, 0),
			 -EINVAL);
	ck_assert_ptr_null(d);
	setenv("PENSTOCK_ENDPOINT", fake.uri, 1);
	pst_close(c);
	open_with(NULL);
	pst_close(c);
	ck_assert_int_eq(pst_open(NULL, NULL, &c, text, sizeof(text)), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_nop_goes_to_the_agent_and_back);
	tcase_add_test(tc, a_nop_that_sleeps_is_woken);
	tcase_add_test(tc, a_connection_that_never_sleeps_works_too);
	tcase_add_test(tc, a_buffer_is_in_the_region_and_shared_with_the_agent);
	tcase_add_test(tc,
		       an_operand_outside_a_buffer_is_refused_with_its_name);
	tcase_add_test(
		tc,
		a_product_that_is_repeated_is_checked_anew_after_a_buffer_went);
	tcase_add_test(tc, as_many_operations_as_slots_may_be_outstanding);
	tcase_add_test(tc,
		       a_deadline_ends_the_wait_and_the_buffer_is_freed_later);
	tcase_add_test(
		tc,
		an_operation_that_ends_before_its_expected_end_wakes_the_sleeper);
	tcase_add_test(
		tc,
		an_operation_that_ends_after_its_expected_end_is_waited_for);
	tcase_add_test(tc, cancel_tells_the_agent_and_does_not_wait);
	tcase_add_test(tc, an_event_loop_is_told_of_every_completion);
	tcase_add_test(
		tc, an_event_loop_is_told_though_other_threads_read_the_socket);
	tcase_add_test(
		tc,
		questions_are_answered_and_a_control_connection_has_no_lane);
	tcase_add_test(tc,
		       an_event_loop_takes_no_answer_from_a_thread_that_sleeps);
	tcase_add_test(tc, empty_extents_go_back_to_the_agent_but_for_one);
	tcase_add_test(tc, the_agents_description_fits_any_size_of_struct);
	tcase_add_test(
		tc, every_error_has_a_phrase_and_each_thread_its_own_sentence);
	tcase_add_test(tc, neither_success_nor_failure_leaks_a_descriptor);
	tcase_add_test(tc, opening_needs_an_endpoint_and_sane_options);
}

int main(void)
{
	return pst_unit_run("client_basic", add, 120);
}
