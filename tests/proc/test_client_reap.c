/* SPDX-License-Identifier: MIT */
/* What a completion gives back, when giving it back ends the session: each
 * thing once, and nothing of it is left behind. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "host-client/lib/session/wait.h"
#include "tests/fixtures/fake_agent.h"
#include "tests/fixtures/unit.h"

#define MS     PST_NS_PER_MS
#define MIB    (1ULL << 20)
#define ROUNDS 40

static struct fake fake;
static struct pst *c;
static char text[400];

static void setup(void)
{
	struct pst_options o = {.size = sizeof(o)};
	int r;

	memset(&fake, 0, sizeof(fake));
	fake_open(&fake);
	r = pst_open(fake.uri, &o, &c, text, sizeof(text));
	ck_assert_msg(r == 0, "%s", text);
}

static void teardown(void)
{
	pst_close(c);
	fake_close(&fake);
}

/* Buffers of their own extents. */
static void get_buffers(void **p, int n)
{
	int i;

	for (i = 0; i < n; i++)
		ck_assert_int_eq(pst_alloc(c, 2 * MIB - 4096, &p[i]), 0);
}

static void wait_taken(unsigned int n)
{
	int i;

	for (i = 0; i < 10000 && fake.taken < n; i++)
		usleep(1000);
	ck_assert_uint_eq(fake.taken, n);
}

/* The agent answers what it holds; then nothing can be sent to it. */
static void answer_and_deafen(void)
{
	int i;

	fake.stop_reading = true;
	for (i = 0; i < 10000 && fake.stop_reading; i++)
		usleep(1000);
	ck_assert(!fake.stop_reading);
}

/* All completions there are; a loop that goes on until there is none ends. */
static int drain(void)
{
	struct pst_completion done[8];
	int n, all = 0;

	while ((n = pst_poll(c, done, 8)) > 0) {
		all += n;
		ck_assert_int_le(all, (int)PST_WIRE_SLOTS);
	}
	return all;
}

/* Every record is free, once, and nothing is held by any. */
static void check_records(void)
{
	const struct pst_pending *t = &c->queue[0].ops;
	bool seen[PST_WIRE_SLOTS] = {false};
	unsigned int i;

	pst_lock(c);
	ck_assert(TAILQ_EMPTY(&t->done));
	ck_assert_uint_eq(t->n_free, PST_WIRE_SLOTS);
	for (i = 0; i < PST_WIRE_SLOTS; i++) {
		ck_assert(!seen[t->free[i]]);
		seen[t->free[i]] = true;
		ck_assert_int_eq(t->rec[i].state, PST_RECORD_FREE);
	}
	ck_assert_uint_eq(c->mem.tensors.n_freed, 0);
	pst_unlock(c);
}

static unsigned int count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int n = 0;
	int ch;

	ck_assert_ptr_nonnull(f);
	while ((ch = getc(f)) != EOF)
		n += ch == '\n';
	fclose(f);
	return n;
}

static void hold(void)
{
	fake.hold = true;
	fake.taken = 0;
}

/* The session ends, and the next one has an agent that does its work. */
static void end_round(void)
{
	uint64_t end = pst_now_ns() + PST_HANG_NS;
	void *p;

	fake.hold = false;
	fake.hang_up = true;
	while (pst_nop(c, PST_HANG_NS, NULL) < 0)
		ck_assert_uint_lt(pst_now_ns(), end);
	ck_assert_int_eq(drain(), 0);
	ck_assert_int_eq(pst_alloc(c, 64, &p), 0);
	ck_assert_int_eq(pst_fill(c, p, 64, 1, 1, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(pst_free(c, p), 0);
	check_records();
}

/* Many rounds with a wicked agent and an honest one in turn leave nothing. */
static void rounds(void (*round)(void))
{
	unsigned int before = 0;
	size_t extents = 0;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		hold();
		round();
		end_round();
		if (i == ROUNDS / 4) {
			before = count_mappings();
			extents = c->mem.heap.n;
		}
	}
	ck_assert_uint_le(c->mem.heap.n, extents + 1);
	/* The heap of the C library may grow meanwhile. */
	ck_assert_uint_le(count_mappings(), before + ROUNDS / 4);
}

/* Two operations whose buffers are freed while they run. */
static void freed_buffers(void)
{
	uint64_t tag;
	void *p[4];
	int i;

	get_buffers(p, 4);
	for (i = 0; i < 4; i += 2) {
		const struct pst_copy_args copy = {
			.size = sizeof(struct pst_copy_args),
			.src = p[i],
			.dst = p[i + 1],
			.n = 64};

		ck_assert_int_eq(pst_submit_copy(c, &copy, 0, &tag), 0);
	}
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pst_free(c, p[i]), 0);
	wait_taken(2);
	answer_and_deafen();
	ck_assert_int_eq(drain(), 2);
}

