/* SPDX-License-Identifier: MIT */
/* How the spinning window shrinks and recovers. */
#include "guest-agent/serve/spin.h"
#include "tests/fixtures/unit.h"

#define MAX 50000U

START_TEST(spins_in_vain_shrink_the_window_to_a_floor_that_is_not_zero)
{
	struct pst_agent_spin s;
	int i;

	pst_agent_spin_init(&s, MAX);
	ck_assert_uint_eq(s.now_ns, MAX);
	pst_agent_spin_slept(&s, 0, 1000000000, false);
	ck_assert_uint_eq(s.now_ns, MAX);
	for (i = 0; i < 1000; i++)
		pst_agent_spin_slept(&s, 0, 1000000000, false);
	ck_assert_uint_lt(s.now_ns, MAX / 8);
	ck_assert_uint_gt(s.now_ns, 0);
}
END_TEST

START_TEST(work_within_the_window_keeps_it)
{
	struct pst_agent_spin s;
	int i;

	pst_agent_spin_init(&s, MAX);
	for (i = 0; i < 1000; i++) {
		pst_agent_spin_slept(&s, 0, 1000000000, true);
		pst_agent_spin_found(&s);
	}
	ck_assert_uint_eq(s.now_ns, MAX);
}
END_TEST

START_TEST(a_short_sleep_brings_the_whole_window_back)
{
	struct pst_agent_spin s;
	int i;

	pst_agent_spin_init(&s, MAX);
	for (i = 0; i < 1000; i++)
		pst_agent_spin_slept(&s, 0, 1000000000, true);
	ck_assert_uint_lt(s.now_ns, MAX);
	/* Short, but nothing came: no reason to spin. */
	pst_agent_spin_slept(&s, 0, 1000, false);
	ck_assert_uint_lt(s.now_ns, MAX);
	pst_agent_spin_slept(&s, 0, MAX, true);
	/* A try without a spin comes first; the client was not kept away. */
	ck_assert_uint_eq(s.now_ns, 0);
	pst_agent_spin_slept(&s, 0, MAX, true);
	ck_assert_uint_eq(s.now_ns, MAX);
}
END_TEST

START_TEST(without_spinning_there_is_no_window)
{
	struct pst_agent_spin s;
	int i;

	pst_agent_spin_init(&s, 0);
	for (i = 0; i < 10; i++)
		pst_agent_spin_slept(&s, 0, 0, true);
	ck_assert_uint_eq(s.now_ns, 0);
}
END_TEST

/* A client on the CPU of this thread: nothing comes while it spins, and work_ns
 * after it sleeps there is work. Returns how long it spun for n operations. */
static uint64_t same_cpu(struct pst_agent_spin *s, uint64_t *now,
			 uint64_t work_ns, int n)
{
	uint64_t spun = 0;

	while (n-- > 0) {
		spun += s->now_ns;
		*now += s->now_ns + work_ns;
		pst_agent_spin_slept(s, *now, work_ns, true);
	}
	return spun;
}

/* A client elsewhere, whose work comes gap_ns after the last. Returns how often
 * the thread slept. */
static int other_cpu(struct pst_agent_spin *s, uint64_t *now, uint64_t gap_ns)
{
	*now += gap_ns;
	if (gap_ns < s->now_ns) {
		pst_agent_spin_found(s);
		return 0;
	}
	pst_agent_spin_slept(s, *now, gap_ns - s->now_ns, true);
	return 1;
}

START_TEST(a_client_on_the_same_cpu_soon_meets_no_spin)
{
	uint64_t now = 1, spun;
	struct pst_agent_spin s;

	pst_agent_spin_init(&s, MAX);
	same_cpu(&s, &now, 10000, 6);
	ck_assert_uint_eq(s.now_ns, 0);
	/* A second of it: one spin in vain for each rest. */
	spun = same_cpu(&s, &now, 10000, 100000);
	ck_assert_uint_gt(spun, 0);
	ck_assert_uint_lt(spun, 100000ULL * MAX / 100);
}
END_TEST

