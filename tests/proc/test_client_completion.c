/* SPDX-License-Identifier: MIT */
/* The library against an agent that lies in its completions. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/fixtures/hostile_fixture.h"

static void cqe_unissued(struct pst_wire_cqe *cqe)
{
	cqe->tag += 1ULL << 32;
}

static void cqe_index(struct pst_wire_cqe *cqe)
{
	cqe->tag |= 0xffffffff;
}

static void cqe_zero(struct pst_wire_cqe *cqe)
{
	cqe->tag = 0;
}

static void cqe_flags(struct pst_wire_cqe *cqe)
{
	cqe->flags = 1;
}

static void cqe_status(struct pst_wire_cqe *cqe)
{
	cqe->status = 12345;
}

static void cqe_shutdown(struct pst_wire_cqe *cqe)
{
	cqe->status = PST_WIRE_ESHUTDOWN;
}

static bool live(void)
{
	bool r;

	pst_lock(c);
	r = c->session.live;
	pst_unlock(c);
	return r;
}

START_TEST(an_answer_is_not_taken_for_the_loss_of_an_earlier_session)
{
	int i;

	begin();
	fake.hang_up = true;
	for (i = 0; i < 20000 && live(); i++)
		usleep(1000);
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(c->session.lost_code, -ECONNRESET);
	fake.complete = cqe_shutdown;
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), -ECONNRESET);
	pst_last_error(c, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "the agent's answer"));
	end();
}
END_TEST

START_TEST(a_session_that_breaks_while_room_is_looked_for_is_lost)
{
	uint64_t tag;
	void *p;
	int i;

	begin();
	ck_assert_int_eq(pst_alloc(c, 64, &p), 0);
	fake.hold = true;
	for (i = 0; i < (int)PST_WIRE_SLOTS; i++)
		ck_assert_int_eq(pst_submit_checksum(c, p, 64, 0, &tag), 0);
	ck_assert_int_eq(pst_submit_checksum(c, p, 64, 0, &tag), -EAGAIN);
	fake.complete = cqe_zero;
	fake.hold = false;
	PST_UNTIL(pst_lane_client_ready(&c->queue[0].lane));
	/* No room comes of asking again: EAGAIN would be a lie. */
	ck_assert_int_eq(pst_submit_checksum(c, p, 64, 0, &tag), -ESTALE);
	end();
}
END_TEST

START_TEST(an_impossible_completion_ends_the_session)
{
	static void (*const lies[])(struct pst_wire_cqe *) = {
		cqe_unissued, cqe_index, cqe_zero, cqe_flags};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(lies); i++) {
		setup();
		fake.complete = lies[i];
		begin();
		ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), -EPROTO);
		ck_assert(!c->session.live);
		end();
	}
	/* An unknown status is one operation's trouble. */
	setup();
	fake.complete = cqe_status;
	begin();
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), -EPROTO);
	ck_assert(c->session.live);
	end();
}
END_TEST

static uint64_t first_tag;

static void cqe_again(struct pst_wire_cqe *cqe)
{
	if (first_tag)
		cqe->tag = first_tag;
	first_tag = cqe->tag;
}

START_TEST(a_completion_that_comes_again_ends_the_session)
{
	struct pst_completion done;
	uint64_t tag;

	first_tag = 0;
	fake.complete = cqe_again;
	begin();
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
	/* Dropped, it would leave the operation waiting for ever. */
	ck_assert_int_eq(pst_wait(c, tag, PST_FOREVER, &done), -EPROTO);
	ck_assert(!c->session.live);
	end();
}
END_TEST

START_TEST(more_completions_than_operations_end_the_session)
{
	struct pst_wire_cqe cqe = {.tag = 1};
	int i;

	begin();
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
	fake.hold = true;
	usleep(20 * 1000);
	/* The slot of an operation that nobody has submitted. */
	cqe.seq = c->queue[0].lane.cq_head + 1;
	memcpy(&pst_region_lane(fake.region.base, 1)
			->cq[c->queue[0].lane.cq_head % PST_WIRE_SLOTS],
	       &cqe, sizeof(cqe));
	for (i = 0; i < 100 && c->session.live; i++)
		pst_poll(c, NULL, 0);
	ck_assert(!c->session.live);
	ck_assert_int_eq(c->session.lost_code, -EPROTO);
	end();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(
		tc, an_answer_is_not_taken_for_the_loss_of_an_earlier_session);
	tcase_add_test(tc,
		       a_session_that_breaks_while_room_is_looked_for_is_lost);
	tcase_add_test(tc, an_impossible_completion_ends_the_session);
	tcase_add_test(tc, a_completion_that_comes_again_ends_the_session);
	tcase_add_test(tc, more_completions_than_operations_end_the_session);
}

int main(void)
{
	return pst_unit_run("client_completion", add, 30);
}
