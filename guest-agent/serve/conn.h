/* SPDX-License-Identifier: MIT */
/* The sockets of the sessions: accepted, served, lingering, closed. */
#ifndef PST_GUEST_AGENT_SERVE_CONN_H
#define PST_GUEST_AGENT_SERVE_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/serve/door.h"
#include "guest-agent/serve/state/agent.h"
#include "transport/base/error.h"
#include "transport/loop/loop.h"

#define PST_AGENT_CONN_MAX_CIDS 16U

struct pst_agent_conn;

TAILQ_HEAD(pst_agent_conn_list, pst_agent_conn);

enum pst_agent_conn_stage {
	PST_AGENT_CONN_WAITING, /* for HELLO */
	PST_AGENT_CONN_OPEN,
	/* What was sent last goes out, until the peer closes, 1 s, or too many
	 * others do so too. */
	PST_AGENT_CONN_ENDED,   /* was OPEN */
	PST_AGENT_CONN_REFUSED, /* never was */
	PST_AGENT_CONN_STAGES
};

struct pst_agent_conns {
	struct pst_agent *agent;
	struct pst_loop *loop;
	uint32_t cids[PST_AGENT_CONN_MAX_CIDS]; /* allowed beside the host's */
	unsigned int n_cids;
	unsigned int n;
	unsigned int n_stage[PST_AGENT_CONN_STAGES];
	struct pst_agent_conn_list stages[PST_AGENT_CONN_STAGES];
	struct pst_agent_door door;
};

/* Raises the limit of descriptors to what it needs, if it may. Returns 0,
 * -ENOMEM. */
int pst_agent_conns_init(struct pst_agent_conns *c, struct pst_agent *a,
			 struct pst_loop *loop);

/* Closes all connections at once. One of zeros is done already. */
void pst_agent_conns_done(struct pst_agent_conns *c);

/*
 * A new connection (a pst_loop_accept_fn, arg is a struct pst_agent_conns *):
 * over vsock only the host (CID 2) and the allowed ones stay, others get an
 * ERROR frame, as does an unknown peer. When too many wait for HELLO, the
 * oldest makes room (door.h).
 */
uint64_t pst_agent_conns_accept(void *arg, int fd);

/* Serves an already connected stream socket, which it owns from then on, also
 * on failure. Returns 0, -ENOMEM, -EBUSY (too many wait), -ENOTSOCK and such.
 */
int pst_agent_conns_serve(struct pst_agent_conns *c, int fd,
			  struct pst_error *err);

/*
 * What is due by time: late HELLOs, held leases, closing of connections whose
 * last bytes are out. Returns the pst_now_ns() time of the next such thing,
 * UINT64_MAX for none.
 */
uint64_t pst_agent_conns_tick(struct pst_agent_conns *c, uint64_t now_ns);

/* Ends all sessions with an ERROR frame; the connections go as their last
 * bytes do. */
void pst_agent_conns_refuse_all(struct pst_agent_conns *c, uint32_t status,
				const char *sentence);

#endif
