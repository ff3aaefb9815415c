/* SPDX-License-Identifier: MIT */
/* The executor: order, shares, errors, impossible lanes. */
#include "tests/fixtures/executor_fixture.h"

START_TEST(operations_of_a_lane_complete_in_order_over_many_laps)
{
	uint64_t i, done = 0;

	for (i = 0; i < 3 * PST_WIRE_SLOTS; i++) {
		if (i % 3 == 0)
			submit(0, i, STEPS(1 + i % 2));
		else
			submit_nop(0, i);
		if (i % PST_WIRE_SLOTS != PST_WIRE_SLOTS - 1)
			continue;
		run_all();
		for (; done <= i; done++)
			expect(0, done, PST_WIRE_OK);
	}
	expect_none(0);
}
END_TEST

START_TEST(a_long_operation_of_one_lane_does_not_let_its_next_one_start)
{
	submit(0, 1, STEPS(5));
	submit_nop(0, 2);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	expect_none(0);
	run_all();
	expect(0, 1, PST_WIRE_OK);
	expect(0, 2, PST_WIRE_OK);
}
END_TEST

START_TEST(a_completion_carries_the_backends_time_and_result)
{
	struct pst_wire_cqe cqe;

	submit(0, 9, STEPS(3));
	run_all();
	ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
	ck_assert_uint_eq(cqe.compute_ns, 3 * STEP_NS);
	ck_assert_uint_eq(cqe.result, RESULT);
	submit_nop(0, 10);
	run_all();
	ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
	ck_assert_uint_eq(cqe.compute_ns, 0);
	ck_assert_uint_eq(cqe.result, 0);
}
END_TEST

START_TEST(waiting_behind_another_lanes_operation_counts_as_queue_time)
{
	struct pst_wire_cqe cqe;

	read_ns = 1;
	submit(0, 1, STEPS(2));
	submit(0, 2, STEPS(1));
	/* Both are taken, the first is half done. */
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	fake_now_ns += 2000000;
	run_all();
	ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
	ck_assert_uint_lt(cqe.queue_ns, 2000000);
	ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
	ck_assert_uint_ge(cqe.queue_ns, 2000000);
	ck_assert_uint_lt(cqe.queue_ns, 10 * PST_NS_PER_S);
}
END_TEST

START_TEST(idle_time_before_a_submission_is_no_queue_time)
{
	struct pst_wire_cqe cqe;

	read_ns = 1;
	ck_assert_int_eq(pst_agent_executor_run(ex), 0);
	fake_now_ns += 20000000;
	submit(0, 1, STEPS(1));
	run_all();
	ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
	ck_assert_uint_lt(cqe.queue_ns, 10000000);
}
END_TEST

/* A NOP is taken with as true a time as all else. */
START_TEST(a_sleep_before_a_NOP_is_no_queue_time)
{
	struct pst_wire_cqe cqe;

	read_ns = 1;
	run_all();
	fake_now_ns += PST_NS_PER_S;
	pst_agent_executor_away(ex);
	submit_nop(0, 1);
	submit(0, 2, STEPS(1));
	run_all();
	ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
	ck_assert_uint_eq(cqe.tag, 1);
	ck_assert_uint_lt(cqe.queue_ns, 1000);
	expect(0, 2, PST_WIRE_OK);
}
END_TEST

START_TEST(a_greedy_lane_leaves_every_second_slice_to_another)
{
	unsigned int i, mine = 0;

	submit(0, 100, STEPS(400));
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	submit(1, 200, STEPS(20));
	backend.n_log = 0;
	for (i = 0; i < 40; i++)
		ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	for (i = 0; i < backend.n_log; i++)
		mine += backend.log[i] == 200;
	ck_assert_uint_ge(mine, 19);
	ck_assert_uint_le(mine, 20);
}
END_TEST

START_TEST(a_short_operation_waits_for_one_slice_of_a_long_one_only)
{
	submit(0, 100, STEPS(1000));
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	submit(1, 1, STEPS(1));
	submit_nop(2, 2);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	expect(1, 1, PST_WIRE_OK);
	expect(2, 2, PST_WIRE_OK);
}
END_TEST

