/* SPDX-License-Identifier: MIT */
/* Moves the serving thread away from a CPU that it shares with its client. */
#ifndef PST_GUEST_AGENT_SERVE_CPU_MOVE_H
#define PST_GUEST_AGENT_SERVE_CPU_MOVE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * An agent and a client on one kernel wake each other through a socket, and the
 * kernel likes to put the one that is woken on the CPU of the one that wakes
 * it. There each spins while the other waits for the CPU: a round trip of 0.3
 * us takes 15, and as both sleep every few microseconds it can be 100 ms until
 * the kernel moves one of them. The sign of it is that the serving thread is
 * preempted dozens of times a millisecond, which no ordinary load does.
 *
 * A pure state machine. All zero: nothing seen yet.
 */
struct pst_agent_aside {
	uint64_t last_ns; /* of the last check */
	uint64_t last_preempted;
	uint64_t quiet_until_ns; /* it has just moved */
};

/* preempted: how often the thread has been so far. True when it is to leave
 * its CPU now. Call it about every millisecond. */
bool pst_agent_aside_due(struct pst_agent_aside *a, uint64_t now_ns,
			 uint64_t preempted);

/* Checks, and if necessary moves the calling thread to another CPU of its
 * affinity mask, which does not change. */
void pst_agent_aside_check(struct pst_agent_aside *a, uint64_t now_ns);

/* Moves the calling thread, which has found that it shares its CPU with its
 * client. False when there is no other CPU, or when it has moved shortly
 * before. */
bool pst_agent_aside_leave(struct pst_agent_aside *a, uint64_t now_ns);

#endif
