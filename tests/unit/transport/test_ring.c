/* SPDX-License-Identifier: MIT */
/* Rings and need_wake words: order, flow control, a hostile peer, and both
 * ends as threads over one mapping (the case that TSan can see). */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/fixtures/unit.h"
#include "transport/ring.h"

#define N_LANES 2

static struct pst_wire_lane lanes[N_LANES] __attribute__((aligned(64)));
static struct pst_wire_word agent_word __attribute__((aligned(64)));
static struct pst_lane_agent agent[N_LANES];
static struct pst_lane_client client[N_LANES];

static void setup(void)
{
	unsigned int i;

	memset(&agent_word, 0, sizeof(agent_word));
	for (i = 0; i < N_LANES; i++) {
		memset(&lanes[i], 0xff, sizeof(lanes[i]));
		pst_lane_agent_init(&agent[i], &lanes[i]);
		pst_lane_client_init(&client[i], &lanes[i], &agent_word);
	}
}

static int submit(unsigned int lane, uint64_t tag)
{
	struct pst_wire_sqe sqe = {.op = PST_WIRE_OP_NOP, .tag = tag};

	return pst_lane_client_submit(&client[lane], &sqe);
}

START_TEST(a_lane_is_empty_after_init_whatever_was_there)
{
	struct pst_wire_sqe sqe;
	struct pst_wire_cqe cqe;

	ck_assert_int_eq(pst_lane_agent_take(&agent[0], &sqe), 0);
	ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 0);
}
END_TEST

START_TEST(entries_arrive_whole_and_in_order_over_many_laps)
{
	struct pst_wire_sqe sqe, got;
	struct pst_wire_cqe cqe;
	uint64_t i;

	memset(&sqe, 0x5a, sizeof(sqe));
	sqe.op = PST_WIRE_OP_GEMM;
	for (i = 0; i < 10 * PST_WIRE_SLOTS + 3; i++) {
		sqe.tag = i;
		sqe.off_b = ~i;
		ck_assert_int_eq(pst_lane_client_submit(&client[0], &sqe), 0);
		ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 1);
		ck_assert_mem_eq(&got.tag, &sqe.tag, sizeof(sqe) - 8);
		cqe = (struct pst_wire_cqe){.tag = got.tag, .result = i * 3};
		pst_lane_agent_post(&agent[0], &cqe);
		ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
		ck_assert_uint_eq(cqe.tag, i);
		ck_assert_uint_eq(cqe.result, i * 3);
	}
	ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 0);
}
END_TEST

START_TEST(a_nop_shows_nothing_of_what_was_in_its_second_line)
{
	struct pst_wire_sqe sqe, got;

	/* It is neither read nor written. */
	memset(&lanes[0].sq[0].off_b, 0xee, 64);
	memset(&sqe, 0x11, sizeof(sqe));
	got = sqe;
	ck_assert_int_eq(submit(0, 1), 0);
	ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 1);
	ck_assert_mem_eq(&got.off_b, &sqe.off_b, 64);
}
END_TEST

START_TEST(no_more_than_the_slots_are_outstanding)
{
	struct pst_wire_sqe got;
	struct pst_wire_cqe cqe = {0};
	uint64_t i;

	for (i = 0; i < PST_WIRE_SLOTS; i++)
		ck_assert_int_eq(submit(0, i), 0);
	ck_assert_int_eq(submit(0, i), -EAGAIN);
	ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 1);
	ck_assert_int_eq(submit(0, i), -EAGAIN);
	cqe.tag = got.tag;
	pst_lane_agent_post(&agent[0], &cqe);
	ck_assert_int_eq(submit(0, i), -EAGAIN);
	ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
	ck_assert_int_eq(submit(0, i), 0);
}
END_TEST

/* Entries written past the client's own flow control, as a hostile one can. */
static void force_submit(uint64_t entry)
{
	struct pst_wire_sqe *s = &lanes[0].sq[entry % PST_WIRE_SLOTS];

	s->op = PST_WIRE_OP_NOP;
	pst_shm_store_release(&s->seq, entry + 1);
}

START_TEST(the_agent_takes_nothing_without_a_reserved_completion)
{
	struct pst_wire_cqe cqe = {0};
	struct pst_wire_sqe got;
	uint64_t i;

	for (i = 0; i < PST_WIRE_SLOTS; i++) {
		force_submit(i);
		ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 1);
		pst_lane_agent_post(&agent[0], &cqe);
	}
	force_submit(i);
	ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 0);
	pst_shm_store(&lanes[0].client_cq_head.value, 1);
	ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 1);
}
END_TEST