START_TEST(many_short_operations_do_not_starve_a_long_one)
{
	unsigned int i;

	submit(0, 100, STEPS(10));
	for (i = 0; i < 200; i++)
		submit(1, 1000 + i, STEPS(1));
	for (i = 0; i < 24; i++)
		ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	expect(0, 100, PST_WIRE_OK);
}
END_TEST

/* Operations of lane 0 that complete before lane 1's one does. */
static unsigned int done_before_the_other(void)
{
	struct pst_wire_cqe cqe;
	unsigned int i, n = 0;

	submit_nop(1, 1);
	for (i = 0; i < 10000; i++) {
		ck_assert_int_eq(pst_agent_executor_run(ex), 1);
		if (pst_lane_client_reap(&client[1], &cqe) == 1)
			return n;
		n += pst_lane_client_reap(&client[0], &cqe) == 1;
	}
	return n;
}

START_TEST(a_turn_of_short_operations_ends_when_another_lane_has_work)
{
	const struct pst_wire_sqe bad = {.op = 99};
	unsigned int i;

	for (i = 0; i < 200; i++) {
		if (_i)
			submit_sqe(0, &bad);
		else
			submit_nop(0, i);
	}
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	/* Half a millisecond for each of two. */
	read_ns = 10 * PST_NS_PER_US;
	ck_assert_uint_le(done_before_the_other(), 52);
}
END_TEST

START_TEST(a_wake_up_counts_as_its_lanes_time)
{
	unsigned int i;

	for (i = 0; i < 200; i++)
		submit_nop(0, i);
	read_ns = PST_NS_PER_US;
	wake_ns = PST_NS_PER_MS;
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert(pst_lane_client_arm(&client[0]));
	ck_assert_uint_le(done_before_the_other(), 3);
}
END_TEST

START_TEST(short_and_long_operations_get_the_same_time)
{
	uint64_t before_ns, nops_ns = 0;
	struct pst_wire_cqe cqe;
	unsigned int i, n;

	/* A reading of the clock takes 1 ms here, a step of the other 10. */
	read_ns = PST_NS_PER_MS;
	submit(1, 7, STEPS(100));
	for (i = 0; i < 400; i++) {
		while (pst_lane_client_reap(&client[0], &cqe) == 1)
			;
		while (pst_lane_client_submit(&client[0],
					      &(struct pst_wire_sqe){
						      .op = PST_WIRE_OP_NOP,
					      }) == 0)
			;
		before_ns = fake_now_ns;
		n = backend.n_log;
		ck_assert_int_eq(pst_agent_executor_run(ex), 1);
		if (backend.n_log == n)
			nops_ns += fake_now_ns - before_ns;
	}
	ck_assert_uint_ge(backend.n_log, 30);
	ck_assert_uint_ge(nops_ns, backend.n_log * STEP_NS * 8 / 10);
	ck_assert_uint_le(nops_ns, backend.n_log * STEP_NS * 12 / 10);
}
END_TEST

/* The n-th completion of a lane is in its ring. */
static bool is_posted(uint32_t lane, uint64_t n)
{
	return pst_shm_load_acquire(&shared[lane].cq[n - 1].seq) == n;
}

START_TEST(a_burst_of_short_operations_takes_one_run)
{
	unsigned int i;

	for (i = 0; i < 10; i++)
		submit_nop(0, i);
	submit(0, 10, STEPS(2));
	submit_nop(0, 11);
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert(is_posted(0, 10));
	ck_assert_uint_eq(backend.n_log, 0);
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert_uint_eq(backend.n_log, 1);
	run_all();
	for (i = 0; i < 12; i++)
		expect(0, i, PST_WIRE_OK);
}
END_TEST

/* The client, asleep, is woken: it takes what there is, and sleeps again. */
static void reap_and_arm(void)
{
	struct pst_wire_cqe cqe;

	pst_lane_client_disarm(&client[0]);
	while (pst_lane_client_reap(&client[0], &cqe) == 1)
		;
	ck_assert(!pst_lane_client_arm(&client[0]));
}

START_TEST(a_client_that_sleeps_is_woken_once_by_the_first_of_a_burst)
{
	unsigned int i;

	for (i = 0; i < 10; i++)
		submit_nop(0, i);
	ck_assert(!pst_lane_client_arm(&client[0]));
	when_woken = reap_and_arm;
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	/* The burst ends there; no completion is told of twice. */
	ck_assert(is_posted(0, 1));
	ck_assert(!is_posted(0, 2));
	ck_assert_uint_eq(wakes[0], 1);
	run_all();
	ck_assert_uint_eq(wakes[0], 10);
}
END_TEST

