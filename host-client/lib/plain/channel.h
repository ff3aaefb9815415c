/* SPDX-License-Identifier: MIT */
/* The socket to the agent and the frames on it. Knows neither the session nor
 * its memory; the caller serialises. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_CHANNEL_H
#define PST_HOST_CLIENT_LIB_PLAIN_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/base/error.h"
#include "transport/base/util.h"
#include "transport/frame.h"
#include "transport/wire.h"

/* One frame of the largest size. */
#define PST_RX_SIZE (sizeof(struct pst_wire_frame) + PST_WIRE_MAX_PAYLOAD)
/* Requests are small: the rest of one, and a few that nobody waits for. */
#define PST_TX_SIZE 4096U

/* Bytes that arrived and are not yet a whole frame. */
struct pst_rx {
	uint8_t *buf; /* PST_RX_SIZE */
	size_t n;
};

/* The one request under way. */
struct pst_request {
	const void *owner; /* the thread that has it, or NULL */
	bool waiting;      /* its reply is still wanted */
	bool answered;
	uint16_t type;
	uint32_t seq;
	int result; /* of the reply: 0 or its errno */
	uint32_t length;
	uint8_t *payload; /* malloc'ed, length bytes and a NUL */
	struct pst_error err;
};

struct pst_channel {
	int sock;    /* number stays the same from session to session; or -1 */
	bool open;   /* a session's */
	int failed;  /* see pst_channel_fail(); 0: it has not */
	size_t tx_n; /* bytes of tx that the socket did not take yet */
	struct pst_error failure;
	struct pst_rx rx;
	uint8_t tx[PST_TX_SIZE];
	uint32_t seq;         /* of the last request sent */
	uint32_t unanswered;  /* requests of this session without a reply */
	unsigned int n_posts; /* requests of pst_post() since the last read */
	uint64_t n_wakes;     /* WAKEs of this session */
	struct pst_request req;
};

/* Begins with a new session's socket. Returns 0, or -errno; then sock is still
 * the caller's. */
PST_MUST_USE int pst_channel_open(struct pst_channel *ch, int sock,
				  struct pst_error *err);

/* Nothing is sent or read any more. A thread that polls the socket wakes. */
void pst_channel_shut(struct pst_channel *ch);

/*
 * An open channel cannot go on, because of code and a sentence; the first
 * failure counts. Nothing happens yet, so anybody may call it, whatever the
 * callers are in the middle of: pst_settle() ends the session. Until then
 * frames are neither sent nor read and completions are not taken.
 */
void pst_channel_fail(struct pst_channel *ch, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Queues a request, which gets the next seq, and sends what goes. 0, -EAGAIN
 * (no room, nothing was queued), -ECONNRESET (the session is over). */
PST_MUST_USE int pst_channel_send(struct pst_channel *ch, struct pst_frame *f);

/* A request whose reply nobody waits for; never blocks. 0, -EAGAIN when the
 * socket takes no more, -ECONNRESET. */
int pst_post(struct pst_channel *ch, uint16_t type, const void *payload,
	     uint32_t length);

/* Sends one WAKE; a full socket counts as sent. */
void pst_channel_wake(struct pst_channel *ch);

/* Sends of what is left over what goes; the channel may fail. */
void pst_channel_flush(struct pst_channel *ch);

/*
 * Sends what is left over and reads and handles what arrived, without
 * blocking; the channel may fail. n_ops: operations of this session, for which
 * the agent may have sent wake-ups. True when the reply that is waited for
 * has come.
 */
bool pst_channel_service(struct pst_channel *ch, uint64_t n_ops);

#endif
