/* SPDX-License-Identifier: MIT */
/* Products of the cuda backend over the double against sums in double
 * precision: every type, order, transpose, scaling and epilogue, each way to
 * the device. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "guest-agent/cuda/context.h"
#include "tests/fakecuda/fixture.h"
#include "tests/fakecuda/number.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

/* Which way the operands lie and go. */
struct way {
	const char *strategy, *registration, *memory;
};
static const struct way ways[] = {
	{"mapped", NULL, NULL},        {"pipelined", NULL, "16M"},
	{"pipelined", "staged", "1M"}, {"auto", "iomemory", NULL},
	{"whole", NULL, NULL},
};

static const struct {
	enum pst_wire_dtype t, tc;
	enum pst_wire_compute compute;
} kinds[] = {
	{PST_WIRE_F32, PST_WIRE_F32, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_F32, PST_WIRE_F32, PST_WIRE_COMPUTE_TF32},
	{PST_WIRE_F32, PST_WIRE_F32, PST_WIRE_COMPUTE_FAST_F16},
	{PST_WIRE_F64, PST_WIRE_F64, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_F16, PST_WIRE_F16, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_F16, PST_WIRE_F32, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_BF16, PST_WIRE_BF16, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_BF16, PST_WIRE_F32, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_I8, PST_WIRE_I32, PST_WIRE_COMPUTE_DEFAULT},
};

static void open_way(const struct way *w, unsigned int delay_us)
{
	struct fakecuda_config c = fakecuda_default();
	struct pst_error err;
	int r;

	c.delay_us = delay_us;
	r = fix_open(&c, w->strategy, w->registration, w->memory, &err);
	ck_assert_msg(r == 0, "%s", err.text);
}

static uint32_t at_least_1(uint32_t v)
{
	return v ? v : 1;
}

/* Sizes and places; ld is pad longer than it has to be. */
static void lay_out(struct pst_op *op, uint32_t pad)
{
	const unsigned int e = pst_dtype_size(op->dtype);
	const unsigned int ec = pst_dtype_size(op->dtype_c);
	const bool cm = op->col_major;
	const uint32_t ar = op->transa ? op->k : op->m;
	const uint32_t ac = op->transa ? op->m : op->k;
	const uint32_t br = op->transb ? op->n : op->k;
	const uint32_t bc = op->transb ? op->k : op->n;

	op->op = op->batch > 1 ? PST_WIRE_OP_GEMM_STRIDED_BATCHED
			       : PST_WIRE_OP_GEMM;
	op->lda = at_least_1(cm ? ar : ac) + pad;
	op->ldb = at_least_1(cm ? br : bc) + pad;
	op->ldc = at_least_1(cm ? op->m : op->n) + pad;
	if (op->batch > 1) {
		op->stride_a = (uint64_t)op->lda * (cm ? ac : ar) + pad;
		op->stride_b = (uint64_t)op->ldb * (cm ? bc : br);
		op->stride_c = (uint64_t)op->ldc * (cm ? op->n : op->m) + pad;
	}
	ck_assert_int_eq(pst_matrix_bytes(cm, ar, ac, op->lda, e, &op->a.size),
			 0);
	ck_assert_int_eq(pst_matrix_bytes(cm, br, bc, op->ldb, e, &op->b.size),
			 0);
	ck_assert_int_eq(
		pst_matrix_bytes(cm, op->m, op->n, op->ldc, ec, &op->c.size),
		0);
	op->a.size += (op->batch - 1) * op->stride_a * e;
	op->b.size += (op->batch - 1) * op->stride_b * e;
	op->c.size += (op->batch - 1) * op->stride_c * ec;
	op->a.off = FIX_A;
	op->b.off = FIX_B;
	op->c.off = FIX_C;
	op->bias = (struct pst_operand){0};
	if (op->has_bias)
		op->bias = (struct pst_operand){.off = FIX_BIAS + ec,
						.size = (uint64_t)op->n * ec};
	fix_fill(FIX_A, op->a.size / e, op->dtype);
	fix_fill(FIX_B, op->b.size / e, op->dtype);
	fix_fill(FIX_C, op->c.size / ec, op->dtype_c);
	fix_fill(FIX_BIAS, op->n + 1, op->dtype_c);
	if (!pst_op_reads_ab(op))
		op->a.size = op->b.size = 0;
}

