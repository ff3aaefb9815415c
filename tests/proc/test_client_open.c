/* SPDX-License-Identifier: MIT */
/* Opening a connection to an agent that is full, for a while or for good. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "host-client/lib/session/conn.h"
#include "tests/fixtures/fake_agent.h"
#include "tests/fixtures/unit.h"

#define MS PST_NS_PER_MS

static struct fake fake;
static struct pst *c;
static char text[400];
static atomic_uint n_tries, n_refusals;

static void setup(void)
{
	memset(&fake, 0, sizeof(fake));
	c = NULL;
	atomic_store(&n_tries, 0);
}

static void teardown(void)
{
	pst_close(c);
	fake_close(&fake);
}

static int try_open(uint64_t timeout_ns)
{
	const struct pst_options o = {
		.size = sizeof(o),
		.timeout_ns = timeout_ns,
	};

	return pst_open(fake.uri, &o, &c, text, sizeof(text));
}

static void refuse_with(struct pst_frame *f, uint32_t status)
{
	static const char why[] = "all lanes are taken";

	if (atomic_fetch_add(&n_tries, 1) >= atomic_load(&n_refusals))
		return;
	f->status = status;
	f->payload = (const uint8_t *)why;
	f->length = sizeof(why) - 1;
}

static void be_busy(struct pst_frame *f, struct pst_wire_welcome *p)
{
	refuse_with(f, PST_WIRE_EBUSY);
}

static void be_strict(struct pst_frame *f, struct pst_wire_welcome *p)
{
	refuse_with(f, PST_WIRE_EAUTH);
}

static void hang_up(struct pst_wire_challenge *p)
{
	if (atomic_fetch_add(&n_tries, 1) < atomic_load(&n_refusals))
		shutdown(fake.conn, SHUT_RDWR);
}

START_TEST(an_agent_that_is_full_is_asked_again)
{
	atomic_store(&n_refusals, 2);
	fake.welcome = be_busy;
	fake_open(&fake);
	ck_assert_msg(try_open(0) == 0, "%s", text);
	ck_assert_uint_eq(n_tries, 3);
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
}
END_TEST

START_TEST(a_connection_that_is_reset_is_tried_again)
{
	atomic_store(&n_refusals, 2);
	fake.challenge = hang_up;
	fake_open(&fake);
	ck_assert_msg(try_open(0) == 0, "%s", text);
	ck_assert_uint_eq(n_tries, 3);
}
END_TEST

START_TEST(an_agent_that_stays_full_is_asked_for_the_timeout)
{
	atomic_store(&n_refusals, UINT32_MAX);
	fake.welcome = be_busy;
	fake_open(&fake);
	ck_assert_int_eq(try_open(500 * MS), -EBUSY);
	ck_assert_ptr_nonnull(strstr(text, "all lanes are taken"));
	/* 5 ms at first and twice as long each time, or so: not a storm. */
	ck_assert_uint_ge(n_tries, 2);
	ck_assert_uint_le(n_tries, 20);
}
END_TEST

START_TEST(what_cannot_heal_is_an_error_at_once)
{
	atomic_store(&n_refusals, UINT32_MAX);
	fake.welcome = be_strict;
	fake_open(&fake);
	ck_assert_int_eq(try_open(0), -EACCES);
	ck_assert_uint_eq(n_tries, 1);
}
END_TEST

START_TEST(a_program_without_a_free_descriptor_is_told_so)
{
	struct rlimit old, few;

	fake_open(&fake);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = (struct rlimit){0, old.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	ck_assert_int_eq(try_open(0), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_ptr_nonnull(strstr(text, "open files"));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_agent_that_is_full_is_asked_again);
	tcase_add_test(tc, a_connection_that_is_reset_is_tried_again);
	tcase_add_test(tc, an_agent_that_stays_full_is_asked_for_the_timeout);
	tcase_add_test(tc, what_cannot_heal_is_an_error_at_once);
	tcase_add_test(tc, a_program_without_a_free_descriptor_is_told_so);
}

int main(void)
{
	return pst_unit_run("client_open", add, 60);
}
