/* SPDX-License-Identifier: MIT */
/* Checks whether a session is alive, and ends one that is lost. */
#ifndef PST_HOST_CLIENT_LIB_SESSION_SESSION_H
#define PST_HOST_CLIENT_LIB_SESSION_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "transport/base/error.h"
#include "transport/wire.h"

/* The session: whose, and whether it lives. */
struct pst_liveness {
	bool live;
	const void *connecting; /* the thread that does so, or NULL */
	bool closing;
	int lost_code; /* why the last session ended */
	struct pst_error lost;
	uint64_t serial; /* grows with each session */
	pid_t child;
	struct pst_wire_welcome welcome;
	uint32_t n_lanes; /* at most conf.n_queues, which share them */
	uint64_t dead_ns;
	uint64_t beat;       /* heartbeat at the last check */
	uint64_t checked_ns; /* when that was */
	uint64_t silence_ns; /* for how long it has not moved */
};

struct pst;

/* Settles, and checks epoch and heartbeat; a new epoch ends the session. */
void pst_session_check(struct pst *c, uint64_t now_ns);

/* The fenced look at the agent's need_wake word that submissions put off, if
 * one did: before a wait and before the application sleeps, after a poll in
 * vain, and at each tick of the watcher, since the program may make no further
 * call. */
void pst_session_pay(struct pst *c);

/* The sentence for a call that needs a live session and finds none; returns
 * -ESTALE. */
int pst_session_gone(const struct pst_liveness *s, struct pst_error *err);

/* Ends a session that has failed. */
void pst_session_lose(struct pst *c);

#endif