START_TEST(a_head_is_told_with_the_next_submission)
{
	struct pst_wire_cqe cqe = {0};
	struct pst_wire_sqe got;
	uint64_t i;

	for (i = 0; i < 3; i++) {
		submit(0, i);
		ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 1);
		pst_lane_agent_post(&agent[0], &cqe);
		ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
		ck_assert_uint_eq(pst_shm_load(&lanes[0].client_cq_head.value),
				  i);
	}
}
END_TEST

START_TEST(an_impossible_head_breaks_the_protocol)
{
	struct pst_wire_cqe cqe = {0};
	struct pst_wire_sqe got;
	uint64_t i;

	for (i = 0; i < PST_WIRE_SLOTS; i++) {
		force_submit(i);
		ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 1);
		if (i < 10)
			pst_lane_agent_post(&agent[0], &cqe);
	}
	force_submit(i);
	pst_shm_store(&lanes[0].client_cq_head.value, 11);
	ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), -EPROTO);
	pst_shm_store(&lanes[0].client_cq_head.value, UINT64_MAX);
	ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), -EPROTO);
	pst_shm_store(&lanes[0].client_cq_head.value, 5);
	ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 1);
	force_submit(i + 1);
	for (i = 0; i < 4; i++) {
		force_submit(PST_WIRE_SLOTS + 1 + i);
		ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 1);
	}
	force_submit(PST_WIRE_SLOTS + 5);
	pst_shm_store(&lanes[0].client_cq_head.value, 4); /* went back */
	ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), -EPROTO);
}
END_TEST

START_TEST(a_wrong_sequence_word_is_no_entry)
{
	struct pst_wire_sqe got;

	pst_shm_store_release(&lanes[0].sq[0].seq, 2);
	ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 0);
	pst_shm_store_release(&lanes[0].sq[0].seq, PST_WIRE_SLOTS + 1);
	ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 0);
	pst_shm_store_release(&lanes[0].sq[0].seq, UINT64_MAX);
	ck_assert_int_eq(pst_lane_agent_take(&agent[0], &got), 0);
}
END_TEST

START_TEST(one_wake_up_a_generation)
{
	struct pst_wire_cqe cqe = {0};
	uint64_t gen = 0;

	ck_assert(!pst_lane_client_must_wake(&client[0]));
	pst_agent_wake_arm(&agent_word, &gen);
	ck_assert(pst_lane_client_must_wake(&client[0]));
	ck_assert(!pst_lane_client_must_wake(&client[0]));
	ck_assert(pst_lane_client_must_wake(&client[1]));
	pst_agent_wake_disarm(&agent_word, &gen);
	ck_assert(!pst_lane_client_must_wake(&client[0]));
	pst_agent_wake_arm(&agent_word, &gen);
	ck_assert(pst_lane_client_must_wake(&client[0]));

	ck_assert(!pst_lane_client_arm(&client[0]));
	ck_assert(pst_lane_agent_must_wake(&agent[0]));
	ck_assert(!pst_lane_agent_must_wake(&agent[0]));
	pst_lane_client_disarm(&client[0]);
	pst_lane_agent_post(&agent[0], &cqe);
	ck_assert(pst_lane_client_arm(&client[0]));
}
END_TEST

START_TEST(what_a_glance_owes_is_paid_once)
{
	uint64_t gen = 0;

	ck_assert(!client[0].owes);
	submit(0, 1);
	ck_assert(client[0].owes);
	ck_assert(!pst_lane_client_glance(&client[0]));
	ck_assert(client[0].owes);
	ck_assert(!pst_lane_client_pay(&client[0]));
	ck_assert(!client[0].owes);
	pst_agent_wake_arm(&agent_word, &gen);
	/* Nothing was put off. */
	ck_assert(!pst_lane_client_pay(&client[0]));
	ck_assert(pst_lane_client_glance(&client[0]));
	ck_assert(!client[0].owes);
	/* Woken already, as far as it is seen without a fence. */
	submit(0, 2);
	ck_assert(!pst_lane_client_glance(&client[0]));
	ck_assert(client[0].owes);
	pst_agent_wake_disarm(&agent_word, &gen);
	pst_agent_wake_arm(&agent_word, &gen);
	ck_assert(pst_lane_client_pay(&client[0]));
	ck_assert(!pst_lane_client_pay(&client[0]));
}
END_TEST

/* ---- two threads, one mapping, sleeping as hard as they can ------------- */

#define CALLS 20000

static bool put_off; /* fenced looks, to the end of a burst */
static int agent_event, client_event[N_LANES];

static bool sleep_on(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t v;

	/* A lost wake-up ends the test instead of hanging it. */
	if (poll(&p, 1, 5000) != 1)
		return false;
	return read(fd, &v, sizeof(v)) == sizeof(v);
}

