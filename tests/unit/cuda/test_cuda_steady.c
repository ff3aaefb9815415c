/* SPDX-License-Identifier: MIT */
/* What the cuda backend takes and gives back of a card, and that nothing waits
 * for the device once it is open. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/cuda/context.h"
#include "tests/fakecuda/fixture.h"
#include "tests/fakecuda/number.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

static struct pst_error err;

static void multiply(uint32_t lane, enum pst_wire_dtype t,
		     enum pst_wire_dtype tc, enum pst_wire_act act, uint32_t n)
{
	struct pst_op op = fix_product(t, tc, n, n, n);
	struct pst_backend_op bop;

	op.act = act;
	ck_assert_int_eq(fix_begin(&bop, lane, &op, &err), 0);
	ck_assert_int_eq(fix_finish(&bop, &err), 0);
}

static void multiply_all(uint32_t lane)
{
	static const enum pst_wire_dtype types[][2] = {
		{PST_WIRE_F64, PST_WIRE_F64},   {PST_WIRE_F32, PST_WIRE_F32},
		{PST_WIRE_F16, PST_WIRE_F16},   {PST_WIRE_F16, PST_WIRE_F32},
		{PST_WIRE_BF16, PST_WIRE_BF16}, {PST_WIRE_I8, PST_WIRE_I32},
	};
	unsigned int i, act;

	for (i = 0; i < PST_ARRAY_SIZE(types); i++)
		for (act = 0; act < (types[i][0] == PST_WIRE_I8 ? 2 : 4); act++)
			multiply(lane, types[i][0], types[i][1],
				 (enum pst_wire_act)act, 24 + lane);
	/* By copies on the device. */
	multiply(lane, PST_WIRE_I8, PST_WIRE_I32, PST_WIRE_ACT_RELU, 131);
}

/* The first operation of a lane, the first of each kernel, slot and type. */
START_TEST(nothing_waits_for_the_device_after_opening)
{
	static const char *const ways[] = {"mapped", "pipelined"};
	const struct fakecuda_config c = fakecuda_default();
	unsigned int before;
	uint32_t lane;

	ck_assert_int_eq(fix_open(&c, ways[_i], NULL, NULL, &err), 0);
	before = fakecuda_syncs();
	ck_assert_uint_gt(before, 0);
	for (lane = 0; lane < 4; lane++)
		multiply_all(lane);
	ck_assert_uint_eq(fakecuda_syncs(), before);
	fix_close();
}
END_TEST

START_TEST(a_failed_open_gives_the_context_back)
{
	struct fakecuda_config c = fakecuda_default();

	c.no_blas = true;
	ck_assert_int_lt(fix_open(&c, NULL, NULL, NULL, &err), 0);
	ck_assert_uint_eq(fakecuda_resets(), 1);
	fix_close();
	/* There is none without a card. */
	c.n_devices = 0;
	ck_assert_int_lt(fix_open(&c, NULL, NULL, NULL, &err), 0);
	ck_assert_uint_eq(fakecuda_resets(), 0);
	fix_close();
}
END_TEST

START_TEST(a_guest_with_two_cards_chooses)
{
	static const char *const names[] = {
		"0000:02:00.0", "GPU-13000000-0000-0000-0000-000000000000"};
	struct fakecuda_config c = fakecuda_default();

	c.n_devices = 2;
	c.device = 1;
	setenv("PENSTOCK_CUDA_GPU", names[_i], 1);
	ck_assert_msg(fix_open(&c, NULL, NULL, NULL, &err) == 0, "%s",
		      err.text);
	ck_assert_str_eq(fix_backend->device.pci, names[0]);
	ck_assert_str_eq(fix_backend->device.uuid, names[1]);
	multiply(0, PST_WIRE_F32, PST_WIRE_F32, PST_WIRE_ACT_NONE, 16);
	fix_close();
	setenv("PENSTOCK_CUDA_GPU", "0000:07:00.0", 1);
	ck_assert_int_eq(fix_open(&c, NULL, NULL, NULL, &err), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "PENSTOCK_CUDA_GPU=0000:07"));
	unsetenv("PENSTOCK_CUDA_GPU");
	fix_close();
}
END_TEST

START_TEST(the_users_environment_does_not_change_results)
{
	const struct fakecuda_config c = fakecuda_default();

	setenv("NVIDIA_TF32_OVERRIDE", "1", 1);
	setenv("CUBLAS_EMULATE_SINGLE_PRECISION", "1", 1);
	ck_assert_int_eq(fix_open(&c, NULL, NULL, NULL, &err), 0);
	ck_assert_ptr_null(getenv("NVIDIA_TF32_OVERRIDE"));
	ck_assert_ptr_null(getenv("CUBLAS_EMULATE_SINGLE_PRECISION"));
	fix_close();
}
END_TEST

/* What was released is free before its amount is told. */
START_TEST(released_memory_goes_back_to_the_card)
{
	const struct fakecuda_config c = fakecuda_default();
	struct pst_backend_device d = {0};
	void *t;

	ck_assert_int_eq(fix_open(&c, NULL, NULL, NULL, &err), 0);
	fix_ops->device_info(fix_backend, &d, &err);
	ck_assert_uint_eq(fakecuda_trims(), 0);
	ck_assert_int_eq(fix_ops->alloc(fix_backend, 1 << 20, &t, &err), 0);
	fix_ops->release(fix_backend, t);
	while (cudaStreamQuery(fix_backend->mem_stream) != cudaSuccess)
		;
	fix_ops->device_info(fix_backend, &d, &err);
	fix_ops->device_info(fix_backend, &d, &err);
	ck_assert_uint_eq(fakecuda_trims(), 1);
	fix_close();
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_loop_test(tc, nothing_waits_for_the_device_after_opening, 0,
			    2);
	tcase_add_test(tc, a_failed_open_gives_the_context_back);
	tcase_add_loop_test(tc, a_guest_with_two_cards_chooses, 0, 2);
	tcase_add_test(tc, the_users_environment_does_not_change_results);
	tcase_add_test(tc, released_memory_goes_back_to_the_card);
}

int main(void)
{
	return pst_unit_run("cuda steady state", add_tests, 60);
}
