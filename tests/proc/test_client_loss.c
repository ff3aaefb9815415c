/* SPDX-License-Identifier: MIT */
/* The library when its agent dies, is replaced, or falls silent. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "host-client/lib/session/wait.h"
#include "tests/fixtures/fake_agent.h"
#include "tests/fixtures/unit.h"
#include "tests/fixtures/write_old.h"

#define MS PST_NS_PER_MS
/* Where an agent's silence is to be noticed soon. */
#define DEAD_NS (300 * MS)

static struct fake fake;
static struct pst *c;
static char text[400];

static void open_with(uint64_t spin_ns, uint32_t flags, uint64_t dead_ns)
{
	struct pst_options o = {
		.size = sizeof(o),
		.spin_ns = spin_ns,
		.dead_ns = dead_ns,
		.flags = flags,
	};
	int r = pst_open(fake.uri, &o, &c, text, sizeof(text));

	ck_assert_msg(r == 0, "%s", text);
}

static void setup(void)
{
	memset(&fake, 0, sizeof(fake));
	fake_open(&fake);
	open_with(0, 0, 0);
}

static void teardown(void)
{
	pst_close(c);
	fake_close(&fake);
}

static void *get_buffer(size_t size)
{
	void *p;

	ck_assert_int_eq(pst_alloc(c, size, &p), 0);
	return p;
}

/* Where the fake agent sees a buffer's bytes. */
static volatile uint8_t *agents_view(void *p)
{
	struct pst_block *b = pst_heap_find(&c->mem.heap, p, 0);

	ck_assert_ptr_nonnull(b);
	return fake.region.base + b->extent->off + b->off;
}

static void wait_taken(unsigned int n)
{
	int i;

	for (i = 0; i < 20000 && fake.taken < n; i++)
		usleep(1000);
	ck_assert_uint_eq(fake.taken, n);
}

/* Waits until the library has noticed a loss by itself. */
static void wait_lost(void)
{
	struct pst_info info = {.size = sizeof(info)};
	int i;

	for (i = 0; i < 20000 && pst_get_info(c, &info) == 0; i++)
		usleep(1000);
	ck_assert_int_eq(pst_get_info(c, &info), -ESTALE);
}

struct caller {
	pthread_t thread;
	void *buf;
	int result;
	uint64_t end_ns;
};

static void *call_fill(void *arg)
{
	struct caller *k = arg;

	k->result = pst_fill(c, k->buf, 64, 1, 1, PST_FOREVER, NULL);
	k->end_ns = pst_now_ns();
	return NULL;
}

/* n threads wait for held operations while something happens. */
static void lose_in_call(int n, void (*happen)(void), int expect)
{
	struct caller k[8];
	uint64_t start;
	int i;

	fake.hold = true;
	for (i = 0; i < n; i++) {
		k[i].buf = get_buffer(64);
		pthread_create(&k[i].thread, NULL, call_fill, &k[i]);
	}
	wait_taken((unsigned int)n);
	usleep(20 * 1000);
	start = pst_now_ns();
	happen();
	for (i = 0; i < n; i++) {
		pthread_join(k[i].thread, NULL);
		ck_assert_int_eq(k[i].result, expect);
		ck_assert_uint_lt(k[i].end_ns - start, PST_HANG_NS);
	}
	fake.hold = false;
}

static void hang_up(void)
{
	fake.hang_up = true;
}

static void reformat(void)
{
	fake_reformat(&fake);
}

START_TEST(calls_that_sleep_end_when_the_agent_dies)
{
	lose_in_call(4, hang_up, -ECONNRESET);
}
END_TEST

START_TEST(a_call_that_spins_for_ever_ends_when_the_agent_dies)
{
	pst_close(c);
	open_with(UINT64_MAX, 0, 0);
	lose_in_call(2, hang_up, -ECONNRESET);
}
END_TEST

START_TEST(calls_end_when_another_agent_takes_the_region)
{
	lose_in_call(3, reformat, -ESTALE);
}
END_TEST

START_TEST(a_call_that_spins_for_ever_ends_when_the_epoch_changes)
{
	pst_close(c);
	open_with(UINT64_MAX, 0, 0);
	lose_in_call(1, reformat, -ESTALE);
}
END_TEST

/* Whether what is written through p is still seen by the agent. Like
 * write_old(), it races with the library's thread, which is the point. */
__attribute__((no_sanitize("thread"))) static bool
arrives(volatile uint8_t *p, volatile uint8_t *seen)
{
	p[0] = (uint8_t)(seen[0] + 1);
	return p[0] == seen[0];
}

