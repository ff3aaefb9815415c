/* SPDX-License-Identifier: MIT */
/* What cuBLAS and cuBLASLt refuse, at start or later, in whatever words: it
 * costs a type or a way, never the card and never a result. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/cuda/context.h"
#include "tests/fakecuda/fixture.h"
#include "tests/fakecuda/number.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define MAX 64U

static struct pst_error err;

static const cublasStatus_t statuses[] = {
	CUBLAS_STATUS_NOT_SUPPORTED,   CUBLAS_STATUS_ARCH_MISMATCH,
	CUBLAS_STATUS_INVALID_VALUE,   CUBLAS_STATUS_INTERNAL_ERROR,
	CUBLAS_STATUS_NOT_INITIALIZED, CUBLAS_STATUS_EXECUTION_FAILED,
};
#define N_STATUSES ((int)PST_ARRAY_SIZE(statuses))

/* One product, row-major, with a bias and an activation; compared with sums in
 * double precision. */
static void multiply(enum pst_wire_dtype t, enum pst_wire_dtype tc, uint32_t n,
		     enum pst_wire_act act, bool beta)
{
	static double want[MAX * MAX], bound[MAX * MAX];
	struct pst_op op = fix_product(t, tc, 40, n, 24);
	int r;

	op.act = act;
	op.beta = beta;
	op.has_bias = act != PST_WIRE_ACT_NONE;
	if (op.has_bias)
		op.bias = (struct pst_operand){.off = FIX_BIAS,
					       .size = (uint64_t)n *
						       pst_dtype_size(tc)};
	fix_fill(FIX_A, 40ULL * 24, t);
	fix_fill(FIX_B, 24ULL * n, t);
	fix_fill(FIX_C, 40ULL * n, tc);
	fix_fill(FIX_BIAS, n, tc);
	fix_expect(&op, want, bound);
	r = fix_run(&op, &err);
	ck_assert_msg(r == 0, "types %d %d: %s", t, tc, err.text);
	fix_compare(&op, want, bound);
}

static void multiply_all(uint32_t n)
{
	static const enum pst_wire_dtype types[][2] = {
		{PST_WIRE_F32, PST_WIRE_F32},  {PST_WIRE_F16, PST_WIRE_F16},
		{PST_WIRE_F16, PST_WIRE_F32},  {PST_WIRE_BF16, PST_WIRE_BF16},
		{PST_WIRE_BF16, PST_WIRE_F32},
	};
	unsigned int i, act;

	for (i = 0; i < PST_ARRAY_SIZE(types); i++)
		for (act = 0; act < 4; act++)
			multiply(types[i][0], types[i][1], n,
				 (enum pst_wire_act)act, act & 1);
}

START_TEST(a_type_refused_at_start_costs_no_card)
{
	static const cudaDataType_t types[] = {CUDA_R_64F, CUDA_R_16F,
					       CUDA_R_16BF, CUDA_R_8I};
	const struct pst_agent_gemm_kind f64 = {.dtype = PST_WIRE_F64,
						.dtype_c = PST_WIRE_F64};
	struct fakecuda_config c = fakecuda_default();
	unsigned int i;

	for (i = 0; i < PST_ARRAY_SIZE(types); i++)
		c.refusal[i] = (struct fakecuda_refusal){
			.call = FAKECUDA_GEMM,
			.type_is = true,
			.type = types[i],
			.status = statuses[_i],
		};
	ck_assert_msg(fix_open(&c, NULL, NULL, NULL, &err) == 0, "%s",
		      err.text);
	ck_assert(!fix_ops->can(fix_backend, &f64, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "starting a product"));
	multiply_all(32);
	multiply(PST_WIRE_I8, PST_WIRE_I32, 32, PST_WIRE_ACT_RELU, true);
	ck_assert(fix_backend->lacks.i8);
	fix_close();
}
END_TEST

START_TEST(without_f32_there_is_no_backend)
{
	struct fakecuda_config c = fakecuda_default();

	c.refusal[0] = (struct fakecuda_refusal){
		.call = FAKECUDA_GEMM,
		.type_is = true,
		.type = CUDA_R_32F,
		.status = statuses[_i],
	};
	ck_assert_int_lt(fix_open(&c, NULL, NULL, NULL, &err), 0);
	ck_assert_str_ne(err.text, "");
	fix_close();
}
END_TEST

