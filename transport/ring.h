/* SPDX-License-Identifier: MIT */
/* A lane's two rings and the need_wake words, seen from either end. */
#ifndef PST_TRANSPORT_RING_H
#define PST_TRANSPORT_RING_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/shm.h"
#include "transport/wire.h"

/*
 * Single producer, single consumer in each direction; the caller serialises
 * the threads of its own side. Counters are private 64-bit numbers; what is
 * shared is the slots, each with the sequence word its consumer polls, and
 * the heads, read only when a ring seems full.
 *
 * At most PST_WIRE_SLOTS operations are outstanding, so a slot of the SQ is
 * known to be free without reading the agent's head: a completion of entry e
 * shows that all entries up to e were taken.
 */

/* Bytes of an SQE's first line without seq, and of a CQE without seq: seq is
 * the first member of both and goes last. */
#define PST_LANE_LINE_BODY (PST_WIRE_LINE - sizeof(uint64_t))

/* Entries whose lines the agent waits for at once. */
#define PST_LANE_PREFETCH 4

/* The client's end. */
struct pst_lane_client {
	struct pst_wire_lane *lane;
	struct pst_wire_word *agent_wake;
	uint64_t sq_tail;   /* submitted */
	uint64_t cq_head;   /* reaped */
	uint64_t told_head; /* cq_head as the agent knows it */
	uint64_t wake_gen;  /* own need_wake word; odd: armed */
	uint64_t woken_gen; /* last generation of the agent that was woken */
	bool owes;          /* a fenced look at agent_wake is due */
};

/* The agent's end. */
struct pst_lane_agent {
	struct pst_wire_lane *lane;
	uint64_t sq_head;      /* taken */
	uint64_t cq_tail;      /* posted */
	uint64_t cq_head_seen; /* client_cq_head as last read, checked */
	uint64_t refused_head; /* the last one that was impossible */
	uint64_t woken_gen;
};

/* Zeroes a lane before it is leased (agent), and binds to it. */
void pst_lane_agent_init(struct pst_lane_agent *l, struct pst_wire_lane *lane);
void pst_lane_client_init(struct pst_lane_client *l, struct pst_wire_lane *lane,
			  struct pst_wire_word *agent_wake);

/* The slot of the next entry, NULL when PST_WIRE_SLOTS are outstanding. Tells
 * the agent how many completions were taken. */
static inline struct pst_wire_sqe *
pst_lane_client_slot(struct pst_lane_client *l)
{
	if (l->sq_tail - l->cq_head >= PST_WIRE_SLOTS)
		return NULL;
	if (l->told_head != l->cq_head) {
		l->told_head = l->cq_head;
		/* Those slots were read before the agent may see them free, and
		 * it does by the time it takes this entry. Partner: the acquire
		 * in pst_lane_agent_reserve(). */
		pst_shm_store_release(&l->lane->client_cq_head.value,
				      l->cq_head);
	}
	return &l->lane->sq[l->sq_tail % PST_WIRE_SLOTS];
}

/* The slot holds the entry but for seq. */
static inline void pst_lane_client_publish(struct pst_lane_client *l,
					   struct pst_wire_sqe *slot)
{
	/* Partner: the acquire in pst_lane_agent_ready(). */
	pst_shm_store_release(&slot->seq, ++l->sq_tail);
	l->owes = true;
}

/*
 * Publishes one entry (its seq field is ignored), and before it how many
 * completions were taken. Returns 0, or -EAGAIN when PST_WIRE_SLOTS are
 * outstanding. Then, or after several, call pst_lane_client_must_wake() or
 * glance().
 */
int pst_lane_client_submit(struct pst_lane_client *l,
			   const struct pst_wire_sqe *sqe);

