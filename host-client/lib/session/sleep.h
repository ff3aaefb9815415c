/* SPDX-License-Identifier: MIT */
/* Lets threads sleep, and wakes one of them to take the socket. With the
 * connection's lock. */
#ifndef PST_HOST_CLIENT_LIB_SESSION_SLEEP_H
#define PST_HOST_CLIENT_LIB_SESSION_SLEEP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/* Threads that wait. */
struct pst_sleepers {
	pthread_cond_t cond;      /* monotonic clock */
	unsigned int n_followers; /* threads asleep on cond */
	bool leader;              /* a thread sleeps on the socket */
	bool unarmed;             /* ... and the lane is not armed */
	unsigned int n_idle;      /* wake-ups in a row that brought nothing */
	uint64_t spin_now_ns;     /* adapted, at most spin_ns */
};

struct pst;

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

#endif
