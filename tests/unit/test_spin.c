/* SPDX-License-Identifier: MIT */
/* How the spinning window shrinks and recovers. */
#include "guest-agent/spin.h"
#include "tests/unit/unit.h"

#define MAX 50000U

START_TEST(spins_in_vain_shrink_the_window_to_a_floor_that_is_not_zero)
{
	struct pst_spin s;
	int i;

	pst_spin_init(&s, MAX);
	ck_assert_uint_eq(s.now_ns, MAX);
	pst_spin_slept(&s, 1000000000, false);
	ck_assert_uint_eq(s.now_ns, MAX);
	for (i = 0; i < 1000; i++)
		pst_spin_slept(&s, 1000000000, false);
	ck_assert_uint_lt(s.now_ns, MAX / 8);
	ck_assert_uint_gt(s.now_ns, 0);
}
END_TEST

START_TEST(work_within_the_window_keeps_it)
{
	struct pst_spin s;
	int i;

	pst_spin_init(&s, MAX);
	for (i = 0; i < 1000; i++) {
		pst_spin_slept(&s, 1000000000, true);
		pst_spin_found(&s);
	}
	ck_assert_uint_eq(s.now_ns, MAX);
}
END_TEST

START_TEST(a_short_sleep_brings_the_whole_window_back)
{
	struct pst_spin s;
	int i;

	pst_spin_init(&s, MAX);
	for (i = 0; i < 1000; i++)
		pst_spin_slept(&s, 1000000000, true);
	ck_assert_uint_lt(s.now_ns, MAX);
	/* Short, but nothing came: no reason to spin. */
	pst_spin_slept(&s, 1000, false);
	ck_assert_uint_lt(s.now_ns, MAX);
	pst_spin_slept(&s, MAX, true);
	ck_assert_uint_eq(s.now_ns, MAX);
}
END_TEST

START_TEST(without_spinning_there_is_no_window)
{
	struct pst_spin s;
	int i;

	pst_spin_init(&s, 0);
	for (i = 0; i < 10; i++)
		pst_spin_slept(&s, 0, true);
	ck_assert_uint_eq(s.now_ns, 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(
		tc,
		spins_in_vain_shrink_the_window_to_a_floor_that_is_not_zero);
	tcase_add_test(tc, work_within_the_window_keeps_it);
	tcase_add_test(tc, a_short_sleep_brings_the_whole_window_back);
	tcase_add_test(tc, without_spinning_there_is_no_window);
}

int main(void)
{
	return pst_unit_run("spin", add, 10);
}