START_TEST(buffers_freed_while_in_use_are_given_back_once)
{
	rounds(freed_buffers);
}
END_TEST

static void destroyed_tensors(void)
{
	uint64_t t[4], tag;
	int i;

	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pst_tensor_create(c, 4096, &t[i]), 0);
	for (i = 0; i < 4; i += 2) {
		const struct pst_copy_args copy = {
			.size = sizeof(struct pst_copy_args),
			.src_tensor = t[i],
			.dst_tensor = t[i + 1],
			.n = 64};

		ck_assert_int_eq(pst_submit_copy(c, &copy, 0, &tag), 0);
	}
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pst_tensor_destroy(c, t[i]), 0);
	wait_taken(2);
	answer_and_deafen();
	ck_assert_int_eq(drain(), 2);
}

START_TEST(tensors_destroyed_while_in_use_are_given_back_once)
{
	rounds(destroyed_tensors);
}
END_TEST

/* Operations that nobody waits for any more. */
static void abandoned(void)
{
	void *p[3];
	int i;

	get_buffers(p, 3);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pst_checksum(c, p[i], 64, 1, NULL),
				 -ETIMEDOUT);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pst_free(c, p[i]), 0);
	wait_taken(3);
	answer_and_deafen();
	ck_assert_int_eq(drain(), 0);
}

START_TEST(abandoned_operations_are_given_back_once)
{
	rounds(abandoned);
}
END_TEST

/* The same, found by the other functions that take completions. */
static void by_free(void)
{
	uint64_t tag, t;
	void *p[3];
	int i;

	get_buffers(p, 3);
	ck_assert_int_eq(pst_tensor_create(c, 4096, &t), 0);
	for (i = 0; i < 3; i++) {
		const struct pst_copy_args copy = {
			.size = sizeof(struct pst_copy_args),
			.src = p[i],
			.dst_tensor = t,
			.n = 64};

		ck_assert_int_eq(pst_submit_copy(c, &copy, 0, &tag), 0);
	}
	ck_assert_int_eq(pst_free(c, p[0]), 0);
	ck_assert_int_eq(pst_free(c, p[1]), 0);
	wait_taken(3);
	answer_and_deafen();
	ck_assert_int_eq(pst_free(c, p[2]), 0);
	ck_assert_int_eq(pst_tensor_destroy(c, t), 0);
	ck_assert_int_eq(drain(), 3);
}

START_TEST(a_buffer_freed_as_the_session_ends_is_given_back_once)
{
	rounds(by_free);
}
END_TEST

static void by_submit(void)
{
	uint64_t tag;
	void *p[3];
	int i, r;

	get_buffers(p, 3);
	for (i = 0; i < (int)PST_WIRE_SLOTS; i++)
		ck_assert_int_eq(pst_submit_checksum(c, p[i % 3], 64, 0, &tag),
				 0);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(pst_free(c, p[i]), 0);
	wait_taken(PST_WIRE_SLOTS);
	answer_and_deafen();
	/* It takes completions to find room. */
	r = pst_submit_checksum(c, p[2], 64, 0, &tag);
	ck_assert_msg(r == -EAGAIN || r == -ESTALE, "%d", r);
	ck_assert_int_eq(drain(), (int)PST_WIRE_SLOTS);
	ck_assert_int_eq(pst_free(c, p[2]), 0);
}

