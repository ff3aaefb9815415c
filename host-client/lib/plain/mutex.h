/* SPDX-License-Identifier: MIT */
/* A connection's lock: a mutex, or, where one thread makes all calls, two plain
 * words that the connection's own thread can get past. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_MUTEX_H
#define PST_HOST_CLIENT_LIB_PLAIN_MUTEX_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

/*
 * A mutex costs a caller two atomic operations, each of which waits until all
 * that was stored before is visible to the agent. So the one thread of a biased
 * lock enters by a store and a load. Whoever else comes has the mutex, sets
 * wanted, and has the kernel put a fence into all threads of the process
 * (membarrier); then it waits until the one thread is out. That one finds
 * wanted set when it enters, and takes the mutex for once.
 */
struct pst_mutex {
	pthread_mutex_t mutex;
	bool biased;
	bool one_thread;    /* it was promised */
	pthread_t thread;   /* the one */
	atomic_bool inside; /* the one thread is */
	atomic_bool wanted; /* by another; set while it has the mutex */
};

/* Returns 0 or -errno. */
int pst_mutex_init(struct pst_mutex *l);
void pst_mutex_done(struct pst_mutex *l);

/* From now on only the calling thread uses acquire and release; others use
 * foreign_acquire and foreign_release. Where the kernel has no membarrier the
 * mutex stays. Nobody has the lock. */
void pst_mutex_promise(struct pst_mutex *l);

/* Whether the calling thread may use acquire: nobody was promised to be the
 * only one, or this one was. */
static inline bool pst_mutex_is_ours(const struct pst_mutex *l)
{
	return !l->one_thread || pthread_equal(l->thread, pthread_self());
}

/* Where wanted is set. */
void pst_mutex_enter(struct pst_mutex *l);

static inline void pst_mutex_acquire(struct pst_mutex *l)
{
	assert(pst_mutex_is_ours(l));
	if (!l->biased) {
		pthread_mutex_lock(&l->mutex);
		return;
	}
	atomic_store_explicit(&l->inside, true, memory_order_relaxed);
	/* Orders inside (store) before wanted (load), as far as the compiler
	 * goes. Partner: the membarrier in pst_mutex_foreign_acquire(). */
	atomic_signal_fence(memory_order_seq_cst);
	/* Partner: the release in pst_mutex_foreign_release(). */
	if (atomic_load_explicit(&l->wanted, memory_order_acquire))
		pst_mutex_enter(l);
}

static inline void pst_mutex_release(struct pst_mutex *l)
{
	if (!l->biased)
		pthread_mutex_unlock(&l->mutex);
	else
		/* Partner: the acquire in pst_mutex_foreign_acquire(). */
		atomic_store_explicit(&l->inside, false, memory_order_release);
}

/* For all other threads. */
void pst_mutex_foreign_acquire(struct pst_mutex *l);
void pst_mutex_foreign_release(struct pst_mutex *l);

/* pthread_cond_timedwait() with the lock held, by acquire; of a biased lock a
 * signal that comes as the wait begins may be missed. */
void pst_mutex_wait(struct pst_mutex *l, pthread_cond_t *cond,
		    const struct timespec *until);

#endif
