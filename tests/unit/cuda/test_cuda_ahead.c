/* SPDX-License-Identifier: MIT */
/* Operations of one lane that the cuda backend takes before the first is done.
 */
#include <errno.h>
#include <string.h>

#include "guest-agent/cuda/context.h"
#include "tests/fakecuda/fixture.h"
#include "tests/fakecuda/number.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define OFF  (4ULL << 20)
#define N    20U
#define MANY 40U

static struct pst_error err;

/* X[i] of N x N; products go from one to the next. */
static struct pst_operand matrix(unsigned int i)
{
	return (struct pst_operand){.off = OFF + i * (1ULL << 16),
				    .size = (uint64_t)N * N * sizeof(float)};
}

static struct pst_op product(unsigned int a, unsigned int b, unsigned int c)
{
	return (struct pst_op){
		.op = PST_WIRE_OP_GEMM,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.m = N,
		.n = N,
		.k = N,
		.lda = N,
		.ldb = N,
		.ldc = N,
		.batch = 1,
		.alpha = 1,
		.a = matrix(a),
		.b = matrix(b),
		.c = matrix(c),
	};
}

static void fill(unsigned int i)
{
	unsigned int j;

	for (j = 0; j < N * N; j++)
		number_set(fix_mem + matrix(i).off, PST_WIRE_F32, j,
			   fix_noise());
}

/* A chain of products, at most `at_once` in the backend; the double's time. */
static uint64_t run_chain(unsigned int at_once)
{
	const uint64_t start = fakecuda_now();
	struct pst_backend_op bop[PST_CUDA_JOBS];
	unsigned int begun = 0, done = 0;
	struct pst_op op;
	int r;

	while (done < MANY) {
		while (begun < MANY && begun < done + at_once) {
			op = product(begun, MANY + 1, begun + 1);
			r = fix_begin(&bop[begun % PST_CUDA_JOBS], 0, &op,
				      &err);
			ck_assert_msg(r == 0, "%d: %s", r, err.text);
			begun++;
			if (begun == done + 1)
				ck_assert_int_eq(
					fix_ops->step(
						fix_backend,
						&bop[done % PST_CUDA_JOBS],
						&err),
					PST_AGENT_STEP_WAIT);
		}
		r = fix_ops->step(fix_backend, &bop[done % PST_CUDA_JOBS],
				  &err);
		ck_assert_int_ge(r, 0);
		done += r == PST_AGENT_STEP_DONE;
	}
	return fakecuda_now() - start;
}

/* Each reads what the one before has written. */
START_TEST(what_follows_sees_the_result_of_the_one_before)
{
	struct fakecuda_config c = fakecuda_default();
	double want[N * N], bound[N * N];
	struct pst_op op;
	unsigned int i;

	c.delay_us = 200;
	ck_assert_int_eq(fix_open(&c, "mapped", NULL, NULL, &err), 0);
	fill(0);
	fill(MANY + 1);
	run_chain(PST_CUDA_JOBS);
	for (i = 0; i < MANY; i++) {
		op = product(i, MANY + 1, i + 1);
		fix_expect(&op, want, bound);
		fix_compare(&op, want, bound);
	}
	fix_close();
}
END_TEST

/* An H200 as the data sheet has it; times of the host as measured by others. */
static const struct fakecuda_card card = {
	.h2d = 53e9,
	.d2h = 53e9,
	.device = 4e12,
	.flops = 50e12,
	.call_ns = 1000,
	.query_ns = 500,
	.kernel_ns = 5000,
	.copy_ns = 2000,
	.dry = true,
};

START_TEST(the_device_goes_on_without_being_asked)
{
	struct fakecuda_config c = fakecuda_default();
	uint64_t alone, ahead;

	c.card = &card;
	ck_assert_int_eq(fix_open(&c, "mapped", NULL, NULL, &err), 0);
	run_chain(1);
	alone = run_chain(1);
	ahead = run_chain(PST_CUDA_JOBS);
	/* The kernels themselves, and little beside them. */
	ck_assert_uint_lt(ahead, MANY * (card.kernel_ns + 500) + 10000);
	ck_assert_uint_ge(alone, MANY * (card.kernel_ns + 1500));
	fix_close();
}
END_TEST

/* What is not on the lane's stream, and what the CPU does. */
START_TEST(what_no_stream_orders_has_to_wait)
{
	const struct fakecuda_config c = fakecuda_default();
	struct pst_op first = product(0, 1, 2), next = product(0, 1, 3);
	struct pst_backend_op bop[2];

	ck_assert_int_eq(fix_open(&c, _i == 0 ? "pipelined" : "mapped", NULL,
				  NULL, &err),
			 0);
	if (_i == 1)
		next = (struct pst_op){.op = PST_WIRE_OP_FILL,
				       .pattern_size = 4,
				       .a = matrix(3)};
	ck_assert_int_eq(fix_begin(&bop[0], 0, &first, &err), 0);
	ck_assert_int_ge(fix_ops->step(fix_backend, &bop[0], &err), 0);
	ck_assert_int_eq(fix_begin(&bop[1], 0, &next, &err), -EAGAIN);
	ck_assert_int_eq(fix_finish(&bop[0], &err), 0);
	ck_assert_int_eq(fix_begin(&bop[1], 0, &next, &err), 0);
	ck_assert_int_eq(fix_finish(&bop[1], &err), 0);
	fix_close();
}
END_TEST

START_TEST(no_more_than_so_many_are_taken)
{
	const struct fakecuda_config c = fakecuda_default();
	struct pst_backend_op bop[PST_CUDA_JOBS + 1];
	struct pst_op op = product(0, 1, 2);
	unsigned int i;

	ck_assert_int_eq(fix_open(&c, "mapped", NULL, NULL, &err), 0);
	fakecuda_hang(true);
	for (i = 0; i < PST_CUDA_JOBS; i++) {
		ck_assert_int_eq(fix_begin(&bop[i], 0, &op, &err), 0);
		if (i == 0)
			ck_assert_int_eq(
				fix_ops->step(fix_backend, &bop[0], &err),
				PST_AGENT_STEP_WAIT);
	}
	ck_assert_int_eq(fix_begin(&bop[i], 0, &op, &err), -EAGAIN);
	/* Given up, all of them. */
	ck_assert_int_eq(fix_ops->cancel(fix_backend, &bop[0]), 0);
	fakecuda_hang(false);
	for (i = 0; i < PST_CUDA_JOBS; i++)
		while (!fix_ops->cancel(fix_backend, &bop[i]))
			;
	ck_assert_int_eq(fix_run(&op, &err), 0);
	fix_close();
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, what_follows_sees_the_result_of_the_one_before);
	tcase_add_test(tc, the_device_goes_on_without_being_asked);
	tcase_add_loop_test(tc, what_no_stream_orders_has_to_wait, 0, 2);
	tcase_add_test(tc, no_more_than_so_many_are_taken);
}

int main(void)
{
	return pst_unit_run("cuda ahead", add_tests, 60);
}
