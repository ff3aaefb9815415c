/* SPDX-License-Identifier: MIT */
/* A thread that unmaps memory for the serving thread. */
#include "guest-agent/cpu/reaper.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "transport/base/thread.h"

/* Mappings that wait at most. */
#define MAX_WAITING 1024U

struct mapping {
	void *mem;
	uint64_t size;
};

struct pst_agent_reaper {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool stop;
	unsigned int n; /* of waiting, the last one goes first */
	struct mapping waiting[MAX_WAITING];
};

static void *reap(void *arg)
{
	struct pst_agent_reaper *r = arg;
	struct mapping m;

	pthread_mutex_lock(&r->lock);
	while (r->n || !r->stop) {
		if (!r->n) {
			pthread_cond_wait(&r->cond, &r->lock);
			continue;
		}
		m = r->waiting[--r->n];
		pthread_mutex_unlock(&r->lock);
		munmap(m.mem, m.size);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int pst_agent_reaper_start(struct pst_agent_reaper **ret)
{
	struct pst_agent_reaper *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->cond, NULL);
	err = pst_thread_start(&r->thread, NULL, reap, r);
	if (err) {
		pthread_cond_destroy(&r->cond);
		pthread_mutex_destroy(&r->lock);
		free(r);
		return err;
	}
	*ret = r;
	return 0;
}

int pst_agent_reaper_give(struct pst_agent_reaper *r, void *mem, uint64_t size)
{
	int ret = -EAGAIN;

	pthread_mutex_lock(&r->lock);
	if (r->n < MAX_WAITING) {
		r->waiting[r->n++] = (struct mapping){mem, size};
		pthread_cond_signal(&r->cond);
		ret = 0;
	}
	pthread_mutex_unlock(&r->lock);
	return ret;
}

void pst_agent_reaper_stop(struct pst_agent_reaper *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->cond);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->cond);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
