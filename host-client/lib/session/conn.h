/* SPDX-License-Identifier: MIT */
/* A connection's state, and what the library's files do with it. */
#ifndef PST_HOST_CLIENT_LIB_SESSION_CONN_H
#define PST_HOST_CLIENT_LIB_SESSION_CONN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "host-client/lib/plain/channel.h"
#include "host-client/lib/plain/conf.h"
#include "host-client/lib/plain/events.h"
#include "host-client/lib/plain/forecast.h"
#include "host-client/lib/plain/interrupt.h"
#include "host-client/lib/plain/last_error.h"
#include "host-client/lib/plain/memory.h"
#include "host-client/lib/plain/pending.h"
#include "host-client/lib/session/fork.h"
#include "host-client/penstock.h"
#include "transport/base/error.h"
#include "transport/base/util.h"
#include "transport/ring.h"
#include "transport/wire.h"

/* A waiter looks at heartbeat and epoch at least this often. */
#define PST_TICK_NS          (200 * PST_NS_PER_MS)
#define PST_TIMEOUT_NS       (5 * PST_NS_PER_S)
#define PST_DEAD_NS          (1 * PST_NS_PER_S)
#define PST_DEAD_EMULATED_NS (10 * PST_NS_PER_S)
/* A sleep costs 20 to 50 us: spin about as long, then block. */
#define PST_SPIN_NS (50 * PST_NS_PER_US)

/* When a waiting call began, and when it must end (pst_now_ns() clock). */
struct pst_waiter {
	uint64_t start_ns;
	uint64_t deadline_ns;
	uint64_t wake_ns; /* look again then, though nothing came; 0: never */
	/* Until wake_ns completions are of no interest: they make no wake-ups,
	 * which cost the agent a system call each. */
	bool unarmed;
};

/* The session: whose, and whether it lives. */
struct pst_liveness {
	bool live;
	bool connecting;
	bool closing;
	int lost_code; /* why the last session ended */
	struct pst_error lost;
	uint64_t serial; /* grows with each session */
	pid_t child;
	struct pst_wire_welcome welcome;
	uint64_t dead_ns;
	uint64_t beat;       /* heartbeat when last looked at */
	uint64_t look_ns;    /* when that was */
	uint64_t silence_ns; /* for how long it has not moved */
};

/* Threads that wait. */
struct pst_sleepers {
	pthread_cond_t cond;      /* monotonic clock */
	unsigned int n_followers; /* threads asleep on cond */
	bool leader;              /* a thread sleeps on the socket */
	bool unarmed;             /* ... and the lane is not armed */
	unsigned int n_idle;      /* wake-ups in a row that brought nothing */
	uint64_t spin_now_ns;     /* adapted, at most spin_ns */
};

/* Operations: on their way, and what is known of earlier ones. */
struct pst_queue {
	struct pst_lane_client lane;
	struct pst_pending ops;
	struct pst_forecast forecast;
	struct pst_call_memo *memo; /* or NULL */
};

/* The connection's own thread. */
struct pst_watcher {
	pthread_t thread;
	bool runs;
	int fd; /* eventfd: sessions changed, or stop */
};

/* lock protects everything below it. */
struct pst {
	struct pst_conf conf;
	pthread_mutex_t lock;
	struct pst_liveness session;
	struct pst_channel channel;
	struct pst_sleepers sleepers;
	struct pst_queue queue;
	struct pst_memory mem;
	struct pst_events events;
	struct pst_watcher watcher;
};

/* Whether this process inherited c by fork(): neither its lock nor its socket
 * nor the region, which is not mapped, may be touched. Two loads. */
static inline bool pst_is_forked(const struct pst *c)
{
	return atomic_load_explicit(c->conf.process, memory_order_relaxed) !=
	       c->conf.process_number;
}

static inline void pst_lock(struct pst *c)
{
	pthread_mutex_lock(&c->lock);
}

/* Ends a session that has failed; in session.c. */
void pst_session_lose(struct pst *c);

