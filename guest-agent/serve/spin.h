/* SPDX-License-Identifier: MIT */
/* Decides how long the serving thread spins before it sleeps. */
#ifndef PST_GUEST_AGENT_SERVE_SPIN_H
#define PST_GUEST_AGENT_SERVE_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A pure state machine. A spin that finds nothing costs its whole length, a
 * sleep costs one wake-up (20 to 50 us): so the window halves after several
 * spins in vain, down to a floor, and grows back to its maximum when a sleep
 * turns out to have been shorter than the spin that would have saved it.
 *
 * A spin may also be in vain because the client needs the very CPU that spins:
 * then nothing can come before the window is over. That is told apart by
 * trying: after such a spin the thread sleeps at once. If work now comes sooner
 * than the spin in vain was long, the spin was what kept it away. When several
 * tries in a row say so, the spin hinders: there is no window for a while.
 */
struct pst_agent_spin {
	uint64_t max_ns;
	uint64_t now_ns;        /* the current window; 0: sleep at once */
	uint64_t tried_ns;      /* the window that a try left out; 0: no try */
	uint64_t rest_until_ns; /* no spinning before; 0: it does not hinder */
	unsigned int in_vain;
	unsigned int hindered; /* tries in a row that found it hinders */
	unsigned int skip;     /* spins in vain until the next try */
};

void pst_agent_spin_init(struct pst_agent_spin *s, uint64_t max_ns);

/* Work came within the window. */
void pst_agent_spin_found(struct pst_agent_spin *s);

/* The window passed in vain, the thread slept slept_ns until now_ns, and then
 * there was work in a lane (woken) or not. True when it has just become known
 * that spinning hinders: the thread had better be on another CPU. */
bool pst_agent_spin_slept(struct pst_agent_spin *s, uint64_t now_ns,
			  uint64_t slept_ns, bool woken);

/*
 * How long to sleep now, while a device works whose end wakes nobody: on what
 * began at begun_ns and should end at due_ns, later than 0. 0: go on looking.
 * What is short is looked at all the time, beyond its due time for a while as
 * well; long work is slept through in slices of a part of its length, up to
 * shortly before its end.
 */
uint64_t pst_agent_spin_device(uint64_t now_ns, uint64_t begun_ns,
			       uint64_t due_ns);

/* The thread is on another CPU: what was learnt of the last one is over. */
void pst_agent_spin_moved(struct pst_agent_spin *s);

#endif
