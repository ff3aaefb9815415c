/* SPDX-License-Identifier: MIT */
/* Products that a backend takes while the one before is on its device. */
#include "tests/fixtures/executor_fixture.h"

/* Steps of an operation. */
#define LASTS 10U

/* Operations begun and not over; the most there were. */
static unsigned int at_once, most;
static unsigned int refuse; /* begin of such many that follow */

static int ahead_begin(struct pst_backend *b, struct pst_backend_op *bop,
		       struct pst_error *error)
{
	if (at_once && refuse) {
		refuse--;
		return -EAGAIN;
	}
	if (++at_once > most)
		most = at_once;
	return 0;
}

static int ahead_step(struct pst_backend *b, struct pst_backend_op *bop,
		      struct pst_error *error)
{
	b->log[b->n_log++] = bop->op.tag;
	if (++bop->cursor[0] < LASTS)
		return PST_AGENT_STEP_WAIT;
	at_once--;
	return bop->op.alpha == 5 ? pst_error_set(error, -EIO, "it burns")
				  : PST_AGENT_STEP_DONE;
}

static int ahead_cancel(struct pst_backend *b, struct pst_backend_op *bop)
{
	b->cancels++;
	if (++bop->cursor[1] < 2)
		return 0;
	at_once--;
	return 1;
}

static struct pst_backend_ops ahead_ops;

static void setup_ahead(void)
{
	setup();
	pst_agent_executor_free(ex);
	ahead_ops = fake_ops;
	ahead_ops.ahead = PST_BACKEND_MAX_AHEAD;
	ahead_ops.begin = ahead_begin;
	ahead_ops.step = ahead_step;
	ahead_ops.cancel = ahead_cancel;
	at_once = most = refuse = 0;
	memset(shared, 0, sizeof(shared));
	ck_assert_int_eq(pst_agent_executor_new(
				 &(struct pst_agent_executor_config){
					 .tensor = find_tensor,
					 .ops = &ahead_ops,
					 .backend = &backend,
					 .extents = extents,
					 .limits = {.max_dim = 1000,
						    .max_elems = 1000000,
						    .max_batch = 1},
					 .hooks = {on_wake, on_broken, on_gone},
					 .clock = fake_clock,
				 },
				 &ex),
			 0);
	for (uint32_t i = 0; i < N_LANES; i++) {
		pst_agent_executor_attach(ex, i, &shared[i], i + 1);
		pst_lane_client_init(&client[i], &shared[i], &agent_word);
	}
}

static uint64_t bits(double x)
{
	uint64_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}

/* alpha 5 fails at its end. */
static void multiply(uint32_t lane, uint64_t tag, double alpha, uint32_t k)
{
	const struct pst_wire_sqe sqe = {
		.tag = tag,
		.op = PST_WIRE_OP_GEMM,
		.dtype = PST_WIRE_F64,
		.dtype_c = PST_WIRE_F64,
		.m = 2,
		.n = 2,
		.k = k,
		.lda = k,
		.ldb = 2,
		.ldc = 2,
		.batch = 1,
		.off_a = unit_off(lane),
		.off_b = unit_off(lane) + 4096,
		.off_c = unit_off(lane) + 8192,
		.alpha = bits(alpha),
	};

	submit_sqe(lane, &sqe);
}

START_TEST(products_are_taken_ahead_and_end_in_order)
{
	uint64_t i;

	for (i = 1; i <= 20; i++)
		multiply(0, i, 1, (uint32_t)i);
	run_all();
	for (i = 0; i < 20 * LASTS; i++)
		pst_agent_executor_run(ex);
	ck_assert_uint_eq(most, 1 + PST_BACKEND_MAX_AHEAD);
	for (i = 1; i <= 20; i++)
		expect(0, i, PST_WIRE_OK);
	/* Only the first is stepped. */
	for (i = 0; i < 20 * LASTS; i++)
		ck_assert_uint_eq(backend.log[i], 1 + i / LASTS);
}
END_TEST

/* A NOP, what fails its check, no product, what the backend leaves. */
START_TEST(what_cannot_follow_waits_for_its_turn)
{
	unsigned int i;

	multiply(0, 1, 1, 2);
	switch (_i) {
	case 0:
		submit_nop(0, 2);
		break;
	case 1:
		multiply(0, 2, 1, 0xffffffff);
		break;
	case 2:
		submit(0, 2, STEPS(1));
		break;
	default:
		refuse = 1;
		multiply(0, 2, 1, 3);
	}
	multiply(0, 3, 5, 2);
	multiply(0, 4, 1, 2);
	for (i = 0; i < 2; i++)
		pst_agent_executor_run(ex);
	ck_assert_uint_eq(at_once, 1);
	expect_none(0);
	for (i = 0; i < 100; i++)
		pst_agent_executor_run(ex);
	expect(0, 1, PST_WIRE_OK);
	expect(0, 2, _i == 1 ? PST_WIRE_ELIMIT : PST_WIRE_OK);
	expect(0, 3, PST_WIRE_EIO);
	expect(0, 4, PST_WIRE_OK);
}
END_TEST