/* Does what was only marked: memory goes back to the agent, a failure ends the
 * session. By the outermost caller only. */
static inline void pst_settle(struct pst *c)
{
	if (c->mem.due)
		pst_memory_give_back(&c->mem, &c->channel);
	if (c->channel.failed)
		pst_session_lose(c);
}

/* The border of a call. Nothing marked stays behind: with the lock held nobody
 * falls asleep over it. */
static inline void pst_unlock(struct pst *c)
{
	pst_settle(c);
	pthread_mutex_unlock(&c->lock);
}

/* now + timeout without wrapping; PST_FOREVER stays that. */
static inline uint64_t pst_deadline(uint64_t now, uint64_t timeout_ns)
{
	uint64_t sum;

	return pst_add_overflow(now, timeout_ns, &sum) ? UINT64_MAX : sum;
}

/* Until when a control call may take that begins now: longer when it has to
 * open a session first. With the lock held. */
static inline uint64_t pst_control_deadline(const struct pst *c)
{
	return pst_deadline(pst_now_ns(), c->session.live ? c->conf.timeout_ns
							  : c->conf.open_ns);
}

/* The calling thread's last error on c. Returns r; r >= 0 does nothing.
 * Without a sentence in err the phrase of r is kept. */
static inline int pst_fail(struct pst *c, int r, const struct pst_error *err)
{
	return pst_last_error_set(c->conf.id, r, err);
}

/* After pst_fail() has returned an error: the call may have written to C. */
static inline void pst_fail_touched(struct pst *c)
{
	pst_last_error_touch(c->conf.id);
}

/* Functions below are called with the lock held unless said otherwise. Those
 * marked "unlocks" may release and retake it. */

/* ---- fork.c ---- */

/* What every call answers in a forked child: -EBADF. Without the lock. */
int pst_forked(struct pst *c);

/* pst_close() in a forked child: frees what is the child's own. */
void pst_forked_close(struct pst *c);

/* ---- session.c ---- */

/* Settles, and looks at epoch and heartbeat; a new epoch ends the session. */
void pst_session_look(struct pst *c, uint64_t now_ns);

/* The sentence for a call that needs a live session and finds none; returns
 * -ESTALE. */
int pst_session_gone(const struct pst_liveness *s, struct pst_error *err);

/* ---- sleep.c ---- */

static inline struct timespec pst_timespec(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / PST_NS_PER_S),
		.tv_nsec = (long)(ns % PST_NS_PER_S),
	};
}

/* Sleeps on cond until until_ns at most (unlocks). */
void pst_wait_cond(struct pst *c, uint64_t until_ns);

/* Sleeps for ns, whatever happens (unlocks). */
void pst_sleep(struct pst *c, uint64_t ns);

/* Wakes all threads that sleep on cond. */
static inline void pst_wake_followers(struct pst_sleepers *s)
{
	if (s->n_followers)
		pthread_cond_broadcast(&s->cond);
}

/* Ends a wait: the socket may need another sleeper. */
void pst_wait_end(struct pst_sleepers *s);

/*
 * pst_interrupt_ask_unlocked() with the lock held (unlocks): after 1 anything
 * may have changed.
 */
PST_MUST_USE int pst_interrupt_ask(struct pst *c, struct pst_error *err);

/* ---- wait.c ---- */

/* Takes all completions from the lane; the session may fail. */
void pst_reap(struct pst *c);

/* pst_channel_service(), and wakes who waits for the reply. Not while a leader
 * sleeps on the socket: it would sleep on after its bytes are gone. */
void pst_socket_service(struct pst *c);

/*
 * Sleeps until something may have changed (unlocks): a completion, a frame, a
 * loss, wake_ns, at most PST_TICK_NS. Returns 0, or -ETIMEDOUT: the deadline
 * passed, or the agent has been silent for dead_ns of this wait; or -EINTR
 * (pst_interrupt_ask()). After the last step call pst_wait_end().
 */
