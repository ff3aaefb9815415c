/* SPDX-License-Identifier: MIT */
/* Sessions without sockets: what time, a dead peer and a stubborn device do
 * to them, and that nothing they held is lost. */
#include <fcntl.h>
#include <unistd.h>

#include "tests/fixtures/session_fixture.h"

START_TEST(hello_may_come_byte_by_byte)
{
	struct pst_wire_hello h = {
		.version = 1, .epoch = FIXTURE_EPOCH, .name = "slow"};
	struct pst_wire_challenge c;
	struct pst_frame f;
	uint8_t buf[256];
	int64_t n, i;

	ck_assert_int_eq(fixture_connect(&fix, &peer[0], S), 0);
	ck_assert_int_gt(fixture_recv(&peer[0], &f), 0);
	ck_assert_int_eq(pst_frame_challenge(&f, &c, NULL), 0);
	h.nonce_slot = c.nonce_slot;
	memcpy(h.nonce,
	       pst_region_header(&fix.agent.region)->nonce[c.nonce_slot].bytes,
	       sizeof(h.nonce));
	f = (struct pst_frame){.type = PST_WIRE_HELLO,
			       .payload = (uint8_t *)&h,
			       .length = sizeof(h)};
	n = pst_frame_encode(&f, buf, sizeof(buf));
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(pst_agent_session_state(peer[0].session),
				 PST_AGENT_SESSION_WAITING);
		fixture_input(&peer[0], &buf[i], 1, S);
	}
	ck_assert_int_eq(pst_agent_session_state(peer[0].session),
			 PST_AGENT_SESSION_OPEN);
}
END_TEST

START_TEST(who_is_refused_has_no_name)
{
	struct pst_wire_hello h = {
		.version = 1, .epoch = FIXTURE_EPOCH, .pid = 1, .name = "root"};

	ck_assert_int_eq(fixture_connect(&fix, &peer[0], S), 0);
	expect_frame(0, PST_WIRE_CHALLENGE, PST_WIRE_OK);
	fixture_feed(&peer[0], PST_WIRE_HELLO, 1, &h, sizeof(h), S);
	expect_frame(0, PST_WIRE_HELLO, PST_WIRE_EAUTH);
	ck_assert_str_eq(peer[0].session->name, "");
	ck_assert_uint_eq(peer[0].session->pid, 0);
	expect_empty();
}
END_TEST

START_TEST(time_to_say_hello_is_one_second)
{
	ck_assert_int_eq(fixture_connect(&fix, &peer[0], 5 * S), 0);
	ck_assert_uint_eq(pst_agent_session_tick(peer[0].session, 5 * S),
			  6 * S);
	ck_assert_uint_eq(pst_agent_session_tick(peer[0].session, 6 * S - 1),
			  6 * S);
	pst_agent_session_tick(peer[0].session, 6 * S);
	ck_assert_int_eq(pst_agent_session_state(peer[0].session),
			 PST_AGENT_SESSION_CLOSED);
	expect_frame(0, PST_WIRE_CHALLENGE, PST_WIRE_OK);
	expect_frame(0, PST_WIRE_ERROR, PST_WIRE_ETIMEDOUT);
	expect_empty();
}
END_TEST

START_TEST(leases_wait_for_an_arena_that_settles_and_then_come_in_order)
{
	struct pst_wire_lease a, b;
	struct pst_frame f;
	uint32_t i;

	fix.agent.settled_ns = 10 * S;
	open_session(0, 0);
	ask_lease(0, 7, 1, 9 * S);
	ask_lease(0, 8, 1, 9 * S);
	ck_assert_int_eq(fixture_recv(&peer[0], &f), 0);
	ck_assert_uint_eq(pst_agent_session_tick(peer[0].session, 9 * S),
			  10 * S);
	ck_assert_int_eq(fixture_recv(&peer[0], &f), 0);
	ck_assert_uint_eq(pst_agent_session_tick(peer[0].session, 10 * S),
			  UINT64_MAX);
	a = get_lease(0);
	b = get_lease(0);
	ck_assert_uint_eq(a.off + PST_WIRE_UNIT, b.off);
	/* No more than a few may wait. */
	fix.agent.settled_ns = 20 * S;
	for (i = 0; i < 16; i++)
		ask_lease(0, i, 1, 19 * S);
	ck_assert_int_eq(fixture_recv(&peer[0], &f), 0);
	ask_lease(0, 99, 1, 19 * S);
	expect_frame(0, PST_WIRE_LEASE, PST_WIRE_EBUSY);
}
END_TEST

