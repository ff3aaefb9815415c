/* SPDX-License-Identifier: MIT */
/* The gate's arithmetic: medians of pairs, noise, bounds. */
#include "bench/gates/judge.h"

#include <math.h>

#include "tests/fixtures/unit.h"

static const struct pst_bench_bound at_most_2 = {.limit = 2};
static const struct pst_bench_bound at_least_2 = {.limit = 2, .at_least = true};

/* Three pairs whose ratio is ratio, on a quiet machine. */
static struct pst_bench_pairs pairs(double ratio)
{
	return (struct pst_bench_pairs){
		.n = 3,
		.value = {ratio, 10 * ratio, 5 * ratio},
		.reference = {1, 10, 5},
		.probe = {1, 1.1, 1.2},
	};
}

START_TEST(a_figure_within_its_bound_passes)
{
	struct pst_bench_pairs p = pairs(1.9), q = pairs(2);

	ck_assert_double_eq_tol(pst_bench_pairs_figure(&p), 1.9, 1e-12);
	ck_assert_int_eq(pst_bench_pairs_judge(&p, &at_most_2), PST_BENCH_PASS);
	ck_assert_int_eq(pst_bench_pairs_judge(&q, &at_most_2), PST_BENCH_PASS);
	ck_assert_int_eq(pst_bench_pairs_judge(&q, &at_least_2),
			 PST_BENCH_PASS);
}
END_TEST

START_TEST(a_figure_beyond_its_bound_fails)
{
	struct pst_bench_pairs above = pairs(2.01), below = pairs(1.99);

	ck_assert_int_eq(pst_bench_pairs_judge(&above, &at_most_2),
			 PST_BENCH_FAIL);
	ck_assert_int_eq(pst_bench_pairs_judge(&below, &at_least_2),
			 PST_BENCH_FAIL);
}
END_TEST

START_TEST(one_bad_pair_of_three_decides_nothing)
{
	struct pst_bench_pairs p = pairs(1.5);

	p.value[1] *= 100;
	ck_assert_int_eq(pst_bench_pairs_judge(&p, &at_most_2), PST_BENCH_PASS);
	p.value[0] *= 100;
	ck_assert_int_eq(pst_bench_pairs_judge(&p, &at_most_2), PST_BENCH_FAIL);
}
END_TEST

START_TEST(a_noisy_machine_is_inconclusive_whatever_came_out)
{
	struct pst_bench_pairs good = pairs(1), bad = pairs(3);

	good.probe[2] = bad.probe[2] = 1.6;
	ck_assert_int_eq(pst_bench_pairs_judge(&good, &at_most_2),
			 PST_BENCH_INCONCLUSIVE);
	ck_assert_int_eq(pst_bench_pairs_judge(&bad, &at_most_2),
			 PST_BENCH_INCONCLUSIVE);
	good.probe[2] = 1.5;
	ck_assert_int_eq(pst_bench_pairs_judge(&good, &at_most_2),
			 PST_BENCH_PASS);
}
END_TEST

START_TEST(without_a_probe_there_is_no_noise_to_judge)
{
	struct pst_bench_pairs p = pairs(1);

	p.probe[0] = p.probe[1] = p.probe[2] = 0;
	ck_assert_double_eq(pst_bench_pairs_spread(&p), 1);
	ck_assert_int_eq(pst_bench_pairs_judge(&p, &at_most_2), PST_BENCH_PASS);
}
END_TEST

START_TEST(a_probe_that_failed_once_is_noise)
{
	struct pst_bench_pairs p = pairs(1);

	p.probe[1] = 0;
	ck_assert_int_eq(pst_bench_pairs_judge(&p, &at_most_2),
			 PST_BENCH_INCONCLUSIVE);
}
END_TEST

START_TEST(nothing_measured_and_nothing_to_compare_with_fail)
{
	struct pst_bench_pairs none = {0}, p = pairs(1);

	ck_assert_int_eq(pst_bench_pairs_judge(&none, &at_most_2),
			 PST_BENCH_FAIL);
	ck_assert_int_eq(pst_bench_pairs_judge(&none, &at_least_2),
			 PST_BENCH_FAIL);
	p.reference[0] = p.reference[1] = 0;
	ck_assert_int_eq(pst_bench_pairs_judge(&p, &at_most_2), PST_BENCH_FAIL);
	ck_assert_int_eq(pst_bench_pairs_judge(&p, &at_least_2),
			 PST_BENCH_FAIL);
	p = pairs(NAN);
	ck_assert_int_eq(pst_bench_pairs_judge(&p, &at_most_2), PST_BENCH_FAIL);
	ck_assert_int_eq(pst_bench_pairs_judge(&p, &at_least_2),
			 PST_BENCH_FAIL);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_figure_within_its_bound_passes);
	tcase_add_test(tc, a_figure_beyond_its_bound_fails);
	tcase_add_test(tc, one_bad_pair_of_three_decides_nothing);
	tcase_add_test(tc, a_noisy_machine_is_inconclusive_whatever_came_out);
	tcase_add_test(tc, without_a_probe_there_is_no_noise_to_judge);
	tcase_add_test(tc, a_probe_that_failed_once_is_noise);
	tcase_add_test(tc, nothing_measured_and_nothing_to_compare_with_fail);
}

int main(void)
{
	return pst_unit_run("judge", add, 10);
}
