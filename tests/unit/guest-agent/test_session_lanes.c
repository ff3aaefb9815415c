/* SPDX-License-Identifier: MIT */
/* A session of several lanes: what it gets, and that whatever ends waits for
 * all of them. */
#include "tests/fixtures/session_fixture.h"

static struct pst_wire_lanes held; /* as the last reply said */

static void ask(unsigned int i, uint32_t n)
{
	const struct pst_wire_lanes l = {.n = n};

	fixture_feed(&peer[i], PST_WIRE_LANES, 9, &l, sizeof(l), S);
}

static uint32_t get(unsigned int i)
{
	struct pst_frame f;

	ck_assert_int_gt(fixture_recv(&peer[i], &f), 0);
	ck_assert_uint_eq(f.type, PST_WIRE_LANES);
	ck_assert_uint_eq(f.status, PST_WIRE_OK);
	ck_assert_int_eq(pst_frame_lanes(&f, &held, NULL), 0);
	return held.n;
}

static void open_able(unsigned int i, uint32_t flags)
{
	peer[i].features = PST_WIRE_FEATURE_LANES;
	open_session(i, flags);
}

/* A session with the lanes lane[0] and lane[2], and an extent. */
static struct pst_wire_lease open_two(void)
{
	open_able(0, 0);
	ask(0, 2);
	ck_assert_uint_eq(get(0), 2);
	pst_lane_client_init(&lane[2], pst_region_lane(base, held.lane[1]),
			     &pst_region_header(&fix.agent.region)->agent_wake);
	ask_lease(0, 1, 1, S);
	return get_lease(0);
}

static void submit(struct pst_lane_client *l, uint8_t op, uint64_t tag)
{
	const struct pst_wire_sqe sqe = {.op = op, .tag = tag};

	ck_assert_int_eq(pst_lane_client_submit(l, &sqe), 0);
}

static void run_all(void)
{
	while (pst_agent_executor_run(fix.agent.executor))
		;
}

static uint64_t quarantined(void)
{
	struct pst_agent_extents_stats st;

	pst_agent_settle_late(&fix.agent);
	pst_agent_extents_stats(fix.agent.holdings.extents, &st);
	return st.quarantined;
}

START_TEST(a_session_gets_what_is_free_and_keeps_it)
{
	uint32_t first;

	open_able(0, 0);
	first = peer[0].session->lanes[0];
	ask(0, 2);
	ck_assert_uint_eq(get(0), 2);
	ck_assert_uint_eq(held.lane[0], first);
	ck_assert_uint_ne(held.lane[1], first);
	ask(0, PST_WIRE_SESSION_LANES);
	ck_assert_uint_eq(get(0), 3);
	ask(0, 1);
	ck_assert_uint_eq(get(0), 3);
	ck_assert_uint_eq(held.lane[0], first);
	/* They count as those of three connections. */
	ck_assert_int_eq(fixture_connect(&fix, &peer[1], S), 0);
	fixture_hello(&fix, &peer[1], 0, S);
	expect_frame(1, PST_WIRE_HELLO, PST_WIRE_EBUSY);
	pst_agent_session_end(peer[0].session);
	expect_empty();
}
END_TEST

START_TEST(a_process_gets_no_more_lanes_than_by_several_connections)
{
	fix.agent.config.limits.max_clients = 4;
	open_able(0, 0);
	open_able(1, 0);
	ask(0, 8);
	ck_assert_uint_eq(get(0), 2);
	ask(1, 8);
	ck_assert_uint_eq(get(1), 1);
}
END_TEST

START_TEST(numbers_that_cannot_be_are_refused_and_the_session_goes_on)
{
	open_able(0, 0);
	ask(0, 0);
	expect_frame(0, PST_WIRE_LANES, PST_WIRE_EINVAL);
	ask(0, PST_WIRE_SESSION_LANES + 1);
	expect_frame(0, PST_WIRE_LANES, PST_WIRE_ELIMIT);
	ask(0, UINT32_MAX);
	expect_frame(0, PST_WIRE_LANES, PST_WIRE_ELIMIT);
	ask(0, 1);
	ck_assert_uint_eq(get(0), 1);
	open_able(1, PST_WIRE_HELLO_CONTROL_ONLY);
	ask(1, 1);
	expect_frame(1, PST_WIRE_LANES, PST_WIRE_EINVAL);
	ck_assert_uint_eq(fix.agent.seats.n_sessions, 2);
}
END_TEST