START_TEST(an_extent_for_which_there_is_no_memory_is_not_handed_out)
{
	static uint8_t backed[FIXTURE_ARENA / PST_WIRE_UNIT + 1];
	struct pst_agent_extents_stats st;
	int fd = fix.agent.region.fd;

	open_session(0, 0);
	fix.agent.region.backed = backed;
	/* What cannot be allocated stands for a machine that is full. */
	fix.agent.region.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ask_lease(0, 1, 1, S);
	expect_frame(0, PST_WIRE_LEASE, PST_WIRE_ENOSPC);
	pst_agent_extents_stats(fix.agent.holdings.extents, &st);
	ck_assert_uint_eq(st.leased + st.quarantined, 0);
	close(fix.agent.region.fd);
	fix.agent.region.fd = fd;
	fix.agent.region.backed = NULL;
}
END_TEST

START_TEST(what_runs_keeps_released_memory_in_quarantine)
{
	struct pst_agent_extents_stats st;
	struct pst_wire_lease l;

	open_session(0, 0);
	ask_lease(0, 1, 1, S);
	l = get_lease(0);
	submit_gemm(0, l.off, 3, 1);
	ck_assert_int_eq(pst_agent_executor_run(fix.agent.executor), 1);
	fixture_feed(&peer[0], PST_WIRE_RELEASE, 2, &l, sizeof(l), S);
	expect_frame(0, PST_WIRE_RELEASE, PST_WIRE_OK);
	pst_agent_extents_stats(fix.agent.holdings.extents, &st);
	ck_assert_uint_eq(st.quarantined, PST_WIRE_UNIT);
	pst_agent_settle_late(&fix.agent);
	pst_agent_extents_stats(fix.agent.holdings.extents, &st);
	ck_assert_uint_eq(st.quarantined, PST_WIRE_UNIT);
	while (pst_agent_executor_run(fix.agent.executor))
		;
	pst_agent_settle_late(&fix.agent);
	pst_agent_extents_stats(fix.agent.holdings.extents, &st);
	ck_assert_uint_eq(st.quarantined, 0);
	ck_assert_uint_eq(st.leased, 0);
}
END_TEST

START_TEST(released_memory_is_scrubbed_by_another_thread_and_leased_then)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	const uint64_t size = FIXTURE_ARENA - PST_WIRE_UNIT;
	struct pst_agent_extents_stats st;
	struct pst_wire_lease l;
	struct pst_frame f;
	uint64_t i, bad = 0;
	int looks;

	ck_assert_int_eq(pst_agent_scrubber_start(&fix.agent.holdings.scrubber),
			 0);
	open_session(0, 0);
	open_session(1, 0);
	ask_lease(0, 1, size, S);
	l = get_lease(0);
	memset(base + l.off, 0xff, l.size);
	if (_i) {
		pst_agent_session_end(peer[0].session);
	} else {
		fixture_feed(&peer[0], PST_WIRE_RELEASE, 2, &l, sizeof(l), S);
		expect_frame(0, PST_WIRE_RELEASE, PST_WIRE_OK);
	}
	/* Whatever the thread does: this one has not waited for it. */
	pst_agent_extents_stats(fix.agent.holdings.extents, &st);
	ck_assert_uint_eq(st.quarantined, l.size);
	ask_lease(1, 1, size, S);
	ck_assert_int_eq(fixture_recv(&peer[1], &f), 0);
	for (looks = 0; pst_agent_holdings_scrubs(&fix.agent.holdings);
	     looks++) {
		ck_assert_int_lt(looks, 10000);
		nanosleep(&nap, NULL);
		pst_agent_settle_late(&fix.agent);
	}
	ck_assert_uint_eq(pst_agent_session_tick(peer[1].session, S + 1),
			  UINT64_MAX);
	l = get_lease(1);
	for (i = 0; i < l.size; i++)
		bad += base[l.off + i] != 0;
	ck_assert_uint_eq(bad, 0);
}
END_TEST

START_TEST(a_lease_waits_for_scrubbed_memory_no_longer_than_five_seconds)
{
	struct pst_wire_lease l;
	struct pst_frame f;

	open_session(0, 0);
	ask_lease(0, 1, PST_WIRE_UNIT, S);
	l = get_lease(0);
	/* As if it never came to an end. */
	fix.agent.holdings.scrubbing = (struct pst_span){l.off, l.size};
	open_session(1, 0);
	ask_lease(1, 1, FIXTURE_ARENA - PST_WIRE_UNIT, S);
	(void)get_lease(1);
	ask_lease(0, 3, PST_WIRE_UNIT, S);
	ck_assert_int_eq(fixture_recv(&peer[0], &f), 0);
	ck_assert_uint_lt(pst_agent_session_tick(peer[0].session, 6 * S - 1),
			  6 * S + S);
	ck_assert_int_eq(fixture_recv(&peer[0], &f), 0);
	pst_agent_session_tick(peer[0].session, 6 * S);
	expect_frame(0, PST_WIRE_LEASE, PST_WIRE_ENOSPC);
	fix.agent.holdings.scrubbing.size = 0;
}
END_TEST