START_TEST(old_pointers_reach_nobody_though_no_call_is_made)
{
	volatile uint8_t *seen;
	uint8_t *p, was;

	pst_close(c);
	open_with(0, _i ? PST_OPEN_SINGLE_THREAD : 0, 0);
	p = get_buffer(4096);
	seen = agents_view(p);
	p[0] = 1;
	ck_assert_int_eq(seen[0], 1);
	fake.hang_up = true;
	/* No call of the library from here on: its own thread must do it. */
	PST_UNTIL(!arrives(p, seen));
	was = seen[0];
	write_old(p, 4096, 2);
	ck_assert_int_eq(seen[0], was);
	ck_assert_int_eq(p[4095], 2);
}
END_TEST

START_TEST(old_pointers_reach_nobody_after_a_new_epoch)
{
	uint8_t *p = get_buffer(4096);
	volatile uint8_t *seen = agents_view(p);
	uint8_t was;

	fake_reformat(&fake);
	/* An agent holds leases back for 500 ms after taking a region; how soon
	 * the tick of 200 ms comes is the machine's. */
	PST_UNTIL(!arrives(p, seen));
	was = seen[0];
	write_old(p, 4096, (uint8_t)(was + 2));
	ck_assert_int_eq(seen[0], was);
}
END_TEST

START_TEST(old_buffers_are_stale_and_new_ones_work)
{
	uint8_t *p = get_buffer(3 << 20), *q, b;
	volatile uint8_t *seen;

	fake.hang_up = true;
	wait_lost();
	ck_assert_int_eq(pst_fill(c, p, 64, 1, 1, 100 * MS, NULL), -ESTALE);
	pst_last_error(c, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "lost session"));
	ck_assert_int_eq(pst_take(c, &b, p, 1), -ESTALE);
	/* The session opens by itself. */
	q = get_buffer(3 << 20);
	ck_assert_uint_eq(fake.sessions, 2);
	ck_assert_ptr_ne(p, q);
	seen = agents_view(q);
	ck_assert_int_eq(pst_fill(c, q, 64, 7, 1, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(q[63], 7);
	write_old(p, 3 << 20, 9);
	ck_assert_int_eq(seen[63], 7);
	ck_assert_int_eq(pst_fill(c, p, 64, 1, 1, 100 * MS, NULL), -ESTALE);
	ck_assert_int_eq(pst_free(c, p), 0);
	ck_assert_int_eq(pst_free(c, p), -EINVAL);
	ck_assert_int_eq(pst_free(c, q), 0);
}
END_TEST

START_TEST(a_question_or_a_nop_opens_a_new_session)
{
	ck_assert_int_eq(pst_check(c), 0);
	fake.hang_up = true;
	wait_lost();
	ck_assert_int_eq(pst_check(c), -ESTALE);
	pst_last_error(c, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "went away"));
	ck_assert_int_eq(pst_ping(c, NULL), 0);
	ck_assert_int_eq(pst_check(c), 0);
	fake.hang_up = true;
	wait_lost();
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
	ck_assert_uint_eq(fake.sessions, 3);
}
END_TEST

static bool reaped(unsigned int n)
{
	unsigned int got;

	pst_lock(c);
	pst_reap(c);
	got = c->queue[0].lane.cq_head;
	pst_unlock(c);
	return got >= n;
}

START_TEST(a_result_that_was_taken_away_unseen_is_not_reported_as_there)
{
	struct pst_completion done;
	void *p = get_buffer(64);
	uint64_t fill, nop;

	ck_assert_int_eq(pst_submit_fill(c, p, 64, 1, 1, 0, &fill), 0);
	ck_assert_int_eq(pst_submit_nop(c, 0, &nop), 0);
	wait_taken(2);
	/* Completed and known to the library, not yet to the application. */
	PST_UNTIL(reaped(2));
	fake.hang_up = true;
	wait_lost();
	ck_assert_int_eq(pst_wait(c, fill, 0, NULL), -ECONNRESET);
	ck_assert_int_eq(pst_wait(c, nop, 0, &done), 0);
}
END_TEST

START_TEST(an_event_loop_hears_of_a_loss_once)
{
	struct pollfd p = {.fd = pst_fd(c), .events = POLLIN};
	struct pst_completion done[2];
	uint64_t tag;

	fake.hold = true;
	ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
	ck_assert_int_eq(pst_arm(c), 0);
	fake.hang_up = true;
	ck_assert_int_eq(poll(&p, 1, PST_HANG_NS / PST_NS_PER_MS), 1);
	wait_lost();
	ck_assert_int_eq(pst_poll(c, done, 2), 1);
	ck_assert_uint_eq(done[0].tag, tag);
	ck_assert_int_eq(done[0].status, -ECONNRESET);
	ck_assert_int_eq(pst_arm(c), 0);
	ck_assert_int_eq(poll(&p, 1, 50), 0);
	/* The same descriptor serves the next session. */
	fake.hold = false;
	ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
	while (pst_poll(c, done, 2) == 0)
		if (pst_arm(c) == 0)
			ck_assert_int_eq(
				poll(&p, 1, PST_HANG_NS / PST_NS_PER_MS), 1);
	ck_assert_uint_eq(done[0].tag, tag);
	ck_assert_int_eq(done[0].status, 0);
	ck_assert_int_eq(pst_fd(c), p.fd);
}
END_TEST

