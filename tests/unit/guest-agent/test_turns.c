/* SPDX-License-Identifier: MIT */
/* Whose frames are handled when: counted, with a clock that only goes on when
 * it is read. */
#include "guest-agent/serve/state/turns.h"
#include "tests/fixtures/agent_fixture.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define US    PST_NS_PER_US
#define PEERS 3
#define MANY  64U

static uint8_t *base;
static struct fixture fix;
static struct fixture_peer peer[PEERS];
static struct pst_lane_client lane[PEERS];
static uint64_t now_ns, step_ns; /* reading the clock takes that long */

static uint64_t tell_time(void)
{
	now_ns += step_ns;
	return now_ns;
}

static void open_session(unsigned int i)
{
	struct pst_wire_welcome w;
	struct pst_frame f;

	ck_assert_int_eq(fixture_connect(&fix, &peer[i], PST_NS_PER_S), 0);
	fixture_hello(&fix, &peer[i], 0, PST_NS_PER_S);
	ck_assert_int_gt(fixture_recv(&peer[i], &f), 0);
	ck_assert_int_eq(pst_frame_welcome(&f, &w, NULL), 0);
	pst_lane_client_init(&lane[i], pst_region_lane(base, w.lane),
			     &pst_region_header(&fix.agent.region)->agent_wake);
}

static void setup(void)
{
	base = aligned_alloc(4096, PST_WIRE_CTL_SIZE + FIXTURE_ARENA);
	ck_assert_ptr_nonnull(base);
	ck_assert_int_eq(fixture_init(&fix, base), 0);
	now_ns = PST_NS_PER_S;
	step_ns = 0;
	fix.agent.turns.clock = tell_time;
	open_session(0);
}

static void teardown(void)
{
	unsigned int i;

	for (i = 0; i < PEERS; i++) {
		pst_agent_session_free(peer[i].session);
		peer[i].session = NULL;
	}
	pst_agent_done(&fix.agent);
	free(base);
}

/* n frames come at once; none is handled. */
static void feed(unsigned int i, uint16_t type, unsigned int n)
{
	const struct pst_frame f = {.type = type};
	uint8_t buf[64 * MANY];
	size_t used = 0;

	while (n-- > 0)
		used += (size_t)pst_frame_encode(&f, buf + used,
						 sizeof(buf) - used);
	pst_agent_session_input(peer[i].session, buf, used);
}

static unsigned int replies(unsigned int i)
{
	struct pst_frame f;
	unsigned int n = 0;

	while (fixture_recv(&peer[i], &f) > 0)
		n++;
	return n;
}

static void run(uint64_t share_ns)
{
	pst_agent_turns_run(&fix.agent, share_ns);
}

START_TEST(a_round_ends_and_what_is_left_waits)
{
	step_ns = 10 * US;
	feed(0, PST_WIRE_PING, MANY);
	run(UINT64_MAX);
	ck_assert_uint_eq(replies(0), PST_AGENT_TURNS_ROUND_NS / step_ns);
	ck_assert(peer[0].held);
	ck_assert(pst_agent_turns_wait(&fix.agent.turns));
	while (pst_agent_turns_wait(&fix.agent.turns))
		run(UINT64_MAX);
	ck_assert_uint_eq(replies(0),
			  MANY - PST_AGENT_TURNS_ROUND_NS / step_ns);
	ck_assert(!peer[0].held);
}
END_TEST

START_TEST(another_session_comes_after_sixteen_frames)
{
	open_session(1);
	step_ns = 10 * US;
	feed(0, PST_WIRE_PING, MANY);
	feed(1, PST_WIRE_PING, 1);
	run(UINT64_MAX);
	ck_assert_uint_eq(replies(1), 1);
	/* The rest of the round's twenty. */
	ck_assert_uint_eq(replies(0), 19);
}
END_TEST

START_TEST(sessions_that_wait_are_served_in_turn)
{
	unsigned int i, n;

	open_session(1);
	open_session(2);
	step_ns = PST_AGENT_TURNS_CHEAP_NS;
	for (i = 0; i < PEERS; i++)
		feed(i, PST_WIRE_PING, 60);
	/* 10 frames a round, and none begins where the last one began. */
	for (i = 0; i < 9; i++)
		run(UINT64_MAX);
	for (i = 0; i < PEERS; i++) {
		n = replies(i);
		ck_assert_uint_ge(n, 20);
		ck_assert_uint_le(n, 40);
	}
}
END_TEST

START_TEST(a_lane_with_work_waits_for_one_frame_or_its_slices_length)
{
	const struct pst_wire_sqe nop = {.op = PST_WIRE_OP_NOP};

	step_ns = 10 * US;
	ck_assert_int_eq(pst_lane_client_submit(&lane[0], &nop), 0);
	feed(0, PST_WIRE_PING, MANY);
	run(0);
	ck_assert_uint_eq(replies(0), 1);
	run(50 * US);
	ck_assert_uint_eq(replies(0), 5);
	while (pst_agent_executor_run(fix.agent.executor))
		;
	run(0);
	ck_assert_uint_eq(replies(0), PST_AGENT_TURNS_ROUND_NS / step_ns);
}
END_TEST

