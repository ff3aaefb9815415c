/* SPDX-License-Identifier: MIT */
/* Tensors and sentences of failures against an agent that lies, is silent, or
 * changes. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host-client/lib/session/conn.h"
#include "tests/fixtures/fake_agent.h"
#include "tests/fixtures/unit.h"

#define MS PST_NS_PER_MS

static struct fake fake;
static struct pst *c;
static char text[400];

static void begin(void)
{
	int r;

	memset(&fake, 0, sizeof(fake));
	fake_open(&fake);
	r = pst_open(fake.uri, NULL, &c, text, sizeof(text));
	ck_assert_msg(r == 0, "%s", text);
}

static void end(void)
{
	pst_close(c);
	fake_close(&fake);
}

static const char *last_error(void)
{
	pst_last_error(c, text, sizeof(text));
	return text;
}

static void cqe_notsup(struct pst_wire_cqe *cqe)
{
	cqe->status = PST_WIRE_ENOTSUP;
}

static void cqe_cancelled(struct pst_wire_cqe *cqe)
{
	cqe->status = PST_WIRE_ECANCELED;
}

START_TEST(a_failed_call_has_the_agents_own_sentence)
{
	uint64_t tag;

	fake.complete = cqe_notsup;
	fake.why = "not supported by \033[1mthe card";
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), -EOPNOTSUPP);
	ck_assert_str_eq(last_error(), "not supported by ?[1mthe card");
	fake.why = "another";
	ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
	ck_assert_int_eq(pst_wait(c, tag, PST_HANG_NS, NULL), -EOPNOTSUPP);
	ck_assert_str_eq(last_error(), "another");
	ck_assert_uint_eq(fake.whys, 2);
}
END_TEST

START_TEST(without_a_sentence_there_is_a_general_one)
{
	fake.complete = cqe_notsup;
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(last_error(), "the agent's answer"));
	fake.why = "";
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(last_error(), "the agent's answer"));
}
END_TEST

START_TEST(an_agent_that_does_not_say_why_costs_a_control_calls_time)
{
	uint64_t start = pst_now_ns(), took, least = UINT64_MAX;
	int i;

	c->conf.timeout_ns = 300 * MS;
	fake.complete = cqe_notsup;
	fake.mute = true;
	ck_assert_int_eq(pst_nop(c, PST_FOREVER, NULL), -EOPNOTSUPP);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	ck_assert_ptr_nonnull(strstr(last_error(), "the agent's answer"));
	/* And no more than the call may take itself. */
	for (i = 0; i < 5; i++) {
		start = pst_now_ns();
		ck_assert_int_eq(pst_nop(c, 50 * MS, NULL), -EOPNOTSUPP);
		took = pst_now_ns() - start;
		least = took < least ? took : least;
	}
	ck_assert_uint_lt(least, 290 * MS);
}
END_TEST

START_TEST(what_was_cancelled_or_went_well_is_not_asked_about)
{
	fake.why = "no";
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
	fake.complete = cqe_cancelled;
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), -ECANCELED);
	ck_assert_uint_eq(fake.whys, 0);
}
END_TEST

START_TEST(a_polled_failure_can_be_asked_about)
{
	struct pst_completion done;
	char why[5];
	uint64_t tag;
	int i;

	fake.complete = cqe_notsup;
	fake.why = "it burns";
	ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
	for (i = 0; i < 20000 && !pst_poll(c, &done, 1); i++)
		usleep(1000);
	ck_assert_int_eq(done.status, -EOPNOTSUPP);
	ck_assert_uint_eq(fake.whys, 0);
	ck_assert_int_eq(pst_failure(c, tag, why, sizeof(why)), 0);
	ck_assert_str_eq(why, "it b");
	fake.why = NULL;
	ck_assert_int_eq(pst_failure(c, tag, why, sizeof(why)), -ENOENT);
	ck_assert_str_eq(why, "");
}
END_TEST

