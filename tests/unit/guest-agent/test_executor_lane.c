/* SPDX-License-Identifier: MIT */
/* The executor's lanes: cancelling, handles, reasons, draining, the end. */
#include "guest-agent/exec/rates.h"
#include "tests/fixtures/executor_fixture.h"

START_TEST(a_running_operation_can_be_cancelled)
{
	submit(0, 1, STEPS(100));
	submit(0, 2, STEPS(1));
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert_int_eq(pst_agent_executor_cancel(ex, 0, 1), 0);
	run_all();
	ck_assert_uint_eq(backend.cancels, 1);
	expect(0, 1, PST_WIRE_ECANCELED);
	expect(0, 2, PST_WIRE_OK);
}
END_TEST

START_TEST(a_backend_may_refuse_a_cancel_until_its_device_has_stopped)
{
	submit(0, 1, STEPS(100) | STUBBORN(3));
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert_uint_eq(pst_agent_executor_stuck_since(ex), 0);
	ck_assert_int_eq(pst_agent_executor_cancel(ex, 0, 1), 0);
	ck_assert_uint_ne(pst_agent_executor_stuck_since(ex), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(pst_agent_executor_run(ex), 1);
		expect_none(0);
	}
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	expect(0, 1, PST_WIRE_ECANCELED);
	ck_assert_uint_eq(pst_agent_executor_stuck_since(ex), 0);
}
END_TEST

START_TEST(a_waiting_operation_can_be_cancelled_without_running)
{
	submit(0, 1, STEPS(2));
	submit(0, 2, STEPS(1));
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert_int_eq(pst_agent_executor_cancel(ex, 0, 2), 0);
	run_all();
	expect(0, 1, PST_WIRE_OK);
	expect(0, 2, PST_WIRE_ECANCELED);
	ck_assert_uint_eq(backend.n_log, 2);
}
END_TEST

START_TEST(an_operation_still_in_the_ring_can_be_cancelled)
{
	uint64_t i;

	/* More than the executor takes ahead. */
	for (i = 0; i < 100; i++)
		submit(0, i, STEPS(1));
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert_int_eq(pst_agent_executor_cancel(ex, 0, 90), 0);
	ck_assert_int_eq(pst_agent_executor_cancel(ex, 0, 90), 0);
	run_all();
	for (i = 0; i < 100; i++)
		expect(0, i, i == 90 ? PST_WIRE_ECANCELED : PST_WIRE_OK);
	/* The mark does not hit the slot's next entry. */
	for (i = 0; i < 2 * PST_WIRE_SLOTS; i++) {
		submit_nop(0, i);
		run_all();
		expect(0, i, PST_WIRE_OK);
	}
}
END_TEST

START_TEST(an_unknown_tag_cannot_be_cancelled)
{
	ck_assert_int_eq(pst_agent_executor_cancel(ex, 0, 1), -ENOENT);
	submit(0, 1, STEPS(1));
	ck_assert_int_eq(pst_agent_executor_cancel(ex, 0, 2), -ENOENT);
	/* Another lane's tags are not this one's. */
	ck_assert_int_eq(pst_agent_executor_cancel(ex, 1, 1), -ENOENT);
	run_all();
	ck_assert_int_eq(pst_agent_executor_cancel(ex, 0, 1), -ENOENT);
	expect(0, 1, PST_WIRE_OK);
}
END_TEST

static void submit_copy(uint32_t lane, uint64_t tag, uint64_t from, uint64_t to)
{
	const struct pst_wire_sqe sqe = {
		.tag = tag,
		.op = PST_WIRE_OP_COPY,
		.flags = PST_WIRE_A_TENSOR | PST_WIRE_C_TENSOR,
		.off_a = from,
		.off_c = to,
		.length = 4096,
	};

	submit_sqe(lane, &sqe);
}

START_TEST(a_handle_is_looked_up_for_the_session_of_its_lane)
{
	submit_copy(0, 1, 7, 8);
	submit_copy(0, 2, 7, 9);
	submit_copy(1, 3, 7, 8);
	run_all();
	expect(0, 1, PST_WIRE_OK);
	expect(0, 2, PST_WIRE_ENOENT);
	expect(1, 3, PST_WIRE_ENOENT);
}
END_TEST