START_TEST(a_silent_agent_ends_calls_and_a_living_one_resumes)
{
	struct pst_completion done;
	uint64_t start;
	uint8_t *p;
	void *q;

	c->session.dead_ns = DEAD_NS;
	p = get_buffer(4096);
	fake_freeze(&fake);
	start = pst_now_ns();
	ck_assert_int_eq(pst_fill(c, p, 64, 1, 1, PST_FOREVER, NULL),
			 -ETIMEDOUT);
	ck_assert_uint_ge(pst_now_ns() - start, 250 * MS);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	pst_last_error(c, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "no sign of life"));
	start = pst_now_ns();
	ck_assert_int_eq(pst_fill(c, p, 64, 1, 1, 100 * MS, NULL), -ETIMEDOUT);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	ck_assert_int_eq(pst_free(c, p), 0);
	fake.frozen = false;
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
	/* The same session; the late completions went nowhere. */
	ck_assert_uint_eq(fake.sessions, 1);
	ck_assert_uint_eq(fake.taken, 3);
	ck_assert_int_eq(pst_poll(c, &done, 1), 0);
	/* Their buffer is free. */
	ck_assert_int_eq(pst_alloc(c, 4096, &q), 0);
	ck_assert_ptr_eq(p, q);
}
END_TEST

START_TEST(silence_between_calls_is_not_held_against_the_next)
{
	c->session.dead_ns = DEAD_NS;
	/* The agent was silent for longer than dead_ns and lives again. */
	fake_freeze(&fake);
	usleep(600 * 1000);
	fake.frozen = false;
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
	/* A short pause is no silence. */
	fake_freeze(&fake);
	usleep(100 * 1000);
	fake.frozen = false;
	ck_assert_int_eq(pst_nop(c, PST_FOREVER, NULL), 0);
}
END_TEST

START_TEST(a_clock_that_was_read_too_early_is_no_silence)
{
	uint64_t now, before;
	int i;

	fake_freeze(&fake);
	pst_lock(c);
	now = pst_now_ns();
	pst_session_check(c, now);
	before = c->session.silence_ns;
	/* As threads do that waited for the lock. */
	for (i = 1; i < 10; i++)
		pst_session_check(c, now - (uint64_t)i);
	ck_assert_uint_eq(c->session.silence_ns, before);
	pst_unlock(c);
}
END_TEST

START_TEST(a_long_spin_ends_when_the_agent_falls_silent)
{
	uint64_t start;

	pst_close(c);
	open_with(2 * PST_HANG_NS, 0, DEAD_NS);
	fake_freeze(&fake);
	start = pst_now_ns();
	ck_assert_int_eq(pst_nop(c, PST_FOREVER, NULL), -ETIMEDOUT);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	pst_last_error(c, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "no sign of life"));
}
END_TEST

START_TEST(an_extent_leased_too_late_goes_back)
{
	void *p;
	int i;

	c->session.dead_ns = DEAD_NS;
	fake_freeze(&fake);
	ck_assert_int_eq(pst_alloc(c, 4096, &p), -ETIMEDOUT);
	fake.frozen = false;
	for (i = 0; i < 20000 && !fake.releases; i++) {
		ck_assert_int_eq(pst_ping(c, NULL), 0);
		usleep(1000);
	}
	ck_assert_uint_eq(fake.leases, 1);
	ck_assert_uint_eq(fake.releases, 1);
}
END_TEST

START_TEST(a_request_without_an_answer_ends_at_its_deadline)
{
	struct pst_options o = {.size = sizeof(o), .timeout_ns = 100 * MS};
	uint64_t start;
	char *json;

	pst_close(c);
	ck_assert_int_eq(pst_open(fake.uri, &o, &c, text, sizeof(text)), 0);
	fake.mute = true;
	start = pst_now_ns();
	ck_assert_int_eq(pst_query(c, PST_QUERY_INFO, &json), -ETIMEDOUT);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	fake.mute = false;
	ck_assert_int_eq(pst_query(c, PST_QUERY_INFO, &json), 0);
	free(json);
}
END_TEST