START_TEST(it_is_told_once_that_another_cpu_would_be_better)
{
	uint64_t now = 1;
	struct pst_agent_spin s;
	int i, n = 0;

	pst_agent_spin_init(&s, MAX);
	for (i = 0; i < 1000; i++) {
		now += s.now_ns + 10000;
		n += pst_agent_spin_slept(&s, now, 10000, true);
	}
	ck_assert_int_eq(n, 1);
	pst_agent_spin_moved(&s);
	ck_assert_uint_eq(s.now_ns, MAX);
}
END_TEST

START_TEST(a_client_that_leaves_the_cpu_is_spun_for_again)
{
	uint64_t now = 1;
	struct pst_agent_spin s;
	int i;

	pst_agent_spin_init(&s, MAX);
	same_cpu(&s, &now, 10000, 100);
	ck_assert_uint_eq(s.now_ns, 0);
	for (i = 0; i < 10001; i++)
		other_cpu(&s, &now, 10000);
	ck_assert_uint_eq(s.now_ns, MAX);
	ck_assert_uint_eq(other_cpu(&s, &now, 10000), 0);
}
END_TEST

START_TEST(longer_pauses_than_the_window_are_not_taken_for_a_shared_cpu)
{
	uint64_t now = 1;
	struct pst_agent_spin s;
	int i;

	pst_agent_spin_init(&s, MAX);
	for (i = 0; i < 1000; i++)
		other_cpu(&s, &now, MAX + MAX / 2);
	ck_assert_uint_eq(s.rest_until_ns, 0);
	for (i = 0; i < 1000; i++)
		other_cpu(&s, &now, i % 4 ? MAX / 2 : MAX + MAX / 2);
	ck_assert_uint_eq(s.rest_until_ns, 0);
}
END_TEST

/* How long after a device's end the thread looks at it, of work that lasts
 * length_ns and was taken for due_ns. A look takes LOOK_NS, a wake-up WAKE_NS.
 */
#define LOOK_NS 400U
#define WAKE_NS 10000U

static uint64_t late_by(uint64_t length_ns, uint64_t due_ns,
			uint64_t *ret_looks)
{
	uint64_t now = 1000, sleep;

	*ret_looks = 0;
	while (now < 1000 + length_ns) {
		sleep = pst_agent_spin_device(now, 1000, 1000 + due_ns);
		now += sleep ? sleep + WAKE_NS : LOOK_NS;
		++*ret_looks;
	}
	return now - 1000 - length_ns;
}

/* Lengths from 5 us to 1 ms, and estimates that are off by half. Only too long
 * an estimate of long work is a reason to sleep. */
START_TEST(the_end_of_short_work_is_seen_within_microseconds)
{
	uint64_t length, due, looks, most;
	unsigned int part;

	for (length = 5000; length < 1000000; length += 777) {
		for (part = 5; part <= 15; part++) {
			due = length * part / 10;
			most = due > length && due > 300000 ? 70000 : 5000;
			ck_assert_uint_le(late_by(length, due, &looks), most);
		}
	}
}
END_TEST

/* However wrong the estimate is, the end is seen within a few percent, and the
 * thread sleeps most of the time. */
START_TEST(long_work_is_slept_through)
{
	const uint64_t ms = 1000000, length = 200 * ms;
	uint64_t looks;

	ck_assert_uint_le(late_by(length, length, &looks), 5000);
	ck_assert_uint_lt(looks, 1000);
	ck_assert_uint_le(late_by(length, 2 * length, &looks), 9 * ms);
	ck_assert_uint_lt(looks, 100);
	ck_assert_uint_le(late_by(length, length / 100, &looks), 5 * ms);
	ck_assert_uint_lt(looks, 5000);
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
	tcase_add_test(tc, the_end_of_short_work_is_seen_within_microseconds);
	tcase_add_test(tc, long_work_is_slept_through);
	tcase_add_test(tc, a_client_on_the_same_cpu_soon_meets_no_spin);
	tcase_add_test(tc, it_is_told_once_that_another_cpu_would_be_better);
	tcase_add_test(tc, a_client_that_leaves_the_cpu_is_spun_for_again);
	tcase_add_test(
		tc,
		longer_pauses_than_the_window_are_not_taken_for_a_shared_cpu);
}

int main(void)
{
	return pst_unit_run("spin", add, 10);
}
