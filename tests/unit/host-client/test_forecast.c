/* SPDX-License-Identifier: MIT */
/* What is expected of an operation's end, and when it is not relied upon. */
#include "host-client/lib/plain/forecast.h"

#include "tests/fixtures/unit.h"

#define US   1000ULL
#define MS   1000000ULL
#define SPIN (50 * US)
#define KEY  4711U
/* An arbitrary time of submission. */
#define START (1000 * MS)

static struct pst_forecast p;
static struct pst_forecast_plan plan;

static void setup(void)
{
	p = (struct pst_forecast){0};
}

static void seen(uint64_t ns, int times)
{
	while (times-- > 0)
		pst_forecast_done(&p, KEY, ns);
}

static const struct pst_forecast_start at_once = {START, START, START};

static void make_plan(void)
{
	pst_forecast_plan(&p, KEY, &at_once, SPIN, &plan);
}

START_TEST(nothing_is_expected_of_what_was_not_seen)
{
	make_plan();
	ck_assert_uint_eq(plan.spin_until_ns, 0);
	seen(10 * MS, 1);
	make_plan();
	ck_assert_uint_eq(plan.spin_until_ns, 0);
	pst_forecast_plan(&p, 0, &at_once, SPIN, &plan);
	ck_assert_uint_eq(plan.spin_until_ns, 0);
}
END_TEST

START_TEST(a_long_operation_is_slept_through_and_its_end_met_awake)
{
	seen(10 * MS, 8);
	make_plan();
	ck_assert_uint_gt(plan.sleep_until_ns, START + 9 * MS);
	ck_assert_uint_lt(plan.sleep_until_ns, START + 10 * MS);
	ck_assert_uint_ge(plan.spin_until_ns, START + 10 * MS + SPIN);
	/* Bounded: what the spin costs is a small part of the call. */
	ck_assert_uint_lt(plan.spin_until_ns, START + 11 * MS);
}
END_TEST

static struct pst_forecast_start start_at(uint64_t key, uint64_t now_ns,
					  bool idle)
{
	struct pst_forecast_start s;

	if (idle)
		pst_forecast_forget(&p);
	pst_forecast_start(&p, key, now_ns, &s);
	ck_assert_uint_eq(s.asked_ns, now_ns);
	return s;
}

START_TEST(what_waits_behind_others_starts_when_they_have_ended)
{
	struct pst_forecast_start s;

	seen(10 * MS, 4);
	seen(11 * MS, 4);
	s = start_at(KEY, START, true);
	ck_assert_uint_eq(s.early_ns, START);
	ck_assert_uint_eq(s.late_ns, START);
	s = start_at(KEY, START + MS, false);
	ck_assert_uint_eq(s.early_ns, START + 10 * MS);
	ck_assert_uint_eq(s.late_ns, START + 11 * MS);
	s = start_at(KEY, START + 2 * MS, false);
	ck_assert_uint_eq(s.early_ns, START + 20 * MS);
	ck_assert_uint_eq(s.late_ns, START + 22 * MS);
	/* They took less time, or more; what nobody knows takes none. */
	s = start_at(KEY + 1, START + 5 * MS, true);
	ck_assert_uint_eq(s.late_ns, START + 5 * MS);
	s = start_at(KEY, START + 40 * MS, false);
	ck_assert_uint_eq(s.early_ns, START + 40 * MS);
	ck_assert_uint_eq(s.late_ns, START + 40 * MS);
}
END_TEST

START_TEST(short_operations_cost_no_look_at_the_clock)
{
	ck_assert(!pst_forecast_matters(&p, KEY, SPIN));
	seen(SPIN / 2, 16);
	ck_assert(!pst_forecast_matters(&p, KEY, SPIN));
	ck_assert(!pst_forecast_waits(&p));
	seen(10 * MS, 8);
	ck_assert(pst_forecast_matters(&p, KEY, SPIN));
	ck_assert(!pst_forecast_matters(&p, KEY + 1, SPIN));
	/* What waits behind a long one is another matter. */
	(void)start_at(KEY, START, true);
	ck_assert(pst_forecast_matters(&p, KEY + 1, SPIN));
	ck_assert(pst_forecast_waits(&p));
	pst_forecast_forget(&p);
	ck_assert(!pst_forecast_matters(&p, KEY + 1, SPIN));
}
END_TEST

