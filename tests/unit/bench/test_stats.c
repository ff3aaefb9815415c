/* SPDX-License-Identifier: MIT */
/* Medians, ratios of pairs, and what a result's row makes of its times. */
#include "bench/stats.h"

#include <math.h>
#include <string.h>

#include "bench/result.h"
#include "tests/fixtures/unit.h"

START_TEST(the_median_does_not_depend_on_order)
{
	const double odd[] = {5, 1, 4, 2, 3}, even[] = {4, 1, 3, 2};

	ck_assert_double_eq(pst_bench_median(odd, 5), 3);
	ck_assert_double_eq(pst_bench_median(even, 4), 2.5);
	ck_assert_double_eq(odd[0], 5);
	ck_assert_double_eq(pst_bench_median(odd, 1), 5);
	ck_assert_double_eq(pst_bench_median(odd, 0), 0);
}
END_TEST

START_TEST(a_ratio_is_taken_within_each_pair)
{
	/* The machine slows down tenfold halfway: each pair still says 2. */
	const double a[] = {2, 2.2, 20, 22, 24}, b[] = {1, 1.1, 10, 11, 12};
	/* The ratio of the medians says something else. */
	const double c[] = {2, 2, 20, 20}, d[] = {1, 10, 10, 10};

	ck_assert_double_eq_tol(pst_bench_ratio_median(a, b, 5), 2, 1e-12);
	ck_assert_double_eq_tol(pst_bench_ratio_median(c, d, 4), 2, 1e-12);
	ck_assert_double_ne(pst_bench_median(c, 4) / pst_bench_median(d, 4), 2);
}
END_TEST

START_TEST(a_pair_without_a_reference_is_no_success)
{
	const double a[] = {1, 1, 1}, b[] = {0, 0, 1};

	ck_assert(isinf(pst_bench_ratio_median(a, b, 3)));
}
END_TEST

START_TEST(a_spread_is_the_largest_over_the_smallest)
{
	const double v[] = {2, 3, 4}, zero[] = {0, 1};

	ck_assert_double_eq(pst_bench_spread(v, 3), 2);
	ck_assert_double_eq(pst_bench_spread(v, 1), 1);
	ck_assert_double_eq(pst_bench_spread(v, 0), 1);
	ck_assert(isinf(pst_bench_spread(zero, 2)));
}
END_TEST

/* A result with one row whose two repeats have medians 1000 and 3000 ns. */
static struct pst_bench_row *two_repeats(struct pst_bench_result *r,
					 enum pst_bench_row_unit unit)
{
	struct pst_bench_row *row = pst_bench_result_add(
		r, "latency", PST_BENCH_ROW_PENSTOCK, unit, "x \"y\"");

	ck_assert_ptr_nonnull(row);
	row->bytes = 6000;
	pst_bench_hist_add(&row->one, 1000);
	pst_bench_row_repeat(row);
	pst_bench_hist_add(&row->one, 3000);
	pst_bench_hist_add(&row->one, 3000);
	pst_bench_row_repeat(row);
	return row;
}

START_TEST(noise_is_the_range_of_the_repeats_medians)
{
	struct pst_bench_result r = {0};
	struct pst_bench_row *row = two_repeats(&r, PST_BENCH_ROW_US);
	double low, high;

	pst_bench_row_noise(row, &low, &high);
	ck_assert_uint_eq(row->n_repeats, 2);
	ck_assert_uint_eq(row->all.n, 3);
	ck_assert_double_eq_tol(low, 1, 0.01);
	ck_assert_double_eq_tol(high, 3, 0.03);
	ck_assert_double_eq_tol(pst_bench_row_percentile(row, 50), 3, 0.03);
	pst_bench_result_done(&r);
}
END_TEST

START_TEST(a_rate_gets_worse_with_the_percentile)
{
	struct pst_bench_result r = {0};
	struct pst_bench_row *row = two_repeats(&r, PST_BENCH_ROW_GBPS);
	double low, high;

	ck_assert_double_eq_tol(pst_bench_row_percentile(row, 10), 6, 0.06);
	ck_assert_double_eq_tol(pst_bench_row_percentile(row, 99), 2, 0.02);
	pst_bench_row_noise(row, &low, &high);
	ck_assert_double_eq_tol(low, 2, 0.02);
	ck_assert_double_eq_tol(high, 6, 0.06);
	pst_bench_result_done(&r);
}
END_TEST

START_TEST(a_repeat_without_values_is_none)
{
	struct pst_bench_result r = {0};
	struct pst_bench_row *row = two_repeats(&r, PST_BENCH_ROW_US);

	pst_bench_row_repeat(row);
	ck_assert_uint_eq(row->n_repeats, 2);
	pst_bench_result_done(&r);
}
END_TEST

