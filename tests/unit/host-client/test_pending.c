/* SPDX-License-Identifier: MIT */
/* Tags and generations of outstanding operations. */

#include "host-client/lib/plain/pending.h"
#include "tests/fixtures/unit.h"

static struct pst_pending t;

static void setup(void)
{
	pst_pending_init(&t, 0);
}

START_TEST(tags_are_never_zero_and_never_used_twice)
{
	struct pst_record *a = pst_pending_new(&t, false);
	uint64_t tag = a->done.tag;

	ck_assert_uint_ne(tag, 0);
	pst_pending_put(&t, a);
	a = pst_pending_new(&t, false);
	ck_assert_uint_ne(a->done.tag, tag);
	ck_assert_ptr_null(pst_pending_find(&t, tag));
	ck_assert_ptr_eq(pst_pending_find(&t, a->done.tag), a);
}
END_TEST

START_TEST(the_table_holds_as_many_as_there_are_slots)
{
	struct pst_record *last = NULL;
	unsigned int i;

	for (i = 0; i < PST_WIRE_SLOTS; i++) {
		last = pst_pending_new(&t, false);
		ck_assert_ptr_nonnull(last);
	}
	ck_assert_ptr_null(pst_pending_new(&t, false));
	last->state = PST_RECORD_ABANDONED;
	ck_assert_ptr_null(pst_pending_new(&t, false));
	pst_pending_put(&t, last);
	ck_assert_ptr_nonnull(pst_pending_new(&t, false));
}
END_TEST

START_TEST(a_completion_matches_only_what_the_agent_has)
{
	struct pst_record *a = pst_pending_new(&t, false);
	uint64_t tag = a->done.tag;

	ck_assert_ptr_eq(pst_pending_match(&t, tag), a);
	ck_assert_ptr_null(pst_pending_match(&t, 0));
	ck_assert_ptr_null(pst_pending_match(&t, tag + (1ULL << 32)));
	ck_assert_ptr_null(pst_pending_match(&t, tag | PST_WIRE_SLOTS));
	ck_assert_ptr_null(pst_pending_match(&t, UINT64_MAX));
	/* A slot that was never used. */
	ck_assert_ptr_null(
		pst_pending_match(&t, (1ULL << 32) | (a->index ^ 1)));
	ck_assert_ptr_null(pst_pending_match(&t, a->index ^ 1));
	a->state = PST_RECORD_ABANDONED;
	ck_assert_ptr_eq(pst_pending_match(&t, tag), a);
	ck_assert_ptr_null(pst_pending_find(&t, tag));
	pst_pending_put(&t, a);
	ck_assert_ptr_null(pst_pending_match(&t, tag));
	a = pst_pending_new(&t, false);
	ck_assert_ptr_null(pst_pending_match(&t, tag));
}
END_TEST

START_TEST(generations_wrap_without_becoming_zero)
{
	struct pst_record *a = pst_pending_new(&t, false);
	uint64_t tag;

	a->done.tag = (uint64_t)UINT32_MAX << 32 | a->index;
	tag = a->done.tag;
	pst_pending_put(&t, a);
	a = pst_pending_new(&t, false);
	ck_assert_uint_eq(a->done.tag, 1ULL << 32 | a->index);
	ck_assert_ptr_null(pst_pending_match(&t, tag));
	ck_assert_ptr_eq(pst_pending_match(&t, a->done.tag), a);
}
END_TEST

START_TEST(completions_queue_in_order_without_the_claimed)
{
	struct pst_record *a = pst_pending_new(&t, false);
	struct pst_record *b = pst_pending_new(&t, true);
	struct pst_record *c = pst_pending_new(&t, false);
	struct pst_record *d = pst_pending_new(&t, false);

	pst_pending_complete(&t, d);
	pst_pending_complete(&t, b);
	pst_pending_complete(&t, a);
	pst_pending_complete(&t, c);
	ck_assert_ptr_eq(TAILQ_FIRST(&t.done), d);
	/* Claimed after it was done: it leaves the queue. */
	pst_pending_claim(&t, d);
	ck_assert_ptr_eq(TAILQ_FIRST(&t.done), a);
	pst_pending_put(&t, d);
	pst_pending_put(&t, a);
	ck_assert_ptr_eq(TAILQ_FIRST(&t.done), c);
	pst_pending_put(&t, b);
	pst_pending_put(&t, c);
	ck_assert(TAILQ_EMPTY(&t.done));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, tags_are_never_zero_and_never_used_twice);
	tcase_add_test(tc, the_table_holds_as_many_as_there_are_slots);
	tcase_add_test(tc, a_completion_matches_only_what_the_agent_has);
	tcase_add_test(tc, generations_wrap_without_becoming_zero);
	tcase_add_test(tc, completions_queue_in_order_without_the_claimed);
}

int main(void)
{
	return pst_unit_run("pending", add, 10);
}
