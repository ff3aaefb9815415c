/* SPDX-License-Identifier: MIT */
/* What the cuda backend finds out about a card and its libraries at start. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/cuda/context.h"
#include "tests/fakecuda/fixture.h"
#include "tests/fakecuda/number.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define OFF_A (4ULL << 20)
#define OFF_B (12ULL << 20)
#define OFF_C (20ULL << 20)

static struct pst_error err;

START_TEST(a_card_without_code_is_named_with_both_versions)
{
	struct fakecuda_config c = fakecuda_default();

	c.major = 15;
	c.no_code = _i == 0;
	c.no_blas = _i == 1;
	ck_assert_int_eq(fix_open(&c, NULL, NULL, NULL, &err), -ENODEV);
	ck_assert_ptr_nonnull(strstr(
		err.text,
		"Fake GPU 9000 (compute capability 15.0) does not work with "
		"this backend's CUDA 13.0 and cuBLAS 13.1.0: "));
	fix_close();
}
END_TEST

static void lay_out(struct pst_op *op)
{
	const unsigned int e = pst_dtype_size(op->dtype);
	const unsigned int ec = pst_dtype_size(op->dtype_c);
	uint64_t i;

	op->op = PST_WIRE_OP_GEMM;
	op->act = PST_WIRE_ACT_GELU_TANH;
	op->batch = 1;
	op->alpha = 1;
	op->m = op->n = op->k = op->lda = op->ldb = op->ldc = 40;
	op->a = (struct pst_operand){.off = OFF_A, .size = 1600ULL * e};
	op->b = (struct pst_operand){.off = OFF_B, .size = 1600ULL * e};
	op->c = (struct pst_operand){.off = OFF_C, .size = 1600ULL * ec};
	for (i = 0; i < 1600; i++) {
		number_set(fix_mem + OFF_A, op->dtype, i, fix_noise());
		number_set(fix_mem + OFF_B, op->dtype, i, fix_noise());
	}
}

/* Each of the types that cuBLASLt has an epilogue for. */
START_TEST(a_gelu_that_is_too_rough_is_not_used)
{
	static const enum pst_wire_dtype types[][2] = {
		{PST_WIRE_F32, PST_WIRE_F32},
		{PST_WIRE_F16, PST_WIRE_F16},
		{PST_WIRE_BF16, PST_WIRE_F32},
	};
	struct fakecuda_config c = fakecuda_default();
	double want[1600], bound[1600];
	unsigned int before, i;
	struct pst_op op;

	c.rough_gelu = _i;
	ck_assert_int_eq(fix_open(&c, NULL, NULL, NULL, &err), 0);
	ck_assert_int_eq(fix_backend->rough_gelu, _i);
	for (i = 0; i < PST_ARRAY_SIZE(types); i++) {
		op = (struct pst_op){.dtype = types[i][0],
				     .dtype_c = types[i][1]};
		lay_out(&op);
		fix_expect(&op, want, bound);
		before = fakecuda_lt_products();
		ck_assert_int_eq(fix_run(&op, &err), 0);
		ck_assert_uint_eq(fakecuda_lt_products() - before, !_i);
		fix_compare(&op, want, bound);
	}
	fix_close();
}
END_TEST

/* The driver takes the region, and its first use breaks the context. */
START_TEST(a_region_out_of_reach_is_named_with_the_way_around)
{
	struct fakecuda_config c = fakecuda_default();
	double want[256], bound[256];
	struct pst_op op;

	c.far_region = true;
	ck_assert_int_eq(fix_open(&c, NULL, NULL, NULL, &err), -EIO);
	ck_assert_ptr_nonnull(
		strstr(err.text, "PENSTOCK_CUDA_REGISTRATION=staged"));
	ck_assert_ptr_nonnull(strstr(err.text, "illegal memory access"));
	ck_assert_uint_eq(fakecuda_problems(), 0);
	ck_assert_msg(fix_open(&c, NULL, "staged", NULL, &err) == 0, "%s",
		      err.text);
	op = fix_product(PST_WIRE_F32, PST_WIRE_F32, 16, 16, 16);
	fix_fill(FIX_A, 256, PST_WIRE_F32);
	fix_fill(FIX_B, 256, PST_WIRE_F32);
	fix_expect(&op, want, bound);
	ck_assert_int_eq(fix_run(&op, &err), 0);
	fix_compare(&op, want, bound);
	fix_close();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_region_out_of_reach_is_named_with_the_way_around);
	tcase_add_loop_test(tc, a_card_without_code_is_named_with_both_versions,
			    0, 2);
	tcase_add_loop_test(tc, a_gelu_that_is_too_rough_is_not_used, 0, 2);
}

int main(void)
{
	return pst_unit_run("cuda calibration", add, 60);
}
