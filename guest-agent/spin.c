/* SPDX-License-Identifier: MIT */
/* How long the serving thread spins before it sleeps. */
#include "guest-agent/spin.h"

/* Spins in vain before the window halves. */
#define IN_VAIN 4U
/* The floor, as a part of the maximum. */
#define FLOOR 16U
/* A sleep up to so many windows long was a loss: a wake-up costs about one
 * window of the default length, and half of it comes after the work did. */
#define SHORT_SLEEP 2U

void pst_spin_init(struct pst_spin *s, uint64_t max_ns)
{
	s->max_ns = max_ns;
	s->now_ns = max_ns;
	s->in_vain = 0;
}

void pst_spin_found(struct pst_spin *s)
{
	s->in_vain = 0;
}

void pst_spin_slept(struct pst_spin *s, uint64_t slept_ns, bool woken)
{
	if (woken && slept_ns / SHORT_SLEEP <= s->max_ns) {
		s->now_ns = s->max_ns;
		s->in_vain = 0;
		return;
	}
	if (++s->in_vain < IN_VAIN)
		return;
	s->in_vain = 0;
	s->now_ns /= 2;
	if (s->now_ns < s->max_ns / FLOOR)
		s->now_ns = s->max_ns / FLOOR;
}