START_TEST(a_client_that_knows_nothing_of_lanes_breaks_by_asking)
{
	open_session(0, 0);
	ask(0, 2);
	expect_frame(0, PST_WIRE_ERROR, PST_WIRE_EPROTO);
	expect_empty();
}
END_TEST

START_TEST(features_are_those_that_both_know)
{
	peer[0].features = UINT32_MAX;
	open_session(0, 0);
	ck_assert_uint_eq(peer[0].session->features, PST_WIRE_FEATURES);
	open_session(1, 0);
	ck_assert_uint_eq(peer[1].session->features, 0);
}
END_TEST

START_TEST(a_tag_is_looked_for_in_all_lanes_of_its_session_only)
{
	const struct pst_wire_cancel tag = {77};
	struct pst_wire_cqe cqe;

	open_two();
	open_session(1, 0);
	submit(&lane[2], PST_WIRE_OP_NOP, 77);
	fixture_feed(&peer[1], PST_WIRE_CANCEL, 2, &tag, sizeof(tag), S);
	expect_frame(1, PST_WIRE_CANCEL, PST_WIRE_ENOENT);
	fixture_feed(&peer[0], PST_WIRE_CANCEL, 2, &tag, sizeof(tag), S);
	expect_frame(0, PST_WIRE_CANCEL, PST_WIRE_OK);
	run_all();
	ck_assert_int_eq(pst_lane_client_reap(&lane[2], &cqe), 1);
	ck_assert_uint_eq(cqe.status, PST_WIRE_ECANCELED);
	submit(&lane[2], PST_WIRE_OP_FILL, 77);
	run_all();
	ck_assert_int_eq(pst_lane_client_reap(&lane[2], &cqe), 1);
	ck_assert_uint_eq(cqe.status, PST_WIRE_EINVAL);
	fixture_feed(&peer[1], PST_WIRE_FAILURE, 3, &tag, sizeof(tag), S);
	expect_frame(1, PST_WIRE_FAILURE, PST_WIRE_ENOENT);
	fixture_feed(&peer[0], PST_WIRE_FAILURE, 3, &tag, sizeof(tag), S);
	expect_frame(0, PST_WIRE_FAILURE, PST_WIRE_OK);
}
END_TEST

/* Long operations run in both lanes, which refuse so many cancels. */
static void run_both(uint64_t off, uint32_t stubborn0, uint32_t stubborn2)
{
	const struct pst_agent_executor *ex = fix.agent.executor;

	submit_gemm(0, off, 900, stubborn0);
	submit_gemm(2, off, 900, stubborn2);
	while (!pst_agent_executor_running(ex, 0) ||
	       !pst_agent_executor_running(ex, 1))
		ck_assert_int_eq(pst_agent_executor_run(fix.agent.executor), 1);
}

START_TEST(what_runs_in_any_lane_keeps_released_memory_in_quarantine)
{
	const struct pst_agent_executor *ex = fix.agent.executor;
	struct pst_wire_lease l = open_two();
	unsigned int alone = 0;

	run_both(l.off, 0, 0);
	fixture_feed(&peer[0], PST_WIRE_RELEASE, 2, &l, sizeof(l), S);
	expect_frame(0, PST_WIRE_RELEASE, PST_WIRE_OK);
	while (pst_agent_executor_running(ex, 0) ||
	       pst_agent_executor_running(ex, 1)) {
		alone += !pst_agent_executor_running(ex, 0) ||
			 !pst_agent_executor_running(ex, 1);
		ck_assert_uint_eq(quarantined(), PST_WIRE_UNIT);
		ck_assert_int_eq(pst_agent_executor_run(fix.agent.executor), 1);
	}
	ck_assert_uint_gt(alone, 0);
	ck_assert_uint_eq(quarantined(), 0);
}
END_TEST

/* Nor does it with lanes that are never idle at the same time. */
START_TEST(a_session_that_goes_on_releasing_gets_memory_back)
{
	struct pst_agent_executor *ex = fix.agent.executor;
	struct pst_wire_lease l = open_two(), x;
	unsigned int changes[2] = {0}, i;
	uint64_t was[2], now;

	ask_lease(0, 3, 1, S);
	x = get_lease(0);
	run_both(l.off, 0, 0);
	fixture_feed(&peer[0], PST_WIRE_RELEASE, 2, &x, sizeof(x), S);
	expect_frame(0, PST_WIRE_RELEASE, PST_WIRE_OK);
	ck_assert_uint_eq(quarantined(), PST_WIRE_UNIT);
	for (i = 0; i < 2; i++) {
		was[i] = pst_agent_executor_running(ex, i);
		submit_gemm(2 * i, l.off, 900, 0);
	}
	while (changes[0] < 4 || changes[1] < 4) {
		ck_assert_int_eq(pst_agent_executor_run(ex), 1);
		for (i = 0; i < 2; i++) {
			now = pst_agent_executor_running(ex, i);
			if (now == was[i])
				continue;
			was[i] = now;
			changes[i]++;
			submit_gemm(2 * i, l.off, 900, 0);
			/* As each release does. */
			pst_agent_settle(&fix.agent, peer[0].session->id);
		}
	}
	ck_assert_uint_eq(quarantined(), 0);
}
END_TEST