/* The row of that bench, name and size (bytes, or n), or NULL. */
static struct pst_bench_row *find_row(const struct pst_bench_result *r,
				      const char *bench, const char *name,
				      uint64_t size)
{
	struct pst_bench_row *row;
	unsigned int i;

	for (i = 0; i < r->n_rows; i++) {
		row = r->rows[i];
		if (strcmp(row->bench, bench) == 0 &&
		    strcmp(row->name, name) == 0 &&
		    (row->bytes ? row->bytes : row->n) == size)
			return row;
	}
	return NULL;
}

START_TEST(many_rows_are_found_again)
{
	struct pst_bench_result r = {0};
	struct pst_bench_row *row;
	char name[16];
	unsigned int i;

	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "row %u", i);
		row = pst_bench_result_add(&r, "gemm", PST_BENCH_ROW_PENSTOCK,
					   PST_BENCH_ROW_US, name);
		ck_assert_ptr_nonnull(row);
		row->n = i;
	}
	row = find_row(&r, "gemm", "row 77", 77);
	ck_assert_ptr_nonnull(row);
	ck_assert_str_eq(row->name, "row 77");
	ck_assert_ptr_null(find_row(&r, "gemm", "row 77", 78));
	ck_assert_ptr_null(find_row(&r, "latency", "row 77", 77));
	pst_bench_result_done(&r);
}
END_TEST

START_TEST(csv_has_as_many_fields_in_each_line)
{
	struct pst_bench_result r = {0};
	char line[512];
	int commas, want = -1, lines = 0;
	const char *p;
	FILE *f = tmpfile();

	ck_assert_ptr_nonnull(f);
	two_repeats(&r, PST_BENCH_ROW_US);
	ck_assert_ptr_nonnull(
		pst_bench_result_add(&r, "gemm", PST_BENCH_ROW_BLAS,
				     PST_BENCH_ROW_US, "not measured"));
	pst_bench_result_print_csv(&r, f);
	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		for (commas = 0, p = line; *p; p++)
			commas += *p == ',';
		ck_assert_int_eq(commas, want < 0 ? commas : want);
		want = commas;
		/* A quote inside a field is doubled. */
		if (lines == 1)
			ck_assert_ptr_nonnull(strstr(line, "\"x \"\"y\"\"\""));
		lines++;
	}
	ck_assert_int_eq(lines, 3);
	fclose(f);
	pst_bench_result_done(&r);
}
END_TEST

START_TEST(json_names_its_schema_and_every_row)
{
	struct pst_bench_result r = {.endpoint = "spawn:",
				     .agent = json_object()};
	json_t *o, *rows, *row;

	two_repeats(&r, PST_BENCH_ROW_US);
	snprintf(pst_bench_result_add(&r, "gemm", PST_BENCH_ROW_BLAS,
				      PST_BENCH_ROW_US, "z")
			 ->note,
		 32, "no time");
	o = pst_bench_result_json(&r);
	ck_assert_ptr_nonnull(o);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "schema")), 1);
	rows = json_object_get(o, "results");
	ck_assert_uint_eq(json_array_size(rows), 2);
	row = json_array_get(rows, 0);
	ck_assert_int_eq(json_integer_value(json_object_get(row, "count")), 3);
	ck_assert_uint_eq(json_array_size(json_object_get(row, "histogram_ns")),
			  2);
	row = json_array_get(rows, 1);
	ck_assert_str_eq(
		json_string_value(json_object_get(row, "not_measured")),
		"no time");
	ck_assert_ptr_null(json_object_get(row, "p50"));
	json_decref(o);
	pst_bench_result_done(&r);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, the_median_does_not_depend_on_order);
	tcase_add_test(tc, a_ratio_is_taken_within_each_pair);
	tcase_add_test(tc, a_pair_without_a_reference_is_no_success);
	tcase_add_test(tc, a_spread_is_the_largest_over_the_smallest);
	tcase_add_test(tc, noise_is_the_range_of_the_repeats_medians);
	tcase_add_test(tc, a_rate_gets_worse_with_the_percentile);
	tcase_add_test(tc, a_repeat_without_values_is_none);
	tcase_add_test(tc, many_rows_are_found_again);
	tcase_add_test(tc, csv_has_as_many_fields_in_each_line);
	tcase_add_test(tc, json_names_its_schema_and_every_row);
}

int main(void)
{
	return pst_unit_run("stats", add, 10);
}
