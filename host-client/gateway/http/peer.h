/* SPDX-License-Identifier: MIT */
/* Open connections and who is behind them: limits, and ends of slow ones. */
#ifndef PST_HOST_CLIENT_GATEWAY_HTTP_PEER_H
#define PST_HOST_CLIENT_GATEWAY_HTTP_PEER_H

#include <sys/queue.h>
#include <sys/types.h>

#include "transport/base/util.h"

/* Somebody who shares limits: a user of a Unix socket, a token of TCP, or who
 * has not shown one yet. */
enum pst_gw_peer_kind {
	PST_GW_PEER_USER,
	PST_GW_PEER_TOKEN,
	PST_GW_PEER_STRANGER,
};

struct pst_gw_peer {
	LIST_ENTRY(pst_gw_peer) link;
	enum pst_gw_peer_kind kind;
	unsigned int id;      /* uid; number of the token */
	unsigned int n_refs;  /* connections and operations, ended ones too */
	unsigned int n_conns; /* that are not ended */
	unsigned int n_ops;   /* under way */
	uint64_t body_bytes;  /* of bodies under way, as declared */
};

/* An open connection. */
struct pst_gw_conn {
	TAILQ_ENTRY(pst_gw_conn) link;
	struct pst_gw_peer *peer;
	int fd;
	bool is_local; /* a Unix socket */
	bool busy;     /* it has a request that was not refused */
	bool waiting;  /* it is suspended, and would not see its end */
	bool ended;    /* its socket is shut down */
	/* It is ended then, unless what it does is done. */
	uint64_t deadline_ns;
};

struct pst_gw_limits {
	unsigned int conns;  /* open at once */
	unsigned int ops;    /* of a peer under way */
	uint64_t body_bytes; /* of all bodies under way; a peer has half */
};

struct pst_gw_peers {
	LIST_HEAD(, pst_gw_peer) peers;
	TAILQ_HEAD(, pst_gw_conn) conns; /* the oldest first */
	unsigned int n_conns;
	uint64_t body_bytes;
	struct pst_gw_limits max;
};

void pst_gw_peers_init(struct pst_gw_peers *p, const struct pst_gw_limits *max);
void pst_gw_peers_done(struct pst_gw_peers *p);

/*
 * A new connection. When there are too many, the peer that has most loses one:
 * that which has waited longest for a request, else the newest, which may be
 * this one. So neither silent nor busy connections of one peer keep others out.
 * NULL: out of memory.
 */
struct pst_gw_conn *pst_gw_conn_new(struct pst_gw_peers *p, int fd,
				    bool is_local);
void pst_gw_conn_free(struct pst_gw_peers *p, struct pst_gw_conn *c);

/* It has shown a token. Returns 0 or -ENOMEM. */
int pst_gw_conn_is_token(struct pst_gw_peers *p, struct pst_gw_conn *c,
			 unsigned int token);

/* Another state, which has to end within limit_ns. */
void pst_gw_conn_expect(struct pst_gw_conn *c, bool busy, uint64_t limit_ns);

/*
 * Room for a body of so many bytes, before any is read. Returns 0, -EMSGSIZE
 * (it never has room), -EAGAIN (the peer's others fill its half), or -ENOSPC
 * (those of all). What was taken is given back once.
 */
int pst_gw_body_take(struct pst_gw_peers *p, struct pst_gw_conn *c,
		     uint64_t bytes);
void pst_gw_body_give(struct pst_gw_peers *p, struct pst_gw_conn *c,
		      uint64_t bytes);

/*
 * An operation of the connection's peer begins: returns the peer, to whom it is
 * given back once, also after the connection's end. NULL: there are as many
 * under way as may be.
 */
struct pst_gw_peer *pst_gw_peer_take_op(struct pst_gw_peers *p,
					struct pst_gw_conn *c);
void pst_gw_peer_give_op(struct pst_gw_peer *e);

/* Shuts its socket down; what serves it then sees the end. */
void pst_gw_conn_end(struct pst_gw_conn *c);

/* Ends all whose time is over. */
void pst_gw_peers_sweep(struct pst_gw_peers *p, uint64_t now_ns);

#endif
