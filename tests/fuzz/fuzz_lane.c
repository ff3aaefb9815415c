/* SPDX-License-Identifier: MIT */
/* Fuzz target: both ends of a lane whose shared words change at every read. */
#include <errno.h>
#include <string.h>

/* The ring is compiled in here, so that every load passes the hook. */
#define PST_SHM_HOOK
#include "transport/ring.c"

#include "tests/fuzz/fuzz.h"

static const uint8_t *input;
static size_t left;

static uint8_t next(void)
{
	if (left == 0)
		return 0;
	left--;
	return *input++;
}

/* The peer of the end under test; which of its words it is decides what a
 * lie near the truth looks like. */
uint64_t pst_shm_hook(const void *addr, uint64_t value)
{
	uint8_t how = next();

	switch (how & 7) {
	case 0:
	case 1:
	case 2:
		return value;
	case 3:
		return value + (how >> 3);
	case 4:
		return value - (how >> 3);
	case 5:
		return (uint64_t)(how >> 3);
	case 6:
		return value + 256;
	default:
		return UINT64_MAX - (how >> 3);
	}
}

static struct {
	uint8_t before[64];
	struct pst_wire_lane lane;
	uint8_t behind[64];
} shared __attribute__((aligned(64)));
static struct pst_wire_word agent_word __attribute__((aligned(64)));

/* The agent never posts into a slot it has not reserved, and never holds more
 * than a ring's worth. */
static void step_agent(struct pst_lane_agent *l, uint64_t *held)
{
	struct pst_wire_cqe cqe = {0};
	struct pst_wire_sqe sqe;
	int r;

	r = pst_lane_agent_take(l, &sqe);
	FUZZ_CHECK(r == 0 || r == 1 || r == -EPROTO);
	*held += r == 1;
	FUZZ_CHECK(l->sq_head - l->cq_head_seen <= PST_WIRE_SLOTS);
	FUZZ_CHECK(l->cq_head_seen <= l->cq_tail);
	FUZZ_CHECK(*held <= PST_WIRE_SLOTS);
	if (*held && next() & 1) {
		pst_lane_agent_post(l, &cqe);
		--*held;
	}
	(void)pst_lane_agent_must_wake(l);
	FUZZ_CHECK(l->cq_tail + *held == l->sq_head);
}

/* The client never has more outstanding than slots by its own count. */
static void step_client(struct pst_lane_client *l)
{
	struct pst_wire_sqe sqe = {.op = 1 + next() % 4};
	struct pst_wire_cqe cqe;
	uint64_t gen;

	if (pst_lane_client_submit(l, &sqe) == 0 &&
	    pst_lane_client_must_wake(l)) {
		gen = l->woken_gen;
		FUZZ_CHECK(gen & 1);
	}
	if (pst_lane_client_arm(l) || next() & 1)
		(void)pst_lane_client_reap(l, &cqe);
	FUZZ_CHECK(l->wake_gen & 1);
	pst_lane_client_disarm(l);
	FUZZ_CHECK(!(l->wake_gen & 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct pst_lane_client client;
	struct pst_lane_agent agent;
	uint64_t held = 0;

	input = data;
	left = n;
	memset(&shared, 0x77, sizeof(shared));
	agent_word.value = 0;
	pst_lane_agent_init(&agent, &shared.lane);
	pst_lane_client_init(&client, &shared.lane, &agent_word);
	while (left) {
		if (next() & 1)
			step_agent(&agent, &held);
		else
			step_client(&client);
	}
	FUZZ_CHECK(shared.before[63] == 0x77 && shared.behind[0] == 0x77);
	return 0;
}
