/* SPDX-License-Identifier: MIT */
/* Who is let in before HELLO and who makes room, in virtual time. */
#include <stdlib.h>

#include "guest-agent/serve/door.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define MS  PST_NS_PER_MS
#define MAX 8U
#define N   2000U

static struct pst_agent_door door;
static struct pst_agent_door_place place[N];
static bool in[N];
static unsigned int n_dropped, youngest_ms;

static void setup(void)
{
	ck_assert_int_eq(pst_agent_door_init(&door, MAX), 0);
}

static void leave(unsigned int i)
{
	pst_agent_door_leave(&door, &place[i]);
	in[i] = false;
}

static void teardown(void)
{
	unsigned int i;

	for (i = 0; i < N; i++)
		if (in[i])
			leave(i);
	pst_agent_door_done(&door);
}

/* One comes, as a listener does it. Returns how long that rests. */
static uint64_t come(unsigned int i, bool has_uid, uint32_t uid,
		     uint64_t now_ns)
{
	struct pst_agent_door_place *out;
	uint64_t rest_ns, age_ms;

	ck_assert(pst_agent_door_enter(&door, &place[i], has_uid, uid, now_ns));
	in[i] = true;
	while ((out = pst_agent_door_show_out(&door, &place[i], now_ns,
					      &rest_ns))) {
		ck_assert_ptr_ne(out, &place[i]);
		age_ms = (now_ns - out->since_ns) / MS;
		if (!n_dropped++ || age_ms < youngest_ms)
			youngest_ms = (unsigned int)age_ms;
		leave((unsigned int)(out - place));
	}
	return rest_ns ? rest_ns - now_ns : 0;
}

START_TEST(the_oldest_makes_room_once_it_has_waited_its_time)
{
	unsigned int i;

	for (i = 0; i < MAX; i++)
		ck_assert_uint_eq(come(i, false, 0, (100 + i) * MS), 0);
	/* Nobody has waited long enough: nobody else is let in. */
	ck_assert_uint_eq(come(MAX, false, 0, 120 * MS), 30 * MS);
	ck_assert_uint_eq(door.n, MAX + 1);
	/* Then the two that came first go, for it and for the next one. */
	ck_assert_uint_eq(come(MAX + 1, false, 0, 151 * MS), 0);
	ck_assert(!in[0] && !in[1] && in[2]);
	ck_assert_uint_eq(door.n, MAX);
}
END_TEST

START_TEST(silent_ones_of_one_uid_leave_half_of_the_places)
{
	unsigned int i, n;

	for (i = n = 0; i < MAX / 2; i++)
		ck_assert_uint_eq(come(n++, true, 1000, 100 * MS), 0);
	ck_assert_uint_eq(come(n++, true, 1000, 110 * MS), 40 * MS);
	/* Others are let in, and nobody goes for them. */
	for (i = 0; i < MAX / 2 - 1; i++)
		ck_assert_uint_eq(come(n++, true, 33, 110 * MS), 0);
	ck_assert_uint_eq(n_dropped, 0);
	/* Those that come later push out their own only. */
	for (i = 0; i < 100; i++)
		come(n++, true, 1000, (1000 + 60 * i) * MS);
	for (i = 0; i < N; i++)
		ck_assert(!in[i] || place[i].group->uid == 33 ||
			  place[i].since_ns > 1000 * MS);
	ck_assert_uint_eq(door.n, MAX - 1);
}
END_TEST

START_TEST(nobody_young_is_dropped_however_fast_they_come)
{
	uint64_t now = 1000 * MS, rest;
	unsigned int i, served = 0;

	n_dropped = 0;
	/* As fast as they are let in; each tenth says HELLO after 40 ms. */
	for (i = 0; i < N; i++) {
		rest = come(i, i % 3, i % 7, now);
		now += rest ? rest : MS / 100;
		if (i < 10 || i % 10 || !in[i - 3])
			continue;
		leave(i - 3);
		served++;
	}
	ck_assert_uint_gt(n_dropped, N / 2);
	ck_assert_uint_ge(youngest_ms, PST_AGENT_DOOR_PATIENCE_MS);
	ck_assert_uint_eq(served, N / 10 - 1);
	ck_assert_uint_le(door.n, MAX + 1);
}
END_TEST

START_TEST(more_listeners_than_there_may_be_overflow_nothing)
{
	unsigned int i;

	for (i = 0; i < N; i++)
		in[i] = pst_agent_door_enter(&door, &place[i], true, i, 0);
	ck_assert_uint_lt(door.n, MAX + 100);
	ck_assert(!in[N - 1]);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_oldest_makes_room_once_it_has_waited_its_time);
	tcase_add_test(tc, silent_ones_of_one_uid_leave_half_of_the_places);
	tcase_add_test(tc, nobody_young_is_dropped_however_fast_they_come);
	tcase_add_test(tc, more_listeners_than_there_may_be_overflow_nothing);
}

int main(void)
{
	return pst_unit_run("door", add, 10);
}
