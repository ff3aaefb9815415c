/* SPDX-License-Identifier: MIT */
/* One connection, from CHALLENGE to its end, as a state machine over bytes. */
#ifndef PST_GUEST_AGENT_SERVE_SESSION_H
#define PST_GUEST_AGENT_SERVE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest-agent/serve/state/agent.h"
#include "transport/base/error.h"
#include "transport/wire.h"

/* A connection says HELLO within this time. */
#define PST_AGENT_SESSION_HELLO_MS 1000U
/* Sessions without a lane, in all. */
#define PST_AGENT_SESSION_MAX_CONTROL 32U

enum pst_agent_session_state {
	PST_AGENT_SESSION_NEW,     /* no CHALLENGE yet */
	PST_AGENT_SESSION_WAITING, /* for HELLO */
	PST_AGENT_SESSION_OPEN,
	/* Everything it held is given back. What was sent last goes out, what
	 * still comes in is dropped, then the connection is closed. */
	PST_AGENT_SESSION_CLOSED,
};

/* How a session reaches its peer. */
struct pst_agent_session_io {
	/* Queues bytes; 0, or -errno when the connection is of no use any
	 * more. fd >= 0 goes along (SCM_RIGHTS). */
	int (*send)(void *arg, const void *buf, size_t n, int fd);
	/* Bytes queued and not yet taken by the socket. */
	size_t (*pending)(void *arg);
	/* more: bytes wait that the session has not handled, and nothing is to
	 * be given to it before this is called again without. */
	void (*turned)(void *arg, bool more);
	void *arg;
};

struct pst_agent_session;

/* pass_fd: the peer is on this kernel and can be sent the region's memfd.
 * Returns 0, -ENOMEM. */
int pst_agent_session_new(struct pst_agent *a,
			  const struct pst_agent_session_io *io, bool pass_fd,
			  struct pst_agent_session **ret);

/* Ends it if need be. NULL does nothing. */
void pst_agent_session_free(struct pst_agent_session *s);

enum pst_agent_session_state
pst_agent_session_state(const struct pst_agent_session *s);

/* Fills a nonce slot and sends CHALLENGE; without random bytes ERROR, and the
 * session is CLOSED. */
void pst_agent_session_challenge(struct pst_agent_session *s, uint64_t now_ns);

/* Bytes from the peer, in any portions; kept until the session's turn
 * (pst_agent_turns_run()). */
void pst_agent_session_input(struct pst_agent_session *s, const uint8_t *buf,
			     size_t n);

/*
 * What is due by time: HELLO too late, leases that were held back. Returns
 * the pst_now_ns() time of the next such thing, UINT64_MAX for none.
 */
uint64_t pst_agent_session_tick(struct pst_agent_session *s, uint64_t now_ns);

/* Ends the session with an ERROR frame. */
void pst_agent_session_refuse(struct pst_agent_session *s, uint32_t status,
			      const char *sentence);

/* The same for a peer that broke the protocol, counted and logged. */
void pst_agent_session_break(struct pst_agent_session *s, uint32_t status,
			     const char *sentence);

/* Ends the session without a word: the connection is gone. */
void pst_agent_session_end(struct pst_agent_session *s);

#endif
