/* SPDX-License-Identifier: MIT */
/* A session with an agent, and room in its region, that requests share. */
#ifndef PST_HOST_CLIENT_GATEWAY_AGENTS_LINK_H
#define PST_HOST_CLIENT_GATEWAY_AGENTS_LINK_H

#include "host-client/gateway/agents/pool.h"
#include "host-client/penstock.h"
#include "transport/base/error.h"

struct pst_gw_op;
struct pst_gw_request;

/* A body that is received into the region. */
struct pst_gw_upload {
	TAILQ_ENTRY(pst_gw_upload) entry;
	struct pst_gw_request *request;
	uint64_t since_ns; /* 0: it is not listed */
};

/* All but open and close is of the serving thread alone. */
struct pst_gw_link {
	struct pst *c;
	int fd; /* pst_fd() */
	/* Requests, operations and the engine: the last one closes it. */
	unsigned int refs;
	LIST_HEAD(, pst_gw_op) ops;
	unsigned int n_ops;
	uint64_t op_bytes; /* of their blocks, at most */
	bool lost;
	struct pst_gw_pool pool;
	TAILQ_HEAD(, pst_gw_upload) uploads;
};

/* An operation under way, which holds the link. */
struct pst_gw_op {
	LIST_ENTRY(pst_gw_op) entry;
	struct pst_gw_link *link;
	uint64_t tag;
	uint64_t block_bytes;
	/* Is called once, and not by what submits. */
	void (*done)(struct pst_gw_op *o, const struct pst_completion *end);
	/* Is called now and then until that; may end the operation. */
	void (*look)(struct pst_gw_op *o, uint64_t now_ns);
};

/* Blocks: connects, and leases room for tensors, memory bytes at most. Any
 * thread may call it. Returns 0 or -errno with a sentence. */
int pst_gw_link_open(const char *uri, uint64_t memory, struct pst_gw_link **ret,
		     struct pst_error *err);
struct pst_gw_link *pst_gw_link_get(struct pst_gw_link *l);
/* NULL does nothing. */
void pst_gw_link_put(struct pst_gw_link *l);

/* Room in the region. NULL: there is none now; of bodies that hold some, one
 * whose client is slow is given up. */
struct pst_gw_piece *pst_gw_link_room(struct pst_gw_link *l, uint64_t size);
void pst_gw_upload_begin(struct pst_gw_link *l, struct pst_gw_upload *u);
/* Does nothing if it is not listed. */
void pst_gw_upload_end(struct pst_gw_link *l, struct pst_gw_upload *u);

/*
 * Submit g or r for o, whose done is set. Do not block. Return 0 or an errno of
 * pst_submit_gemm() and pst_submit_run() with a sentence: -EAGAIN says that
 * others have to end first.
 */
int pst_gw_link_gemm(struct pst_gw_link *l, struct pst_gw_op *o,
		     const struct pst_gemm_args *g, struct pst_error *err);
int pst_gw_link_run(struct pst_gw_link *l, struct pst_gw_op *o,
		    const struct pst_run_args *r, struct pst_error *err);

/* Calls done of operations that have ended. Returns how many. */
int pst_gw_link_collect(struct pst_gw_link *l);
/* The same, and of all that are left once the session is lost. Returns whether
 * there were any, or the loss is news. */
bool pst_gw_link_poll(struct pst_gw_link *l);

/* Calls look of all operations. */
void pst_gw_link_look(struct pst_gw_link *l, uint64_t now_ns);
/* Calls done of all operations, though the agent has not: at the end. */
void pst_gw_link_abandon(struct pst_gw_link *l);

#endif