/* The same of a NOP, which is written in place. */
static inline int pst_lane_client_submit_nop(struct pst_lane_client *l,
					     uint64_t tag)
{
	static const struct pst_wire_sqe nop = {.op = PST_WIRE_OP_NOP};
	struct pst_wire_sqe *slot = pst_lane_client_slot(l);

	if (!slot)
		return -EAGAIN;
	pst_shm_store(&slot->tag, tag);
	pst_shm_write(&slot->op, &nop.op,
		      PST_WIRE_LINE - offsetof(struct pst_wire_sqe, op));
	pst_lane_client_publish(l, slot);
	return 0;
}

/* Whether a sleeper's word asks for a wake-up this producer has not sent. */
static inline bool pst_lane_sleeps(const uint64_t *word, uint64_t *woken_gen)
{
	uint64_t gen = pst_shm_load(word);

	if (!(gen & 1) || gen == *woken_gen)
		return false;
	*woken_gen = gen;
	return true;
}

/* The same of what is loaded without a fence. The fence that then comes orders
 * the slot's seq (store) before the WAKE, whose receiver looks there. */
static inline bool pst_lane_glance(const uint64_t *word, uint64_t *woken_gen)
{
	if (!pst_lane_sleeps(word, woken_gen))
		return false;
	pst_shm_fence();
	return true;
}

/*
 * After publishing: true when the agent sleeps and this generation was not
 * woken yet: send exactly one WAKE frame; if the socket is full, that counts
 * as sent.
 *
 * glance() does without the fence, which waits until the agent's copy of the
 * slot is gone. It may miss an agent that arms at that moment, so the look is
 * still owed. pay() follows, before the client waits, polls in vain or sleeps,
 * and by a timer where it makes no further call: it looks if something is owed.
 * must_wake() where nothing else is outstanding: the agent is likely to arm.
 */
bool pst_lane_client_must_wake(struct pst_lane_client *l);
static inline bool pst_lane_client_glance(struct pst_lane_client *l)
{
	if (!pst_lane_glance(&l->agent_wake->value, &l->woken_gen))
		return false;
	l->owes = false;
	return true;
}
static inline bool pst_lane_client_pay(struct pst_lane_client *l)
{
	return l->owes && pst_lane_client_must_wake(l);
}

/* Whether a completion is there, without taking it. */
static inline bool pst_lane_client_ready(const struct pst_lane_client *l)
{
	const struct pst_wire_cqe *cqe =
		&l->lane->cq[l->cq_head % PST_WIRE_SLOTS];

	return pst_shm_load_acquire(&cqe->seq) == l->cq_head + 1;
}

/* How many completions are there, of the next max. Nothing is done with one
 * before the next is looked at, so the waits for their lines overlap. */
static inline unsigned int
pst_lane_client_count(const struct pst_lane_client *l, unsigned int max)
{
	const struct pst_wire_cqe *cq = l->lane->cq;
	uint64_t at = l->cq_head;
	unsigned int n = 0;

	while (n < max &&
	       pst_shm_load_acquire(&cq[at % PST_WIRE_SLOTS].seq) == at + 1) {
		at++;
		n++;
	}
	return n;
}

/* Takes one completion: 1 and *ret, or 0 when there is none. */
static inline int pst_lane_client_reap(struct pst_lane_client *l,
				       struct pst_wire_cqe *ret)
{
	const struct pst_wire_cqe *cqe =
		&l->lane->cq[l->cq_head % PST_WIRE_SLOTS];

	if (!pst_lane_client_ready(l))
		return 0;
	pst_shm_read(&ret->tag, &cqe->tag, PST_WIRE_LINE - sizeof(ret->seq));
	ret->seq = ++l->cq_head;
	return 1;
}

/*
 * Before sleeping: arms (generation becomes odd), fences, and looks. Returns
 * true when a completion is there already: do not sleep, disarm.
 */
bool pst_lane_client_arm(struct pst_lane_client *l);
void pst_lane_client_disarm(struct pst_lane_client *l);