static void no_handle(struct pst_frame *f, struct pst_wire_tensor *p)
{
	p->handle = 0;
}

static void other_size(struct pst_frame *f, struct pst_wire_tensor *p)
{
	p->size++;
}

static void same_handle(struct pst_frame *f, struct pst_wire_tensor *p)
{
	p->handle = 1ULL << 32 | 1;
}

START_TEST(an_impossible_tensor_ends_the_session)
{
	static void (*const lies[])(struct pst_frame *,
				    struct pst_wire_tensor *) = {
		no_handle, other_size, same_handle};
	uint64_t id;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(lies); i++) {
		fake.tensor = same_handle;
		ck_assert_int_eq(pst_tensor_create(c, 7, &id), 0);
		fake.tensor = lies[i];
		ck_assert_int_eq(pst_tensor_create(c, 7, &id), -EPROTO);
		ck_assert(!c->session.live);
		ck_assert_ptr_nonnull(strstr(last_error(), "tensor"));
	}
}
END_TEST

static void list_of_nothing(struct pst_frame *f, struct pst_wire_tensor *p)
{
	f->length = 16;
	*p = (struct pst_wire_tensor){0, 5};
}

static void list_of_strangers(struct pst_frame *f, struct pst_wire_tensor *p)
{
	f->length = 16;
	*p = (struct pst_wire_tensor){77ULL << 32 | 5, 5};
}

START_TEST(a_list_with_a_lie_in_it_ends_the_session)
{
	struct pst_tensor list[2];

	fake.tensor = list_of_strangers;
	ck_assert_int_eq(pst_tensor_list(c, list, 2), 0);
	fake.tensor = list_of_nothing;
	ck_assert_int_eq(pst_tensor_list(c, list, 2), -EPROTO);
	ck_assert(!c->session.live);
	ck_assert_int_eq(pst_tensor_list(c, list, 2), -ESTALE);
}
END_TEST

START_TEST(a_tensor_that_comes_too_late_is_given_back)
{
	static uint8_t late[64];
	struct pst_wire_tensor t = {9ULL << 32 | 9, 7};
	struct pst_frame f = {
		.type = PST_WIRE_TENSOR_CREATE,
		.reply = true,
		.payload = (uint8_t *)&t,
		.length = sizeof(t),
	};
	uint64_t id;
	int i;

	fake.mute = true;
	ck_assert_int_eq(pst_tensor_create(c, 7, &id), -ETIMEDOUT);
	fake.mute = false;
	f.seq = c->channel.seq;
	fake.inject_n = (size_t)pst_frame_encode(&f, late, sizeof(late));
	fake.inject = late;
	for (i = 0; i < 20000 && !fake.destroys; i++)
		ck_assert_int_eq(pst_ping(c, NULL), 0);
	ck_assert_uint_eq(fake.destroys, 1);
}
END_TEST

START_TEST(a_tensor_of_a_lost_session_is_never_named_to_the_next)
{
	struct pst_copy_args p = {.size = sizeof(struct pst_copy_args), .n = 7};
	uint64_t old, id;
	unsigned int taken;
	void *buf;
	int i;

	ck_assert_int_eq(pst_tensor_create(c, 7, &old), 0);
	fake.hang_up = true;
	for (i = 0; i < 20000 && fake.sessions < 2; i++) {
		usleep(1000);
		(void)pst_nop(c, PST_HANG_NS, NULL);
	}
	ck_assert_uint_eq(fake.sessions, 2);
	/* The new agent counts from the start again. */
	fake.tensors = 0;
	ck_assert_int_eq(pst_tensor_create(c, 7, &id), 0);
	ck_assert_uint_ne(id, old);
	ck_assert_int_eq(pst_alloc(c, 7, &buf), 0);
	p.src = buf;
	p.dst_tensor = old;
	taken = fake.taken;
	ck_assert_int_eq(pst_copy(c, &p, PST_HANG_NS, NULL), -ESTALE);
	ck_assert_int_eq(pst_upload(c, old, 0, buf, 7, PST_HANG_NS), -ESTALE);
	ck_assert_int_eq(pst_download(c, buf, old, 0, 7, PST_HANG_NS), -ESTALE);
	ck_assert_uint_eq(fake.taken, taken);
	ck_assert_int_eq(pst_tensor_destroy(c, old), 0);
	ck_assert_int_eq(pst_tensor_destroy(c, old), -ENOENT);
	ck_assert_int_eq(pst_ping(c, NULL), 0);
	ck_assert_uint_eq(fake.destroys, 0);
	p.dst_tensor = id;
	ck_assert_int_eq(pst_copy(c, &p, PST_HANG_NS, NULL), 0);
}
END_TEST

