/* SPDX-License-Identifier: MIT */
/* Several ordered queues on one connection. */
#include <poll.h>

#include "host-client/lib/ops/call.h"
#include "tests/fixtures/tensor_fixture.h"

#define QUEUES 3U
#define SIDE   768U
#define LARGE  2304U
#define TRIES  20

static void reopen(uint32_t queues, uint32_t flags)
{
	const struct pst_options o = {
		.size = sizeof(o),
		.queues = queues,
		.flags = flags,
	};
	int r;

	pst_close(c);
	r = pst_open(agent.uri, &o, &c, text, sizeof(text));
	ck_assert_msg(r == 0, "%s", text);
}

static int submit_nop(uint32_t queue, uint64_t *ret_tag)
{
	struct pst_submission op = PST_SUBMISSION_INIT;
	int r;

	op.op = PST_OP_NOP;
	op.queue = queue;
	r = pst_submit(c, &op, 1, ret_tag);
	return r < 0 ? r : 0;
}

static bool is_pending(uint64_t tag)
{
	struct pst_record *rec;
	bool yes;

	pst_lock(c);
	rec = pst_record_find(c, tag);
	yes = rec && rec->state == PST_RECORD_PENDING;
	pst_unlock(c);
	return yes;
}

START_TEST(each_queue_has_a_lane_and_answers)
{
	struct pst_info info = PST_INFO_INIT;
	uint64_t tag;
	uint32_t i, q;

	reopen(QUEUES, 0);
	ck_assert_uint_eq(c->session.n_lanes, QUEUES);
	ok(pst_get_info(c, &info));
	ck_assert_uint_eq(info.queues, QUEUES);
	ck_assert_uint_eq(info.lanes, QUEUES);
	for (i = 0; i < 3; i++) {
		for (q = 0; q < QUEUES; q++) {
			ck_assert_int_eq(submit_nop(q, &tag), 0);
			ok(pst_wait(c, tag, PST_HANG_NS, NULL));
		}
	}
	for (q = 0; q < QUEUES; q++)
		ck_assert_uint_eq(c->queue[q].lane.sq_tail, 3);
}
END_TEST

/* The agent looks at other lanes every 10 ms. Products grow until one takes
 * longer than that, however fast the machine is. */
START_TEST(a_queue_does_not_wait_for_another)
{
	struct pst_gemm_args g = PST_GEMM_INIT;
	uint64_t product, nop;
	uint32_t side = SIDE;
	int i, passed = 0;
	float *x;

	reopen(2, 0);
	g.dtype = PST_F32;
	x = get(2UL * LARGE * LARGE * sizeof(*x));
	memset(x, 0, 2UL * LARGE * LARGE * sizeof(*x));
	g.a = g.b = x;
	g.c = x + (size_t)LARGE * LARGE;
	for (i = 0; i < TRIES && !passed; i++) {
		g.m = g.n = g.k = side;
		ok(pst_submit_gemm(c, &g, 0, &product));
		ck_assert_int_eq(submit_nop(1, &nop), 0);
		ok(pst_wait(c, nop, PST_HANG_NS, NULL));
		passed = is_pending(product);
		ok(pst_wait(c, product, PST_HANG_NS, NULL));
		if (side < LARGE)
			side += SIDE / 2;
	}
	ck_assert_int_ne(passed, 0);
}
END_TEST

START_TEST(each_queue_has_its_own_places_and_no_tag_is_there_twice)
{
	static uint64_t tags[2 * PST_WIRE_SLOTS];
	struct pst_completion done[2 * PST_WIRE_SLOTS];
	uint64_t extra;
	unsigned int i, j, n = 0;
	int r;

	reopen(2, 0);
	for (i = 0; i < 2 * PST_WIRE_SLOTS; i++) {
		ck_assert_int_eq(submit_nop(i % 2, &tags[i]), 0);
		for (j = 0; j < i; j++)
			ck_assert_uint_ne(tags[i], tags[j]);
	}
	ck_assert_int_eq(submit_nop(0, &extra), -EAGAIN);
	ck_assert_int_eq(submit_nop(1, &extra), -EAGAIN);
	while (n < 2 * PST_WIRE_SLOTS) {
		r = pst_poll(c, done + n, (int)(2 * PST_WIRE_SLOTS - n));
		ck_assert_int_ge(r, 0);
		n += (unsigned int)r;
	}
	for (i = 0; i < n; i++)
		ck_assert_int_eq(done[i].status, 0);
}
END_TEST

/* Whoever collects one at a time does not leave a queue behind. */
START_TEST(completions_are_collected_from_the_queues_in_turn)
{
	struct pst_completion done;
	uint64_t tags[2][3];
	uint32_t i, q;

	reopen(2, 0);
	for (i = 0; i < 3; i++)
		for (q = 0; q < 2; q++)
			ck_assert_int_eq(submit_nop(q, &tags[q][i]), 0);
	for (i = 0; i < 3; i++)
		for (q = 0; q < 2; q++)
			while (is_pending(tags[q][i])) {
				pst_lock(c);
				pst_reap(c);
				pst_unlock(c);
			}
	for (i = 0; i < 3; i++) {
		for (q = 0; q < 2; q++) {
			ck_assert_int_eq(pst_poll(c, &done, 1), 1);
			ck_assert_uint_eq(done.tag, tags[q][i]);
		}
	}
}
END_TEST

