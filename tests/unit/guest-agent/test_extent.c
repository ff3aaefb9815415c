/* SPDX-License-Identifier: MIT */
/* Leasing, release, quarantine and reuse of arena extents. */
#include <errno.h>
#include <stdint.h>

#include "guest-agent/exec/extent.h"
#include "tests/fixtures/unit.h"
#include "transport/wire.h"

#define U ((uint64_t)PST_WIRE_UNIT)

static struct pst_agent_extents *e;

static void setup(void)
{
	ck_assert_int_eq(pst_agent_extents_new(U, 8 * U, &e), 0);
}

static void teardown(void)
{
	pst_agent_extents_free(e);
}

START_TEST(bad_arenas_are_refused)
{
	struct pst_agent_extents *x = NULL;

	ck_assert_int_eq(pst_agent_extents_new(U, 0, &x), -EINVAL);
	ck_assert_int_eq(pst_agent_extents_new(U, U + 1, &x), -EINVAL);
	ck_assert_int_eq(pst_agent_extents_new(1, U, &x), -EINVAL);
	ck_assert_int_eq(pst_agent_extents_new(U, UINT64_MAX - U + 1, &x),
			 -EINVAL);
	ck_assert_ptr_null(x);
}
END_TEST

START_TEST(a_lease_is_rounded_up_and_never_overlaps)
{
	struct pst_span a, b;

	ck_assert_int_eq(pst_agent_extents_lease(e, 1, 1, &a), 0);
	ck_assert_uint_eq(a.size, U);
	ck_assert_int_eq(pst_agent_extents_lease(e, 2, U + 1, &b), 0);
	ck_assert_uint_eq(b.size, 2 * U);
	ck_assert(a.off + a.size <= b.off || b.off + b.size <= a.off);
	ck_assert(pst_agent_extents_holds(e, 1, &a));
	ck_assert(!pst_agent_extents_holds(e, 2, &a));
	ck_assert_int_eq(pst_agent_extents_lease(e, 1, 0, &a), -EINVAL);
	ck_assert_int_eq(pst_agent_extents_lease(e, 0, U, &a), -EINVAL);
	ck_assert_int_eq(pst_agent_extents_lease(e, 1, UINT64_MAX, &a),
			 -ENOSPC);
}
END_TEST

START_TEST(a_full_arena_says_so_and_leases_again_only_after_settling)
{
	struct pst_span all, one;
	struct pst_agent_extents_stats st;

	ck_assert_int_eq(pst_agent_extents_lease(e, 1, 8 * U, &all), 0);
	ck_assert_int_eq(pst_agent_extents_lease(e, 2, 1, &one), -ENOSPC);
	ck_assert_int_eq(pst_agent_extents_release(e, 1, &all, 0), 0);
	ck_assert_int_eq(pst_agent_extents_lease(e, 2, 1, &one), -ENOSPC);
	ck_assert(!pst_agent_extents_holds(e, 1, &all));
	pst_agent_extents_stats(e, &st);
	ck_assert_uint_eq(st.quarantined, 8 * U);
	ck_assert_uint_eq(st.leased, 0);
	pst_agent_extents_settle(e, 2, UINT64_MAX);
	ck_assert_int_eq(pst_agent_extents_lease(e, 2, 1, &one), -ENOSPC);
	pst_agent_extents_settle(e, 1, UINT64_MAX);
	ck_assert_int_eq(pst_agent_extents_lease(e, 2, 8 * U, &one), 0);
}
END_TEST

START_TEST(each_extent_waits_for_what_began_before_its_release)
{
	struct pst_agent_extents_stats st;
	struct pst_span a, b;

	ck_assert_int_eq(pst_agent_extents_lease(e, 1, U, &a), 0);
	ck_assert_int_eq(pst_agent_extents_lease(e, 1, 2 * U, &b), 0);
	ck_assert_int_eq(pst_agent_extents_release(e, 1, &a, 5), 0);
	ck_assert_int_eq(pst_agent_extents_release(e, 1, &b, 7), 0);
	ck_assert(pst_agent_extents_settle(e, 1, 5));
	pst_agent_extents_stats(e, &st);
	ck_assert_uint_eq(st.quarantined, 3 * U);
	ck_assert(pst_agent_extents_settle(e, 1, 6));
	pst_agent_extents_stats(e, &st);
	ck_assert_uint_eq(st.quarantined, 2 * U);
	ck_assert(pst_agent_extents_settle_dirty(e, 1, 7));
	ck_assert(!pst_agent_extents_dirty(e, 8 * U, &a));
	ck_assert(!pst_agent_extents_settle(e, 1, 8));
	ck_assert_int_eq(pst_agent_extents_lease(e, 1, U, &a), 0);
	ck_assert_uint_eq(pst_agent_extents_release_owner(e, 1), U);
	ck_assert(pst_agent_extents_settle(e, 1, UINT64_MAX - 1));
	ck_assert(!pst_agent_extents_settle(e, 1, UINT64_MAX));
}
END_TEST