static void send_wake(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

static bool serve_one(unsigned int i)
{
	struct pst_wire_sqe sqe = {0};
	struct pst_wire_cqe cqe;

	if (pst_lane_agent_take(&agent[i], &sqe) != 1)
		return false;
	cqe = (struct pst_wire_cqe){.tag = sqe.tag, .result = sqe.off_b};
	pst_lane_agent_post(&agent[i], &cqe);
	if (put_off ? pst_lane_agent_glance(&agent[i])
		    : pst_lane_agent_must_wake(&agent[i]))
		send_wake(client_event[i]);
	return true;
}

static void pay(unsigned int i)
{
	if (put_off && pst_lane_agent_must_wake(&agent[i]))
		send_wake(client_event[i]);
}

static void *agent_thread(void *arg)
{
	uint64_t gen = 0, served = 0;
	unsigned int i;
	bool ready;

	while (served < N_LANES * CALLS) {
		for (i = 0, ready = false; i < N_LANES; i++) {
			while (serve_one(i)) {
				served++;
				ready = true;
			}
			pay(i);
		}
		if (ready)
			continue;
		pst_agent_wake_arm(&agent_word, &gen);
		for (i = 0; i < N_LANES; i++)
			ready |= pst_lane_agent_ready(&agent[i]);
		if (!ready && !sleep_on(agent_event))
			return (void *)1;
		pst_agent_wake_disarm(&agent_word, &gen);
	}
	return NULL;
}

static void *client_thread(void *arg)
{
	unsigned int lane = *(unsigned int *)arg;
	struct pst_lane_client *l = &client[lane];
	struct pst_wire_sqe sqe = {.op = PST_WIRE_OP_FILL};
	struct pst_wire_cqe cqe;
	uint64_t sent = 0, got = 0;
	unsigned int depth = 1 + lane * 3;

	while (got < CALLS) {
		while (sent < CALLS && sent - got < depth) {
			sqe.tag = sent;
			sqe.off_b = ~sent;
			if (pst_lane_client_submit(l, &sqe) < 0)
				return (void *)1;
			sent++;
			if (put_off && sent - got > 1
				    ? pst_lane_client_glance(l)
				    : pst_lane_client_must_wake(l))
				send_wake(agent_event);
		}
		if (pst_lane_client_pay(l))
			send_wake(agent_event);
		if (!pst_lane_client_arm(l) && !sleep_on(client_event[lane]))
			return (void *)2;
		pst_lane_client_disarm(l);
		while (pst_lane_client_reap(l, &cqe)) {
			if (cqe.tag != got || cqe.result != ~got)
				return (void *)3;
			got++;
		}
	}
	return NULL;
}

START_TEST(no_wake_up_is_lost_between_two_clients_and_an_agent)
{
	static unsigned int index[N_LANES] = {0, 1};
	pthread_t a, c[N_LANES];
	unsigned int i;
	void *r;

	put_off = _i;
	agent_event = eventfd(0, EFD_CLOEXEC);
	for (i = 0; i < N_LANES; i++)
		client_event[i] = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(pthread_create(&a, NULL, agent_thread, NULL), 0);
	for (i = 0; i < N_LANES; i++)
		ck_assert_int_eq(
			pthread_create(&c[i], NULL, client_thread, &index[i]),
			0);
	for (i = 0; i < N_LANES; i++) {
		pthread_join(c[i], &r);
		ck_assert_ptr_null(r);
		close(client_event[i]);
	}
	pthread_join(a, &r);
	ck_assert_ptr_null(r);
	close(agent_event);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_lane_is_empty_after_init_whatever_was_there);
	tcase_add_test(tc, entries_arrive_whole_and_in_order_over_many_laps);
	tcase_add_test(tc, a_nop_shows_nothing_of_what_was_in_its_second_line);
	tcase_add_test(tc, no_more_than_the_slots_are_outstanding);
	tcase_add_test(tc,
		       the_agent_takes_nothing_without_a_reserved_completion);
	tcase_add_test(tc, a_head_is_told_with_the_next_submission);
	tcase_add_test(tc, an_impossible_head_breaks_the_protocol);
	tcase_add_test(tc, a_wrong_sequence_word_is_no_entry);
	tcase_add_test(tc, one_wake_up_a_generation);
	tcase_add_test(tc, what_a_glance_owes_is_paid_once);
	tcase_add_loop_test(
		tc, no_wake_up_is_lost_between_two_clients_and_an_agent, 0, 2);
}

int main(void)
{
	return pst_unit_run("ring", add, 120);
}
