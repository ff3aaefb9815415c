/* SPDX-License-Identifier: MIT */
/* A thread that zeroes memory for the serving thread. */
#include "guest-agent/exec/scrubber.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "transport/base/thread.h"
#include "transport/shm.h"

/* Bytes zeroed between two checks of stop. */
#define STEP (2U << 20)
/* If CPUs are few, clients come first: on a busy CPU this thread gets a
 * tenth. */
#define NICE 10

struct pst_agent_scrubber {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool stop;
	/* What is left of the piece. */
	uint8_t *mem;
	uint64_t size;
};

static void *scrub(void *arg)
{
	struct pst_agent_scrubber *s = arg;
	uint64_t n;

	/* Of this thread alone, in Linux; a sandbox may deny it. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		if (!s->size) {
			pthread_cond_wait(&s->cond, &s->lock);
			continue;
		}
		n = s->size < STEP ? s->size : STEP;
		pthread_mutex_unlock(&s->lock);
		memset(s->mem, 0, n);
		/* Also where the mapping is write-combining. */
		pst_shm_store_fence();
		pthread_mutex_lock(&s->lock);
		s->mem += n;
		s->size -= n;
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int pst_agent_scrubber_start(struct pst_agent_scrubber **ret)
{
	struct pst_agent_scrubber *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->cond, NULL);
	err = pst_thread_start(&s->thread, NULL, scrub, s);
	if (err) {
		pthread_cond_destroy(&s->cond);
		pthread_mutex_destroy(&s->lock);
		free(s);
		return err;
	}
	*ret = s;
	return 0;
}

void pst_agent_scrubber_give(struct pst_agent_scrubber *s, void *mem,
			     uint64_t size)
{
	pthread_mutex_lock(&s->lock);
	s->mem = mem;
	s->size = size;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

bool pst_agent_scrubber_done(struct pst_agent_scrubber *s)
{
	bool done;

	pthread_mutex_lock(&s->lock);
	done = s->size == 0;
	pthread_mutex_unlock(&s->lock);
	return done;
}

void pst_agent_scrubber_stop(struct pst_agent_scrubber *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->cond);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
