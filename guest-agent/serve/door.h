/* SPDX-License-Identifier: MIT */
/* Connections before HELLO: how many may wait, and which one makes room for a
 * new one. */
#ifndef PST_GUEST_AGENT_SERVE_DOOR_H
#define PST_GUEST_AGENT_SERVE_DOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* No connection makes room before this time. A handshake takes less than 1
 * ms. */
#define PST_AGENT_DOOR_PATIENCE_MS 50U

struct pst_agent_door_group;

/* A connection before HELLO, as a part of it. */
struct pst_agent_door_place {
	TAILQ_ENTRY(pst_agent_door_place) all, own;
	struct pst_agent_door_group *group;
	uint64_t since_ns;
};

TAILQ_HEAD(pst_agent_door_list, pst_agent_door_place);

/* The connections of one uid, or of all whose uid is unknown. */
struct pst_agent_door_group {
	bool has_uid;
	uint32_t uid;
	unsigned int n; /* 0: free for another */
	struct pst_agent_door_list places;
};

/*
 * At most max places, and for one uid half of them. A new connection is always
 * let in. While there are too many, the oldest that has waited its time makes
 * room (of the same uid, if that has too many). Until there is one, the
 * listener rests. Nothing younger is ever dropped: it waits in the kernel,
 * where the queue is short, or is served.
 */
struct pst_agent_door {
	unsigned int max, n;
	struct pst_agent_door_list places; /* in the order they came */
	struct pst_agent_door_group *groups;
	unsigned int n_groups; /* searched */
};

/* Returns 0, -ENOMEM. max: at least 2. */
int pst_agent_door_init(struct pst_agent_door *d, unsigned int max);
/* Everybody has left. */
void pst_agent_door_done(struct pst_agent_door *d);

/* Lets a connection in. has_uid: the kernel says whose it is. Returns false
 * when more listeners went on than there may be; it is not let in then. */
bool pst_agent_door_enter(struct pst_agent_door *d,
			  struct pst_agent_door_place *p, bool has_uid,
			  uint32_t uid, uint64_t now_ns);

/* It says HELLO, or is gone. */
void pst_agent_door_leave(struct pst_agent_door *d,
			  struct pst_agent_door_place *p);

/*
 * The connection that makes room for the new one p, or NULL. *ret_rest_ns: the
 * time until which p's listener rests, since all that could make room are too
 * young; else 0.
 */
struct pst_agent_door_place *
pst_agent_door_show_out(const struct pst_agent_door *d,
			const struct pst_agent_door_place *p, uint64_t now_ns,
			uint64_t *ret_rest_ns);

#endif