static void run_checked(const struct pst_op *op)
{
	const uint64_t n = op->c.size / pst_dtype_size(op->dtype_c);
	PST_CLEANUP_FREE double *want = calloc(n + 1, sizeof(*want));
	PST_CLEANUP_FREE double *bound = calloc(n + 1, sizeof(*bound));
	struct pst_error err;
	int r;

	fix_expect(op, want, bound);
	r = fix_run(op, &err);
	ck_assert_msg(r == 0, "%d: %s", r, err.text);
	ck_assert_msg(fakecuda_problems() == 0, "%s", fakecuda_problem());
	fix_compare(op, want, bound);
}

START_TEST(every_type_order_and_transpose_gives_the_sum)
{
	struct pst_op op;
	unsigned int k, v;

	open_way(&ways[_i], 0);
	for (k = 0; k < PST_ARRAY_SIZE(kinds); k++) {
		for (v = 0; v < 16; v++) {
			op = (struct pst_op){
				.dtype = kinds[k].t,
				.dtype_c = kinds[k].tc,
				.compute = kinds[k].compute,
				.col_major = v & 1,
				.transa = v & 2,
				.transb = v & 4,
				.m = 33,
				.n = 20,
				.k = 17,
				.batch = 1,
				.alpha = v & 8 ? 3 : -1,
				.beta = v & 8 ? 2 : 0,
			};
			lay_out(&op, v & 4 ? 3 : 0);
			run_checked(&op);
		}
	}
	fix_close();
}
END_TEST

START_TEST(every_epilogue_is_applied_once)
{
	struct pst_op op;
	unsigned int k, v;

	open_way(&ways[_i], 0);
	for (k = 0; k < PST_ARRAY_SIZE(kinds); k++) {
		for (v = 0; v < 32; v++) {
			op = (struct pst_op){
				.dtype = kinds[k].t,
				.dtype_c = kinds[k].tc,
				.compute = kinds[k].compute,
				.col_major = v & 1,
				.has_bias = v & 2,
				.act = v >> 2 & 3,
				.m = 9,
				.n = 24,
				.k = 8,
				.batch = 1,
				.alpha = 1,
				.beta = v & 16 ? 1 : 0,
			};
			if (op.dtype == PST_WIRE_I8 &&
			    op.act > PST_WIRE_ACT_RELU)
				continue;
			lay_out(&op, 0);
			run_checked(&op);
		}
	}
	fix_close();
}
END_TEST

START_TEST(batches_keep_their_strides_and_padding)
{
	struct pst_op op;
	unsigned int v;

	open_way(&ways[_i], 0);
	for (v = 0; v < 32; v++) {
		op = (struct pst_op){
			.dtype = kinds[v % 9].t,
			.dtype_c = kinds[v % 9].tc,
			.col_major = v & 1,
			.transa = v & 2,
			.transb = v & 4,
			.has_bias = v & 8,
			.m = 12,
			.n = 7,
			.k = 10,
			.batch = 70 + v,
			.alpha = 1,
			.beta = v & 16 ? 1 : 0,
		};
		lay_out(&op, v & 2 ? 1 : 0);
		if (v % 3 == 0) {
			op.b.size -= (op.batch - 1) * op.stride_b *
				     pst_dtype_size(op.dtype);
			op.stride_b = 0;
		}
		run_checked(&op);
	}
	fix_close();
}
END_TEST

/* A GTX Titan X, for which cuBLAS has no products of integers. */
START_TEST(an_old_card_multiplies_integers_by_our_kernel)
{
	const struct pst_agent_gemm_kind kind = {.dtype = PST_WIRE_I8,
						 .dtype_c = PST_WIRE_I32};
	struct fakecuda_config c = fakecuda_default();
	struct pst_op op = {
		.dtype = PST_WIRE_I8,
		.dtype_c = PST_WIRE_I32,
		.m = 40,
		.n = 30,
		.k = 20,
		.batch = 1,
		.alpha = -3,
		.beta = 2,
	};
	struct pst_error err;

	c.major = 5;
	c.minor = 2;
	c.driver = c.runtime = 12080;
	ck_assert_int_eq(fix_open(&c, NULL, NULL, NULL, &err), 0);
	ck_assert(fix_ops->can(fix_backend, &kind, &err));
	lay_out(&op, 0);
	run_checked(&op);
	fix_close();
}
END_TEST