static void submit_product(uint32_t lane, uint64_t tag)
{
	const struct pst_wire_sqe sqe = {
		.tag = tag,
		.op = PST_WIRE_OP_GEMM,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.batch = 1,
		.m = 1,
		.n = 1,
		.k = 1,
		.lda = 1,
		.ldb = 1,
		.ldc = 1,
		.off_a = unit_off(lane),
		.off_b = unit_off(lane) + 64,
		.off_c = unit_off(lane) + 128,
	};

	submit_sqe(lane, &sqe);
}

START_TEST(an_operation_of_a_burst_begins_where_the_one_before_ended)
{
	const uint64_t us = PST_NS_PER_US, s = PST_NS_PER_S;
	const uint64_t begins[] = {0, s + us, 0, s + 3 * us, 0};
	unsigned int i;

	read_ns = 1;
	backend.reads_clock = true;
	submit_product(0, 0);
	submit_product(0, 1);
	submit_nop(0, 2);
	submit_product(0, 3);
	submit_product(0, 4);
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert_uint_eq(backend.n_log, 4);
	ck_assert_uint_eq(pst_agent_executor_now(ex), s + 4 * us);
	/* Of the run before it knows nothing. */
	submit_product(0, 5);
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	for (i = 0; i < PST_ARRAY_SIZE(begins); i++)
		ck_assert_uint_eq(backend.begin_ns[i], begins[i]);
}
END_TEST

/* More than are taken ahead: those come from the ring during the burst. */
START_TEST(a_burst_goes_on_with_what_is_in_the_ring)
{
	unsigned int i, n;

	read_ns = 1;
	for (i = 0; i < 100; i++)
		submit_product(0, i);
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert(is_posted(0, 100));
	for (i = 0; i < 100; i++) {
		ck_assert_uint_eq(backend.log[i], i);
		expect(0, i, PST_WIRE_OK);
	}
	/* Where another lane waits it does not. */
	for (i = 0; i < 100; i++) {
		submit_product(0, i);
		submit_product(1, i);
	}
	/* The first run has seen no other lane yet. */
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	n = backend.n_log - 100;
	ck_assert_uint_gt(n, 1);
	ck_assert_uint_lt(n, 100);
	run_all();
	for (i = 0; i < 100; i++) {
		expect(0, i, PST_WIRE_OK);
		expect(1, i, PST_WIRE_OK);
	}
}
END_TEST

START_TEST(a_cancelled_operation_of_a_burst_completes_as_such)
{
	unsigned int i;

	for (i = 0; i < 10; i++)
		submit_nop(0, i);
	ck_assert_int_eq(pst_agent_executor_cancel(ex, 0, 4), 0);
	run_all();
	for (i = 0; i < 10; i++)
		expect(0, i, i == 4 ? PST_WIRE_ECANCELED : PST_WIRE_OK);
}
END_TEST

START_TEST(an_operation_outside_the_lease_completes_with_EBOUNDS)
{
	const struct pst_wire_sqe sqe = {
		.tag = 5,
		.op = PST_WIRE_OP_FILL,
		.dtype = PST_WIRE_F64,
		.off_a = unit_off(1),
		.length = 4096,
	};
	struct pst_agent_lane_stats st;

	submit_sqe(0, &sqe);
	submit(0, 6, STEPS(1));
	run_all();
	expect(0, 5, PST_WIRE_EBOUNDS);
	expect(0, 6, PST_WIRE_OK);
	pst_agent_executor_lane_stats(ex, 0, &st);
	ck_assert_uint_eq(st.ops, 2);
	ck_assert_uint_eq(st.errors, 1);
	ck_assert_ptr_nonnull(strstr(st.last_error, "outside"));
}
END_TEST

START_TEST(a_lease_released_before_an_operation_starts_is_out_of_bounds)
{
	submit(0, 1, STEPS(3));
	submit(0, 2, STEPS(1));
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	pst_agent_extents_release_owner(extents, 1);
	run_all();
	expect(0, 1, PST_WIRE_OK);
	expect(0, 2, PST_WIRE_EBOUNDS);
}
END_TEST

