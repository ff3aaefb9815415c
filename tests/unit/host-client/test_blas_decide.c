/* SPDX-License-Identifier: MIT */
/* Which products go to an agent: by what both sides' rates say, corrected by
 * what calls took. */
#include "host-client/blas/decide.h"
#include "tests/fixtures/unit.h"

/* A card as `--backend sim` has it by default, in a process that gets 60 GFLOPS
 * of F32 and 30 of F64 from its own BLAS. */
#define CARD_F32 6000e9
#define CARD_F64 190e9
#define BUS      11e9

static double terms(double n)
{
	return n * n * n;
}

static double bytes(enum pst_blas_type type, double n)
{
	return 3 * n * n * (double)pst_blas_elem(type);
}

static enum pst_blas_side decide(enum pst_blas_type type, double n)
{
	return pst_blas_decide(type, terms(n), bytes(type, n));
}

static void card(double f64)
{
	pst_blas_set_rate(PST_BLAS_F32, PST_BLAS_HERE, 60e9);
	pst_blas_set_rate(PST_BLAS_F64, PST_BLAS_HERE, 30e9);
	pst_blas_set_rate(PST_BLAS_F32, PST_BLAS_AGENT, CARD_F32);
	pst_blas_set_rate(PST_BLAS_F64, PST_BLAS_AGENT, f64);
	pst_blas_set_way(BUS, 50e-6);
}

START_TEST(nothing_is_known)
{
	ck_assert_int_eq(decide(PST_BLAS_F32, 512), PST_BLAS_AGENT);
	ck_assert_int_eq(decide(PST_BLAS_F32, 490), PST_BLAS_HERE);
	ck_assert_int_eq(decide(PST_BLAS_F64, 4096), PST_BLAS_HERE);
}
END_TEST

START_TEST(each_type_by_its_rates)
{
	card(20e9);
	ck_assert_int_eq(decide(PST_BLAS_F32, 2048), PST_BLAS_AGENT);
	ck_assert_int_eq(decide(PST_BLAS_F64, 2048), PST_BLAS_HERE);
	ck_assert_int_eq(decide(PST_BLAS_F64, 32768), PST_BLAS_HERE);
	card(CARD_F64);
	ck_assert_int_eq(decide(PST_BLAS_F64, 2048), PST_BLAS_AGENT);
}
END_TEST

START_TEST(what_the_call_and_the_copies_cost_counts)
{
	card(CARD_F64);
	ck_assert_int_eq(decide(PST_BLAS_F32, 96), PST_BLAS_HERE);
	/* A thin product has little to compute beside its bytes; less if the
	 * agent has them. */
	ck_assert_int_eq(pst_blas_decide(PST_BLAS_F32, 4096.0 * 4096 * 4,
					 4 * (4096.0 * 4096 + 8 * 4096)),
			 PST_BLAS_HERE);
	ck_assert_int_eq(pst_blas_decide(PST_BLAS_F32, 4096.0 * 4096 * 4,
					 4 * 8 * 4096.0),
			 PST_BLAS_AGENT);
}
END_TEST

/* Where the two are close the next BLAS is looked at before the agent: what it
 * does with large products nobody knows yet. */
START_TEST(what_is_close_is_measured_here_first)
{
	pst_blas_set_rate(PST_BLAS_F32, PST_BLAS_AGENT, 200e9);
	pst_blas_set_way(BUS, 50e-6);
	pst_blas_learn(PST_BLAS_F32, PST_BLAS_HERE, terms(256), 2e-3 / 4);
	ck_assert_int_eq(decide(PST_BLAS_F32, 1500), PST_BLAS_HERE);
	pst_blas_learn(PST_BLAS_F32, PST_BLAS_HERE, terms(1500), 100e-3);
	ck_assert_int_eq(decide(PST_BLAS_F32, 1500), PST_BLAS_AGENT);
	/* Not where it would only cost. */
	pst_blas_learn(PST_BLAS_F64, PST_BLAS_HERE, terms(256), 20e-3);
	pst_blas_set_rate(PST_BLAS_F64, PST_BLAS_AGENT, CARD_F64);
	ck_assert_int_eq(decide(PST_BLAS_F64, 1500), PST_BLAS_AGENT);
}
END_TEST

/* The agent is busy: after some calls it is left alone, and tried again. */
START_TEST(calls_correct_it)
{
	unsigned int i, tried = 0;

	card(CARD_F64);
	for (i = 0; i < 20; i++)
		pst_blas_learn(PST_BLAS_F32, PST_BLAS_AGENT, terms(1024),
			       50e-3);
	pst_blas_learn(PST_BLAS_F32, PST_BLAS_HERE, terms(1024), 40e-3);
	for (i = 0; i < 63; i++)
		tried += decide(PST_BLAS_F32, 1024) == PST_BLAS_AGENT;
	ck_assert_uint_eq(tried, 0);
	ck_assert_int_eq(decide(PST_BLAS_F32, 1024), PST_BLAS_AGENT);
	/* Sizes beside it have not been slow. */
	ck_assert_int_eq(decide(PST_BLAS_F32, 4096), PST_BLAS_AGENT);
}
END_TEST

/* One call that was slow, since something else ran, turns nothing. */
START_TEST(one_slow_call_turns_nothing)
{
	unsigned int i;

	card(CARD_F64);
	for (i = 0; i < 10; i++) {
		pst_blas_learn(PST_BLAS_F32, PST_BLAS_AGENT, terms(1024), 2e-3);
		pst_blas_learn(PST_BLAS_F32, PST_BLAS_HERE, terms(1024), 40e-3);
	}
	pst_blas_learn(PST_BLAS_F32, PST_BLAS_AGENT, terms(1024), 10);
	ck_assert_int_eq(decide(PST_BLAS_F32, 1024), PST_BLAS_AGENT);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, nothing_is_known);
	tcase_add_test(tc, each_type_by_its_rates);
	tcase_add_test(tc, what_the_call_and_the_copies_cost_counts);
	tcase_add_test(tc, what_is_close_is_measured_here_first);
	tcase_add_test(tc, calls_correct_it);
	tcase_add_test(tc, one_slow_call_turns_nothing);
}

int main(void)
{
	return pst_unit_run("what pays", add_tests, 60);
}