/* Lines of an odd length still go to cuBLAS, since tiles are padded; in place
 * they are our kernel's. */
START_TEST(odd_lines_of_integers_are_cublas_products_in_the_pipeline)
{
	struct pst_op op = {
		.dtype = PST_WIRE_I8,
		.dtype_c = PST_WIRE_I32,
		.m = 101,
		.n = 67,
		.k = 75,
		.batch = 2,
		.alpha = 1,
	};
	unsigned int before;

	open_way(&ways[_i], 0);
	lay_out(&op, 0);
	before = fakecuda_blas_products();
	run_checked(&op);
	ck_assert_uint_eq(fakecuda_blas_products() - before, _i == 1);
	fix_close();
}
END_TEST

START_TEST(what_is_not_needed_is_not_read)
{
	struct pst_op op = fix_product(PST_WIRE_F32, PST_WIRE_F32, 30, 40, 20);
	uint64_t i;

	open_way(&ways[_i], 0);
	/* beta = 0 over NaN. */
	lay_out(&op, 0);
	for (i = 0; i < op.c.size / 4; i++)
		number_set(fix_mem + FIX_C, PST_WIRE_F32, i, NAN);
	run_checked(&op);
	/* alpha = 0, k = 0: NaN in A and B, offsets that are nowhere. */
	op.alpha = 0;
	op.beta = 2;
	lay_out(&op, 0);
	op.a.off = op.b.off = UINT64_MAX;
	run_checked(&op);
	op.alpha = 1;
	op.k = 0;
	op.beta = 0;
	op.has_bias = true;
	op.act = PST_WIRE_ACT_RELU;
	lay_out(&op, 2);
	op.a.off = op.b.off = UINT64_MAX;
	run_checked(&op);
	op.has_bias = false;
	op.m = 0;
	lay_out(&op, 0);
	run_checked(&op);
	fix_close();
}
END_TEST

START_TEST(nan_and_infinity_come_through)
{
	struct pst_op op = fix_product(PST_WIRE_F32, PST_WIRE_F32, 8, 8, 8);
	struct pst_error err;
	float *c;

	open_way(&ways[_i], 0);
	lay_out(&op, 0);
	number_set(fix_mem + FIX_A, PST_WIRE_F32, 0, NAN);
	number_set(fix_mem + FIX_A, PST_WIRE_F32, 8, INFINITY);
	ck_assert_int_eq(fix_run(&op, &err), 0);
	c = (float *)(void *)(fix_mem + FIX_C);
	ck_assert(isnan(c[0]) && isnan(c[7]));
	ck_assert(isinf(c[8]));
	ck_assert(isfinite(c[16]));
	fix_close();
}
END_TEST

/* Larger than what there is for tiles, with k cut and sums in F32. */
START_TEST(a_product_beyond_device_memory_is_the_same)
{
	static const struct way small = {"pipelined", NULL, "256K"};
	struct pst_op op = {
		.dtype = kinds[_i % 9].t,
		.dtype_c = kinds[_i % 9].tc,
		.compute = kinds[_i % 9].compute,
		.col_major = _i & 1,
		.transa = _i & 2,
		.transb = _i & 4,
		.has_bias = true,
		.act = PST_WIRE_ACT_RELU,
		.m = 300,
		.n = 260,
		.k = 340,
		.batch = 1,
		.alpha = 1,
		.beta = _i & 1 ? 1 : 0,
	};

	open_way(&small, _i < 9 ? 100 : 0);
	lay_out(&op, 4);
	run_checked(&op);
	ck_assert_uint_gt(fakecuda_copied_in(), op.a.size / 2);
	fix_close();
}
END_TEST

/* With delays a missing event shows: a product that depends on the one before
 * it, and two lanes that share the pipeline. */