START_TEST(one_of_those_that_follow_can_be_cancelled)
{
	int i;

	for (i = 1; i <= 4; i++)
		multiply(0, (uint64_t)i, 1, 2);
	for (i = 0; i < 5 && at_once < 4; i++)
		pst_agent_executor_run(ex);
	ck_assert_uint_eq(at_once, 4);
	ck_assert_int_eq(pst_agent_executor_cancel(ex, 0, 3), 0);
	ck_assert_uint_eq(backend.cancels, 0);
	for (i = 0; i < 100; i++)
		pst_agent_executor_run(ex);
	expect(0, 1, PST_WIRE_OK);
	expect(0, 2, PST_WIRE_OK);
	expect(0, 3, PST_WIRE_ECANCELED);
	expect(0, 4, PST_WIRE_OK);
	ck_assert_uint_eq(backend.cancels, 2);
	ck_assert_uint_eq(at_once, 0);
}
END_TEST

/* Also of the first, while others follow. */
START_TEST(the_first_can_be_cancelled)
{
	int i;

	for (i = 1; i <= 2; i++)
		multiply(0, (uint64_t)i, 1, 2);
	for (i = 0; i < 5 && at_once < 2; i++)
		pst_agent_executor_run(ex);
	ck_assert_int_eq(pst_agent_executor_cancel(ex, 0, 1), 0);
	for (i = 0; i < 100; i++)
		pst_agent_executor_run(ex);
	expect(0, 1, PST_WIRE_ECANCELED);
	expect(0, 2, PST_WIRE_OK);
}
END_TEST

START_TEST(a_lane_is_gone_when_all_are_given_up)
{
	int i;

	for (i = 1; i <= 3; i++)
		multiply(0, (uint64_t)i, 1, 2);
	for (i = 0; i < 4 && at_once < 3; i++)
		pst_agent_executor_run(ex);
	ck_assert_uint_eq(at_once, 3);
	ck_assert_uint_eq(pst_agent_executor_running(ex, 0), 1);
	pst_agent_executor_detach(ex, 0);
	ck_assert_uint_eq(gone[0], 0);
	ck_assert_uint_ne(pst_agent_executor_running(ex, 0), 0);
	for (i = 0; i < 10; i++)
		pst_agent_executor_run(ex);
	ck_assert_uint_eq(gone[0], 1);
	ck_assert_uint_eq(at_once, 0);
	expect_none(0);
}
END_TEST

static void leave(void)
{
	when_woken = NULL;
	pst_agent_executor_detach(ex, 0);
}

/* Its completion wakes a client that leaves at once. */
START_TEST(a_client_may_leave_between_two)
{
	int i;

	for (i = 1; i <= 3; i++)
		multiply(0, (uint64_t)i, 1, 2);
	for (i = 0; i < 4 && at_once < 3; i++)
		pst_agent_executor_run(ex);
	pst_lane_client_arm(&client[0]);
	when_woken = leave;
	for (i = 0; i < 100; i++)
		pst_agent_executor_run(ex);
	ck_assert_ptr_null(when_woken);
	ck_assert_uint_eq(gone[0], 1);
	ck_assert_uint_eq(at_once, 0);
}
END_TEST

START_TEST(those_that_began_end_when_the_agent_drains)
{
	int i;

	for (i = 1; i <= 6; i++)
		multiply(0, (uint64_t)i, 1, 2);
	for (i = 0; i < 4 && at_once < 3; i++)
		pst_agent_executor_run(ex);
	pst_agent_executor_drain(ex);
	ck_assert_uint_eq(at_once, 3);
	for (i = 0; i < 100; i++)
		pst_agent_executor_run(ex);
	ck_assert(pst_agent_executor_drained(ex));
	for (i = 1; i <= 6; i++)
		expect(0, (uint64_t)i,
		       i <= 3 ? PST_WIRE_OK : PST_WIRE_ESHUTDOWN);
}
END_TEST

/* Its memory is in use although it is not the first. */
START_TEST(what_follows_uses_its_tensors)
{
	struct pst_wire_sqe sqe = {
		.tag = 2,
		.op = PST_WIRE_OP_GEMM,
		.flags = PST_WIRE_B_TENSOR,
		.dtype = PST_WIRE_F64,
		.dtype_c = PST_WIRE_F64,
		.m = 2,
		.n = 2,
		.k = 2,
		.lda = 2,
		.ldb = 2,
		.ldc = 2,
		.batch = 1,
		.off_a = unit_off(0),
		.off_b = 7,
		.off_c = unit_off(0) + 8192,
		.alpha = bits(1),
	};
	int i;

	multiply(0, 1, 1, 2);
	submit_sqe(0, &sqe);
	for (i = 0; i < 4 && at_once < 2; i++)
		pst_agent_executor_run(ex);
	ck_assert_uint_eq(at_once, 2);
	ck_assert(pst_agent_executor_uses(ex, &tensor_mem[0]));
	ck_assert(!pst_agent_executor_uses(ex, &tensor_mem[1]));
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup_ahead, teardown);
	tcase_add_test(tc, products_are_taken_ahead_and_end_in_order);
	tcase_add_loop_test(tc, what_cannot_follow_waits_for_its_turn, 0, 4);
	tcase_add_test(tc, one_of_those_that_follow_can_be_cancelled);
	tcase_add_test(tc, the_first_can_be_cancelled);
	tcase_add_test(tc, a_lane_is_gone_when_all_are_given_up);
	tcase_add_test(tc, a_client_may_leave_between_two);
	tcase_add_test(tc, those_that_began_end_when_the_agent_drains);
	tcase_add_test(tc, what_follows_uses_its_tensors);
}

int main(void)
{
	return pst_unit_run("products ahead", add_tests, 60);
}