START_TEST(a_dead_sessions_memory_is_nobodys_until_the_device_lets_go)
{
	struct pst_agent_extents_stats st;
	struct pst_wire_lease l;

	open_session(0, 0);
	ask_lease(0, 1, 1, S);
	l = get_lease(0);
	submit_gemm(0, l.off, 900, 3);
	ck_assert_int_eq(pst_agent_executor_run(fix.agent.executor), 1);
	pst_agent_session_end(peer[0].session);
	pst_agent_extents_stats(fix.agent.holdings.extents, &st);
	ck_assert_uint_eq(st.quarantined, PST_WIRE_UNIT);
	/* Another session gets another lane and other memory. */
	open_session(1, 0);
	ask_lease(1, 1, 1, S);
	ck_assert_uint_ne(get_lease(1).off, l.off);
	ck_assert_ptr_ne(lane[1].lane, lane[0].lane);
	while (pst_agent_executor_run(fix.agent.executor))
		;
	pst_agent_session_end(peer[1].session);
	expect_empty();
}
END_TEST

START_TEST(a_release_before_the_end_frees_nothing_that_is_still_written)
{
	struct pst_agent_extents_stats st;
	struct pst_wire_lease a, b;

	open_session(0, 0);
	ask_lease(0, 1, 1, S);
	a = get_lease(0);
	ask_lease(0, 2, 1, S);
	b = get_lease(0);
	submit_gemm(0, a.off, 2, 0);
	submit_gemm(0, b.off, 900, 3);
	ck_assert_int_eq(pst_agent_executor_run(fix.agent.executor), 1);
	fixture_feed(&peer[0], PST_WIRE_RELEASE, 3, &a, sizeof(a), S);
	/* The first ends and the second begins, and then the client dies, all
	 * before somebody looks at what was released. */
	ck_assert_int_eq(pst_agent_executor_run(fix.agent.executor), 1);
	ck_assert_int_eq(pst_agent_executor_run(fix.agent.executor), 1);
	pst_agent_session_end(peer[0].session);
	pst_agent_settle_late(&fix.agent);
	pst_agent_extents_stats(fix.agent.holdings.extents, &st);
	ck_assert_uint_eq(st.quarantined, 2 * PST_WIRE_UNIT);
	while (pst_agent_executor_run(fix.agent.executor))
		;
	expect_empty();
}
END_TEST

START_TEST(a_peer_that_dies_at_any_send_leaves_nothing_behind)
{
	struct pst_wire_lease l = {.size = 1};
	int n;

	/* CHALLENGE, WELCOME, LEASE, PING, INFO, WAKE, BYE. */
	for (n = 0; n <= 8; n++) {
		fix.agent.seats.last_session = (uint64_t)n * 100;
		ck_assert_int_eq(fixture_connect(&fix, &peer[0], S), 0);
		if (n == 0) {
			pst_agent_session_free(peer[0].session);
			peer[0].session = NULL;
			continue;
		}
		peer[0].fail_after = n - 1;
		fixture_hello(&fix, &peer[0], 0, S);
		fixture_feed(&peer[0], PST_WIRE_LEASE, 1, &l, sizeof(l), S);
		fixture_feed(&peer[0], PST_WIRE_PING, 2, "abc", 3, S);
		fixture_feed(&peer[0], PST_WIRE_INFO, 3, NULL, 0, S);
		pst_agent_session_wake(peer[0].session);
		fixture_feed(&peer[0], PST_WIRE_BYE, 4, NULL, 0, S);
		ck_assert_int_eq(pst_agent_session_state(peer[0].session),
				 PST_AGENT_SESSION_CLOSED);
		expect_empty();
		pst_agent_session_free(peer[0].session);
		peer[0].session = NULL;
	}
}
END_TEST

START_TEST(a_peer_that_dies_when_it_is_woken_does_not_hurt_the_executor)
{
	const struct pst_wire_sqe nop = {.op = PST_WIRE_OP_NOP};
	struct pst_wire_cqe cqe;

	open_session(0, 0);
	open_session(1, 0);
	ck_assert(!pst_lane_client_arm(&lane[0]));
	peer[0].fail_after = 0;
	ck_assert_int_eq(pst_lane_client_submit(&lane[0], &nop), 0);
	ck_assert_int_eq(pst_lane_client_submit(&lane[0], &nop), 0);
	ck_assert_int_eq(pst_lane_client_submit(&lane[1], &nop), 0);
	while (pst_agent_executor_run(fix.agent.executor))
		;
	ck_assert_int_eq(pst_agent_session_state(peer[0].session),
			 PST_AGENT_SESSION_CLOSED);
	ck_assert_uint_eq(fix.agent.seats.n_sessions, 1);
	ck_assert_int_eq(pst_lane_client_reap(&lane[1], &cqe), 1);
}
END_TEST