START_TEST(lanes_that_share_the_pipeline_do_not_mix)
{
	struct pst_op op[2];
	PST_CLEANUP_FREE double *want[2] = {NULL, NULL};
	double *bound[2];
	struct pst_backend_op bop[2];
	struct pst_error err;
	int i, r[2] = {0, 0};

	open_way(&ways[1], 200);
	for (i = 0; i < 2; i++) {
		op[i] = fix_product(PST_WIRE_F32, PST_WIRE_F32, 200, 200, 200);
		op[i].beta = 1;
		lay_out(&op[i], 0);
		op[i].c.off += (uint64_t)i << 20;
		fix_fill(op[i].c.off, 40000, PST_WIRE_F32);
	}
	for (i = 0; i < 2; i++) {
		want[i] = calloc(40000, sizeof(double));
		bound[i] = calloc(40000, sizeof(double));
		fix_expect(&op[i], want[i], bound[i]);
	}
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(fix_begin(&bop[i], (uint32_t)i, &op[i], &err),
				 0);
	while (r[0] != PST_AGENT_STEP_DONE || r[1] != PST_AGENT_STEP_DONE) {
		for (i = 0; i < 2; i++) {
			if (r[i] == PST_AGENT_STEP_DONE)
				continue;
			r[i] = fix_ops->step(fix_backend, &bop[i], &err);
			ck_assert_int_ge(r[i], 0);
		}
	}
	for (i = 0; i < 2; i++) {
		fix_compare(&op[i], want[i], bound[i]);
		free(bound[i]);
	}
	free(want[1]);
	want[1] = NULL;
	fix_close();
}
END_TEST

/* The long one gives the pipeline away between two of its tiles, and is right
 * all the same. */
START_TEST(a_long_product_lets_a_short_one_through)
{
	static const struct way small = {"pipelined", NULL, "256K"};
	struct pst_op op[2] = {{0}};
	double *want[2], *bound[2];
	struct pst_backend_op bop[2];
	struct pst_error err;
	int i, r[2] = {0, 0};

	open_way(&small, 2000);
	for (i = 0; i < 2; i++) {
		op[i] = fix_product(PST_WIRE_F32, PST_WIRE_F32, i ? 20 : 400,
				    i ? 20 : 400, i ? 20 : 300);
		op[i].beta = 1;
		lay_out(&op[i], 0);
		op[i].c.off += (uint64_t)i << 21;
		fix_fill(op[i].c.off, op[i].c.size / 4, PST_WIRE_F32);
	}
	for (i = 0; i < 2; i++) {
		want[i] = calloc(op[i].c.size / 4, sizeof(double));
		bound[i] = calloc(op[i].c.size / 4, sizeof(double));
		fix_expect(&op[i], want[i], bound[i]);
		ck_assert_int_eq(fix_begin(&bop[i], (uint32_t)i, &op[i], &err),
				 0);
	}
	while (r[0] != PST_AGENT_STEP_DONE) {
		for (i = 0; i < 2; i++) {
			if (r[i] != PST_AGENT_STEP_DONE)
				r[i] = fix_ops->step(fix_backend, &bop[i],
						     &err);
			ck_assert_int_ge(r[i], 0);
		}
	}
	ck_assert_int_eq(r[1], PST_AGENT_STEP_DONE);
	for (i = 0; i < 2; i++) {
		fix_compare(&op[i], want[i], bound[i]);
		free(want[i]);
		free(bound[i]);
	}
	fix_close();
}
END_TEST

START_TEST(a_cancelled_product_ends_when_the_device_is_idle)
{
	struct pst_op op =
		fix_product(PST_WIRE_F32, PST_WIRE_F32, 200, 200, 200);
	struct pst_backend_op bop;
	struct pst_error err;
	uint64_t end;
	int n;

	open_way(&ways[_i], 0);
	lay_out(&op, 0);
	ck_assert_int_eq(fix_begin(&bop, 0, &op, &err), 0);
	fakecuda_hang(true);
	ck_assert_int_eq(fix_ops->step(fix_backend, &bop, &err),
			 PST_AGENT_STEP_WAIT);
	for (n = 0; n < 100; n++)
		ck_assert_int_eq(fix_ops->cancel(fix_backend, &bop), 0);
	fakecuda_hang(false);
	end = pst_now_ns() + 20 * PST_NS_PER_S;
	while (!fix_ops->cancel(fix_backend, &bop))
		ck_assert_uint_lt(pst_now_ns(), end);
	/* The lane and the pipe are free again. */
	run_checked(&op);
	fix_close();
}
END_TEST

static void *go_on(void *arg)
{
	(void)arg;
	nanosleep(&(struct timespec){.tv_nsec = 50 * (long)PST_NS_PER_MS},
		  NULL);
	fakecuda_hang(false);
	return NULL;
}