static inline bool pst_lane_agent_ready(const struct pst_lane_agent *l)
{
	const struct pst_wire_sqe *sqe =
		&l->lane->sq[l->sq_head % PST_WIRE_SLOTS];

	return pst_shm_load_acquire(&sqe->seq) == l->sq_head + 1;
}

/* While the next entry is worked on, fetches the lines of those behind it. What
 * the client has not written yet is still in the cache from the last round. */
static inline void pst_lane_agent_prefetch(const struct pst_lane_agent *l)
{
	unsigned int i;

#pragma GCC unroll 4
	for (i = 1; i <= PST_LANE_PREFETCH; i++)
		__builtin_prefetch(
			&l->lane->sq[(l->sq_head + i) % PST_WIRE_SLOTS]);
}

/* Looks at how many completions the client has taken. 1 when there is room for
 * the next entry's, 0 when there is none, -EPROTO: the client says that it has
 * taken what was never posted, or less than before. */
int pst_lane_agent_reserve(struct pst_lane_agent *l);

/*
 * Takes one entry into private memory: 1 and *ret, 0 when there is none or no
 * CQE can be reserved for it, -EPROTO when client_cq_head is impossible. Of a
 * NOP line 1 is neither read nor written to *ret.
 */
static inline int pst_lane_agent_take(struct pst_lane_agent *l,
				      struct pst_wire_sqe *ret)
{
	const struct pst_wire_sqe *slot =
		&l->lane->sq[l->sq_head % PST_WIRE_SLOTS];
	int r;

	if (!pst_lane_agent_ready(l))
		return 0;
	if (l->sq_head - l->cq_head_seen >= PST_WIRE_SLOTS) {
		r = pst_lane_agent_reserve(l);
		if (r <= 0)
			return r;
	}
	pst_shm_read(&ret->tag, &slot->tag, PST_LANE_LINE_BODY);
	if (ret->op != PST_WIRE_OP_NOP)
		pst_shm_read(&ret->off_b, &slot->off_b, PST_WIRE_LINE);
	ret->seq = l->sq_head + 1;
	l->sq_head++;
	/* For observers; no one waits for it. */
	pst_shm_store(&l->lane->agent_sq_head.value, l->sq_head);
	return 1;
}

/* Posts the completion of a taken entry (its seq field is ignored). Never
 * fails: take reserved the slot. Then call pst_lane_agent_must_wake(). */
static inline void pst_lane_agent_post(struct pst_lane_agent *l,
				       const struct pst_wire_cqe *cqe)
{
	struct pst_wire_cqe *slot = &l->lane->cq[l->cq_tail % PST_WIRE_SLOTS];

	/* Results may have been stored with non-temporal stores or through a
	 * write-combining mapping, which a release alone does not order. Before
	 * the line's own stores: between them and seq the client, which polls
	 * this line, would take it away once more. */
	pst_shm_store_fence();
	pst_shm_write(&slot->tag, &cqe->tag, PST_LANE_LINE_BODY);
	/* Partner: the acquire in pst_lane_client_ready(). */
	pst_shm_store_release(&slot->seq, l->cq_tail + 1);
	l->cq_tail++;
}

/*
 * As pst_lane_client_must_wake(), for the client's word. glance() does without
 * the fence, so it may miss a client that arms at that moment: after a burst of
 * posts must_wake() follows, before the agent does anything that takes longer.
 */
bool pst_lane_agent_must_wake(struct pst_lane_agent *l);
static inline bool pst_lane_agent_glance(struct pst_lane_agent *l)
{
	return pst_lane_glance(&l->lane->client_wake.value, &l->woken_gen);
}

/*
 * The agent's need_wake word, one for all lanes. After arm, scan every lane
 * with pst_lane_agent_ready(); sleep only if none is. gen is the caller's
 * private copy of the word.
 */
void pst_agent_wake_arm(struct pst_wire_word *word, uint64_t *gen);
void pst_agent_wake_disarm(struct pst_wire_word *word, uint64_t *gen);

#endif