START_TEST(reopening_fails_clearly_while_nobody_serves)
{
	void *p;

	fake_close(&fake);
	wait_lost();
	ck_assert_int_eq(pst_alloc(c, 64, &p), -ENOENT);
	ck_assert_int_eq(pst_nop(c, 100 * MS, NULL), -ENOENT);
	memset(&fake, 0, sizeof(fake));
	fake_open(&fake);
	/* A new region, a new UUID, a new epoch. */
	ck_assert_int_eq(pst_alloc(c, 64, &p), 0);
	ck_assert_int_eq(pst_fill(c, p, 64, 3, 1, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(((uint8_t *)p)[63], 3);
}
END_TEST

static atomic_bool storming;

/* One of several threads that do whatever there is to do. Only errors of a
 * lost session, of time and of room may come of it. */
static void *storm(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	void *buf[8] = {NULL};
	struct pst_completion done[4];
	uint64_t tag = 0;
	int k, r;

	while (storming) {
		k = rand_r(&seed) % 8;
		r = 0;
		switch (rand_r(&seed) % 8) {
		case 0:
			if (!buf[k])
				r = pst_alloc(
					c, 1 + (size_t)rand_r(&seed) % 300000,
					&buf[k]);
			break;
		case 1:
			r = pst_free(c, buf[k]);
			buf[k] = NULL;
			break;
		case 2:
			if (buf[k])
				r = pst_fill(c, buf[k], 1, 1, 1, 20 * MS, NULL);
			break;
		case 3:
			if (buf[k])
				r = pst_submit_fill(c, buf[k], 1, 1, 1, 0,
						    &tag);
			break;
		case 4:
			r = pst_poll(c, done, 4);
			break;
		case 5:
			r = pst_wait(c, tag, 5 * MS, NULL);
			break;
		case 6:
			r = pst_arm(c);
			break;
		case 7:
			r = pst_nop(c, 50 * MS, NULL);
			break;
		}
		if (r == -EINVAL || r == -EFAULT || r == -EPROTO)
			return arg;
	}
	return NULL;
}

START_TEST(everything_at_once_survives_losses_and_leaves_nothing)
{
	struct pst_completion done[64];
	unsigned int seed = 5;
	pthread_t t[4];
	void *res;
	int i;

	storming = true;
	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, storm, (void *)(intptr_t)(i + 1));
	for (i = 0; i < 60; i++) {
		usleep((useconds_t)rand_r(&seed) % 50000);
		if (i % 3 == 0)
			fake.hang_up = true;
		else
			fake.hold = i % 2;
	}
	fake.hold = false;
	storming = false;
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], &res);
		ck_assert_ptr_null(res);
	}
	ck_assert_uint_gt(fake.sessions, 5);
	/* Still whole. */
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
	while (pst_poll(c, done, 64) > 0)
		;
	for (i = 0; i < (int)PST_WIRE_SLOTS; i++)
		ck_assert_int_eq(c->queue[0].ops.rec[i].state, PST_RECORD_FREE);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, calls_that_sleep_end_when_the_agent_dies);
	tcase_add_test(tc, a_call_that_spins_for_ever_ends_when_the_agent_dies);
	tcase_add_test(tc, calls_end_when_another_agent_takes_the_region);
	tcase_add_test(tc,
		       a_call_that_spins_for_ever_ends_when_the_epoch_changes);
	tcase_add_loop_test(
		tc, old_pointers_reach_nobody_though_no_call_is_made, 0, 2);
	tcase_add_test(tc, old_pointers_reach_nobody_after_a_new_epoch);
	tcase_add_test(tc, old_buffers_are_stale_and_new_ones_work);
	tcase_add_test(tc, a_question_or_a_nop_opens_a_new_session);
	tcase_add_test(
		tc,
		a_result_that_was_taken_away_unseen_is_not_reported_as_there);
	tcase_add_test(tc, an_event_loop_hears_of_a_loss_once);
	tcase_add_test(tc, a_silent_agent_ends_calls_and_a_living_one_resumes);
	tcase_add_test(tc, silence_between_calls_is_not_held_against_the_next);
	tcase_add_test(tc, a_clock_that_was_read_too_early_is_no_silence);
	tcase_add_test(tc, a_long_spin_ends_when_the_agent_falls_silent);
	tcase_add_test(tc, an_extent_leased_too_late_goes_back);
	tcase_add_test(tc, a_request_without_an_answer_ends_at_its_deadline);
	tcase_add_test(tc,
		       everything_at_once_survives_losses_and_leaves_nothing);
	tcase_add_test(tc, reopening_fails_clearly_while_nobody_serves);
}

int main(void)
{
	return pst_unit_run("client_loss", add, 120);
}