START_TEST(malformed_and_unknown_operations_get_their_status)
{
	struct pst_wire_sqe sqe = {.tag = 1, .op = 99};

	submit_sqe(0, &sqe);
	sqe = (struct pst_wire_sqe){
		.tag = 2, .op = PST_WIRE_OP_NOP, .flags = 1};
	submit_sqe(0, &sqe);
	run_all();
	expect(0, 1, PST_WIRE_ENOTSUP);
	expect(0, 2, PST_WIRE_EINVAL);
}
END_TEST

START_TEST(a_backend_that_fails_to_begin_or_to_step_is_reported)
{
	struct pst_agent_lane_stats st;

	submit(0, 1, FAIL_BEGIN);
	submit(0, 2, FAIL_STEP);
	submit(0, 3, STEPS(1));
	run_all();
	expect(0, 1, PST_WIRE_ENOTSUP);
	expect(0, 2, PST_WIRE_EIO);
	expect(0, 3, PST_WIRE_OK);
	pst_agent_executor_lane_stats(ex, 0, &st);
	ck_assert_str_eq(st.last_error, "it burns");
	ck_assert_uint_eq(st.errors, 2);
}
END_TEST

START_TEST(a_lane_that_waits_for_the_device_stops_nobody)
{
	uint64_t begun = 0;

	ck_assert_uint_eq(pst_agent_executor_due(ex, &begun), 0);
	submit(0, 1, DEVICE | STEPS(5));
	submit(0, 2, STEPS(1));
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert(pst_agent_executor_waits(ex));
	ck_assert_uint_eq(pst_agent_executor_due(ex, &begun) - begun,
			  ESTIMATE_NS);
	submit(1, 3, STEPS(2));
	/* Lane 1 is served between polls of the device. */
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	expect(1, 3, PST_WIRE_OK);
	/* Nothing to do but to wait: the thread may sleep, although lane 0 has
	 * more. */
	ck_assert_int_eq(pst_agent_executor_run(ex), 0);
	ck_assert(!pst_agent_executor_ready(ex));
	ck_assert(!pst_agent_executor_drained(ex));
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert(!pst_agent_executor_waits(ex));
	expect(0, 1, PST_WIRE_OK);
	run_all();
	expect(0, 2, PST_WIRE_OK);
}
END_TEST

START_TEST(an_estimate_without_end_is_no_estimate_of_the_past)
{
	uint64_t begun = 0;

	submit(0, 1, DEVICE | ENDLESS | STEPS(2));
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert_uint_eq(pst_agent_executor_due(ex, &begun), UINT64_MAX);
	ck_assert_uint_ne(begun, 0);
	run_all();
	expect(0, 1, PST_WIRE_OK);
}
END_TEST

START_TEST(an_operation_that_waits_for_the_device_can_be_cancelled)
{
	submit(0, 1, DEVICE | STEPS(100) | STUBBORN(2));
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert_int_eq(pst_agent_executor_run(ex), 0);
	ck_assert_int_eq(pst_agent_executor_cancel(ex, 0, 1), 0);
	ck_assert(!pst_agent_executor_waits(ex));
	run_all();
	ck_assert_uint_eq(backend.cancels, 3);
	expect(0, 1, PST_WIRE_ECANCELED);
}
END_TEST

START_TEST(a_lane_with_an_impossible_head_is_broken_and_others_go_on)
{
	uint64_t i;

	for (i = 0; i < PST_WIRE_SLOTS; i++)
		submit_nop(0, i);
	run_all();
	for (i = 0; i < PST_WIRE_SLOTS; i++)
		expect(0, i, PST_WIRE_OK);
	client[0].told_head = client[0].cq_head;
	shared[0].client_cq_head.value = 1ULL << 40;
	submit_nop(0, 0);
	submit_nop(1, 1);
	run_all();
	ck_assert_uint_eq(broken[0], 1);
	ck_assert_uint_eq(gone[0], 1);
	ck_assert_str_eq(broken_text, "corrupt completion ring: head is ahead "
				      "of tail by 1099511627520 entries");
	expect(1, 1, PST_WIRE_OK);
	ck_assert(!pst_agent_executor_ready(ex));
}
END_TEST

