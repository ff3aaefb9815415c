/* SPDX-License-Identifier: MIT */
/* Common declarations of the session's files. */
#ifndef PST_GUEST_AGENT_SERVE_SESSION_INT_H
#define PST_GUEST_AGENT_SERVE_SESSION_INT_H

#include "guest-agent/serve/state/session.h"
#include "guest-agent/service/log.h"
#include "transport/base/util.h"
#include "transport/frame.h"

/* LEASE requests that one session may have waiting for a settled arena, or for
 * memory that is being scrubbed. */
#define N_HELD 16U
/* MODEL_LOAD requests that one session may have waiting for their turn. */
#define N_LOADS 8U
#define NO_SLOT UINT32_MAX
#define NO_LANE UINT32_MAX

struct held {
	uint32_t seq;
	uint64_t size;
	uint64_t until_ns; /* for scrubbed memory */
};

struct held_load {
	uint32_t seq;
	struct pst_wire_model_load load;
};

struct pst_agent_session {
	struct pst_agent *agent;
	struct pst_agent_session_io io;
	bool pass_fd;
	enum pst_agent_session_state state;
	uint64_t hello_due_ns;
	uint32_t slot;
	uint8_t nonce[PST_WIRE_NONCE_SIZE];
	uint64_t id;
	uint32_t features;    /* of HELLO, and known here */
	unsigned int n_lanes; /* 0: none yet, or a control-only session */
	uint32_t lanes[PST_WIRE_SESSION_LANES]; /* in the order they came */
	uint32_t pid;
	char name[sizeof(((struct pst_wire_hello *)NULL)->name) + 1];
	unsigned int n_held;
	struct held held[N_HELD];
	unsigned int n_loads;
	struct held_load loads[N_LOADS]; /* oldest first */
	uint64_t load_due_ns;            /* when the next one may be done */
	/* Received and not yet handled: [in + in_off, +in_len). */
	uint8_t *in;
	size_t in_off, in_len, in_size;
	bool queued; /* waits for its turn */
	struct pst_agent_session *next_turn;
	uint64_t unread_ns; /* its replies are not read since; 0: they are */
	uint64_t rest_until_ns; /* no turn before; 0: it does not rest */
};

/* Handles a whole frame. */
void pst_agent_session_frame(struct pst_agent_session *s,
			     const struct pst_frame *f, uint64_t now_ns);

/* Waits for a turn. */
void pst_agent_turns_join(struct pst_agent_session *s);

/* Waits no longer. */
void pst_agent_turns_unqueue(struct pst_agent_session *s);

/* Drops received bytes and their turn. */
void pst_agent_turns_leave(struct pst_agent_session *s);

/* Lets a session whose rest is over wait for its turn. Returns when to call
 * next, UINT64_MAX: when something has come. */
uint64_t pst_agent_turns_tick(struct pst_agent_session *s, uint64_t now_ns);

/* One lane more, of at most PST_WIRE_SESSION_LANES. Returns PST_WIRE_OK, or
 * PST_WIRE_EBUSY with a sentence. */
uint32_t pst_agent_session_add_lane(struct pst_agent_session *s,
				    struct pst_error *why);

/* LANES. Returns 0 when it was answered, -EPROTO with a sentence for one that
 * ends the session. */
PST_MUST_USE int pst_agent_session_lanes(struct pst_agent_session *s,
					 const struct pst_frame *f,
					 struct pst_error *err);

/* Answers HELLO with WELCOME, or refuses and ends the session. */
void pst_agent_session_hello(struct pst_agent_session *s,
			     const struct pst_frame *f);

/* Sends a frame; fd >= 0 goes along. Like all that send, it ends the session
 * when the connection is of no use any more. */
void pst_agent_session_send(struct pst_agent_session *s,
			    const struct pst_frame *f, int fd);

/* Sends a reply with status OK to a frame. */
void pst_agent_session_reply(struct pst_agent_session *s,
			     const struct pst_frame *to, const void *payload,
			     size_t n);

/* Sends a WAKE, unless bytes are queued already: those wake the peer too. */
void pst_agent_session_wake(struct pst_agent_session *s);

/* Sends a frame whose payload is a sentence. */
void pst_agent_session_send_sentence(struct pst_agent_session *s, uint16_t type,
				     bool is_reply, uint32_t seq,
				     uint32_t status, const char *sentence);

/* The session, for the log. Borrows its name. */
struct pst_agent_log_about
pst_agent_session_about(const struct pst_agent_session *s);

#define pst_agent_session_log(s, level, ...)                                   \
	do {                                                                   \
		const struct pst_agent_log_about about_ =                      \
			pst_agent_session_about(s);                            \
		pst_agent_log_peer(level, &about_, __VA_ARGS__);               \
	} while (0)
/* Answers a request with a status other than OK and a sentence. */
void pst_agent_session_fail(struct pst_agent_session *s,
			    const struct pst_frame *to, uint32_t status,
			    const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* FAILURE and TENSOR_*. Returns 0 when it was answered, -EPROTO with a sentence
 * for a payload that ends the session. */
PST_MUST_USE int pst_agent_session_tensor(struct pst_agent_session *s,
					  const struct pst_frame *f,
					  struct pst_error *err);

/* The same for MODEL_*. A MODEL_LOAD whose turn it is not waits for
 * pst_agent_session_model_tick(). */
PST_MUST_USE int pst_agent_session_model(struct pst_agent_session *s,
					 const struct pst_frame *f,
					 uint64_t now_ns,
					 struct pst_error *err);

/* The same for MODEL_STAGE to MODEL_DESCRIBE. */
PST_MUST_USE int pst_agent_session_files(struct pst_agent_session *s,
					 const struct pst_frame *f,
					 struct pst_error *err);

/* Does a MODEL_LOAD that waits when its turn has come. Returns when to call
 * next, UINT64_MAX: when another one came. */
uint64_t pst_agent_session_model_tick(struct pst_agent_session *s,
				      uint64_t now_ns);

/* Gives the nonce slot back, if there is one. */
void pst_agent_session_wipe_nonce(struct pst_agent_session *s);

#endif
