/* SPDX-License-Identifier: MIT */
/* The table of operations that were submitted and not yet handed back. Pure
 * data; the caller serialises. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_PENDING_H
#define PST_HOST_CLIENT_LIB_PLAIN_PENDING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "host-client/lib/plain/forecast.h"
#include "host-client/lib/plain/heap.h"
#include "host-client/penstock.h"
#include "transport/wire.h"

enum pst_record_state {
	PST_RECORD_FREE,
	PST_RECORD_PENDING,   /* the agent has it */
	PST_RECORD_DONE,      /* completed, the application has not seen it */
	PST_RECORD_ABANDONED, /* the agent has it, nobody waits any more */
};

/* Operands of an operation at most: a, b, c, bias. */
#define PST_RECORD_BLOCKS 4

struct pst_record {
	TAILQ_ENTRY(pst_record) link; /* in free or done */
	enum pst_record_state state;
	uint32_t index;
	uint32_t gen; /* of its tag, not 0 once used */
	bool claimed; /* a thread waits for this one: pst_poll() skips it */
	bool writes;  /* its result lies in a buffer */
	bool lost;    /* its session ended; done.status says how */
	uint64_t key; /* of its duration, see forecast.h */
	/* Expected; asked_ns 0: when one began to wait for it. */
	struct pst_forecast_start start;
	uint64_t order; /* in the lane, when start is set */
	struct pst_block *blocks[PST_RECORD_BLOCKS]; /* busy by it, or NULL */
	/* Places of tensors + 1, busy by it, or 0. */
	uint32_t tensors[PST_RECORD_BLOCKS];
	struct pst_completion done;
};

TAILQ_HEAD(pst_record_list, pst_record);

struct pst_pending {
	uint32_t first; /* index of rec[0], so that tags differ between tables
			 */
	struct pst_record rec[PST_WIRE_SLOTS];
	struct pst_record_list free;
	struct pst_record_list done; /* unclaimed, in the order completed */
	unsigned int n_open;         /* PENDING and unclaimed */
};

/* first: a multiple of PST_WIRE_SLOTS. */
void pst_pending_init(struct pst_pending *t, uint32_t first);

/* A record, PENDING with a new tag in done.tag; NULL when all are in use. */
struct pst_record *pst_pending_new(struct pst_pending *t, bool claimed);

/* Takes a record back, in whatever state. */
void pst_pending_put(struct pst_pending *t, struct pst_record *rec);

/* The record of a tag that the application may still name (PENDING or DONE);
 * NULL for none. */
struct pst_record *pst_pending_find(struct pst_pending *t, uint64_t tag);

/*
 * The record a completion belongs to, PENDING or ABANDONED; NULL for a tag
 * that was never issued or is over. As each is matched once and operations of
 * a lost session are over, as many completions as submissions leave nothing
 * PENDING or ABANDONED.
 */
struct pst_record *pst_pending_match(struct pst_pending *t, uint64_t tag);

/* PENDING to DONE; queues it for pst_poll() unless it is claimed. */
void pst_pending_complete(struct pst_pending *t, struct pst_record *rec);

/* A thread waits for this one from now on; and no longer. */
void pst_pending_claim(struct pst_pending *t, struct pst_record *rec);
void pst_pending_unclaim(struct pst_pending *t, struct pst_record *rec);

#endif