START_TEST(more_submissions_than_slots_break_the_lane_and_do_not_spin)
{
	uint64_t i;

	for (i = 0; i < PST_WIRE_SLOTS; i++)
		submit_nop(0, i);
	run_all();
	/* As a client would that does not count what is outstanding. */
	client[0].cq_head = client[0].told_head = PST_WIRE_SLOTS;
	submit_nop(0, i);
	run_all();
	ck_assert_uint_eq(broken[0], 1);
	ck_assert_ptr_nonnull(strstr(broken_text, "outstanding"));
	ck_assert(!pst_agent_executor_ready(ex));
}
END_TEST

START_TEST(a_sleeping_client_is_woken_once_for_several_completions)
{
	ck_assert(!pst_lane_client_arm(&client[0]));
	submit_nop(0, 1);
	submit_nop(0, 2);
	submit_nop(1, 3);
	run_all();
	ck_assert_uint_eq(wakes[0], 1);
	ck_assert_uint_eq(wakes[1], 0);
}
END_TEST

START_TEST(ready_tells_of_entries_and_of_operations_in_hand)
{
	ck_assert(!pst_agent_executor_ready(ex));
	submit(0, 1, STEPS(2));
	ck_assert(pst_agent_executor_ready(ex));
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert(pst_agent_executor_ready(ex));
	run_all();
	ck_assert(!pst_agent_executor_ready(ex));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc,
		       operations_of_a_lane_complete_in_order_over_many_laps);
	tcase_add_test(
		tc,
		a_long_operation_of_one_lane_does_not_let_its_next_one_start);
	tcase_add_test(tc, a_completion_carries_the_backends_time_and_result);
	tcase_add_test(
		tc,
		waiting_behind_another_lanes_operation_counts_as_queue_time);
	tcase_add_test(tc, idle_time_before_a_submission_is_no_queue_time);
	tcase_add_test(tc, a_sleep_before_a_NOP_is_no_queue_time);
	tcase_add_test(tc, a_greedy_lane_leaves_every_second_slice_to_another);
	tcase_add_test(
		tc, a_short_operation_waits_for_one_slice_of_a_long_one_only);
	tcase_add_test(tc, many_short_operations_do_not_starve_a_long_one);
	tcase_add_loop_test(
		tc, a_turn_of_short_operations_ends_when_another_lane_has_work,
		0, 2);
	tcase_add_test(tc, a_wake_up_counts_as_its_lanes_time);
	tcase_add_test(tc, short_and_long_operations_get_the_same_time);
	tcase_add_test(tc, a_burst_of_short_operations_takes_one_run);
	tcase_add_test(
		tc, a_client_that_sleeps_is_woken_once_by_the_first_of_a_burst);
	tcase_add_test(
		tc, an_operation_of_a_burst_begins_where_the_one_before_ended);
	tcase_add_test(tc, a_burst_goes_on_with_what_is_in_the_ring);
	tcase_add_test(tc, a_cancelled_operation_of_a_burst_completes_as_such);
	tcase_add_test(tc,
		       an_operation_outside_the_lease_completes_with_EBOUNDS);
	tcase_add_test(
		tc,
		a_lease_released_before_an_operation_starts_is_out_of_bounds);
	tcase_add_test(tc, malformed_and_unknown_operations_get_their_status);
	tcase_add_test(tc,
		       a_backend_that_fails_to_begin_or_to_step_is_reported);
	tcase_add_test(tc, a_lane_that_waits_for_the_device_stops_nobody);
	tcase_add_test(tc, an_estimate_without_end_is_no_estimate_of_the_past);
	tcase_add_test(tc,
		       an_operation_that_waits_for_the_device_can_be_cancelled);
	tcase_add_test(
		tc, a_lane_with_an_impossible_head_is_broken_and_others_go_on);
	tcase_add_test(
		tc, more_submissions_than_slots_break_the_lane_and_do_not_spin);
	tcase_add_test(tc,
		       a_sleeping_client_is_woken_once_for_several_completions);
	tcase_add_test(tc, ready_tells_of_entries_and_of_operations_in_hand);
}

int main(void)
{
	return pst_unit_run("executor", add, 30);
}