START_TEST(what_was_seen_to_end_says_when_the_next_one_starts)
{
	struct pst_forecast_start s, next;
	int i;

	seen(10 * MS, 8);
	for (i = 0; i < 50; i++)
		pst_forecast_slept(&p, START, START + 10 * US);
	(void)start_at(KEY, START, true);
	s = start_at(KEY, START + MS, false);
	next = s;
	/* Nothing has ended yet. */
	pst_forecast_next(&p, &next);
	ck_assert_uint_eq(next.early_ns, s.early_ns);
	ck_assert_uint_eq(next.late_ns, s.late_ns);
	/* The first took two milliseconds more. */
	pst_forecast_seen(&p, START + 12 * MS);
	pst_forecast_next(&p, &next);
	ck_assert_uint_eq(next.late_ns, START + 12 * MS);
	ck_assert_uint_le(next.early_ns, START + 12 * MS - 10 * US);
	ck_assert_uint_gt(next.early_ns, START + 12 * MS - 50 * US);
	pst_forecast_plan(&p, KEY, &next, SPIN, &plan);
	ck_assert_uint_gt(plan.sleep_until_ns, START + 21 * MS);
	ck_assert_uint_lt(plan.sleep_until_ns, START + 22 * MS);
	ck_assert_uint_ge(plan.spin_until_ns, START + 22 * MS + SPIN);
	/* What was seen before all was idle says nothing. */
	s = next = start_at(KEY, START + 50 * MS, true);
	pst_forecast_next(&p, &next);
	ck_assert_uint_eq(next.early_ns, s.early_ns);
	ck_assert_uint_eq(next.late_ns, s.late_ns);
}
END_TEST

START_TEST(a_start_that_nobody_knows_is_not_relied_upon)
{
	struct pst_forecast_start s = {START, START + 20 * MS, START + 20 * MS};

	seen(MS, 8);
	/* A short one after a long time: by that time's measure. */
	s.late_ns += 500 * US;
	pst_forecast_plan(&p, KEY, &s, SPIN, &plan);
	ck_assert_uint_ne(plan.sleep_until_ns, 0);
	ck_assert_uint_lt(plan.sleep_until_ns, START + 21 * MS);
	ck_assert_uint_ge(plan.spin_until_ns,
			  START + 21 * MS + 500 * US + SPIN);
	s.late_ns += MS;
	pst_forecast_plan(&p, KEY, &s, SPIN, &plan);
	ck_assert_uint_eq(plan.sleep_until_ns, 0);
	ck_assert_uint_eq(plan.spin_until_ns, 0);
}
END_TEST

START_TEST(a_short_operation_is_spun_for_without_a_sleep)
{
	seen(40 * US, 8);
	make_plan();
	ck_assert_uint_eq(plan.sleep_until_ns, 0);
	ck_assert_uint_ge(plan.spin_until_ns, START + 40 * US + SPIN);
	ck_assert_uint_lt(plan.spin_until_ns, START + 40 * US + 2 * SPIN);
}
END_TEST

START_TEST(one_accident_changes_nothing)
{
	struct pst_forecast_plan before;

	seen(10 * MS, 8);
	make_plan();
	before = plan;
	seen(500 * MS, 1);
	make_plan();
	ck_assert_uint_eq(plan.sleep_until_ns, before.sleep_until_ns);
	ck_assert_uint_eq(plan.spin_until_ns, before.spin_until_ns);
}
END_TEST

START_TEST(a_new_pace_is_learnt_within_a_few_operations)
{
	seen(10 * MS, 100);
	seen(30 * MS, 8);
	make_plan();
	ck_assert_uint_gt(plan.sleep_until_ns, START + 29 * MS);
}
END_TEST

START_TEST(a_faster_pace_is_learnt_at_once)
{
	seen(40 * MS, 16);
	seen(20 * MS, 1);
	make_plan();
	/* One may be an accident. */
	ck_assert_uint_gt(plan.sleep_until_ns, START + 39 * MS);
	seen(20 * MS + 10 * US, 1);
	make_plan();
	ck_assert_uint_lt(plan.sleep_until_ns, START + 20 * MS);
	seen(20 * MS, 1);
	make_plan();
	ck_assert_uint_gt(plan.sleep_until_ns, START + 19 * MS);
	ck_assert_uint_lt(plan.sleep_until_ns, START + 20 * MS);
}
END_TEST

START_TEST(what_varies_widely_is_not_expected_at_all)
{
	int i;

	for (i = 0; i < 8; i++)
		seen((uint64_t)(5 + 3 * i) * MS, 1);
	make_plan();
	ck_assert_uint_eq(plan.sleep_until_ns, 0);
	ck_assert_uint_eq(plan.spin_until_ns, 0);
}
END_TEST

START_TEST(of_what_varies_most_is_expected_where_most_of_it_ends)
{
	int i;

	/* 20 ms, and every third a millisecond or two more. */
	for (i = 0; i < 16; i++)
		seen(20 * MS + (i % 3 ? 0 : MS * (uint64_t)(1 + i % 2)) +
			     (uint64_t)i * US,
		     1);
	make_plan();
	ck_assert_uint_gt(plan.sleep_until_ns, START + 19 * MS);
	ck_assert_uint_lt(plan.sleep_until_ns, START + 20 * MS);
	ck_assert_uint_gt(plan.spin_until_ns, START + 20 * MS + 15 * US);
	ck_assert_uint_lt(plan.spin_until_ns, START + 21 * MS);
}
END_TEST

