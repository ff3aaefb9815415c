/* SPDX-License-Identifier: MIT */
/* Lets threads sleep, and wakes one of them to take the socket. */
#include "host-client/lib/session/sleep.h"

#include <time.h>

#include "host-client/lib/plain/interrupt.h"
#include "host-client/lib/session/conn.h"

void pst_sleep(struct pst *c, uint64_t ns)
{
	struct timespec ts = pst_timespec(ns);

	pst_unlock(c);
	nanosleep(&ts, NULL);
	pst_lock(c);
}

void pst_wait_cond(struct pst *c, uint64_t until_ns)
{
	uint64_t max = pst_now_ns() + PST_TICK_NS;
	struct timespec ts = pst_timespec(until_ns < max ? until_ns : max);

	pst_settle(c);
	c->sleepers.n_followers++;
	pst_mutex_wait(&c->lock, &c->sleepers.cond, &ts);
	c->sleepers.n_followers--;
}

void pst_wait_end(struct pst_sleepers *s)
{
	/* The socket needs a new sleeper; any follower will do. */
	if (!s->leader && s->n_followers)
		pthread_cond_signal(&s->cond);
}

int pst_interrupt_ask(struct pst *c, struct pst_error *err)
{
	int r;

	if (!pst_interrupt_due())
		return 0;
	pst_wait_end(&c->sleepers);
	pst_unlock(c);
	r = pst_interrupt_ask_unlocked(err);
	pst_lock(c);
	return r;
}