START_TEST(completions_taken_to_make_room_are_given_back_once)
{
	rounds(by_submit);
}
END_TEST

/* The end of an operation only marks what it frees. The frames that say so go
 * out when the lock is given up. */
START_TEST(taking_completions_sends_nothing)
{
	const uint64_t end = pst_now_ns() + PST_HANG_NS;
	struct pst_copy_args copy = {.size = sizeof(struct pst_copy_args),
				     .n = 64};
	uint64_t t[2], tag;
	uint32_t first, seq;
	void *p[3];
	int i;

	get_buffers(p, 3);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(pst_tensor_create(c, 4096, &t[i]), 0);
	hold();
	for (i = 0; i < 2; i++) {
		copy.src = p[i];
		copy.dst_tensor = t[i];
		ck_assert_int_eq(pst_submit_copy(c, &copy, 0, &tag), 0);
	}
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(pst_free(c, p[i]), 0);
		ck_assert_int_eq(pst_tensor_destroy(c, t[i]), 0);
	}
	first = c->channel.seq;
	fake.hold = false;
	while (c->queue[0].lane.cq_head < c->queue[0].lane.sq_tail) {
		ck_assert_uint_lt(pst_now_ns(), end);
		pst_lock(c);
		seq = c->channel.seq;
		pst_reap(c);
		ck_assert_uint_eq(c->channel.seq, seq);
		if (c->queue[0].lane.cq_head == c->queue[0].lane.sq_tail)
			ck_assert_uint_gt(c->mem.tensors.n_freed, 0);
		pst_unlock(c);
	}
	/* Two tensors are destroyed, one of two extents is released. */
	ck_assert_uint_eq(c->mem.tensors.n_freed, 0);
	ck_assert_uint_eq(c->mem.heap.n, 2);
	ck_assert_uint_eq(c->channel.seq - first, 3);
	ck_assert_int_eq(drain(), 2);
	ck_assert_int_eq(pst_free(c, p[2]), 0);
}
END_TEST

static bool owes(void)
{
	bool r;

	pst_lock(c);
	r = c->queue[0].lane.owes;
	pst_unlock(c);
	return r;
}

static void poll_in_vain(uint64_t tag)
{
	struct pst_completion done;

	ck_assert_int_eq(pst_poll(c, &done, 1), 0);
}

static void wait_in_vain(uint64_t tag)
{
	struct pst_completion done;

	ck_assert_int_eq(pst_wait(c, tag, MS, &done), -ETIMEDOUT);
}

/* The program makes no further call: the watcher's tick pays. */
static void do_nothing(uint64_t tag)
{
	int i;

	for (i = 0; i < 10000 && owes(); i++)
		usleep(1000);
}

static void *wait_for_tag(void *arg)
{
	ck_assert_int_eq(pst_wait(c, *(uint64_t *)arg, PST_FOREVER, NULL), 0);
	return NULL;
}

static bool has_leader(void)
{
	bool r;

	pst_lock(c);
	r = c->sleepers.leader;
	pst_unlock(c);
	return r;
}

/* Another thread sleeps on the socket already. */
static void arm_beside_a_sleeper(uint64_t tag)
{
	pthread_t thread;
	int i;

	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_tag, &tag), 0);
	for (i = 0; i < 10000 && !has_leader(); i++)
		usleep(1000);
	for (i = 0; i < 100 && !owes(); i++)
		ck_assert_int_eq(pst_submit_nop(c, 0, NULL), 0);
	ck_assert_int_lt(i, 100);
	ck_assert_int_eq(pst_arm(c), 0);
	ck_assert(!owes());
	fake.hold = false;
	pthread_join(thread, NULL);
}

/* Behind another operation a submission puts off the fenced look at whether the
 * agent sleeps. */