START_TEST(a_running_operation_has_a_number_of_its_own)
{
	uint64_t first;

	ck_assert_uint_eq(pst_agent_executor_running(ex, 0), 0);
	submit(0, 3, STEPS(2));
	submit(0, 4, STEPS(2));
	pst_agent_executor_run(ex);
	first = pst_agent_executor_running(ex, 0);
	ck_assert_uint_ne(first, 0);
	pst_agent_executor_run(ex);
	pst_agent_executor_run(ex);
	ck_assert_uint_ne(pst_agent_executor_running(ex, 0), 0);
	ck_assert_uint_ne(pst_agent_executor_running(ex, 0), first);
	run_all();
	ck_assert_uint_eq(pst_agent_executor_running(ex, 0), 0);
}
END_TEST

START_TEST(what_a_running_operation_uses_is_known)
{
	submit_copy(0, 1 | COPY_STEPS, 7, 8);
	ck_assert(!pst_agent_executor_uses(ex, &tensor_mem[0]));
	pst_agent_executor_run(ex);
	ck_assert(pst_agent_executor_uses(ex, &tensor_mem[0]));
	ck_assert(pst_agent_executor_uses(ex, &tensor_mem[1]));
	ck_assert(!pst_agent_executor_uses(ex, shared));
	run_all();
	ck_assert(!pst_agent_executor_uses(ex, &tensor_mem[0]));
	expect(0, 1 | COPY_STEPS, PST_WIRE_OK);
}
END_TEST

START_TEST(the_sentences_of_the_last_failures_are_kept)
{
	uint64_t i;

	ck_assert_ptr_null(pst_agent_executor_failure(ex, 0, 0));
	for (i = 1; i <= PST_AGENT_EXECUTOR_FAILURES + 2; i++)
		submit(0, i, STEPS(1) | (i % 2 ? FAIL_STEP : FAIL_BEGIN));
	submit(0, 99, STEPS(1));
	submit(1, 5, STEPS(1) | FAIL_STEP);
	run_all();
	ck_assert_ptr_null(pst_agent_executor_failure(ex, 0, 1));
	ck_assert_ptr_null(pst_agent_executor_failure(ex, 0, 2));
	for (i = 3; i <= PST_AGENT_EXECUTOR_FAILURES + 2; i++)
		ck_assert_str_eq(pst_agent_executor_failure(ex, 0, i),
				 i % 2 ? "it burns" : "no such thing");
	ck_assert_ptr_null(pst_agent_executor_failure(ex, 0, 99));
	ck_assert_str_eq(pst_agent_executor_failure(ex, 1, 5), "it burns");
	ck_assert_ptr_null(pst_agent_executor_failure(ex, 1, 6));
}
END_TEST

START_TEST(a_tag_used_again_has_its_last_sentence)
{
	submit(0, 1, STEPS(1) | FAIL_STEP);
	submit(0, 1, STEPS(1) | FAIL_BEGIN);
	run_all();
	ck_assert_str_eq(pst_agent_executor_failure(ex, 0, 1), "no such thing");
}
END_TEST

START_TEST(draining_ends_what_runs_and_refuses_what_waits)
{
	submit(0, 1, STEPS(3));
	submit(0, 2, STEPS(1));
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	submit(1, 3, STEPS(1));
	submit(1, 4, STEPS(1));
	ck_assert(!pst_agent_executor_drained(ex));
	pst_agent_executor_drain(ex);
	run_all();
	ck_assert(pst_agent_executor_drained(ex));
	expect(0, 1, PST_WIRE_OK);
	expect(0, 2, PST_WIRE_ESHUTDOWN);
	expect(1, 3, PST_WIRE_ESHUTDOWN);
	expect(1, 4, PST_WIRE_ESHUTDOWN);
	submit_nop(2, 5);
	run_all();
	expect(2, 5, PST_WIRE_ESHUTDOWN);
}
END_TEST

START_TEST(a_detached_lane_is_gone_at_once_when_nothing_runs)
{
	submit(0, 1, STEPS(1));
	pst_agent_executor_detach(ex, 0);
	ck_assert_uint_eq(gone[0], 1);
	run_all();
	ck_assert_uint_eq(backend.n_log, 0);
	expect_none(0);
	/* The others go on. */
	submit(2, 2, STEPS(1));
	run_all();
	expect(2, 2, PST_WIRE_OK);
}
END_TEST

