/* SPDX-License-Identifier: MIT */
/* Times, results and bytes of operations, counted by kind. */
#include "guest-agent/exec/meters.h"
#include "tests/fixtures/executor_fixture.h"
#include "transport/run.h"

START_TEST(a_bucket_ends_at_a_power_of_two_and_holds_its_end)
{
	unsigned int i;

	ck_assert_uint_eq(pst_agent_meter_bucket(0), 0);
	ck_assert_uint_eq(pst_agent_meter_bucket(1), 0);
	for (i = 0; i < PST_AGENT_METER_BUCKETS - 1; i++) {
		uint64_t end = 1ULL << (i + PST_AGENT_METER_FIRST_BITS);

		ck_assert_uint_eq(pst_agent_meter_bucket(end - 1), i);
		ck_assert_uint_eq(pst_agent_meter_bucket(end), i);
		ck_assert_uint_eq(pst_agent_meter_bucket(end + 1), i + 1);
	}
	ck_assert_uint_eq(pst_agent_meter_bucket(UINT64_MAX),
			  PST_AGENT_METER_BUCKETS - 1);
}
END_TEST

static uint64_t total(const struct pst_agent_times *t)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < PST_AGENT_METER_BUCKETS; i++)
		n += t->n[i];
	return n;
}

START_TEST(each_completion_counts_by_its_kind_and_result)
{
	const struct pst_agent_meters *m = pst_agent_executor_meters(ex);
	const struct pst_agent_meter *fill = &m->of[PST_WIRE_OP_FILL];
	const struct pst_agent_meter *nop = &m->of[PST_WIRE_OP_NOP];
	const struct pst_wire_sqe unknown = {.tag = 5, .op = 200};

	submit(0, 1, STEPS(2));
	submit_nop(0, 2);
	submit(0, 3, FAIL_STEP);
	submit(0, 4, FAIL_BEGIN);
	submit_sqe(0, &unknown);
	run_all();
	ck_assert_uint_eq(fill->results[PST_WIRE_OK], 1);
	ck_assert_uint_eq(fill->results[PST_WIRE_EIO], 1);
	ck_assert_uint_eq(fill->results[PST_WIRE_ENOTSUP], 1);
	ck_assert_uint_eq(fill->compute.sum_ns, 3 * STEP_NS);
	ck_assert_uint_eq(total(&fill->compute), 3);
	ck_assert_uint_eq(total(&fill->queue), 3);
	ck_assert_uint_eq(fill->compute.n[pst_agent_meter_bucket(2 * STEP_NS)],
			  1);
	/* Of the one that ended well. */
	ck_assert_uint_eq(fill->bytes_written, 4096);
	ck_assert_uint_eq(fill->bytes_read, 0);
	ck_assert_uint_eq(nop->results[PST_WIRE_OK], 1);
	ck_assert_uint_eq(total(&nop->queue), 1);
	ck_assert_uint_eq(total(&nop->compute), 0);
	ck_assert_uint_eq(m->of[0].results[PST_WIRE_ENOTSUP], 1);
}
END_TEST

START_TEST(what_waits_and_what_runs_is_counted_apart)
{
	uint64_t running;

	submit(0, 1, STEPS(3));
	submit(0, 2, STEPS(1));
	submit(1, 3, STEPS(1));
	ck_assert_int_eq(pst_agent_executor_run(ex), 1);
	ck_assert_uint_eq(pst_agent_executor_taken(ex, &running), 3);
	ck_assert_uint_eq(running, 1);
	run_all();
	ck_assert_uint_eq(pst_agent_executor_taken(ex, &running), 0);
	ck_assert_uint_eq(running, 0);
}
END_TEST

/* 3 x 5 by 5 x 7 in f16 with sums in f32. */
static const struct pst_op product = {
	.op = PST_WIRE_OP_GEMM,
	.dtype = PST_WIRE_F16,
	.dtype_c = PST_WIRE_F32,
	.m = 3,
	.n = 7,
	.k = 5,
	.batch = 1,
	.a = {.size = 1000},
	.b = {.size = 1000},
	.c = {.size = 1000},
};

static void expect_moved(const struct pst_op *op, uint64_t read,
			 uint64_t written)
{
	struct pst_agent_meters m = {0};

	pst_agent_meters_moved(&m, PST_WIRE_OP_GEMM, op);
	ck_assert_uint_eq(m.of[PST_WIRE_OP_GEMM].bytes_read, read);
	ck_assert_uint_eq(m.of[PST_WIRE_OP_GEMM].bytes_written, written);
}

START_TEST(a_product_moves_its_elements_and_not_what_lies_between_rows)
{
	struct pst_op op = product;

	expect_moved(&op, 2 * (3 * 5 + 5 * 7), 4 * 3 * 7);
	op.beta = 1;
	expect_moved(&op, 2 * (3 * 5 + 5 * 7) + 4 * 3 * 7, 4 * 3 * 7);
	op.beta = 0;
	op.has_bias = true;
	op.bias.size = 28;
	expect_moved(&op, 2 * (3 * 5 + 5 * 7) + 28, 4 * 3 * 7);
}
END_TEST

START_TEST(a_tensor_and_what_is_not_read_move_nothing)
{
	struct pst_op op = product;

	op.b.mem = tensor_mem;
	expect_moved(&op, 2 * 3 * 5, 4 * 3 * 7);
	op.a.size = op.b.size = 0;
	expect_moved(&op, 0, 4 * 3 * 7);
}
END_TEST

START_TEST(a_batch_moves_an_operand_that_all_share_once)
{
	struct pst_op op = product;

	op.op = PST_WIRE_OP_GEMM_STRIDED_BATCHED;
	op.batch = 10;
	op.stride_a = op.stride_c = 50;
	expect_moved(&op, 2 * (10 * 3 * 5 + 5 * 7), 10 * 4 * 3 * 7);
}
END_TEST

START_TEST(copies_rows_and_named_tensors_move_what_lies_in_the_region)
{
	struct pst_run run = {.n_in = 2, .n_out = 1};
	struct pst_op op = {.op = PST_WIRE_OP_COPY,
			    .a = {.size = 100},
			    .c = {.size = 100, .mem = tensor_mem}};

	expect_moved(&op, 100, 0);
	op.c.mem = NULL;
	op.a.mem = tensor_mem;
	expect_moved(&op, 0, 100);
	op = (struct pst_op){.op = PST_WIRE_OP_INFER, .m = 2, .k = 10, .n = 3};
	expect_moved(&op, 80, 24);
	op = (struct pst_op){.op = PST_WIRE_OP_CHECKSUM, .a = {.size = 9}};
	expect_moved(&op, 9, 0);
	run.io[0].span.size = 64;
	run.io[1].span.size = 16;
	run.io[2].bytes = 5;
	op = (struct pst_op){.op = PST_WIRE_OP_RUN, .run = &run};
	expect_moved(&op, 80, 5);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_bucket_ends_at_a_power_of_two_and_holds_its_end);
	tcase_add_test(tc, each_completion_counts_by_its_kind_and_result);
	tcase_add_test(tc, what_waits_and_what_runs_is_counted_apart);
	tcase_add_test(
		tc,
		a_product_moves_its_elements_and_not_what_lies_between_rows);
	tcase_add_test(tc, a_tensor_and_what_is_not_read_move_nothing);
	tcase_add_test(tc, a_batch_moves_an_operand_that_all_share_once);
	tcase_add_test(
		tc, copies_rows_and_named_tensors_move_what_lies_in_the_region);
}

int main(void)
{
	return pst_unit_run("meters", add, 30);
}
