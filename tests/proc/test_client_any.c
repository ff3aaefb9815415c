/* SPDX-License-Identifier: MIT */
/* Many operations at once: submitted together, waited for in any order. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "host-client/penstock.h"
#include "tests/fixtures/fake_agent.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define MS PST_NS_PER_MS
#define S  PST_NS_PER_S

static struct fake fake;
static struct pst *c;
static char text[400];

static void setup(void)
{
	memset(&fake, 0, sizeof(fake));
	fake_open(&fake);
	ck_assert_int_eq(pst_open(fake.uri, NULL, &c, text, sizeof(text)), 0);
}

static void teardown(void)
{
	pst_close(c);
	fake_close(&fake);
}

static void fails(int r, int want, const char *part)
{
	pst_last_error(c, text, sizeof(text));
	ck_assert_msg(r == want, "%d: %s", r, text);
	ck_assert_msg(strstr(text, part) != NULL, "%s", text);
}

START_TEST(any_completion_ends_a_wait_and_carries_its_user_data)
{
	struct pst_completion done[4];
	uint64_t tag, seen = 0;
	int i, n, r;

	fails(pst_wait_any(c, done, 4, S), -ENOENT, "outstanding");
	fails(pst_wait_any(c, done, 0, S), -EINVAL, "room for 0");
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(pst_submit_nop(c, 1ULL << i, NULL), 0);
	for (n = 0; n < 10; n += r) {
		r = pst_wait_any(c, done, 4, 10 * S);
		ck_assert_int_ge(r, 1);
		ck_assert_int_le(r, 4);
		for (i = 0; i < r; i++) {
			ck_assert_int_eq(done[i].status, 0);
			ck_assert_uint_ne(done[i].tag, 0);
			seen |= done[i].user_data;
		}
	}
	ck_assert_uint_eq(seen, 1023);
	fails(pst_wait_any(c, done, 4, PST_FOREVER), -ENOENT, "");
	/* One that a thread waits for by its tag is no other's. */
	ck_assert_int_eq(pst_submit_nop(c, 5, &tag), 0);
	ck_assert_int_eq(pst_wait(c, tag, 10 * S, done), 0);
	ck_assert_uint_eq(done[0].user_data, 5);
	fails(pst_wait_any(c, done, 4, PST_FOREVER), -ENOENT, "");
}
END_TEST

static int stop(void *arg)
{
	return 1;
}

START_TEST(a_wait_for_any_ends_by_its_time_or_by_an_interrupt)
{
	struct pst_completion done;
	uint64_t tag;

	fake.hold = true;
	ck_assert_int_eq(pst_submit_nop(c, 3, &tag), 0);
	fails(pst_wait_any(c, &done, 1, 0), -ETIMEDOUT, "");
	fails(pst_wait_any(c, &done, 1, 30 * MS), -ETIMEDOUT, "");
	pst_set_interrupt(stop, NULL);
	fails(pst_wait_any(c, &done, 1, PST_FOREVER), -EINTR, "");
	pst_set_interrupt(NULL, NULL);
	/* Neither has given anything up. */
	fails(pst_wait(c, tag, 0, NULL), -ETIMEDOUT, "");
	fake.hold = false;
	ck_assert_int_eq(pst_wait_any(c, &done, 1, 10 * S), 1);
	ck_assert_uint_eq(done.user_data, 3);
	ck_assert_uint_eq(done.tag, tag);
}
END_TEST

static void *collect(void *arg)
{
	int r, *n = arg;
	struct pst_completion done[3];

	while ((r = pst_wait_any(c, done, 3, 10 * S)) > 0)
		*n += r;
	return (void *)(intptr_t)r;
}

START_TEST(threads_share_what_there_is_and_end_when_nothing_is_left)
{
	int i, k, n[4], sum = 0;
	pthread_t thread[4];
	void *end;

	for (k = 0; k < 20; k++) {
		sum = 0;
		fake.hold = true;
		for (i = 0; i < 50; i++)
			ck_assert_int_eq(pst_submit_nop(c, 0, NULL), 0);
		for (i = 0; i < 4; i++) {
			n[i] = 0;
			pthread_create(&thread[i], NULL, collect, &n[i]);
		}
		fake.hold = false;
		for (i = 0; i < 4; i++) {
			pthread_join(thread[i], &end);
			ck_assert_int_eq((intptr_t)end, -ENOENT);
			sum += n[i];
		}
		ck_assert_int_eq(sum, 50);
	}
}
END_TEST

