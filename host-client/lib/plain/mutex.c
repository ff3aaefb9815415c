/* SPDX-License-Identifier: MIT */
/* A connection's lock: a mutex, or, where one thread makes all calls, two plain
 * words that the connection's own thread can get past. */
#include "host-client/lib/plain/mutex.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "transport/base/util.h"
#include "transport/shm.h"

/* Between two looks at whether the one thread is out. */
#define LOOK_NS (20 * PST_NS_PER_US)

static long membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0);
}

int pst_mutex_init(struct pst_mutex *l)
{
	return -pthread_mutex_init(&l->mutex, NULL);
}

void pst_mutex_done(struct pst_mutex *l)
{
	pthread_mutex_destroy(&l->mutex);
}

void pst_mutex_promise(struct pst_mutex *l)
{
	l->one_thread = true;
	l->thread = pthread_self();
	/* TSan knows nothing of such fences. */
	l->biased = !PST_TSAN &&
		    membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

void pst_mutex_enter(struct pst_mutex *l)
{
	/* Partner: the acquire in pst_mutex_foreign_acquire(). */
	atomic_store_explicit(&l->inside, false, memory_order_release);
	pthread_mutex_lock(&l->mutex);
	/* With the mutex, so nobody else is inside or wants to be. */
	atomic_store_explicit(&l->inside, true, memory_order_relaxed);
	pthread_mutex_unlock(&l->mutex);
}

void pst_mutex_foreign_acquire(struct pst_mutex *l)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	const struct timespec unseen = {.tv_nsec = PST_NS_PER_MS};

	pthread_mutex_lock(&l->mutex);
	if (!l->biased)
		return;
	atomic_store_explicit(&l->wanted, true, memory_order_relaxed);
	/* Orders wanted (store) before inside (load). Partner: the order of the
	 * two in pst_mutex_acquire(), which needs no fence for it. It fails
	 * only where the program has denied itself the call since it
	 * registered; then a pause, far longer than a store takes to be seen,
	 * has to do. */
	if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0)
		nanosleep(&unseen, NULL);
	/* Partner: the releases of inside. */
	while (atomic_load_explicit(&l->inside, memory_order_acquire))
		nanosleep(&pause, NULL);
}

void pst_mutex_foreign_release(struct pst_mutex *l)
{
	/* Partner: the acquire in pst_mutex_acquire(). */
	atomic_store_explicit(&l->wanted, false, memory_order_release);
	pthread_mutex_unlock(&l->mutex);
}

void pst_mutex_wait(struct pst_mutex *l, pthread_cond_t *cond,
		    const struct timespec *until)
{
	if (!l->biased) {
		pthread_cond_timedwait(cond, &l->mutex, until);
		return;
	}
	atomic_store_explicit(&l->inside, false, memory_order_release);
	pthread_mutex_lock(&l->mutex);
	pthread_cond_timedwait(cond, &l->mutex, until);
	atomic_store_explicit(&l->inside, true, memory_order_relaxed);
	pthread_mutex_unlock(&l->mutex);
}
