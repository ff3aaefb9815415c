/* SPDX-License-Identifier: MIT */
/* A connection: its parts, its lock, its calls' errors. */
#ifndef PST_HOST_CLIENT_LIB_SESSION_CONN_H
#define PST_HOST_CLIENT_LIB_SESSION_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "host-client/lib/plain/channel.h"
#include "host-client/lib/plain/conf.h"
#include "host-client/lib/plain/events.h"
#include "host-client/lib/plain/last_error.h"
#include "host-client/lib/plain/memory.h"
#include "host-client/lib/plain/mutex.h"
#include "host-client/lib/plain/queue.h"
#include "host-client/lib/session/fork.h"
#include "host-client/lib/session/session.h"
#include "host-client/lib/session/sleep.h"
#include "host-client/lib/session/watch.h"
#include "host-client/penstock.h"
#include "transport/base/error.h"
#include "transport/base/util.h"

/* A waiter checks heartbeat and epoch at least this often. */
#define PST_TICK_NS          (200 * PST_NS_PER_MS)
#define PST_TIMEOUT_NS       (5 * PST_NS_PER_S)
#define PST_DEAD_NS          (1 * PST_NS_PER_S)
#define PST_DEAD_EMULATED_NS (10 * PST_NS_PER_S)
/* A sleep costs 20 to 50 us: spin about as long, then block. */
#define PST_SPIN_NS (50 * PST_NS_PER_US)

/* lock protects everything below it. */
struct pst {
	struct pst_conf conf;
	LIST_ENTRY(pst) registered; /* registry.c, whose lock protects it */
	bool is_registered;
	struct pst_mutex lock;
	struct pst_liveness session;
	struct pst_channel channel;
	struct pst_sleepers sleepers;
	struct pst_queue *queue;    /* conf.n_queues */
	uint32_t turn;              /* the queue to collect from first */
	struct pst_call_memo *memo; /* or NULL */
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

static inline struct pst_queue *pst_queue_of(struct pst *c,
					     const struct pst_record *rec)
{
	return &c->queue[rec->index / PST_WIRE_SLOTS];
}

/* The record of a tag that the application may still name; NULL for none. */
static inline struct pst_record *pst_record_find(struct pst *c, uint64_t tag)
{
	const uint32_t i = (uint32_t)tag / PST_WIRE_SLOTS;

	return i < c->conf.n_queues ? pst_pending_find(&c->queue[i].ops, tag)
				    : NULL;
}

static inline void pst_lock(struct pst *c)
{
	pst_mutex_acquire(&c->lock);
}

/* Does what was only marked: memory goes back to the agent, a failure ends the
 * session. By the outermost caller only. */
static inline void pst_settle(struct pst *c)
{
	if (c->mem.due)
		pst_memory_give_back(&c->mem, &c->channel);
	if (c->channel.failed)
		pst_session_lose(c);
	if (c->channel.tx_n)
		pst_watch_send(&c->watcher);
}

/* The border of a call. Nothing marked stays behind: with the lock held nobody
 * falls asleep over it. */
static inline void pst_unlock(struct pst *c)
{
	pst_settle(c);
	pst_mutex_release(&c->lock);
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

#endif
