/* SPDX-License-Identifier: MIT */
/* Streams in the event loop: the same tests over poll and io_uring. */
#include <pthread.h>

#include "tests/fixtures/loop_env.h"

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

START_TEST(a_held_stream_gives_nothing_and_loses_nothing)
{
	struct stream s;
	uint64_t at = 0, held;
	int i;

	open_loop(_i);
	stream_open(&s);
	for (i = 0; i < 20; i++) {
		pst_loop_hold(loop, s.src, i % 2);
		held = s.n_bytes;
		say(&s, at, 1000);
		at += 1000;
		if (i % 2) {
			run_idle();
			ck_assert_uint_eq(s.n_bytes, held);
		} else {
			RUN_UNTIL(s.n_bytes == at);
		}
	}
	/* Neither does its end pass what came before. */
	shutdown(s.mine, SHUT_WR);
	run_idle();
	ck_assert_int_eq(s.n_ends, 0);
	pst_loop_hold(loop, s.src, false);
	RUN_UNTIL(s.n_ends == 1);
	ck_assert_uint_eq(s.n_bytes, at);
	stream_close(&s);
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

static void add(TCase *t)
{
	const int n = n_kinds();

	tcase_add_loop_test(t, bytes_arrive_in_order, 0, n);
	tcase_add_loop_test(t, a_long_stream_arrives_whole_then_its_end_once, 0,
			    n);
	tcase_add_loop_test(t, a_held_stream_gives_nothing_and_loses_nothing, 0,
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
}

int main(void)
{
	return pst_unit_run("loop", add, 60);
}