PST_MUST_USE int pst_wait_step(struct pst *c, const struct pst_waiter *w,
			       struct pst_error *err);

/* Arms the lane for a sleeper, in a new generation: the old one may have been
 * woken already. True when completions were there: they were taken, the lane
 * is not armed. */
bool pst_wait_arm(struct pst *c);

/* Before another thread relies on the leader: arms the lane unless it is. True
 * as pst_wait_arm(). */
bool pst_wait_arm_leader(struct pst *c);

/* Arms the lane for the application: by pst_wait_arm(), or by the thread that
 * sleeps on the socket. True as pst_wait_arm(). */
bool pst_fd_arm(struct pst *c);

/* Arms the lane again for the application after a leader has disarmed it. */
void pst_fd_rearm(struct pst *c);

/*
 * Waits for a claimed record (unlocks), spinning first. Returns 0 when it is
 * DONE, -ETIMEDOUT when the wait is over.
 */
PST_MUST_USE int pst_wait_done(struct pst *c, struct pst_record *rec,
			       const struct pst_waiter *w,
			       struct pst_error *err);

/* Nobody waits for a claimed record any more: it is free if it is DONE, else
 * ABANDONED. */
void pst_wait_give_up(struct pst *c, struct pst_record *rec);

/* Waits for one record; after -ETIMEDOUT or -EINTR the record has been given
 * up, and is no longer the caller's. What -EINTR ended is cancelled. */
PST_MUST_USE int pst_wait_record(struct pst *c, struct pst_record *rec,
				 const struct pst_waiter *w,
				 struct pst_error *err);

/* ---- request.c ---- */

/*
 * One request and its reply (unlocks); one at a time, others wait. Returns 0
 * and the payload, malloc'ed with a NUL behind it (ret may be NULL), or the
 * reply's errno, -ECONNRESET, -ESTALE, -ETIMEDOUT, -EPROTO, -ENOMEM.
 */
PST_MUST_USE int pst_request(struct pst *c, uint16_t type, const void *payload,
			     uint32_t length, uint64_t deadline_ns,
			     uint8_t **ret, uint32_t *ret_length,
			     struct pst_error *err);

/* ---- session_open.c ---- */

/* Makes sure a session is alive, opens one if not (unlocks). 0 or an errno as
 * pst_open(). */
PST_MUST_USE int pst_session_ensure(struct pst *c, uint64_t deadline_ns,
				    struct pst_error *err);

/* ---- lease.c ---- */

/* A buffer of size bytes as of pst_alloc(), until deadline_ns at most
 * (unlocks). */
PST_MUST_USE int pst_buffer_alloc(struct pst *c, size_t size,
				  uint64_t deadline_ns, struct pst_block **ret,
				  struct pst_error *err);

/* ---- tensor.c ---- */

/* pst_tensor_create() that waits until deadline_ns at most; without the
 * lock. */
PST_MUST_USE int pst_tensor_create_until(struct pst *c, uint64_t size,
					 uint64_t deadline_ns,
					 uint64_t *ret_tensor);

/* ---- failure.c ---- */

/* The sentence of an operation that the agent completed with status r: asks
 * for it until deadline_ns at most, and not longer than a control call may
 * take (unlocks); a general one if that fails. */
void pst_failure_explain(struct pst *c, uint64_t tag, int r,
			 uint64_t deadline_ns, struct pst_error *err);

/* ---- info.c ---- */

/* Asks for a JSON object (without the lock), as pst_query(); also the calling
 * thread's last error. */
PST_MUST_USE int pst_query_text(struct pst *c, uint16_t type, char **ret_json);

/* ---- watch.c ---- */

/* Starts the connection's thread (without the lock). 0 or -errno. */
PST_MUST_USE int pst_watch_start(struct pst *c, struct pst_error *err);
/* Makes it look at the connection anew. */
void pst_watch_kick(struct pst_watcher *w);
/* Ends it (without the lock; closing is set). */
void pst_watch_stop(struct pst_watcher *w);

#endif