START_TEST(who_sleeps_is_woken_by_every_queue)
{
	struct pst_completion done;
	struct pollfd p = {.events = POLLIN};
	uint64_t tag;
	uint32_t i;
	int r;

	reopen(QUEUES, PST_OPEN_NO_SPIN);
	p.fd = pst_fd(c);
	ck_assert_int_ge(p.fd, 0);
	for (i = 0; i < 10 * QUEUES; i++) {
		ck_assert_int_eq(submit_nop(i % QUEUES, &tag), 0);
		ok(pst_wait(c, tag, PST_HANG_NS, NULL));
		ck_assert_int_eq(submit_nop(i % QUEUES, &tag), 0);
		while ((r = pst_poll(c, &done, 1)) == 0) {
			if (pst_arm(c) == 0)
				ck_assert_int_eq(
					poll(&p, 1, PST_HANG_NS / 1000000), 1);
		}
		ck_assert_int_eq(r, 1);
		ck_assert_uint_eq(done.tag, tag);
	}
}
END_TEST

START_TEST(any_queue_ends_a_wait_for_any)
{
	struct pst_completion done;
	uint64_t tag[2];
	uint32_t i, flags;

	for (flags = 0; flags <= PST_OPEN_NO_SPIN; flags += PST_OPEN_NO_SPIN) {
		reopen(QUEUES, flags);
		for (i = 0; i < 10 * QUEUES; i++) {
			ck_assert_int_eq(submit_nop(i % QUEUES, &tag[0]), 0);
			ck_assert_int_eq(submit_nop((i + 1) % QUEUES, &tag[1]),
					 0);
			ck_assert_int_eq(pst_wait_any(c, &done, 1, PST_HANG_NS),
					 1);
			ck_assert(done.tag == tag[0] || done.tag == tag[1]);
			ck_assert_int_eq(pst_wait_any(c, &done, 1, PST_HANG_NS),
					 1);
		}
		ck_assert_int_eq(pst_wait_any(c, &done, 1, PST_HANG_NS),
				 -ENOENT);
	}
	ck_assert_int_eq(submit_nop(QUEUES, &tag[0]), -EINVAL);
}
END_TEST

START_TEST(a_loss_ends_the_operations_of_all_queues)
{
	struct pst_completion done;
	uint64_t tags[QUEUES];
	uint32_t q;

	reopen(QUEUES, 0);
	kill(agent.pid, SIGSTOP);
	for (q = 0; q < QUEUES; q++)
		ck_assert_int_eq(submit_nop(q, &tags[q]), 0);
	agent_kill(&agent);
	for (q = 0; q < QUEUES; q++)
		ck_assert_int_eq(pst_wait(c, tags[q], PST_HANG_NS, &done),
				 -ECONNRESET);
	agent_start(&agent);
	ok(pst_nop(c, PST_HANG_NS, NULL));
	ck_assert_uint_eq(c->session.n_lanes, QUEUES);
	ck_assert_int_eq(submit_nop(QUEUES - 1, &tags[0]), 0);
	ok(pst_wait(c, tags[0], PST_HANG_NS, NULL));
}
END_TEST

START_TEST(queues_share_lanes_where_an_agent_has_too_few)
{
	uint64_t tag;
	uint32_t q;

	restart_with("--max-clients", "4");
	reopen(8, 0);
	/* Three quarters of its lanes may be one process's. */
	ck_assert_uint_eq(c->session.n_lanes, 3);
	for (q = 0; q < 8; q++) {
		ck_assert_int_eq(submit_nop(q, &tag), 0);
		ok(pst_wait(c, tag, PST_HANG_NS, NULL));
	}
	ck_assert_uint_eq(c->queue[0].lane.sq_tail, 3);
	ck_assert_uint_eq(c->queue[2].lane.sq_tail, 2);
	ck_assert_uint_eq(c->queue[3].lane.sq_tail, 0);
}
END_TEST

START_TEST(more_queues_than_a_session_has_lanes_are_refused)
{
	const struct pst_options o = {
		.size = sizeof(o),
		.queues = PST_WIRE_SESSION_LANES + 1,
	};
	struct pst *d;

	ck_assert_int_eq(pst_open(agent.uri, &o, &d, text, sizeof(text)),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(text, "queues"));
}
END_TEST

static void add(TCase *t)
{
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, each_queue_has_a_lane_and_answers);
	tcase_add_test(t, a_queue_does_not_wait_for_another);
	tcase_add_test(t,
		       each_queue_has_its_own_places_and_no_tag_is_there_twice);
	tcase_add_test(t, completions_are_collected_from_the_queues_in_turn);
	tcase_add_test(t, who_sleeps_is_woken_by_every_queue);
	tcase_add_test(t, any_queue_ends_a_wait_for_any);
	tcase_add_test(t, a_loss_ends_the_operations_of_all_queues);
	tcase_add_test(t, queues_share_lanes_where_an_agent_has_too_few);
	tcase_add_test(t, more_queues_than_a_session_has_lanes_are_refused);
}

int main(void)
{
	return pst_unit_run("client_queues", add, 60);
}
