/* SPDX-License-Identifier: MIT */
/* A lane's two rings in every order of a few steps, empty and full, against a
 * queue of tags; and every head that a client could claim. */
#include <errno.h>
#include <string.h>

#include "tests/fixtures/unit.h"
#include "transport/ring.h"

/* Steps in every order. */
#define DEPTH 7

enum step { SUBMIT, TAKE, POST, REAP, N_STEPS };

/* Both ends and what lies between them. */
struct both {
	struct pst_lane_client client;
	struct pst_lane_agent agent;
	/* What an observer counts; entry i has tag i + 1. */
	uint64_t submitted, taken, posted, reaped;
};

static struct pst_wire_lane lane;
static struct pst_wire_word agent_wake;
static uint64_t n_steps;

/* Odd entries are NOPs of one line, even ones have two. */
static struct pst_wire_sqe entry(uint64_t i)
{
	struct pst_wire_sqe s = {.tag = i + 1, .op = PST_WIRE_OP_NOP};

	if (i % 2)
		return s;
	s.op = PST_WIRE_OP_FILL;
	s.off_b = ~i;
	s.beta = i;
	return s;
}

static void submit(struct both *b)
{
	const struct pst_wire_sqe s = entry(b->submitted);
	const bool full = b->submitted - b->reaped == PST_WIRE_SLOTS;

	PST_MUST(pst_lane_client_submit(&b->client, &s) ==
		 (full ? -EAGAIN : 0));
	b->submitted += !full;
}

static void take(struct both *b)
{
	const bool there = b->taken < b->submitted;
	struct pst_wire_sqe want = entry(b->taken);
	struct pst_wire_sqe s = {.off_b = 7, .beta = 9};

	/* Its second line stays as it was. */
	if (want.op == PST_WIRE_OP_NOP) {
		want.off_b = s.off_b;
		want.beta = s.beta;
	}

	PST_MUST(pst_lane_agent_ready(&b->agent) == there);
	/* Who keeps to the protocol has always reaped enough. */
	PST_MUST(pst_lane_agent_take(&b->agent, &s) == there);
	if (!there)
		return;
	PST_MUST(s.tag == want.tag && s.op == want.op &&
		 s.off_b == want.off_b && s.beta == want.beta);
	b->taken++;
}

static void post(struct both *b)
{
	const struct pst_wire_cqe c = {.tag = b->posted + 1,
				       .result = ~b->posted};

	if (b->posted == b->taken)
		return;
	pst_lane_agent_post(&b->agent, &c);
	b->posted++;
}

static void reap(struct both *b)
{
	const bool there = b->reaped < b->posted;
	struct pst_wire_cqe c = {0};

	PST_MUST(pst_lane_client_ready(&b->client) == there);
	PST_MUST(pst_lane_client_reap(&b->client, &c) == there);
	if (!there)
		return;
	PST_MUST(c.tag == b->reaped + 1 && c.result == ~b->reaped);
	b->reaped++;
}

static void (*const steps[N_STEPS])(struct both *) = {submit, take, post, reap};

static struct both begin(void)
{
	struct both b = {0};

	pst_lane_agent_init(&b.agent, &lane);
	pst_lane_client_init(&b.client, &lane, &agent_wake);
	return b;
}

/* Until counters stand so far. */
static void advance(struct both *b, uint64_t submitted, uint64_t taken,
		    uint64_t posted, uint64_t reaped)
{
	while (b->reaped < reaped || b->posted < posted || b->taken < taken ||
	       b->submitted < submitted) {
		if (b->submitted < submitted &&
		    b->submitted - b->reaped < PST_WIRE_SLOTS)
			submit(b);
		if (b->taken < taken)
			take(b);
		if (b->posted < posted)
			post(b);
		if (b->reaped < reaped)
			reap(b);
	}
}

/* All orders of the steps that are left. Slots need not be put back: what lies
 * in one is decided by the number of its entry. */
static void orders(const struct both *from, unsigned int left)
{
	struct pst_wire_lane saved;
	struct both b;
	int i;

	if (!left)
		return;
	memcpy(&saved, &lane, sizeof(lane));
	for (i = 0; i < N_STEPS; i++) {
		b = *from;
		steps[i](&b);
		n_steps++;
		orders(&b, left - 1);
		memcpy(&lane, &saved, sizeof(lane));
	}
}

START_TEST(every_order_of_steps_keeps_entries_in_order)
{
	/* Entries in the submission ring, with the agent, in the completion
	 * ring: empty, nearly full and full of each. */
	static const unsigned int fill[][3] = {
		{0, 0, 0},    {1, 1, 1},   {253, 0, 0},
		{256, 0, 0},  {0, 256, 0}, {0, 0, 256},
		{86, 85, 85}, {1, 254, 1}, {0, 1, 255},
	};
	struct both b;
	uint64_t at = PST_WIRE_SLOTS - 2;
	unsigned int i;

	for (i = 0; i < sizeof(fill) / sizeof(*fill); i++) {
		b = begin();
		/* Slots wrap within the steps. */
		advance(&b, at + fill[i][0] + fill[i][1] + fill[i][2],
			at + fill[i][1] + fill[i][2], at + fill[i][2], at);
		orders(&b, DEPTH);
	}
	/* 4 + 4^2 + ... + 4^7 of each. */
	PST_MUST(n_steps == i * ((1ULL << (2 * DEPTH)) - 1) * 4 / 3);
}
END_TEST

START_TEST(a_head_that_cannot_be_is_found_before_an_entry_is_taken)
{
	const uint64_t slots = PST_WIRE_SLOTS;
	const uint64_t claims[] = {0,          1,         slots - 1,
				   slots,      slots + 1, 2 * slots,
				   1ULL << 63, UINT64_MAX};
	struct pst_wire_sqe s = entry(0);
	struct both b;
	unsigned int i;
	uint64_t seen;
	int r;

	for (seen = 0; seen <= slots; seen += slots / 2) {
		for (i = 0; i < sizeof(claims) / sizeof(*claims); i++) {
			b = begin();
			advance(&b, slots, slots, slots, seen);
			/* The agent has read the head once. */
			b.agent.cq_head_seen = seen;
			advance(&b, slots + seen, slots + seen, slots, seen);
			/* A client that does not count what it has out. */
			b.client.cq_head = b.client.sq_tail;
			PST_MUST(pst_lane_client_submit(&b.client, &s) == 0);
			lane.client_cq_head.value = claims[i];
			r = pst_lane_agent_take(&b.agent, &s);
			if (claims[i] < seen || claims[i] > slots)
				PST_MUST(r == -EPROTO);
			else
				PST_MUST(r == (claims[i] > seen));
		}
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, every_order_of_steps_keeps_entries_in_order);
	tcase_add_test(tc,
		       a_head_that_cannot_be_is_found_before_an_entry_is_taken);
}

int main(void)
{
	return pst_unit_run("ring_all", add, 600);
}
