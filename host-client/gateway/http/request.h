/* SPDX-License-Identifier: MIT */
/* A request from its head to its reply, and the routes that answer it. */
#ifndef PST_HOST_CLIENT_GATEWAY_HTTP_REQUEST_H
#define PST_HOST_CLIENT_GATEWAY_HTTP_REQUEST_H

#include "host-client/gateway/http/head.h"
#include "host-client/gateway/http/peer.h"
#include "host-client/gateway/http/text.h"
#include "host-client/gateway/http/token.h"

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;
struct pst_gw_agents;
struct pst_gw_engines;
struct pst_gw_request;

/* Methods of a route. HEAD is a GET without the body. */
#define PST_GW_GET  1U
#define PST_GW_POST 2U

/* Segments of a path that a "*" stands for. */
#define PST_GW_WORDS 2U

/*
 * What answers a path. All functions run in the serving thread and must not
 * block; what they are not needed for is NULL.
 *
 * begin: the head is checked, the body not read yet. May answer, or wait.
 * body: takes n bytes of the body and returns how many it took: all, or fewer
 * after pst_gw_wait(), and is then called with the rest again.
 * handle: all of the body is there. Answers, or waits, and is called again.
 * done: the request is over, answered or not: frees request->state.
 */
struct pst_gw_route {
	const char *path; /* "*": one segment, in request->word */
	unsigned int methods;
	/* Its reply depends on the agents only: all who ask within a quarter of
	 * a second get the same one, unless an agent says something new. */
	bool shared;
	void (*begin)(struct pst_gw_request *r);
	size_t (*body)(struct pst_gw_request *r, const char *data, size_t n);
	void (*handle)(struct pst_gw_request *r);
	void (*done)(struct pst_gw_request *r);
};

/* A reply of a route that all share. */
struct pst_gw_shared {
	const struct pst_gw_route *route; /* NULL: a free place */
	struct MHD_Response *response;
	uint64_t bytes, made_ns, n_updates;
	unsigned int status;
};

#define PST_GW_MAX_SHARED 4U

/* What all requests share. */
struct pst_gw_context {
	const struct pst_gw_options *options;
	const struct pst_gw_route *const *routes; /* tables, then NULL */
	struct pst_gw_agents *agents;
	struct pst_gw_engines *engines;
	/* How often something new was said that shared replies tell. */
	const uint64_t *n_updates;
	struct pst_gw_peers peers;
	struct pst_gw_names names;
	struct pst_gw_tokens tokens;
	TAILQ_HEAD(, pst_gw_request) requests;
	struct pst_gw_shared shared[PST_GW_MAX_SHARED];
};

struct pst_gw_request {
	TAILQ_ENTRY(pst_gw_request) link;
	struct pst_gw_context *context;
	const struct pst_gw_route *route; /* NULL: none has the path */
	char word[PST_GW_WORDS][64];
	uint64_t length, received; /* bytes of the body */
	void *state;               /* the route's own */
	/* Below: of request.c. */
	struct MHD_Connection *mhd;
	struct pst_gw_conn *conn;
	struct MHD_Response *response;
	uint64_t reply_bytes;
	uint64_t held;       /* for it, of its client's */
	unsigned int status; /* 0: not answered yet */
	bool waiting, hasty;
	bool is_shared; /* response is of context->shared */
};

/* A field of the head, or NULL. */
const char *pst_gw_header(const struct pst_gw_request *r, const char *name);

/*
 * Answers. The text's bytes become the reply's, and t is empty afterwards; if
 * t has failed it is answered that memory is out. type is a media type.
 */
void pst_gw_reply(struct pst_gw_request *r, unsigned int status,
		  const char *type, struct pst_gw_text *t);

/* Answers with bytes that stay as they are as long as the program runs. */
void pst_gw_reply_static(struct pst_gw_request *r, const char *type,
			 const void *data, size_t n);

/* Answers {"error": "SENTENCE"}, as the Open Inference Protocol has it. */
void pst_gw_reply_error(struct pst_gw_request *r, unsigned int status,
			const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* One more field of the reply's head, after it was answered. */
void pst_gw_reply_header(struct pst_gw_request *r, const char *name,
			 const char *value);

/*
 * An operation for the request begins, which its peer has only so many of.
 * Returns what pst_gw_peer_give_op() takes once when the operation has ended,
 * which may be after the request. NULL: it is answered (429), nothing begins.
 */
struct pst_gw_peer *pst_gw_take_op(struct pst_gw_request *r);

/* So many more bytes are held for the request until its end, and count as a
 * body's of its client. Returns false if it was answered that there is no room:
 * nothing is held then. */
bool pst_gw_hold(struct pst_gw_request *r, uint64_t bytes);

/* Whether nobody is there for the answer: libmicrohttpd does not look at a
 * connection that rests. Any thread may ask while the request rests. */
bool pst_gw_is_left(const struct pst_gw_request *r);

/* The request rests until pst_gw_go_on(), which calls its route again. */
void pst_gw_wait(struct pst_gw_request *r);
void pst_gw_go_on(struct pst_gw_request *r);

#endif