START_TEST(after_a_costly_frame_its_session_rests)
{
	uint64_t due;

	open_session(1);
	step_ns = 100 * US;
	feed(0, PST_WIRE_INFO, 2);
	run(UINT64_MAX);
	ck_assert_uint_eq(replies(0), 1);
	ck_assert(peer[0].held);
	ck_assert(!pst_agent_turns_wait(&fix.agent.turns));
	due = pst_agent_session_tick(peer[0].session, now_ns);
	ck_assert_uint_eq(due, now_ns + 700 * US);
	/* Cheap ones of another session do not wait, costly ones do. */
	step_ns = US;
	feed(1, PST_WIRE_PING, 1);
	run(UINT64_MAX);
	ck_assert_uint_eq(replies(1), 1);
	feed(1, PST_WIRE_INFO, 1);
	run(UINT64_MAX);
	ck_assert_uint_eq(replies(1), 0);
	ck_assert_uint_le(pst_agent_session_tick(peer[1].session, now_ns),
			  now_ns + 100 * US);
	now_ns = due;
	pst_agent_session_tick(peer[0].session, now_ns);
	pst_agent_session_tick(peer[1].session, now_ns);
	run(UINT64_MAX);
	ck_assert_uint_eq(replies(0), 1);
	ck_assert_uint_eq(replies(1), 1);
	ck_assert(!peer[0].held && !peer[1].held);
}
END_TEST

START_TEST(a_session_that_is_alone_does_not_rest)
{
	step_ns = 100 * US;
	feed(0, PST_WIRE_INFO, 4);
	run(UINT64_MAX);
	run(UINT64_MAX);
	ck_assert_uint_eq(replies(0), 4);
}
END_TEST

START_TEST(frames_of_who_does_not_read_wait)
{
	uint64_t due;

	peer[0].pending = PST_AGENT_TURNS_OUT + 1;
	feed(0, PST_WIRE_PING, 3);
	run(UINT64_MAX);
	ck_assert_uint_eq(replies(0), 0);
	ck_assert(peer[0].held);
	ck_assert(!pst_agent_turns_wait(&fix.agent.turns));
	peer[0].pending = 0;
	due = pst_agent_session_tick(peer[0].session, now_ns);
	ck_assert_uint_gt(due, now_ns);
	pst_agent_session_tick(peer[0].session, due);
	run(UINT64_MAX);
	ck_assert_uint_eq(replies(0), 3);
	ck_assert(!peer[0].held);
}
END_TEST

START_TEST(who_does_not_read_for_long_is_ended)
{
	uint64_t due;
	int i;

	peer[0].pending = PST_AGENT_TURNS_OUT + 1;
	feed(0, PST_WIRE_PING, 1);
	for (i = 0; i < 1000; i++) {
		run(UINT64_MAX);
		if (pst_agent_session_state(peer[0].session) ==
		    PST_AGENT_SESSION_CLOSED)
			break;
		due = pst_agent_session_tick(peer[0].session, now_ns);
		ck_assert_uint_le(due, now_ns + 10 * PST_NS_PER_MS);
		now_ns = due;
		pst_agent_session_tick(peer[0].session, now_ns);
	}
	ck_assert_uint_ge(now_ns, 2 * PST_NS_PER_S);
	ck_assert_uint_le(now_ns, 3 * PST_NS_PER_S);
	ck_assert(!peer[0].held);
}
END_TEST

START_TEST(a_session_that_ends_leaves_its_turn)
{
	open_session(1);
	open_session(2);
	feed(0, PST_WIRE_PING, 1);
	feed(1, PST_WIRE_PING, 1);
	feed(2, PST_WIRE_PING, 1);
	pst_agent_session_end(peer[1].session);
	pst_agent_session_free(peer[2].session);
	peer[2].session = NULL;
	run(UINT64_MAX);
	ck_assert(!pst_agent_turns_wait(&fix.agent.turns));
	ck_assert_uint_eq(replies(0), 1);
	ck_assert_uint_eq(replies(1), 0);
	feed(0, PST_WIRE_PING, 1);
	run(UINT64_MAX);
	ck_assert_uint_eq(replies(0), 1);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_round_ends_and_what_is_left_waits);
	tcase_add_test(tc, another_session_comes_after_sixteen_frames);
	tcase_add_test(tc, sessions_that_wait_are_served_in_turn);
	tcase_add_test(
		tc, a_lane_with_work_waits_for_one_frame_or_its_slices_length);
	tcase_add_test(tc, after_a_costly_frame_its_session_rests);
	tcase_add_test(tc, a_session_that_is_alone_does_not_rest);
	tcase_add_test(tc, frames_of_who_does_not_read_wait);
	tcase_add_test(tc, who_does_not_read_for_long_is_ended);
	tcase_add_test(tc, a_session_that_ends_leaves_its_turn);
}

int main(void)
{
	return pst_unit_run("turns", add, 30);
}
