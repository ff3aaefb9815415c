/* SPDX-License-Identifier: MIT */
/* COPY by the CPU: every byte, in slices, between region and tensors. */
#include <string.h>

#include "guest-agent/cpu/copy.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define N ((size_t)1 << 20)

static uint8_t *region, *tensor;

static void setup(void)
{
	size_t i;

	region = malloc(2 * N);
	tensor = malloc(2 * N);
	ck_assert(region && tensor);
	for (i = 0; i < 2 * N; i++) {
		region[i] = (uint8_t)(i * 7 + i / 251);
		tensor[i] = 0xee;
	}
}

static void teardown(void)
{
	free(region);
	free(tensor);
}

START_TEST(bytes_go_from_the_region_to_a_tensor_and_back)
{
	struct pst_op op = {
		.op = PST_WIRE_OP_COPY,
		.a = {.off = 5, .size = N - 99},
		.c = {.off = 9, .size = N - 99, .mem = tensor},
	};
	uint64_t done = 0;

	ck_assert_int_eq(pst_agent_copy_slice(&op, region, &done, UINT64_MAX),
			 1);
	ck_assert_uint_eq(done, N - 99);
	ck_assert_int_eq(memcmp(tensor + 9, region + 5, N - 99), 0);
	ck_assert_uint_eq(tensor[8], 0xee);
	ck_assert_uint_eq(tensor[9 + N - 99], 0xee);
	op.a = op.c;
	op.c = (struct pst_operand){.off = N + 8, .size = N - 99};
	done = 0;
	ck_assert_int_eq(pst_agent_copy_slice(&op, region, &done, UINT64_MAX),
			 1);
	ck_assert_int_eq(memcmp(region + N + 8, region + 5, N - 99), 0);
}
END_TEST

START_TEST(a_slice_ends_at_its_time_and_goes_on_where_it_stopped)
{
	struct pst_op op = {
		.op = PST_WIRE_OP_COPY,
		.a = {.size = N},
		.c = {.off = 1, .size = N, .mem = tensor},
	};
	uint64_t done = 0, before;
	int slices = 0, r;

	do {
		before = done;
		r = pst_agent_copy_slice(&op, region, &done, 0);
		ck_assert_uint_gt(done, before);
		ck_assert_uint_eq(tensor[1 + done], 0xee);
		slices++;
	} while (!r);
	ck_assert_int_gt(slices, 1);
	ck_assert_int_eq(memcmp(tensor + 1, region, N), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, bytes_go_from_the_region_to_a_tensor_and_back);
	tcase_add_test(tc,
		       a_slice_ends_at_its_time_and_goes_on_where_it_stopped);
}

int main(void)
{
	return pst_unit_run("copy", add, 10);
}