START_TEST(a_detached_lane_is_gone_when_the_backend_has_let_go)
{
	submit(0, 1, STEPS(100) | STUBBORN(3));
	submit(0, 2, STEPS(1));
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert(pst_agent_executor_running(ex, 0) != 0);
	pst_agent_executor_detach(ex, 0);
	ck_assert_uint_eq(gone[0], 0);
	pst_agent_executor_detach(ex, 0);
	run_all();
	ck_assert_uint_eq(gone[0], 1);
	ck_assert_uint_eq(pst_agent_executor_running(ex, 0), 0);
	/* Nothing was posted into a lane that may be another's by now. */
	expect_none(0);
	pst_agent_executor_attach(ex, 0, &shared[0], 1);
	pst_lane_client_init(&client[0], &shared[0], &agent_word);
	submit(0, 3, STEPS(1));
	run_all();
	expect(0, 3, PST_WIRE_OK);
}
END_TEST

static struct pst_agent_rates r;

static struct pst_op rated(enum pst_wire_dtype dtype, uint32_t n)
{
	return (struct pst_op){
		.op = PST_WIRE_OP_GEMM,
		.dtype = dtype,
		.m = n,
		.n = n,
		.k = n,
		.batch = 1,
		.alpha = 1,
	};
}

START_TEST(a_rate_is_that_of_its_type_and_follows_the_faster_one)
{
	struct pst_op op = rated(PST_WIRE_F32, 1000);

	r = (struct pst_agent_rates){0};
	pst_agent_rates_add(&r, &op, 20 * PST_NS_PER_MS);
	ck_assert_double_eq_tol(r.of[PST_WIRE_F32].gflops, 100, 1e-9);
	pst_agent_rates_add(&r, &op, 10 * PST_NS_PER_MS);
	ck_assert_double_eq_tol(r.of[PST_WIRE_F32].gflops, 200, 1e-9);
	pst_agent_rates_add(&r, &op, 20 * PST_NS_PER_MS);
	ck_assert_double_eq_tol(r.of[PST_WIRE_F32].gflops, 187.5, 1e-9);
	ck_assert_uint_eq(r.of[PST_WIRE_F32].n, 3);
	ck_assert_uint_eq(r.of[PST_WIRE_F64].n, 0);
}
END_TEST

START_TEST(what_says_nothing_of_the_device_is_not_counted)
{
	struct pst_op op = rated(PST_WIRE_F64, 8);
	int i;

	r = (struct pst_agent_rates){0};
	pst_agent_rates_add(&r, &op, PST_AGENT_RATE_MIN_NS - 1);
	op.alpha = 0;
	pst_agent_rates_add(&r, &op, PST_NS_PER_MS);
	op.op = PST_WIRE_OP_FILL;
	op.alpha = 1;
	pst_agent_rates_add(&r, &op, PST_NS_PER_MS);
	for (i = 0; i < (int)PST_AGENT_RATE_TYPES; i++)
		ck_assert_uint_eq(r.of[i].n, 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_running_operation_can_be_cancelled);
	tcase_add_test(
		tc, a_backend_may_refuse_a_cancel_until_its_device_has_stopped);
	tcase_add_test(tc,
		       a_waiting_operation_can_be_cancelled_without_running);
	tcase_add_test(tc, an_operation_still_in_the_ring_can_be_cancelled);
	tcase_add_test(tc, an_unknown_tag_cannot_be_cancelled);
	tcase_add_test(tc, a_handle_is_looked_up_for_the_session_of_its_lane);
	tcase_add_test(tc, a_running_operation_has_a_number_of_its_own);
	tcase_add_test(tc, what_a_running_operation_uses_is_known);
	tcase_add_test(tc, the_sentences_of_the_last_failures_are_kept);
	tcase_add_test(tc, a_tag_used_again_has_its_last_sentence);
	tcase_add_test(tc, draining_ends_what_runs_and_refuses_what_waits);
	tcase_add_test(tc, a_detached_lane_is_gone_at_once_when_nothing_runs);
	tcase_add_test(tc, a_detached_lane_is_gone_when_the_backend_has_let_go);
	tcase_add_test(tc,
		       a_rate_is_that_of_its_type_and_follows_the_faster_one);
	tcase_add_test(tc, what_says_nothing_of_the_device_is_not_counted);
}

int main(void)
{
	return pst_unit_run("executor_lane", add, 30);
}
