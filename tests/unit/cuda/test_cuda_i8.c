/* SPDX-License-Identifier: MIT */
/* Products of i8 on the cuda backend over the double: exact modulo 2^32 for all
 * sizes, on cards with such products and without, whatever fails on the way. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/cuda/context.h"
#include "guest-agent/cuda/product_int.h"
#include "tests/fakecuda/fixture.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define MOST (1U << 18)

static struct pst_error err;
static double want[MOST];

static void open_card(bool has_i8, const char *strategy, const char *memory)
{
	struct fakecuda_config c = fakecuda_default();

	c.refuse_i8 = !has_i8;
	c.i8_fours = true;
	c.major = 8; /* smaller workspaces, which the double fills */
	ck_assert_msg(fix_open(&c, strategy, NULL, memory, &err) == 0, "%s",
		      err.text);
}

/* Row-major; leading dimensions longer by pad than they have to be. */
static struct pst_op product(uint32_t m, uint32_t n, uint32_t k, uint32_t pad,
			     unsigned int trans, uint32_t batch)
{
	struct pst_op op = fix_product(PST_WIRE_I8, PST_WIRE_I32, m, n, k);
	const uint32_t rows_a = trans & 1 ? k : m, rows_b = trans & 2 ? n : k;

	op.transa = trans & 1;
	op.transb = trans & 2;
	op.lda = (trans & 1 ? m : k) + pad;
	op.ldb = (trans & 2 ? k : n) + pad;
	op.ldc = n + pad;
	op.batch = batch;
	if (batch > 1) {
		op.op = PST_WIRE_OP_GEMM_STRIDED_BATCHED;
		op.stride_a = (uint64_t)op.lda * rows_a + pad;
		op.stride_b = (uint64_t)op.ldb * rows_b;
		op.stride_c = (uint64_t)op.ldc * m;
	}
	op.a.size = (uint64_t)op.lda * rows_a + (batch - 1) * op.stride_a;
	op.b.size = (uint64_t)op.ldb * rows_b + (batch - 1) * op.stride_b;
	op.c.size = 4 * ((uint64_t)op.ldc * m + (batch - 1) * op.stride_c);
	ck_assert_uint_le(op.c.size, 4 * MOST);
	op.alpha = -3;
	op.beta = 3;
	fix_fill(FIX_A, op.a.size, PST_WIRE_I8);
	fix_fill(FIX_B, op.b.size, PST_WIRE_I8);
	fix_fill(FIX_C, op.c.size / 4, PST_WIRE_I32);
	return op;
}

static void add_epilogue(struct pst_op *op)
{
	op->act = PST_WIRE_ACT_RELU;
	op->has_bias = true;
	op->bias = (struct pst_operand){.off = FIX_BIAS, .size = 4ULL * op->n};
	fix_fill(FIX_BIAS, op->n, PST_WIRE_I32);
}

