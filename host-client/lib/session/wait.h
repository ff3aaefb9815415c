/* SPDX-License-Identifier: MIT */
/* Waits: takes completions, spins, then sleeps. With the connection's lock. */
#ifndef PST_HOST_CLIENT_LIB_SESSION_WAIT_H
#define PST_HOST_CLIENT_LIB_SESSION_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "host-client/lib/session/conn.h"

/* When a waiting call began, and when it must end (pst_now_ns() clock). */
struct pst_waiter {
	uint64_t start_ns;
	uint64_t deadline_ns;
	uint64_t wake_ns; /* look again then, though nothing came; 0: never */
	/* Until wake_ns completions are of no interest: they make no wake-ups,
	 * which cost the agent a system call each. */
	bool unarmed;
};

/* Takes all completions from the lanes; the session may fail. */
void pst_reap(struct pst *c);

/* Tells threads that sleep, and the application's event loop, of what they may
 * collect. */
void pst_wait_tell(struct pst *c);

/* The next completion that pst_poll() hands out, those of a queue in order,
 * queues in turn; NULL for none. */
struct pst_record *pst_wait_first(const struct pst *c);

/* pst_channel_service(), and wakes the thread that waits for the reply. Not
 * while a leader sleeps on the socket: it would sleep on after its bytes are
 * gone. */
void pst_socket_service(struct pst *c);

/*
 * Sleeps until something may have changed (unlocks): a completion, a frame, a
 * loss, wake_ns, at most PST_TICK_NS. Returns 0, or -ETIMEDOUT: the deadline
 * passed, or the agent has been silent for dead_ns of this wait; or -EINTR
 * (pst_interrupt_ask()). After the last step call pst_wait_end().
 */
PST_MUST_USE int pst_wait_step(struct pst *c, const struct pst_waiter *w,
			       struct pst_error *err);

/* Disarms the lanes that a sleeper or pst_fd_arm() has armed. */
void pst_wait_disarm(struct pst *c);

/* Arms the lanes for the application, or has the thread do so that sleeps on
 * the socket. True when completions were there: they were taken, no lane is
 * armed. */
bool pst_fd_arm(struct pst *c);

/* Arms the lane again for the application after a leader has disarmed it. */
void pst_fd_rearm(struct pst *c);

/*
 * Waits for a claimed record (unlocks), spinning first; with NULL until any can
 * be collected, or none is to come any more. Returns 0 when it is DONE, or
 * -ETIMEDOUT or -EINTR.
 */
PST_MUST_USE int pst_wait_done(struct pst *c, struct pst_record *rec,
			       const struct pst_waiter *w,
			       struct pst_error *err);

/* pst_wait_done(); what -EINTR ended is cancelled. */
PST_MUST_USE int pst_wait_kept(struct pst *c, struct pst_record *rec,
			       const struct pst_waiter *w,
			       struct pst_error *err);

/* The same; after -ETIMEDOUT or -EINTR the record has been given up, and is no
 * longer the caller's. */
PST_MUST_USE int pst_wait_record(struct pst *c, struct pst_record *rec,
				 const struct pst_waiter *w,
				 struct pst_error *err);

#endif
