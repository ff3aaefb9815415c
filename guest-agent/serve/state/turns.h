/* SPDX-License-Identifier: MIT */
/* Schedules the frames of sessions: round robin, each within a budget. */
#ifndef PST_GUEST_AGENT_SERVE_TURNS_H
#define PST_GUEST_AGENT_SERVE_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/wire.h"

/* Frames of one session in a turn, while others wait. */
#define PST_AGENT_TURNS_FRAMES 16U
/* Of all sessions in a round. */
#define PST_AGENT_TURNS_ROUND_NS 200000U
/* A frame that took longer is followed by a rest. */
#define PST_AGENT_TURNS_CHEAP_NS 20000U
/* The next one waits as long as it took, times this less one: that of any
 * session, and any frame of the same one. A session that is alone keeps nobody
 * waiting. */
#define PST_AGENT_TURNS_ALL_REST 2U
#define PST_AGENT_TURNS_ONE_REST 8U
/* More than this in its queue, and a session's frames wait; for so long, and
 * it is ended. */
#define PST_AGENT_TURNS_OUT       (16U << 10)
#define PST_AGENT_TURNS_UNREAD_NS 1000000000U

struct pst_agent;
struct pst_agent_session;

struct pst_agent_turns {
	struct pst_agent_session *first, *last; /* wait; NULL: nobody */
	uint64_t cost_ns[PST_WIRE_N_TYPES];     /* about what a frame takes */
	uint64_t costly_due_ns; /* of any session, no costly one before */
	uint64_t (*clock)(void);
};

/*
 * Handles frames of the sessions whose turn it is, at least one if there is
 * one, until nobody waits any more or PST_AGENT_TURNS_ROUND_NS have gone by;
 * and only for share_ns from the moment on that a lane has work. Called between
 * two slices of the executor.
 */
void pst_agent_turns_run(struct pst_agent *a, uint64_t share_ns);

/* Whether somebody's turn has come. */
static inline bool pst_agent_turns_wait(const struct pst_agent_turns *t)
{
	return t->first;
}

#endif