static void run_checked(const struct pst_op *op)
{
	int r;

	fix_expect(op, want, NULL);
	r = fix_run(op, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	fix_compare(op, want, NULL);
}

/* Sides, lines and begins that are no multiples of 4; in place, in tiles. */
static void many(void)
{
	static const uint32_t sides[][3] = {{131, 129, 135},
					    {128, 130, 144},
					    {132, 144, 129},
					    {1, 1025, 2100}};
	struct pst_op op;
	unsigned int i, v;

	for (i = 0; i < PST_ARRAY_SIZE(sides); i++) {
		for (v = i % 2; v < 8; v += 2) {
			op = product(sides[i][0], sides[i][1], sides[i][2],
				     v & 4 ? 1 : 0, v & 3, v == 5 ? 3 : 1);
			if (v & 1)
				add_epilogue(&op);
			if (v == 5)
				op.stride_a = 0;
			if (v == 6)
				op.beta = 0;
			run_checked(&op);
		}
	}
}

START_TEST(odd_sides_are_products_of_the_library)
{
	static const char *const ways[] = {"mapped", "pipelined"};
	unsigned int before;

	open_card(_i / 2, ways[_i % 2], NULL);
	ck_assert_int_eq(fix_backend->lacks.i8, !(_i / 2));
	before = fakecuda_blas_products();
	many();
	/* Not our kernel, which is slow; small tiles are faster by it. */
	ck_assert_uint_ge(fakecuda_blas_products() - before, _i % 2 ? 8 : 16);
	fix_close();
}
END_TEST

/* Sums of 2^24 in a part, of more in all, and some that wrap. */
START_TEST(sums_by_f32_are_exact_for_the_largest_values)
{
	static const uint32_t ks[] = {1023, 1024, 1025, 2048, 2500};
	struct pst_op op;
	unsigned int i, j;

	open_card(false, "mapped", NULL);
	for (i = 0; i < PST_ARRAY_SIZE(ks); i++) {
		op = product(66, 65, ks[i], 0, 2, 1);
		op.beta = (double)(i % 2) * INT32_MAX;
		memset(fix_mem + FIX_A, 0x80, op.a.size);
		memset(fix_mem + FIX_B, i % 3 == 2 ? 0x7f : 0x80, op.b.size);
		/* One product of a sum is odd: a 25th bit would show. */
		for (j = 0; j < 66; j++)
			fix_mem[FIX_A + (uint64_t)j * ks[i] + 7] = 0x7f;
		for (j = 0; j < 65; j++)
			fix_mem[FIX_B + (uint64_t)j * ks[i] + 7] = 0x7f;
		run_checked(&op);
	}
	fix_close();
}
END_TEST

/* Room for a few columns at once, and for a few products of a batch. */
START_TEST(columns_come_one_after_another_if_memory_is_short)
{
	struct pst_op op;

	open_card(_i, "mapped", "256K");
	op = product(300, 333, 129, 1, 1, 1);
	add_epilogue(&op);
	run_checked(&op);
	op = product(333, 300, 129, 1, 2, 1);
	run_checked(&op);
	op = product(67, 65, 135, 1, 0, 9);
	add_epilogue(&op);
	run_checked(&op);
	fix_close();
}
END_TEST

static void refuse(cudaDataType_t type, unsigned int after,
		   cublasStatus_t status)
{
	const struct fakecuda_refusal r = {
		.call = FAKECUDA_GEMM,
		.type_is = true,
		.type = type,
		.after = after,
		.status = status,
	};

	fakecuda_refuse(&r);
}

/* After parts of k have been summed, and in whatever words: beta, which would
 * show a second time, is applied once, or C is as it was. */
START_TEST(a_later_part_that_is_refused_takes_nothing_back)
{
	static const cublasStatus_t statuses[] = {
		CUBLAS_STATUS_NOT_SUPPORTED,  CUBLAS_STATUS_INVALID_VALUE,
		CUBLAS_STATUS_ARCH_MISMATCH,  CUBLAS_STATUS_ALLOC_FAILED,
		CUBLAS_STATUS_INTERNAL_ERROR, CUBLAS_STATUS_EXECUTION_FAILED,
	};
	struct pst_op op;
	unsigned int i, after;
	int r;

	/* Refused at start, or only for this. */
	open_card(_i, "mapped", NULL);
	for (i = 0; i < PST_ARRAY_SIZE(statuses); i++) {
		for (after = 0; after < 4; after++) {
			fakecuda_refuse(NULL);
			refuse(CUDA_R_8I, 0, statuses[0]);
			refuse(CUDA_R_32F, after, statuses[i]);
			op = product(31, 29, 3000, 0, 0, 1);
			fix_expect(&op, want, NULL);
			r = fix_run(&op, &err);
			ck_assert_int_eq(r, i < 4 || after == 3 ? 0 : -EIO);
			if (r < 0) {
				ck_assert_str_ne(err.text, "");
				op.alpha = 0;
				op.beta = 1;
				op.a.size = op.b.size = 0;
				fix_expect(&op, want, NULL);
			}
			fix_compare(&op, want, NULL);
		}
	}
	fix_close();
}
END_TEST

/* Each call of CUDA of one product, in several words. */
START_TEST(whatever_fails_the_result_is_right_or_an_error)
{
	static const cudaError_t codes[] = {cudaErrorMemoryAllocation,
					    cudaErrorInvalidValue};
	unsigned int n, right = 0, wrong = 0;
	struct pst_op op;
	int r;

	open_card(_i / 2, "mapped", NULL);
	for (n = 1; n < 60; n++) {
		op = product(33, 31, 2100, 1, 0, 1);
		add_epilogue(&op);
		fix_expect(&op, want, NULL);
		fakecuda_fail(n, codes[_i % 2]);
		r = fix_run(&op, &err);
		fakecuda_fail(0, cudaSuccess);
		right += r == 0;
		wrong += r < 0;
		if (r == 0)
			fix_compare(&op, want, NULL);
		else
			ck_assert_str_ne(err.text, "");
	}
	fix_close();
	/* Of memory that is short only a few are errors. */
	ck_assert_uint_gt(right, 0);
	ck_assert_uint_gt(wrong, 0);
}
END_TEST

START_TEST(without_memory_for_copies_our_kernel_does_it)
{
	struct pst_op op;
	unsigned int n;

	open_card(_i, "mapped", NULL);
	for (n = 0; n < 12; n++) {
		op = product(45, 47, 1100, 1, n % 4, 1);
		fix_expect(&op, want, NULL);
		fakecuda_fail(n + 1, cudaErrorMemoryAllocation);
		if (fix_run(&op, &err) == 0)
			fix_compare(&op, want, NULL);
		else
			ck_assert_ptr_nonnull(strstr(err.text, "memory"));
		fakecuda_fail(0, cudaSuccess);
	}
	fix_close();
}
END_TEST

START_TEST(sides_near_the_largest_are_not_rounded_up_beyond_it)
{
	static const struct {
		uint32_t side, want; /* 0: not at all */
	} sides[] = {
		{1, 16},
		{16, 16},
		{17, 32},
		{INT32_MAX - 31, INT32_MAX - 31},
		{INT32_MAX - 32, INT32_MAX - 31},
		{INT32_MAX - 16, INT32_MAX - 15},
		{INT32_MAX - 15, INT32_MAX - 15},
		{INT32_MAX - 14, 0},
		{INT32_MAX, 0},
	};
	struct pst_cuda_product p;
	struct pst_cuda_i8_sides to;
	unsigned int i, which;
	uint32_t *side;

	for (i = 0; i < PST_ARRAY_SIZE(sides); i++) {
		for (which = 0; which < 3; which++) {
			p = (struct pst_cuda_product){.m = 5, .n = 5, .k = 5};
			side = which == 0 ? &p.m : which == 1 ? &p.n : &p.k;
			*side = sides[i].side;
			ck_assert_int_eq(pst_cuda_i8_padded(&p, &to),
					 sides[i].want != 0);
			if (!sides[i].want)
				continue;
			ck_assert_uint_eq(which == 0   ? to.m
					  : which == 1 ? to.n
						       : to.k,
					  sides[i].want);
			ck_assert_uint_eq(which == 0 ? to.n : to.m, 16);
		}
	}
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_loop_test(tc, odd_sides_are_products_of_the_library, 0, 4);
	tcase_add_test(tc, sums_by_f32_are_exact_for_the_largest_values);
	tcase_add_loop_test(
		tc, columns_come_one_after_another_if_memory_is_short, 0, 2);
	tcase_add_loop_test(tc, a_later_part_that_is_refused_takes_nothing_back,
			    0, 2);
	tcase_add_loop_test(tc, whatever_fails_the_result_is_right_or_an_error,
			    0, 4);
	tcase_add_loop_test(tc, without_memory_for_copies_our_kernel_does_it, 0,
			    2);
	tcase_add_test(tc, sides_near_the_largest_are_not_rounded_up_beyond_it);
}

int main(void)
{
	return pst_unit_run("cuda integers", add_tests, 120);
}
