/* SPDX-License-Identifier: MIT */
/* Lets a thread end its own waiting calls. */
#include "host-client/lib/plain/interrupt.h"

#include <errno.h>

#include "host-client/penstock.h"

/* The function is asked so often, and no step of a wait is longer. */
#define ASK_NS (100 * PST_NS_PER_MS)

static _Thread_local struct {
	int (*ask)(void *arg);
	void *arg;
	bool held; /* within ask(), or where the answer is known */
	bool asks; /* within ask() */
	uint64_t next_ns;
} self;

void pst_set_interrupt(int (*interrupted)(void *arg), void *arg)
{
	self.ask = interrupted;
	self.arg = arg;
	self.next_ns = 0;
}

void pst_interrupt_hold(bool hold)
{
	self.held = hold;
}

const void *pst_interrupt_thread(void)
{
	return &self;
}

bool pst_interrupt_asks(void)
{
	return self.asks;
}

int pst_interrupt_check(const void *owner, struct pst_error *err)
{
	if (owner != &self)
		return 0;
	return pst_error_set(err, -EBUSY,
			     "the call that was interrupted for this one has "
			     "not ended");
}

uint64_t pst_interrupt_next(void)
{
	return self.ask && !self.held ? self.next_ns : UINT64_MAX;
}

bool pst_interrupt_due(void)
{
	return self.ask && !self.held && pst_now_ns() >= self.next_ns;
}

int pst_interrupt_ask_unlocked(struct pst_error *err)
{
	bool yes;

	if (!pst_interrupt_due())
		return 0;
	self.held = self.asks = true;
	yes = self.ask(self.arg) != 0;
	self.held = self.asks = false;
	if (!yes) {
		self.next_ns = pst_now_ns() + ASK_NS;
		return 1;
	}
	/* The call may wait in several places: the next one asks at once. */
	self.next_ns = 0;
	return pst_error_set(err, -EINTR, "the call was interrupted");
}
