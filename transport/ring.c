/* SPDX-License-Identifier: MIT */
/* A lane's two rings and the need_wake words, seen from either end. */
#include "transport/ring.h"

#include <errno.h>
#include <string.h>

/* Words of an SQE's first line without seq, and of a CQE without seq: seq is
 * the first member of both and goes last. */
#define LINE_BODY (PST_WIRE_LINE - sizeof(uint64_t))

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
	struct pst_wire_sqe *slot = &l->lane->sq[l->sq_tail % PST_WIRE_SLOTS];

	if (l->sq_tail - l->cq_head >= PST_WIRE_SLOTS)
		return -EAGAIN;
	if (l->told_head != l->cq_head) {
		l->told_head = l->cq_head;
		/* Those slots were read before the agent may see them free, and
		 * it does by the time it takes this entry. Partner: the acquire
		 * in reserve_cqe(). */
		pst_shm_store_release(&l->lane->client_cq_head.value,
				      l->cq_head);
	}
	if (sqe->op != PST_WIRE_OP_NOP)
		pst_shm_write(&slot->off_b, &sqe->off_b, PST_WIRE_LINE);
	pst_shm_write(&slot->tag, &sqe->tag, LINE_BODY);
	/* Partner: the acquire in pst_lane_agent_ready(). */
	pst_shm_store_release(&slot->seq, ++l->sq_tail);
	l->owes = true;
	return 0;
}

/* Whether a sleeper's word asks for a wake-up this producer has not sent. */
static bool must_wake(const uint64_t *word, uint64_t *woken_gen)
{
	uint64_t gen = pst_shm_load(word);

	if (!(gen & 1) || gen == *woken_gen)
		return false;
	*woken_gen = gen;
	return true;
}

/* must_wake() of what was loaded without a fence. The fence that then comes
 * orders the slot's seq (store) before the WAKE, whose receiver looks there. */
static bool glance(const uint64_t *word, uint64_t *woken_gen)
{
	if (!must_wake(word, woken_gen))
		return false;
	pst_shm_fence();
	return true;
}

bool pst_lane_client_must_wake(struct pst_lane_client *l)
{
	/* Orders the slot's seq (store, submit) before agent_wake (load).
	 * Partner: the fence in pst_agent_wake_arm(). */
	pst_shm_fence();
	l->owes = false;
	return must_wake(&l->agent_wake->value, &l->woken_gen);
}

bool pst_lane_client_glance(struct pst_lane_client *l)
{
	if (!glance(&l->agent_wake->value, &l->woken_gen))
		return false;
	l->owes = false;
	return true;
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

/* Whether a CQE is reserved for the next entry. -EPROTO: the client says that
 * it has consumed what was never posted, or less than before. */
static int reserve_cqe(struct pst_lane_agent *l)
{
	uint64_t head;

	if (l->sq_head - l->cq_head_seen < PST_WIRE_SLOTS)
		return 1;
	/* Partner: the release in pst_lane_client_submit(). */
	head = pst_shm_load_acquire(&l->lane->client_cq_head.value);
	if (head > l->cq_tail || head < l->cq_head_seen) {
		l->refused_head = head;
		return -EPROTO;
	}
	l->cq_head_seen = head;
	return l->sq_head - head < PST_WIRE_SLOTS;
}

int pst_lane_agent_take(struct pst_lane_agent *l, struct pst_wire_sqe *ret)
{
	const struct pst_wire_sqe *slot =
		&l->lane->sq[l->sq_head % PST_WIRE_SLOTS];
	int r;

	if (!pst_lane_agent_ready(l))
		return 0;
	r = reserve_cqe(l);
	if (r <= 0)
		return r;
	pst_shm_read(&ret->tag, &slot->tag, LINE_BODY);
	if (ret->op != PST_WIRE_OP_NOP)
		pst_shm_read(&ret->off_b, &slot->off_b, PST_WIRE_LINE);
	ret->seq = l->sq_head + 1;
	l->sq_head++;
	/* For observers; no one waits for it. */
	pst_shm_store(&l->lane->agent_sq_head.value, l->sq_head);
	return 1;
}

void pst_lane_agent_post(struct pst_lane_agent *l,
			 const struct pst_wire_cqe *cqe)
{
	struct pst_wire_cqe *slot = &l->lane->cq[l->cq_tail % PST_WIRE_SLOTS];

	/* Results may have been stored with non-temporal stores or through a
	 * write-combining mapping, which a release alone does not order. Before
	 * the line's own stores: between them and seq the client, which polls
	 * this line, would take it away once more. */
	pst_shm_store_fence();
	pst_shm_write(&slot->tag, &cqe->tag, LINE_BODY);
	/* Partner: the acquire in pst_lane_client_ready(). */
	pst_shm_store_release(&slot->seq, l->cq_tail + 1);
	l->cq_tail++;
}

bool pst_lane_agent_must_wake(struct pst_lane_agent *l)
{
	/* Orders the slot's seq (store, post) before client_wake (load).
	 * Partner: the fence in pst_lane_client_arm(). */
	pst_shm_fence();
	return must_wake(&l->lane->client_wake.value, &l->woken_gen);
}

bool pst_lane_agent_glance(struct pst_lane_agent *l)
{
	return glance(&l->lane->client_wake.value, &l->woken_gen);
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
