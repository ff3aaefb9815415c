/* SPDX-License-Identifier: MIT */
/* The connections that this process has open. */
#include "host-client/lib/session/registry.h"

#include <pthread.h>

#include "host-client/lib/session/conn.h"

/* Held before a connection's lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, pst) all;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

static void watch_forks(void)
{
	/* Without it a child of a program with threads may hang in pst_owner().
	 */
	(void)pthread_atfork(before_fork, after_fork, after_fork);
}

void pst_registry_add(struct pst *c)
{
	(void)pthread_once(&once, watch_forks);
	pthread_mutex_lock(&lock);
	LIST_INSERT_HEAD(&all, c, registered);
	c->is_registered = true;
	pthread_mutex_unlock(&lock);
}

void pst_registry_remove(struct pst *c)
{
	pthread_mutex_lock(&lock);
	if (c->is_registered)
		LIST_REMOVE(c, registered);
	c->is_registered = false;
	pthread_mutex_unlock(&lock);
}

struct pst *pst_owner(const void *ptr)
{
	struct pst *c;
	bool found = false;

	pthread_mutex_lock(&lock);
	LIST_FOREACH(c, &all, registered)
	{
		/* Of the parent: its lock may be held for ever. Of another
		 * thread alone: nothing can be done with it here. */
		if (pst_is_forked(c) || !pst_mutex_is_ours(&c->lock))
			continue;
		pst_lock(c);
		found = pst_heap_find(&c->mem.heap, ptr, 0);
		pst_unlock(c);
		if (found)
			break;
	}
	pthread_mutex_unlock(&lock);
	return c;
}