START_TEST(a_look_that_was_put_off_is_made_whatever_comes)
{
	static void (*const then[])(uint64_t) = {
		poll_in_vain, wait_in_vain, do_nothing, arm_beside_a_sleeper};
	uint64_t tag;
	int i;

	fake.hold = true;
	ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
	ck_assert(!owes());
	/* A tick may come in between. */
	for (i = 0; i < 100 && !owes(); i++)
		ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
	ck_assert_int_lt(i, 100);
	then[_i](tag);
	ck_assert(!owes());
}
END_TEST

START_TEST(a_burst_beyond_the_ring_is_refused_and_what_fits_completes)
{
	const uint64_t end = pst_now_ns() + PST_HANG_NS;
	struct pst_completion done[100];
	uint64_t i, n = 0, tag;
	int k, r;

	fake.hold = true;
	for (i = 0; i < PST_WIRE_SLOTS; i++)
		ck_assert_int_eq(pst_submit_nop(c, i, &tag), 0);
	ck_assert_int_eq(pst_submit_nop(c, i, &tag), -EAGAIN);
	fake.hold = false;
	while (n < PST_WIRE_SLOTS) {
		ck_assert_uint_lt(pst_now_ns(), end);
		r = pst_poll(c, done, 100);
		for (k = 0; k < r; k++, n++) {
			ck_assert_int_eq(done[k].status, 0);
			ck_assert_uint_eq(done[k].user_data, n);
		}
	}
	ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
}
END_TEST

/* A failure that nobody waits for still wakes who sleeps on the descriptor. */
START_TEST(a_failure_found_while_freeing_wakes_the_event_loop)
{
	struct pollfd fd;
	void *p[3];

	fd = (struct pollfd){.fd = pst_fd(c), .events = POLLIN};
	get_buffers(p, 3);
	hold();
	answer_and_deafen();
	ck_assert_int_eq(pst_arm(c), 0);
	ck_assert_int_eq(poll(&fd, 1, 0), 0);
	/* The second empty extent goes back, and that fails. */
	ck_assert_int_eq(pst_free(c, p[0]), 0);
	ck_assert_int_eq(pst_free(c, p[1]), 0);
	ck_assert_int_eq(poll(&fd, 1, 20000), 1);
	ck_assert_int_eq(pst_arm(c), 1);
	ck_assert_int_eq(c->session.lost_code, -ECONNRESET);
	ck_assert_int_eq(pst_free(c, p[2]), 0);
}
END_TEST

static void *wait_for_nop(void *arg)
{
	*(int *)arg = pst_nop(c, PST_FOREVER, NULL);
	return NULL;
}

/* Nor does one that sleeps on the socket sleep on. */
START_TEST(a_failure_found_while_freeing_wakes_who_waits)
{
	pthread_t thread;
	void *p[2];
	int r = 1;

	get_buffers(p, 2);
	hold();
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_nop, &r), 0);
	wait_taken(1);
	/* The operation stays. */
	fake.mute = true;
	answer_and_deafen();
	ck_assert_int_eq(pst_free(c, p[0]), 0);
	ck_assert_int_eq(pst_free(c, p[1]), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(r, -ECONNRESET);
	ck_assert_int_eq(drain(), 0);
	check_records();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, buffers_freed_while_in_use_are_given_back_once);
	tcase_add_test(tc, tensors_destroyed_while_in_use_are_given_back_once);
	tcase_add_test(tc, abandoned_operations_are_given_back_once);
	tcase_add_test(tc,
		       a_buffer_freed_as_the_session_ends_is_given_back_once);
	tcase_add_test(tc, completions_taken_to_make_room_are_given_back_once);
	tcase_add_test(tc, taking_completions_sends_nothing);
	tcase_add_loop_test(tc, a_look_that_was_put_off_is_made_whatever_comes,
			    0, 4);
	tcase_add_test(
		tc, a_burst_beyond_the_ring_is_refused_and_what_fits_completes);
	tcase_add_test(tc, a_failure_found_while_freeing_wakes_the_event_loop);
	tcase_add_test(tc, a_failure_found_while_freeing_wakes_who_waits);
}

int main(void)
{
	return pst_unit_run("client_reap", add, 60);
}