START_TEST(closing_waits_for_what_ends_soon)
{
	struct pst_op op = fix_product(PST_WIRE_F32, PST_WIRE_F32, 50, 50, 50);
	struct pst_backend_op bop;
	struct pst_error err;
	pthread_t thread;

	open_way(&ways[0], 0);
	lay_out(&op, 0);
	ck_assert_int_eq(fix_begin(&bop, 0, &op, &err), 0);
	fakecuda_hang(true);
	ck_assert_int_eq(fix_ops->step(fix_backend, &bop, &err),
			 PST_AGENT_STEP_WAIT);
	ck_assert_int_eq(pthread_create(&thread, NULL, go_on, NULL), 0);
	fix_close();
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(closing_does_not_wait_for_a_device_that_hangs)
{
	static struct pst_backend *left;
	struct pst_op op = fix_product(PST_WIRE_F32, PST_WIRE_F32, 50, 50, 50);
	struct pst_backend_op bop;
	struct pst_error err;
	uint64_t start;

	open_way(&ways[0], 0);
	lay_out(&op, 0);
	ck_assert_int_eq(fix_begin(&bop, 0, &op, &err), 0);
	fakecuda_hang(true);
	ck_assert_int_eq(fix_ops->step(fix_backend, &bop, &err),
			 PST_AGENT_STEP_WAIT);
	start = pst_now_ns();
	left = fix_backend;
	fix_ops->close(fix_backend);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	ck_assert_ptr_nonnull(left);
	ck_assert_uint_gt(fakecuda_leaks(), 0);
	fix_unmap();
}
END_TEST

/* Its first tile comes in by parts along k, of odd sizes too. */
START_TEST(a_long_sum_begins_before_its_operands_are_there)
{
	struct pst_op op;
	unsigned int k;

	open_way(&ways[1], 20);
	for (k = 0; k < PST_CUDA_N_RATES; k++)
		fix_backend->calibration.flops[k] = 1e15;
	for (k = 0; k < PST_ARRAY_SIZE(kinds); k++) {
		if (kinds[k].compute || kinds[k].t == PST_WIRE_BF16)
			continue;
		op = (struct pst_op){
			.dtype = kinds[k].t,
			.dtype_c = kinds[k].tc,
			.col_major = true,
			.transa = _i & 1,
			.transb = _i & 2,
			.m = 5,
			.n = 513,
			.k = 1031,
			.batch = 1,
			.alpha = 2,
			.beta = 3,
		};
		lay_out(&op, _i & 1);
		run_checked(&op);
		ck_assert_uint_gt(fix_backend->lanes[0]->job[0].gemm.tiles.head,
				  1);
	}
	fix_close();
}
END_TEST

static void add_tests(TCase *tc)
{
	const int n = PST_ARRAY_SIZE(ways);

	tcase_add_loop_test(tc, every_type_order_and_transpose_gives_the_sum, 0,
			    n);
	tcase_add_loop_test(tc, every_epilogue_is_applied_once, 0, n);
	tcase_add_loop_test(tc, batches_keep_their_strides_and_padding, 0, n);
	tcase_add_test(tc, an_old_card_multiplies_integers_by_our_kernel);
	tcase_add_loop_test(
		tc, odd_lines_of_integers_are_cublas_products_in_the_pipeline,
		0, 2);
	tcase_add_loop_test(tc, what_is_not_needed_is_not_read, 0, n);
	tcase_add_loop_test(tc, nan_and_infinity_come_through, 0, n);
	tcase_add_loop_test(tc, a_product_beyond_device_memory_is_the_same, 0,
			    12);
	tcase_add_loop_test(tc, a_long_sum_begins_before_its_operands_are_there,
			    0, 4);
	tcase_add_test(tc, lanes_that_share_the_pipeline_do_not_mix);
	tcase_add_test(tc, a_long_product_lets_a_short_one_through);
	tcase_add_loop_test(
		tc, a_cancelled_product_ends_when_the_device_is_idle, 0, 2);
	tcase_add_test(tc, closing_waits_for_what_ends_soon);
	tcase_add_test(tc, closing_does_not_wait_for_a_device_that_hangs);
}

int main(void)
{
	return pst_unit_run("cuda products", add_tests, 120);
}