START_TEST(only_the_holder_releases_and_only_the_whole_extent)
{
	struct pst_span s, part;

	ck_assert_int_eq(pst_agent_extents_lease(e, 1, 3 * U, &s), 0);
	ck_assert_int_eq(pst_agent_extents_release(e, 2, &s, 0), -ENOENT);
	part = (struct pst_span){s.off, U};
	ck_assert_int_eq(pst_agent_extents_release(e, 1, &part, 0), -ENOENT);
	part = (struct pst_span){s.off + U, 2 * U};
	ck_assert_int_eq(pst_agent_extents_release(e, 1, &part, 0), -ENOENT);
	part.off = UINT64_MAX - U + 1;
	ck_assert_int_eq(pst_agent_extents_release(e, 1, &part, 0), -ENOENT);
	part.off = s.off + 1;
	ck_assert_int_eq(pst_agent_extents_release(e, 1, &part, 0), -ENOENT);
	ck_assert_int_eq(pst_agent_extents_release(e, 1, &s, 0), 0);
	ck_assert_int_eq(pst_agent_extents_release(e, 1, &s, 0), -ENOENT);
}
END_TEST

START_TEST(holding_means_every_byte)
{
	struct pst_span a, b, s;

	ck_assert_int_eq(pst_agent_extents_lease(e, 1, U, &a), 0);
	ck_assert_int_eq(pst_agent_extents_lease(e, 1, U, &b), 0);
	s = (struct pst_span){a.off + U - 8, 16};
	ck_assert(pst_agent_extents_holds(e, 1, &s));
	s = (struct pst_span){b.off + U - 8, 9};
	ck_assert(!pst_agent_extents_holds(e, 1, &s));
	s = (struct pst_span){a.off, UINT64_MAX};
	ck_assert(!pst_agent_extents_holds(e, 1, &s));
	s = (struct pst_span){a.off - 1, 2};
	ck_assert(!pst_agent_extents_holds(e, 1, &s));
	s = (struct pst_span){a.off, 0};
	ck_assert(!pst_agent_extents_holds(e, 1, &s));
	ck_assert_int_eq(pst_agent_extents_release(e, 1, &b, 0), 0);
	s = (struct pst_span){a.off + U - 8, 16};
	ck_assert(!pst_agent_extents_holds(e, 1, &s));
}
END_TEST

START_TEST(what_a_dead_owner_had_is_nobodys_until_it_is_scrubbed)
{
	struct pst_agent_extents_stats st;
	uint64_t scrubbed = 0;
	struct pst_span s;

	ck_assert_int_eq(pst_agent_extents_lease(e, 1, U, &s), 0);
	ck_assert_int_eq(pst_agent_extents_lease(e, 2, U, &s), 0);
	ck_assert_int_eq(pst_agent_extents_lease(e, 1, 2 * U, &s), 0);
	ck_assert_uint_eq(pst_agent_extents_leased(e, 1), 3 * U);
	ck_assert_uint_eq(pst_agent_extents_release_owner(e, 1), 3 * U);
	ck_assert_uint_eq(pst_agent_extents_leased(e, 1), 0);
	ck_assert(!pst_agent_extents_dirty(e, 2 * U, &s));
	pst_agent_extents_settle_dirty(e, 1, UINT64_MAX);
	pst_agent_extents_settle(e, 1, UINT64_MAX);
	pst_agent_extents_stats(e, &st);
	ck_assert_uint_eq(st.quarantined, 3 * U);
	while (pst_agent_extents_dirty(e, U, &s)) {
		ck_assert_uint_eq(s.size, U);
		ck_assert(!pst_agent_extents_holds(e, UINT64_MAX, &s));
		pst_agent_extents_scrubbed(e, &s);
		scrubbed += s.size;
	}
	ck_assert_uint_eq(scrubbed, 3 * U);
	ck_assert_uint_eq(pst_agent_extents_leased(e, 2), U);
	pst_agent_extents_stats(e, &st);
	ck_assert_uint_eq(st.quarantined, 0);
	ck_assert_uint_eq(st.leased, U);
}
END_TEST

START_TEST(random_leases_agree_with_a_plain_model)
{
	uint64_t owner[8] = {0};
	struct pst_span held[64];
	uint64_t held_owner[64], o, want;
	unsigned int n = 0, i, j, round;

	srand(1);
	for (round = 0; round < 20000; round++) {
		o = 1 + (uint64_t)rand() % 3;
		want = 1 + (uint64_t)rand() % 3;
		if (n < 64 && rand() % 2) {
			if (pst_agent_extents_lease(e, o, want * U, &held[n]) <
			    0)
				continue;
			for (i = 0; i < want; i++) {
				j = (unsigned int)(held[n].off / U - 1 + i);
				ck_assert_uint_eq(owner[j], 0);
				owner[j] = o;
			}
			held_owner[n++] = o;
		} else if (n > 0) {
			i = (unsigned int)rand() % n;
			ck_assert_int_eq(pst_agent_extents_release(
						 e, held_owner[i], &held[i], 0),
					 0);
			pst_agent_extents_settle(e, held_owner[i], UINT64_MAX);
			for (j = 0; j < held[i].size / U; j++)
				owner[held[i].off / U - 1 + j] = 0;
			held[i] = held[--n];
			held_owner[i] = held_owner[n];
		}
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, bad_arenas_are_refused);
	tcase_add_test(tc, a_lease_is_rounded_up_and_never_overlaps);
	tcase_add_test(
		tc, a_full_arena_says_so_and_leases_again_only_after_settling);
	tcase_add_test(tc, each_extent_waits_for_what_began_before_its_release);
	tcase_add_test(tc, only_the_holder_releases_and_only_the_whole_extent);
	tcase_add_test(tc, holding_means_every_byte);
	tcase_add_test(tc,
		       what_a_dead_owner_had_is_nobodys_until_it_is_scrubbed);
	tcase_add_test(tc, random_leases_agree_with_a_plain_model);
}

int main(void)
{
	return pst_unit_run("extent", add, 20);
}
