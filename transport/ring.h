/* SPDX-License-Identifier: MIT */
/* A lane's two rings and the need_wake words, seen from either end. */
#ifndef PST_TRANSPORT_RING_H
#define PST_TRANSPORT_RING_H

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

/*
 * Publishes one entry (its seq field is ignored), and before it how many
 * completions were taken. Returns 0, or -EAGAIN when PST_WIRE_SLOTS are
 * outstanding. Then, or after several, call pst_lane_client_must_wake() or
 * glance().
 */
int pst_lane_client_submit(struct pst_lane_client *l,
			   const struct pst_wire_sqe *sqe);

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
bool pst_lane_client_glance(struct pst_lane_client *l);
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

/*
 * Takes one entry into private memory: 1 and *ret, 0 when there is none or no
 * CQE can be reserved for it, -EPROTO when client_cq_head is impossible. Of a
 * NOP line 1 is neither read nor written to *ret.
 */
int pst_lane_agent_take(struct pst_lane_agent *l, struct pst_wire_sqe *ret);

/* Posts the completion of a taken entry (its seq field is ignored). Never
 * fails: take reserved the slot. Then call pst_lane_agent_must_wake(). */
void pst_lane_agent_post(struct pst_lane_agent *l,
			 const struct pst_wire_cqe *cqe);

/*
 * As pst_lane_client_must_wake(), for the client's word. glance() does without
 * the fence, so it may miss a client that arms at that moment: after a burst of
 * posts must_wake() follows, before the agent does anything that takes longer.
 */
bool pst_lane_agent_must_wake(struct pst_lane_agent *l);
bool pst_lane_agent_glance(struct pst_lane_agent *l);

/*
 * The agent's need_wake word, one for all lanes. After arm, scan every lane
 * with pst_lane_agent_ready(); sleep only if none is. gen is the caller's
 * private copy of the word.
 */
void pst_agent_wake_arm(struct pst_wire_word *word, uint64_t *gen);
void pst_agent_wake_disarm(struct pst_wire_word *word, uint64_t *gen);

#endif
