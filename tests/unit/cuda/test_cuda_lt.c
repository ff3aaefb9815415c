/* SPDX-License-Identifier: MIT */
/* The algorithms that the cuda backend remembers: cuBLASLt is asked once for
 * each kind of product, and the double finds an algorithm that was chosen for
 * another. */
#include <stdlib.h>
#include <string.h>

#include "guest-agent/cuda/context.h"
#include "tests/fakecuda/fixture.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

static struct pst_error err;

static void open_card(const struct fakecuda_refusal *r)
{
	struct fakecuda_config c = fakecuda_default();

	c.major = 8;
	if (r)
		c.refusal[0] = *r;
	ck_assert_msg(fix_open(&c, "mapped", NULL, NULL, &err) == 0, "%s",
		      err.text);
}

static struct pst_op product(uint32_t n)
{
	struct pst_op op = fix_product(PST_WIRE_F32, PST_WIRE_F32, 16, n, 16);

	op.act = PST_WIRE_ACT_RELU;
	op.has_bias = true;
	op.bias = (struct pst_operand){.off = FIX_BIAS, .size = 4ULL * n};
	return op;
}

/* How often cuBLASLt was asked for it. */
static unsigned int asked(const struct pst_op *op)
{
	static double want[4096], bound[4096];
	const unsigned int before = fakecuda_heuristics();
	int r;

	fix_fill(FIX_A, 4096, op->dtype);
	fix_fill(FIX_B, 4096, op->dtype);
	fix_fill(FIX_C, 4096, op->dtype_c);
	fix_fill(FIX_BIAS, 128, op->dtype_c);
	fix_expect(op, want, bound);
	r = fix_run(op, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	fix_compare(op, want, bound);
	ck_assert_msg(fakecuda_problems() == 0, "%s", fakecuda_problem());
	return fakecuda_heuristics() - before;
}

START_TEST(a_product_that_repeats_is_chosen_for_once)
{
	struct pst_op op = product(24);
	unsigned int lt, i;

	open_card(NULL);
	lt = fakecuda_lt_products();
	ck_assert_uint_eq(asked(&op), 1);
	for (i = 0; i < 5; i++) {
		/* Scales and contents are no part of the choice. */
		op.alpha = i;
		op.beta = i % 2;
		op.a.off = FIX_A + 256 * i;
		ck_assert_uint_eq(asked(&op), 0);
	}
	/* With alpha 0 there is no product. */
	ck_assert_uint_eq(fakecuda_lt_products() - lt, 5);
	fix_close();
}
END_TEST

enum {
	SAME,
	TYPE,
	TYPE_C,
	COMPUTE,
	M,
	N,
	K,
	LDA,
	LDB,
	LDC,
	TRANSA,
	TRANSB,
	ACT,
	NO_BIAS,
	ALIGN_A,
	ALIGN_B,
	ALIGN_C,
	ALIGN_BIAS,
	BATCH,
	STRIDE_A,
	STRIDE_B,
	STRIDE_C,
	N_CHANGES
};

static void change(struct pst_op *op, int what)
{
	switch (what) {
	case TYPE:
	case TYPE_C:
		op->dtype = PST_WIRE_F16;
		op->dtype_c = what == TYPE ? PST_WIRE_F32 : PST_WIRE_F16;
		break;
	case COMPUTE:
		op->compute = PST_WIRE_COMPUTE_TF32;
		break;
	case M:
		op->m--;
		break;
	case N:
		op->n--;
		break;
	case K:
		op->k--;
		break;
	case LDA:
		op->lda++;
		break;
	case LDB:
		op->ldb++;
		break;
	case LDC:
		op->ldc++;
		break;
	case TRANSA:
		op->transa = true;
		break;
	case TRANSB:
		op->transb = true;
		break;
	case ACT:
		op->act = PST_WIRE_ACT_NONE;
		break;
	case NO_BIAS:
		op->has_bias = false;
		op->bias = (struct pst_operand){0};
		break;
	case ALIGN_A:
		op->a.off += 4;
		break;
	case ALIGN_B:
		op->b.off += 8;
		break;
	case ALIGN_C:
		op->c.off += 4;
		break;
	case ALIGN_BIAS:
		op->bias.off += 16;
		break;
	default:
		break;
	}
}

/* Square, so that each change is a product of the same operands. */
START_TEST(whatever_the_choice_depends_on_is_a_new_question)
{
	struct pst_op op;
	int i;

	open_card(NULL);
	for (i = SAME; i < BATCH; i++) {
		op = product(20);
		op.m = op.k = op.lda = 20;
		op.ldc = op.ldb = 20;
		op.a.size = op.b.size = op.c.size = 21 * 21 * 4;
		change(&op, i);
		ck_assert_msg(asked(&op) == 1, "change %d", i);
		ck_assert_msg(asked(&op) == 0, "change %d", i);
	}
	for (i = BATCH; i < N_CHANGES; i++) {
		op = product(20);
		op.op = PST_WIRE_OP_GEMM_STRIDED_BATCHED;
		op.m = op.k = op.lda = 20;
		op.ldc = op.ldb = 20;
		op.batch = 3;
		op.stride_a = 400 + 4 * (i == STRIDE_A);
		op.stride_b = 400 + 4 * (i == STRIDE_B);
		op.stride_c = 400 + 4 * (i == STRIDE_C);
		op.a.size = op.b.size = op.c.size = (808 + 400) * 4;
		ck_assert_msg(asked(&op) == 1, "change %d", i);
		ck_assert_msg(asked(&op) == 0, "change %d", i);
	}
	/* Row-major it is this one of the transposes. */
	op = product(20);
	op.m = op.k = op.lda = op.ldb = op.ldc = 20;
	op.has_bias = false;
	op.bias = (struct pst_operand){0};
	op.col_major = true;
	op.a.size = op.b.size = op.c.size = 400 * 4;
	ck_assert_uint_eq(asked(&op), 0);
	op.batch = 2;
	op.op = PST_WIRE_OP_GEMM_STRIDED_BATCHED;
	op.stride_a = op.stride_b = op.stride_c = 400;
	op.a.size = op.b.size = op.c.size = 800 * 4;
	ck_assert_uint_eq(asked(&op), 1);
	/* Of another stream, whose workspace could be smaller. */
	fix_backend->workspace_size /= 2;
	ck_assert_uint_eq(asked(&op), 1);
	fix_close();
}
END_TEST

START_TEST(the_choice_used_longest_ago_is_forgotten)
{
	struct pst_op first = product(1), op;
	uint32_t n;

	open_card(NULL);
	ck_assert_uint_eq(asked(&first), 1);
	for (n = 2; n <= PST_CUDA_LT_CACHED; n++) {
		op = product(n);
		ck_assert_uint_eq(asked(&op), 1);
	}
	ck_assert_uint_eq(asked(&first), 0);
	op = product(PST_CUDA_LT_CACHED + 1);
	ck_assert_uint_eq(asked(&op), 1);
	ck_assert_uint_eq(asked(&op), 0);
	ck_assert_uint_eq(asked(&first), 0);
	op = product(2);
	ck_assert_uint_eq(asked(&op), 1);
	fix_close();
}
END_TEST

/* By the heuristic, or by the product after one: once, unless it may pass. */
START_TEST(a_refusal_is_remembered_and_a_failure_is_not)
{
	static const struct {
		cublasStatus_t status;
		bool final;
	} all[] = {
		{CUBLAS_STATUS_NOT_SUPPORTED, true},
		{CUBLAS_STATUS_INVALID_VALUE, true},
		{CUBLAS_STATUS_INTERNAL_ERROR, false},
	};
	const bool later = _i % 2;
	const struct fakecuda_refusal r = {
		.call = later ? FAKECUDA_MATMUL : FAKECUDA_HEURISTIC,
		.status = all[_i / 2].status,
	};
	const bool final = all[_i / 2].final;
	const struct pst_op op = product(24);
	unsigned int lt;

	open_card(NULL);
	fakecuda_refuse(&r);
	ck_assert_uint_eq(asked(&op), 1);
	/* What was chosen is not asked for again. */
	ck_assert_uint_eq(asked(&op), final || later ? 0 : 1);
	fakecuda_refuse(NULL);
	lt = fakecuda_lt_products();
	ck_assert_uint_eq(asked(&op), final || later ? 0 : 1);
	ck_assert_uint_eq(fakecuda_lt_products() - lt, !final);
	fix_close();
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, a_product_that_repeats_is_chosen_for_once);
	tcase_add_test(tc, whatever_the_choice_depends_on_is_a_new_question);
	tcase_add_test(tc, the_choice_used_longest_ago_is_forgotten);
	tcase_add_loop_test(tc, a_refusal_is_remembered_and_a_failure_is_not, 0,
			    6);
}

int main(void)
{
	return pst_unit_run("cuda cublaslt", add_tests, 60);
}
