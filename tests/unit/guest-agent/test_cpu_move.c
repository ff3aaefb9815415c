/* SPDX-License-Identifier: MIT */
/* When the serving thread leaves its CPU. */
#include "guest-agent/serve/cpu_move.h"
#include "tests/fixtures/unit.h"

#define MS 1000000ULL

static struct pst_agent_aside a;
static uint64_t now, preempted;

static void setup(void)
{
	a = (struct pst_agent_aside){0};
	now = 1000 * MS;
	preempted = 100000;
}

/* Another millisecond with n preemptions. */
static bool passes(uint64_t n)
{
	now += MS;
	preempted += n;
	return pst_agent_aside_due(&a, now, preempted);
}

START_TEST(what_happened_before_the_first_look_does_not_count)
{
	ck_assert(!passes(0));
	ck_assert(!passes(0));
}
END_TEST

START_TEST(ordinary_time_slices_move_nothing)
{
	int i;

	for (i = 0; i < 1000; i++)
		ck_assert(!passes(i % 3));
}
END_TEST

START_TEST(dozens_a_millisecond_move_it_and_then_not_at_once_again)
{
	int i, n = 0;

	passes(0);
	ck_assert(passes(60));
	for (i = 0; i < 50; i++)
		ck_assert(!passes(60));
	for (i = 0; i < 1000; i++)
		n += passes(60);
	ck_assert_int_ge(n, 5);
	ck_assert_int_le(n, 10);
}
END_TEST

START_TEST(a_look_too_soon_counts_nothing_and_loses_nothing)
{
	passes(0);
	ck_assert(!pst_agent_aside_due(&a, now + MS / 2, preempted + 30));
	now += MS;
	ck_assert(pst_agent_aside_due(&a, now, preempted + 60));
}
END_TEST

START_TEST(many_over_a_long_time_are_not_many)
{
	passes(0);
	now += 1000 * MS;
	preempted += 100;
	ck_assert(!pst_agent_aside_due(&a, now, preempted));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, what_happened_before_the_first_look_does_not_count);
	tcase_add_test(tc, ordinary_time_slices_move_nothing);
	tcase_add_test(tc,
		       dozens_a_millisecond_move_it_and_then_not_at_once_again);
	tcase_add_test(tc, a_look_too_soon_counts_nothing_and_loses_nothing);
	tcase_add_test(tc, many_over_a_long_time_are_not_many);
}

int main(void)
{
	return pst_unit_run("cpu_move", add, 10);
}