START_TEST(no_wake_goes_behind_bytes_that_wake_anyway)
{
	struct pst_frame f;

	open_session(0, 0);
	peer[0].pending = 1;
	pst_agent_session_wake(peer[0].session);
	ck_assert_int_eq(fixture_recv(&peer[0], &f), 0);
	peer[0].pending = 0;
	pst_agent_session_wake(peer[0].session);
	expect_frame(0, PST_WIRE_WAKE, PST_WIRE_OK);
}
END_TEST

START_TEST(a_broken_lane_ends_its_session_with_a_sentence)
{
	const struct pst_wire_sqe nop = {.op = PST_WIRE_OP_NOP};
	struct pst_wire_cqe cqe;
	int i;

	open_session(0, 0);
	for (i = 0; i < (int)PST_WIRE_SLOTS; i++) {
		ck_assert_int_eq(pst_lane_client_submit(&lane[0], &nop), 0);
		while (pst_agent_executor_run(fix.agent.executor))
			;
		ck_assert_int_eq(pst_lane_client_reap(&lane[0], &cqe), 1);
	}
	lane[0].told_head = lane[0].cq_head;
	lane[0].lane->client_cq_head.value = UINT64_MAX;
	ck_assert_int_eq(pst_lane_client_submit(&lane[0], &nop), 0);
	while (pst_agent_executor_run(fix.agent.executor))
		;
	expect_frame(0, PST_WIRE_ERROR, PST_WIRE_EPROTO);
	ck_assert_uint_eq(fix.agent.counters.broken, 1);
	expect_empty();
}
END_TEST

START_TEST(frames_behind_the_last_one_are_not_looked_at)
{
	struct pst_frame bye = {.type = PST_WIRE_BYE};
	struct pst_frame f;
	uint8_t buf[64];
	int64_t n;

	open_session(0, PST_WIRE_HELLO_CONTROL_ONLY);
	n = pst_frame_encode(&bye, buf, sizeof(buf));
	memcpy(buf + n, buf, (size_t)n);
	fixture_input(&peer[0], buf, (size_t)(2 * n), S);
	expect_frame(0, PST_WIRE_BYE, PST_WIRE_OK);
	ck_assert_int_eq(fixture_recv(&peer[0], &f), 0);
	expect_empty();
}
END_TEST

START_TEST(session_ids_are_never_used_twice)
{
	uint64_t last = 0;
	int i;

	for (i = 0; i < 10; i++) {
		open_session(0, i % 2 ? PST_WIRE_HELLO_CONTROL_ONLY : 0);
		ck_assert_uint_gt(peer[0].session->id, last);
		last = peer[0].session->id;
		pst_agent_session_free(peer[0].session);
		peer[0].session = NULL;
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, hello_may_come_byte_by_byte);
	tcase_add_test(tc, who_is_refused_has_no_name);
	tcase_add_test(tc, time_to_say_hello_is_one_second);
	tcase_add_test(
		tc,
		leases_wait_for_an_arena_that_settles_and_then_come_in_order);
	tcase_add_test(
		tc, an_extent_for_which_there_is_no_memory_is_not_handed_out);
	tcase_add_loop_test(
		tc,
		released_memory_is_scrubbed_by_another_thread_and_leased_then,
		0, 2);
	tcase_add_test(
		tc,
		a_lease_waits_for_scrubbed_memory_no_longer_than_five_seconds);
	tcase_add_test(tc, what_runs_keeps_released_memory_in_quarantine);
	tcase_add_test(
		tc, a_dead_sessions_memory_is_nobodys_until_the_device_lets_go);
	tcase_add_test(
		tc,
		a_release_before_the_end_frees_nothing_that_is_still_written);
	tcase_add_test(tc, a_peer_that_dies_at_any_send_leaves_nothing_behind);
	tcase_add_test(
		tc,
		a_peer_that_dies_when_it_is_woken_does_not_hurt_the_executor);
	tcase_add_test(tc, no_wake_goes_behind_bytes_that_wake_anyway);
	tcase_add_test(tc, a_broken_lane_ends_its_session_with_a_sentence);
	tcase_add_test(tc, frames_behind_the_last_one_are_not_looked_at);
	tcase_add_test(tc, session_ids_are_never_used_twice);
}

int main(void)
{
	return pst_unit_run("session", add, 30);
}