START_TEST(a_loss_ends_all_that_is_waited_for)
{
	struct pst_completion done[8];
	int i;

	fake.hold = true;
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pst_submit_nop(c, 1, NULL), 0);
	fake.hang_up = true;
	ck_assert_int_eq(pst_wait_any(c, done, 8, 10 * S), 3);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(done[i].status, -ECONNRESET);
	fails(pst_wait_any(c, done, 8, 10 * S), -ENOENT, "");
}
END_TEST

START_TEST(many_operations_are_submitted_at_once)
{
	struct pst_submission ops[300];
	struct pst_gemm_args g = PST_GEMM_INIT;
	struct pst_copy_args copy = PST_COPY_INIT;
	struct pst_completion done[4];
	uint64_t tags[300];
	void *mem;
	float *p;
	int i, n;

	ck_assert_int_eq(pst_alloc(c, 4096, &mem), 0);
	p = mem;
	g.dtype = PST_F32;
	g.m = g.n = g.k = 1;
	g.a = p;
	g.b = p + 1;
	g.c = p + 2;
	copy.src = p;
	copy.dst = p + 8;
	copy.n = 4;
	for (i = 0; i < 300; i++) {
		ops[i] = (struct pst_submission)PST_SUBMISSION_INIT;
		ops[i].op = PST_OP_NOP;
		ops[i].user_data = (uint64_t)i;
	}
	ops[1].op = PST_OP_GEMM;
	ops[1].args.gemm = &g;
	fake.hold = true;
	ck_assert_int_eq(pst_submit(c, ops, 3, tags), 3);
	fake.hold = false;
	for (i = 2; i >= 0; i--) {
		ck_assert_int_eq(pst_wait(c, tags[i], 10 * S, done), 0);
		ck_assert_uint_eq(done[0].user_data, (uint64_t)i);
	}
	/* As many as there are places for; then the reason. */
	fake.hold = true;
	ck_assert_int_eq(pst_submit(c, ops, 300, NULL), (int)PST_WIRE_SLOTS);
	fails(pst_submit(c, ops, 300, NULL), -EAGAIN, "outstanding");
	fake.hold = false;
	for (n = 0; n < (int)PST_WIRE_SLOTS; n += i) {
		i = pst_wait_any(c, done, 4, 10 * S);
		ck_assert_int_ge(i, 1);
	}
	/* Up to the first that is none. */
	ops[0].op = PST_OP_COPY;
	ops[0].args.copy = &copy;
	ops[1].args.gemm = NULL;
	ck_assert_int_eq(pst_submit(c, ops, 3, tags), 1);
	fails(pst_submit(c, ops + 1, 2, tags), -EINVAL, "NULL");
	ops[1].op = 0;
	fails(pst_submit(c, ops + 1, 2, tags), -EINVAL, "op 0");
	ops[1].op = 1000;
	fails(pst_submit(c, ops + 1, 2, tags), -EINVAL, "op 1000");
	ops[1].op = PST_OP_NOP;
	ops[1].queue = 1;
	fails(pst_submit(c, ops + 1, 2, tags), -EINVAL, "queue 1");
	ops[1].queue = 0;
	fails(pst_submit(c, ops, 0, tags), -EINVAL, "0 operations");
	g.c = NULL;
	ops[0].op = PST_OP_GEMM;
	ops[0].args.gemm = &g;
	fails(pst_submit(c, ops, 1, tags), -EFAULT, "c is NULL");
}
END_TEST

START_TEST(a_buffer_says_when_nothing_uses_it_any_more)
{
	int on_stack;
	void *mem;
	uint8_t *p;

	ck_assert_int_eq(pst_alloc(c, 4096, &mem), 0);
	p = mem;
	ck_assert_int_eq(pst_wait_buffer(c, p, 0), 0);
	fake.hold = true;
	fails(pst_fill(c, p, 64, 1, 1, 10 * MS, NULL), -ETIMEDOUT, "");
	fails(pst_wait_buffer(c, p, 0), -ETIMEDOUT, "");
	fails(pst_wait_buffer(c, p + 100, 30 * MS), -ETIMEDOUT, "");
	pst_set_interrupt(stop, NULL);
	fails(pst_wait_buffer(c, p, PST_FOREVER), -EINTR, "");
	pst_set_interrupt(NULL, NULL);
	fake.hold = false;
	ck_assert_int_eq(pst_wait_buffer(c, p, 10 * S), 0);
	ck_assert_uint_eq(p[63], 1);
	/* Of an operation that nobody has collected, too. */
	ck_assert_int_eq(pst_submit_fill(c, p, 64, 2, 1, 0, NULL), 0);
	ck_assert_int_eq(pst_wait_buffer(c, p, 10 * S), 0);
	ck_assert_uint_eq(p[63], 2);
	fails(pst_wait_buffer(c, &on_stack, 0), -EFAULT, "the pointer");
	fails(pst_wait_buffer(c, NULL, 0), -EFAULT, "NULL");
	fake.hold = true;
	ck_assert_int_eq(pst_submit_fill(c, p, 64, 3, 1, 0, NULL), 0);
	fake.hang_up = true;
	fails(pst_wait_buffer(c, p, 10 * S), -ESTALE, "lost");
}
END_TEST