/* Sums with such would wrap around, and a spin take hours. */
START_TEST(what_cannot_be_is_not_expected)
{
	seen(UINT64_MAX - START / 2, 4);
	seen(UINT64_MAX, 4);
	make_plan();
	ck_assert_uint_eq(plan.sleep_until_ns, 0);
	ck_assert_uint_eq(plan.spin_until_ns, 0);
	ck_assert_uint_eq(start_at(KEY, START, true).late_ns, START);
	ck_assert_uint_eq(start_at(KEY, START, false).late_ns, START);
}
END_TEST

START_TEST(shapes_are_told_apart)
{
	seen(10 * MS, 8);
	pst_forecast_plan(&p, KEY + 1, &at_once, SPIN, &plan);
	ck_assert_uint_eq(plan.spin_until_ns, 0);
	/* The same place: the newer one has it. */
	pst_forecast_done(&p, KEY + PST_FORECAST_SHAPES, MS);
	make_plan();
	ck_assert_uint_eq(plan.spin_until_ns, 0);
}
END_TEST

START_TEST(timers_that_are_late_are_set_earlier)
{
	uint64_t prompt, late;
	int i;

	seen(100 * MS, 8);
	for (i = 0; i < 50; i++)
		pst_forecast_slept(&p, START, START + 10 * US);
	make_plan();
	prompt = plan.sleep_until_ns;
	for (i = 0; i < 50; i++)
		pst_forecast_slept(&p, START, START + 400 * US);
	make_plan();
	late = plan.sleep_until_ns;
	ck_assert_uint_lt(late + 300 * US, prompt);
	/* A time slice lost to others is no lateness of the timer. */
	pst_forecast_slept(&p, START, START + 50 * MS);
	make_plan();
	ck_assert_uint_eq(plan.sleep_until_ns, late);
}
END_TEST

/* Calls until there is a plan again, at most 1000. */
static int calls_without_a_plan(void)
{
	int n = 0;

	for (make_plan(); !plan.spin_until_ns && n < 1000; make_plan())
		n++;
	return n;
}

START_TEST(plans_that_fail_again_and_again_are_made_less_often)
{
	int n, last = 0, i;

	seen(10 * MS, 8);
	pst_forecast_met(&p, KEY, false);
	ck_assert_int_eq(calls_without_a_plan(), 0);
	for (i = 0; i < 20; i++) {
		pst_forecast_met(&p, KEY, false);
		n = calls_without_a_plan();
		ck_assert_int_ge(n, last);
		last = n;
	}
	ck_assert_int_gt(last, 10);
	ck_assert_int_lt(last, 1000);
	pst_forecast_met(&p, KEY, true);
	pst_forecast_met(&p, KEY, false);
	ck_assert_int_eq(calls_without_a_plan(), 0);
}
END_TEST

START_TEST(a_key_says_what_decides_on_the_duration)
{
	struct pst_wire_sqe a = {.op = PST_WIRE_OP_GEMM,
				 .dtype = PST_WIRE_F32,
				 .m = 64,
				 .n = 64,
				 .k = 64,
				 .batch = 1},
			    b = a;

	b.off_a = 4096;
	b.tag = 9;
	ck_assert_uint_ne(pst_forecast_key(&a), 0);
	ck_assert_uint_eq(pst_forecast_key(&a), pst_forecast_key(&b));
	b.k = 65;
	ck_assert_uint_ne(pst_forecast_key(&a), pst_forecast_key(&b));
	b = a;
	b.dtype = PST_WIRE_F64;
	ck_assert_uint_ne(pst_forecast_key(&a), pst_forecast_key(&b));
	b.op = PST_WIRE_OP_NOP;
	ck_assert_uint_eq(pst_forecast_key(&b), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, nothing_is_expected_of_what_was_not_seen);
	tcase_add_test(tc,
		       a_long_operation_is_slept_through_and_its_end_met_awake);
	tcase_add_test(tc,
		       what_waits_behind_others_starts_when_they_have_ended);
	tcase_add_test(tc, what_was_seen_to_end_says_when_the_next_one_starts);
	tcase_add_test(tc, short_operations_cost_no_look_at_the_clock);
	tcase_add_test(tc, a_start_that_nobody_knows_is_not_relied_upon);
	tcase_add_test(tc, a_short_operation_is_spun_for_without_a_sleep);
	tcase_add_test(tc, one_accident_changes_nothing);
	tcase_add_test(tc, a_new_pace_is_learnt_within_a_few_operations);
	tcase_add_test(tc, a_faster_pace_is_learnt_at_once);
	tcase_add_test(tc, what_varies_widely_is_not_expected_at_all);
	tcase_add_test(tc,
		       of_what_varies_most_is_expected_where_most_of_it_ends);
	tcase_add_test(tc, what_cannot_be_is_not_expected);
	tcase_add_test(tc, shapes_are_told_apart);
	tcase_add_test(tc, timers_that_are_late_are_set_earlier);
	tcase_add_test(tc, plans_that_fail_again_and_again_are_made_less_often);
	tcase_add_test(tc, a_key_says_what_decides_on_the_duration);
}

int main(void)
{
	return pst_unit_run("forecast", add, 10);
}
