/* SPDX-License-Identifier: MIT */
/* How long the serving thread spins before it sleeps. */
#ifndef PST_GUEST_AGENT_SPIN_H
#define PST_GUEST_AGENT_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A pure state machine. A spin that finds nothing costs its whole length, a
 * sleep costs one wake-up (20 to 50 us): so the window halves after several
 * spins in vain, down to a floor, and grows back to its maximum when a sleep
 * turns out to have been shorter than the spin that would have saved it.
 */
struct pst_spin {
	uint64_t max_ns;
	uint64_t now_ns; /* the current window */
	unsigned int in_vain;
};

void pst_spin_init(struct pst_spin *s, uint64_t max_ns);

/* Work came within the window. */
void pst_spin_found(struct pst_spin *s);

/* The window passed in vain, the thread slept slept_ns, and then there was
 * work in a lane (woken) or not. */
void pst_spin_slept(struct pst_spin *s, uint64_t slept_ns, bool woken);

#endif
