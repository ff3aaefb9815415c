/* SPDX-License-Identifier: MIT */
/* A lane's two rings and the need_wake words, seen from either end. */
#include "transport/ring.h"

#include <errno.h>
#include <string.h>

static_assert(offsetof(struct pst_wire_sqe, seq) == 0, "seq leads line 0");
static_assert(offsetof(struct pst_wire_cqe, seq) == 0, "seq leads the line");

void pst_lane_agent_init(struct pst_lane_agent *l, struct pst_wire_lane *lane)
{
	const uint64_t *end = (const uint64_t *)(lane + 1);
	uint64_t *p;

	for (p = (uint64_t *)lane; p < end; p++)
		pst_shm_store(p, 0);
	*l = (struct pst_lane_agent){.lane = lane};
}

void pst_lane_client_init(struct pst_lane_client *l, struct pst_wire_lane *lane,
			  struct pst_wire_word *agent_wake)
{
	*l = (struct pst_lane_client){.lane = lane, .agent_wake = agent_wake};
}

int pst_lane_client_submit(struct pst_lane_client *l,
			   const struct pst_wire_sqe *sqe)
{
	struct pst_wire_sqe *slot = pst_lane_client_slot(l);

	if (!slot)
		return -EAGAIN;
	if (sqe->op != PST_WIRE_OP_NOP)
		pst_shm_write(&slot->off_b, &sqe->off_b, PST_WIRE_LINE);
	pst_shm_write(&slot->tag, &sqe->tag, PST_LANE_LINE_BODY);
	pst_lane_client_publish(l, slot);
	return 0;
}

bool pst_lane_client_must_wake(struct pst_lane_client *l)
{
	/* Orders the slot's seq (store, submit) before agent_wake (load).
	 * Partner: the fence in pst_agent_wake_arm(). */
	pst_shm_fence();
	l->owes = false;
	return pst_lane_sleeps(&l->agent_wake->value, &l->woken_gen);
}

bool pst_lane_client_arm(struct pst_lane_client *l)
{
	if (!(l->wake_gen & 1))
		l->wake_gen++;
	pst_shm_store(&l->lane->client_wake.value, l->wake_gen);
	/* Orders client_wake (store) before the CQ slot's seq (load). Partner:
	 * the fence in pst_lane_agent_must_wake(). */
	pst_shm_fence();
	return pst_lane_client_ready(l);
}

void pst_lane_client_disarm(struct pst_lane_client *l)
{
	if (!(l->wake_gen & 1))
		return;
	l->wake_gen++;
	pst_shm_store(&l->lane->client_wake.value, l->wake_gen);
}

int pst_lane_agent_reserve(struct pst_lane_agent *l)
{
	/* Partner: the release in pst_lane_client_slot(). */
	const uint64_t head =
		pst_shm_load_acquire(&l->lane->client_cq_head.value);

	if (head > l->cq_tail || head < l->cq_head_seen) {
		l->refused_head = head;
		return -EPROTO;
	}
	l->cq_head_seen = head;
	return l->sq_head - head < PST_WIRE_SLOTS;
}

bool pst_lane_agent_must_wake(struct pst_lane_agent *l)
{
	/* Orders the slot's seq (store, post) before client_wake (load).
	 * Partner: the fence in pst_lane_client_arm(). */
	pst_shm_fence();
	return pst_lane_sleeps(&l->lane->client_wake.value, &l->woken_gen);
}

void pst_agent_wake_arm(struct pst_wire_word *word, uint64_t *gen)
{
	if (!(*gen & 1))
		++*gen;
	pst_shm_store(&word->value, *gen);
	/* Orders agent_wake (store) before the SQ slots' seq (loads) of the
	 * scan that follows. Partner: the fence in
	 * pst_lane_client_must_wake(). */
	pst_shm_fence();
}

void pst_agent_wake_disarm(struct pst_wire_word *word, uint64_t *gen)
{
	if (!(*gen & 1))
		return;
	++*gen;
	pst_shm_store(&word->value, *gen);
}
