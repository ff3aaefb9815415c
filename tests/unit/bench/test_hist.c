/* SPDX-License-Identifier: MIT */
/* The histogram's error bound, percentiles and merging. */
#include "bench/hist.h"

#include <stdlib.h>

#include "tests/fixtures/unit.h"

/* Static: it is too large for a stack. */
static struct pst_bench_hist h, other;

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

START_TEST(every_value_lies_within_its_bucket)
{
	uint64_t v, step;
	unsigned int i, b;

	for (v = 0, i = 0; v < 1ULL << PST_BENCH_HIST_MAX_BITS;
	     v += step, i++) {
		b = pst_bench_hist_bucket(v);
		ck_assert_uint_lt(b, PST_BENCH_HIST_BUCKETS);
		ck_assert_uint_le(pst_bench_hist_low(b), v);
		ck_assert_uint_ge(pst_bench_hist_high(b), v);
		step = 1 + v / 997;
	}
	ck_assert_uint_gt(i, 20000);
}
END_TEST

START_TEST(buckets_follow_one_another_without_a_gap)
{
	unsigned int i;

	ck_assert_uint_eq(pst_bench_hist_low(0), 0);
	for (i = 1; i < PST_BENCH_HIST_BUCKETS; i++) {
		ck_assert_uint_eq(pst_bench_hist_low(i),
				  pst_bench_hist_high(i - 1) + 1);
		ck_assert_uint_eq(pst_bench_hist_bucket(pst_bench_hist_low(i)),
				  i);
		ck_assert_uint_eq(pst_bench_hist_bucket(pst_bench_hist_high(i)),
				  i);
	}
	ck_assert_uint_eq(pst_bench_hist_high(PST_BENCH_HIST_BUCKETS - 1),
			  (1ULL << PST_BENCH_HIST_MAX_BITS) - 1);
}
END_TEST

START_TEST(a_bucket_is_never_wider_than_its_part_of_the_value)
{
	unsigned int i;

	for (i = 1; i < PST_BENCH_HIST_BUCKETS; i++)
		ck_assert_uint_le(
			(pst_bench_hist_high(i) - pst_bench_hist_low(i))
				<< PST_BENCH_HIST_BITS,
			pst_bench_hist_low(i));
}
END_TEST

START_TEST(percentiles_are_those_of_the_sorted_values)
{
	static const double percents[] = {1, 10, 50, 90, 99, 99.9, 99.99};
	static uint64_t v[10000];
	uint64_t x = 88172645463325252ULL, want, got;
	size_t i, n = sizeof(v) / sizeof(*v);

	pst_bench_hist_reset(&h);
	for (i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		v[i] = x >> (22 + x % 40);
		pst_bench_hist_add(&h, v[i]);
	}
	qsort(v, n, sizeof(*v), by_value);
	for (i = 0; i < sizeof(percents) / sizeof(*percents); i++) {
		want = v[(size_t)((double)n * percents[i] / 100 + 0.999) - 1];
		got = pst_bench_hist_percentile(&h, percents[i]);
		ck_assert_uint_ge(got, want);
		ck_assert_uint_le(got, want + (want >> PST_BENCH_HIST_BITS));
	}
	ck_assert_uint_eq(pst_bench_hist_percentile(&h, 0), v[0]);
	ck_assert_uint_eq(pst_bench_hist_percentile(&h, 100), v[n - 1]);
}
END_TEST

START_TEST(the_median_of_four_is_the_second)
{
	pst_bench_hist_reset(&h);
	pst_bench_hist_add(&h, 4);
	pst_bench_hist_add(&h, 3);
	pst_bench_hist_add(&h, 2);
	pst_bench_hist_add(&h, 1);
	ck_assert_uint_eq(pst_bench_hist_percentile(&h, 50), 2);
	ck_assert_uint_eq(pst_bench_hist_percentile(&h, 50.1), 3);
	ck_assert_uint_eq(pst_bench_hist_percentile(&h, 75), 3);
}
END_TEST

START_TEST(an_empty_histogram_has_no_percentiles)
{
	pst_bench_hist_reset(&h);
	ck_assert_uint_eq(pst_bench_hist_percentile(&h, 50), 0);
	ck_assert_uint_eq(pst_bench_hist_percentile(&h, 100), 0);
}
END_TEST

START_TEST(one_value_is_every_percentile_exactly)
{
	pst_bench_hist_reset(&h);
	pst_bench_hist_add(&h, 1000003);
	ck_assert_uint_eq(pst_bench_hist_percentile(&h, 1), 1000003);
	ck_assert_uint_eq(pst_bench_hist_percentile(&h, 99.9), 1000003);
}
END_TEST

START_TEST(a_value_beyond_the_last_bucket_is_still_the_maximum)
{
	pst_bench_hist_reset(&h);
	pst_bench_hist_add(&h, 5);
	pst_bench_hist_add(&h, UINT64_MAX);
	ck_assert_uint_eq(pst_bench_hist_percentile(&h, 50), 5);
	ck_assert_uint_eq(pst_bench_hist_percentile(&h, 99), UINT64_MAX);
	ck_assert_uint_eq(h.max, UINT64_MAX);
}
END_TEST

START_TEST(merging_is_adding_all_values)
{
	unsigned int i;

	pst_bench_hist_reset(&h);
	pst_bench_hist_reset(&other);
	for (i = 1; i <= 50; i++)
		pst_bench_hist_add(&h, i);
	for (i = 51; i <= 100; i++)
		pst_bench_hist_add(&other, i);
	pst_bench_hist_merge(&h, &other);
	ck_assert_uint_eq(h.n, 100);
	ck_assert_uint_eq(h.min, 1);
	ck_assert_uint_eq(h.max, 100);
	ck_assert_uint_eq(pst_bench_hist_percentile(&h, 50), 50);
	ck_assert_uint_eq(pst_bench_hist_percentile(&h, 99), 99);
}
END_TEST

START_TEST(merging_nothing_changes_nothing)
{
	pst_bench_hist_reset(&h);
	pst_bench_hist_reset(&other);
	pst_bench_hist_add(&h, 7);
	pst_bench_hist_merge(&h, &other);
	ck_assert_uint_eq(h.n, 1);
	ck_assert_uint_eq(h.min, 7);
	pst_bench_hist_merge(&other, &h);
	ck_assert_uint_eq(other.n, 1);
	ck_assert_uint_eq(other.min, 7);
	ck_assert_uint_eq(other.max, 7);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, every_value_lies_within_its_bucket);
	tcase_add_test(tc, buckets_follow_one_another_without_a_gap);
	tcase_add_test(tc, a_bucket_is_never_wider_than_its_part_of_the_value);
	tcase_add_test(tc, percentiles_are_those_of_the_sorted_values);
	tcase_add_test(tc, the_median_of_four_is_the_second);
	tcase_add_test(tc, an_empty_histogram_has_no_percentiles);
	tcase_add_test(tc, one_value_is_every_percentile_exactly);
	tcase_add_test(tc, a_value_beyond_the_last_bucket_is_still_the_maximum);
	tcase_add_test(tc, merging_is_adding_all_values);
	tcase_add_test(tc, merging_nothing_changes_nothing);
}

int main(void)
{
	return pst_unit_run("hist", add, 10);
}