START_TEST(a_tensor_in_use_is_destroyed_when_that_is_over)
{
	struct pst_copy_args p = {.size = sizeof(struct pst_copy_args), .n = 7};
	uint64_t id, tag;
	void *buf;

	ck_assert_int_eq(pst_tensor_create(c, 7, &id), 0);
	ck_assert_int_eq(pst_alloc(c, 7, &buf), 0);
	p.src = buf;
	p.dst_tensor = id;
	fake.hold = true;
	ck_assert_int_eq(pst_submit_copy(c, &p, 0, &tag), 0);
	ck_assert_int_eq(pst_tensor_destroy(c, id), 0);
	ck_assert_int_eq(pst_copy(c, &p, PST_HANG_NS, NULL), -ENOENT);
	ck_assert_int_eq(pst_ping(c, NULL), 0);
	ck_assert_uint_eq(fake.destroys, 0);
	fake.hold = false;
	ck_assert_int_eq(pst_wait(c, tag, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(pst_ping(c, NULL), 0);
	ck_assert_uint_eq(fake.destroys, 1);
}
END_TEST

START_TEST(many_destroyed_at_once_all_reach_the_agent)
{
	uint64_t id[300];
	unsigned int i;

	for (i = 0; i < 300; i++)
		ck_assert_int_eq(pst_tensor_create(c, 7, &id[i]), 0);
	fake_freeze(&fake);
	/* More than fit in the buffer of what is to be sent. */
	for (i = 0; i < 300; i++)
		ck_assert_int_eq(pst_tensor_destroy(c, id[i]), 0);
	fake.frozen = false;
	for (i = 0; i < 20000 && fake.destroys < 300; i++) {
		ck_assert_int_eq(pst_tensor_create(c, 7, &id[0]), 0);
		ck_assert_int_eq(pst_ping(c, NULL), 0);
	}
	ck_assert_uint_eq(fake.destroys, 300);
	ck_assert_uint_eq(c->mem.tensors.n_freed, 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_test(tc, a_failed_call_has_the_agents_own_sentence);
	tcase_add_test(tc, without_a_sentence_there_is_a_general_one);
	tcase_add_test(
		tc, an_agent_that_does_not_say_why_costs_a_control_calls_time);
	tcase_add_test(tc, what_was_cancelled_or_went_well_is_not_asked_about);
	tcase_add_test(tc, a_polled_failure_can_be_asked_about);
	tcase_add_test(tc, an_impossible_tensor_ends_the_session);
	tcase_add_test(tc, a_list_with_a_lie_in_it_ends_the_session);
	tcase_add_test(tc, a_tensor_that_comes_too_late_is_given_back);
	tcase_add_test(tc,
		       a_tensor_of_a_lost_session_is_never_named_to_the_next);
	tcase_add_test(tc, a_tensor_in_use_is_destroyed_when_that_is_over);
	tcase_add_test(tc, many_destroyed_at_once_all_reach_the_agent);
}

int main(void)
{
	return pst_unit_run("client_handles", add, 120);
}
