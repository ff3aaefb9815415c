/* SPDX-License-Identifier: MIT */
/* Rates of products. */
#include "guest-agent/exec/rates.h"
#include "tests/fixtures/unit.h"

#define MS PST_NS_PER_MS

static struct pst_agent_rates r;

static struct pst_op product(enum pst_wire_dtype dtype, uint32_t n)
{
	return (struct pst_op){
		.op = PST_WIRE_OP_GEMM,
		.dtype = dtype,
		.m = n,
		.n = n,
		.k = n,
		.batch = 1,
		.alpha = 1,
	};
}

START_TEST(a_rate_is_that_of_its_type_and_follows_the_faster_one)
{
	struct pst_op op = product(PST_WIRE_F32, 1000);

	r = (struct pst_agent_rates){0};
	pst_agent_rates_add(&r, &op, 20 * MS);
	ck_assert_double_eq_tol(r.of[PST_WIRE_F32].gflops, 100, 1e-9);
	pst_agent_rates_add(&r, &op, 10 * MS);
	ck_assert_double_eq_tol(r.of[PST_WIRE_F32].gflops, 200, 1e-9);
	pst_agent_rates_add(&r, &op, 20 * MS);
	ck_assert_double_eq_tol(r.of[PST_WIRE_F32].gflops, 187.5, 1e-9);
	ck_assert_uint_eq(r.of[PST_WIRE_F32].n, 3);
	ck_assert_uint_eq(r.of[PST_WIRE_F64].n, 0);
}
END_TEST

START_TEST(what_says_nothing_of_the_device_is_not_counted)
{
	struct pst_op op = product(PST_WIRE_F64, 8);
	int i;

	r = (struct pst_agent_rates){0};
	pst_agent_rates_add(&r, &op, PST_AGENT_RATE_MIN_NS - 1);
	op.alpha = 0;
	pst_agent_rates_add(&r, &op, MS);
	op.op = PST_WIRE_OP_FILL;
	op.alpha = 1;
	pst_agent_rates_add(&r, &op, MS);
	for (i = 0; i < (int)PST_AGENT_RATE_TYPES; i++)
		ck_assert_uint_eq(r.of[i].n, 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc,
		       a_rate_is_that_of_its_type_and_follows_the_faster_one);
	tcase_add_test(tc, what_says_nothing_of_the_device_is_not_counted);
}

int main(void)
{
	return pst_unit_run("rates", add, 5);
}