/* Statuses, each of the product itself and of the heuristic. */
START_TEST(an_epilogue_that_is_refused_comes_another_way)
{
	const cublasStatus_t status = statuses[_i / 2];
	struct fakecuda_config c = fakecuda_default();
	const bool fails = status == CUBLAS_STATUS_EXECUTION_FAILED;

	c.refusal[0] = (struct fakecuda_refusal){
		.call = _i % 2 ? FAKECUDA_HEURISTIC : FAKECUDA_MATMUL,
		.status = status,
		/* An error of the device, in a living context, is one. */
		.after = fails ? 1000 : 0,
	};
	ck_assert_msg(fix_open(&c, NULL, NULL, NULL, &err) == 0, "%s",
		      err.text);
	multiply_all(32);
	ck_assert_int_eq(fix_backend->lacks.lt,
			 status == CUBLAS_STATUS_ARCH_MISMATCH);
	fix_close();
}
END_TEST

/* After a probe that went well. */
START_TEST(a_shape_that_is_refused_later_goes_by_f32)
{
	const struct fakecuda_refusal odd = {
		.call = FAKECUDA_GEMM,
		.n_multiple = 8,
		.type_is = true,
		.type = _i % 2 ? CUDA_R_16F : CUDA_R_16BF,
		.status = statuses[_i / 2],
	};
	static const char *const ways[] = {"mapped", "pipelined"};
	struct fakecuda_config c = fakecuda_default();
	unsigned int i;

	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(fix_open(&c, ways[i], NULL, NULL, &err), 0);
		fakecuda_refuse(&odd);
		multiply_all(20);
		/* The rows of C are the columns of cuBLAS. */
		multiply(PST_WIRE_BF16, PST_WIRE_BF16, 33, PST_WIRE_ACT_NONE,
			 true);
		fix_close();
	}
}
END_TEST

/* In place and in tiles, with sizes that are taken and such that are not. */
START_TEST(integers_are_exact_whatever_sizes_are_refused)
{
	struct fakecuda_config c = fakecuda_default();
	uint32_t n;

	c.i8_fours = true;
	ck_assert_int_eq(
		fix_open(&c, _i ? "pipelined" : "mapped", NULL, NULL, &err), 0);
	for (n = 29; n <= 33; n++) {
		multiply(PST_WIRE_I8, PST_WIRE_I32, n, PST_WIRE_ACT_NONE, true);
		multiply(PST_WIRE_I8, PST_WIRE_I32, n, PST_WIRE_ACT_RELU,
			 false);
	}
	fix_close();
}
END_TEST

/* A Titan X: products of neither type. Old drivers have no pools. */
START_TEST(both_types_of_16_bits_work_on_an_old_card)
{
	struct fakecuda_config c = fakecuda_default();

	c.major = 5;
	c.minor = 2;
	c.driver = c.runtime = 12080;
	c.no_pools = _i % 2;
	ck_assert_int_eq(
		fix_open(&c, _i / 2 ? "pipelined" : "mapped", NULL, NULL, &err),
		0);
	multiply_all(31);
	fix_close();
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_loop_test(tc, a_type_refused_at_start_costs_no_card, 0,
			    N_STATUSES);
	tcase_add_loop_test(tc, without_f32_there_is_no_backend, 0, N_STATUSES);
	tcase_add_loop_test(tc, an_epilogue_that_is_refused_comes_another_way,
			    0, 2 * N_STATUSES);
	tcase_add_loop_test(tc, a_shape_that_is_refused_later_goes_by_f32, 0,
			    2 * 3);
	tcase_add_loop_test(tc, integers_are_exact_whatever_sizes_are_refused,
			    0, 2);
	tcase_add_loop_test(tc, both_types_of_16_bits_work_on_an_old_card, 0,
			    4);
}

int main(void)
{
	return pst_unit_run("cuda refusals", add_tests, 60);
}