START_TEST(a_dead_sessions_memory_waits_for_the_last_of_its_lanes)
{
	const struct pst_agent_seat *seats = fix.agent.seats.lanes;
	struct pst_wire_lease l = open_two();
	int freed;

	run_both(l.off, 2, 900);
	pst_agent_session_end(peer[0].session);
	do
		ck_assert_int_eq(pst_agent_executor_run(fix.agent.executor), 1);
	while (seats[0].state != PST_AGENT_SEAT_FREE &&
	       seats[1].state != PST_AGENT_SEAT_FREE);
	freed = seats[0].state != PST_AGENT_SEAT_FREE;
	ck_assert_int_eq(seats[!freed].state, PST_AGENT_SEAT_ENDING);
	ck_assert_uint_eq(quarantined(), PST_WIRE_UNIT);
	/* The free lane is another's now, whose end changes nothing. */
	open_session(1, 0);
	ck_assert_uint_eq(peer[1].session->lanes[0], (uint32_t)freed);
	pst_agent_session_end(peer[1].session);
	ck_assert_uint_eq(quarantined(), PST_WIRE_UNIT);
	run_all();
	expect_empty();
}
END_TEST

START_TEST(a_broken_lane_ends_the_session_with_all_of_them)
{
	struct pst_wire_lease l = open_two();
	struct pst_wire_cqe cqe;
	int i;

	for (i = 0; i < (int)PST_WIRE_SLOTS; i++) {
		submit(&lane[2], PST_WIRE_OP_NOP, 1);
		run_all();
		ck_assert_int_eq(pst_lane_client_reap(&lane[2], &cqe), 1);
	}
	submit_gemm(0, l.off, 900, 1);
	lane[2].told_head = lane[2].cq_head;
	lane[2].lane->client_cq_head.value = UINT64_MAX;
	submit(&lane[2], PST_WIRE_OP_NOP, 2);
	run_all();
	expect_frame(0, PST_WIRE_ERROR, PST_WIRE_EPROTO);
	expect_empty();
}
END_TEST

START_TEST(a_peer_that_dies_when_one_lane_wakes_it_leaves_nothing)
{
	struct pst_wire_lease l = open_two();

	ck_assert(!pst_lane_client_arm(&lane[2]));
	peer[0].fail_after = 0;
	submit_gemm(0, l.off, 900, 1);
	submit(&lane[2], PST_WIRE_OP_NOP, 1);
	submit(&lane[2], PST_WIRE_OP_NOP, 2);
	run_all();
	ck_assert_int_eq(pst_agent_session_state(peer[0].session),
			 PST_AGENT_SESSION_CLOSED);
	expect_empty();
}
END_TEST

static void add(TCase *t)
{
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_session_gets_what_is_free_and_keeps_it);
	tcase_add_test(
		t, a_process_gets_no_more_lanes_than_by_several_connections);
	tcase_add_test(
		t, numbers_that_cannot_be_are_refused_and_the_session_goes_on);
	tcase_add_test(t,
		       a_client_that_knows_nothing_of_lanes_breaks_by_asking);
	tcase_add_test(t, features_are_those_that_both_know);
	tcase_add_test(t, a_tag_is_looked_for_in_all_lanes_of_its_session_only);
	tcase_add_test(
		t, what_runs_in_any_lane_keeps_released_memory_in_quarantine);
	tcase_add_test(t, a_session_that_goes_on_releasing_gets_memory_back);
	tcase_add_test(t,
		       a_dead_sessions_memory_waits_for_the_last_of_its_lanes);
	tcase_add_test(t, a_broken_lane_ends_the_session_with_all_of_them);
	tcase_add_test(t,
		       a_peer_that_dies_when_one_lane_wakes_it_leaves_nothing);
}

int main(void)
{
	return pst_unit_run("session_lanes", add, 30);
}
