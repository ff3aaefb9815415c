/* SPDX-License-Identifier: MIT */
/* The thread that increments the heartbeat in the region's header. */
#include "guest-agent/region/heartbeat.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "transport/base/thread.h"
#include "transport/base/util.h"
#include "transport/shm.h"

struct pst_agent_heartbeat {
	struct pst_wire_word *word;
	uint64_t period_ns;
	uint64_t count; /* atomic */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool stop; /* under lock */
};

static void *beat(void *arg)
{
	struct pst_agent_heartbeat *h = arg;
	struct timespec ts;
	uint64_t next = pst_now_ns();

	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		uint64_t n = __atomic_add_fetch(&h->count, 1, __ATOMIC_RELAXED);

		/* The count is private, so that a client's write into the word
		 * does not change it. */
		pst_shm_store(&h->word->value, n);
		next += h->period_ns;
		/* After a pause of the machine: no burst of late beats. */
		if (next < pst_now_ns())
			next = pst_now_ns() + h->period_ns;
		ts.tv_sec = (time_t)(next / PST_NS_PER_S);
		ts.tv_nsec = (long)(next % PST_NS_PER_S);
		pthread_cond_timedwait(&h->cond, &h->lock, &ts);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static int init_cond(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int r = pthread_condattr_init(&attr);

	if (r)
		return r;
	r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (r == 0)
		r = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return r;
}

int pst_agent_heartbeat_start(struct pst_wire_word *word, uint32_t period_ms,
			      struct pst_agent_heartbeat **ret,
			      struct pst_error *err)
{
	struct pst_agent_heartbeat *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return pst_oom(err);
	h->word = word;
	h->period_ns = period_ms * PST_NS_PER_MS;
	r = init_cond(&h->cond);
	if (r)
		goto free_h;
	pthread_mutex_init(&h->lock, NULL);
	r = pst_thread_start(&h->thread, NULL, beat, h);
	if (r)
		goto destroy_sync;
	*ret = h;
	return 0;
destroy_sync:
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->cond);
free_h:
	free(h);
	return pst_error_set_errno(err, r, "cannot start the heartbeat");
}

uint64_t pst_agent_heartbeat_count(const struct pst_agent_heartbeat *h)
{
	return __atomic_load_n(&h->count, __ATOMIC_RELAXED);
}

void pst_agent_heartbeat_stop(struct pst_agent_heartbeat *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_signal(&h->cond);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->cond);
	free(h);
}