static struct pollfd armed(void)
{
	const struct pollfd p = {.fd = pst_fd(c), .events = POLLIN};

	ck_assert_int_eq(pst_arm(c), 0);
	return p;
}

/* Sleeps until the operation of user_data 1 can be collected. */
static void sleep_and_collect(struct pollfd *p)
{
	struct pst_completion done;

	do {
		ck_assert_int_eq(poll(p, 1, PST_HANG_NS / MS), 1);
	} while (pst_arm(c) == 0);
	ck_assert_int_eq(pst_poll(c, &done, 1), 1);
	ck_assert_uint_eq(done.user_data, 1);
}

static void *look_in_vain(void *arg)
{
	struct pst_completion done;
	intptr_t r = arg ? pst_wait_any(c, &done, 1, 10 * MS)
			 : pst_poll(c, &done, 1);

	return (void *)r;
}

START_TEST(another_threads_look_does_not_keep_an_event_loop_asleep)
{
	struct pollfd p;
	pthread_t thread;
	void *r;

	fake.hold = true;
	ck_assert_int_eq(pst_submit_nop(c, 1, NULL), 0);
	p = armed();
	pthread_create(&thread, NULL, look_in_vain, _i ? &p : NULL);
	pthread_join(thread, &r);
	ck_assert_int_eq((intptr_t)r, _i ? -ETIMEDOUT : 0);
	fake.hold = false;
	sleep_and_collect(&p);
}
END_TEST

static void complete_all(struct pst_frame *f)
{
	fake.hold = false;
}

static void *wait_interrupted(void *arg)
{
	pst_set_interrupt(stop, NULL);
	return (void *)(intptr_t)pst_wait(c, *(uint64_t *)arg, PST_FOREVER,
					  NULL);
}

START_TEST(an_interrupted_wait_leaves_its_completion_to_the_event_loop)
{
	struct pollfd p;
	pthread_t thread;
	uint64_t tag;
	void *r;

	fake.hold = true;
	/* To the request to cancel it, while the thread still waits. */
	fake.reply = complete_all;
	ck_assert_int_eq(pst_submit_nop(c, 1, &tag), 0);
	p = armed();
	pthread_create(&thread, NULL, wait_interrupted, &tag);
	pthread_join(thread, &r);
	ck_assert_int_eq((intptr_t)r, -EINTR);
	fake.hold = false;
	sleep_and_collect(&p);
}
END_TEST

/* Which reads the socket, since nothing else may. */
START_TEST(a_request_to_cancel_takes_no_wake_up_from_the_event_loop)
{
	uint64_t tensors[64];
	struct pollfd p;
	int i;

	for (i = 0; i < 64; i++)
		ck_assert_int_eq(pst_tensor_create(c, 64, &tensors[i]), 0);
	fake.hold = true;
	fake.mute = true;
	ck_assert_int_eq(pst_submit_nop(c, 1, NULL), 0);
	p = armed();
	for (i = 0; i < 64; i++)
		ck_assert_int_eq(pst_tensor_destroy(c, tensors[i]), 0);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	fake.hold = false;
	ck_assert_int_eq(poll(&p, 1, PST_HANG_NS / MS), 1);
	ck_assert_int_eq(pst_cancel(c, 0), -ENOENT);
	sleep_and_collect(&p);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc,
		       any_completion_ends_a_wait_and_carries_its_user_data);
	tcase_add_test(tc, a_wait_for_any_ends_by_its_time_or_by_an_interrupt);
	tcase_add_test(
		tc, threads_share_what_there_is_and_end_when_nothing_is_left);
	tcase_add_test(tc, a_loss_ends_all_that_is_waited_for);
	tcase_add_test(tc, many_operations_are_submitted_at_once);
	tcase_add_test(tc, a_buffer_says_when_nothing_uses_it_any_more);
	tcase_add_loop_test(
		tc, another_threads_look_does_not_keep_an_event_loop_asleep, 0,
		2);
	tcase_add_test(
		tc,
		an_interrupted_wait_leaves_its_completion_to_the_event_loop);
	tcase_add_test(
		tc, a_request_to_cancel_takes_no_wake_up_from_the_event_loop);
}

int main(void)
{
	return pst_unit_run("client_any", add, 120);
}
