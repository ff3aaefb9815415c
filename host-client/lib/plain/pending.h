/* SPDX-License-Identifier: MIT */
/* The table of operations that were submitted and not yet handed back. Pure
 * data; the caller serialises. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_PENDING_H
#define PST_HOST_CLIENT_LIB_PLAIN_PENDING_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "host-client/lib/plain/forecast.h"
#include "host-client/lib/plain/heap.h"
#include "host-client/lib/plain/run_use.h"
#include "host-client/penstock.h"
#include "transport/wire.h"

/* One count of a tag. */
#define PST_TAG_STEP (1ULL << 32)

enum pst_record_state {
	PST_RECORD_FREE,
	PST_RECORD_PENDING,   /* the agent has it */
	PST_RECORD_DONE,      /* completed, the application has not seen it */
	PST_RECORD_ABANDONED, /* the agent has it, nobody waits any more */
};

/* Operands of an operation at most: a, b, c, bias. */
#define PST_RECORD_BLOCKS 4

/* The first line is all that is touched of an operation without operands whose
 * completion goes straight to the application. */
struct pst_record {
	uint32_t index;
	uint8_t state; /* enum pst_record_state */
	bool claimed;  /* a thread waits for this one: pst_poll() skips it */
	bool uses;     /* blocks or tensors are set */
	bool writes;   /* its result lies in a buffer */
	uint64_t key;  /* of its duration, see forecast.h */
	TAILQ_ENTRY(pst_record) link; /* in done */
	/* Before it is DONE tag and user_data only. The tag's high half counts
	 * and is not 0 once used, the low one is index. */
	struct pst_completion done;
	bool lost; /* its session ended; done.status says how */
	/* Expected; asked_ns 0: when one began to wait for it. */
	struct pst_forecast_start start;
	uint64_t order; /* in the lane, when start is set */
	struct pst_block *blocks[PST_RECORD_BLOCKS]; /* busy by it, or NULL */
	/* Places of tensors + 1, busy by it, or 0. */
	uint32_t tensors[PST_RECORD_BLOCKS];
	struct pst_run_use *run; /* of a RUN, the record's own, or NULL */
} __attribute__((aligned(64)));

static_assert(offsetof(struct pst_record, done.status) <= 64, "one line");

TAILQ_HEAD(pst_record_list, pst_record);

struct pst_pending {
	uint32_t first; /* index of rec[0], so that tags differ between tables
			 */
	unsigned int n_free;
	unsigned int n_open;         /* PENDING and unclaimed */
	struct pst_record_list done; /* unclaimed, in the order completed */
	/* Those that are free: the one used last, which is in the cache, lies
	 * on top. */
	uint16_t free[PST_WIRE_SLOTS];
	struct pst_record rec[PST_WIRE_SLOTS];
};

/* first: a multiple of PST_WIRE_SLOTS. */
void pst_pending_init(struct pst_pending *t, uint32_t first);

/* A record, PENDING with a new tag in done.tag, without operands and key; NULL
 * when all are in use. Of all else only claimed is set. */
static inline struct pst_record *pst_pending_new(struct pst_pending *t,
						 bool claimed)
{
	struct pst_record *rec;

	if (!t->n_free)
		return NULL;
	rec = &t->rec[t->free[--t->n_free]];
	rec->done.tag += PST_TAG_STEP;
	/* A count of 0 would make a tag of 0 possible. */
	if (rec->done.tag < PST_TAG_STEP)
		rec->done.tag += PST_TAG_STEP;
	rec->state = PST_RECORD_PENDING;
	rec->claimed = claimed;
	rec->uses = false;
	rec->writes = false;
	rec->key = 0;
	t->n_open += !claimed;
	return rec;
}

/* Takes a record back, in whatever state. */
void pst_pending_put(struct pst_pending *t, struct pst_record *rec);

/* The record of a tag that the application may still name (PENDING or DONE);
 * NULL for none. */
struct pst_record *pst_pending_find(struct pst_pending *t, uint64_t tag);

/* The record of a tag, in whatever state; NULL for one that is not in use. */
static inline struct pst_record *pst_pending_by_tag(struct pst_pending *t,
						    uint64_t tag)
{
	const uint32_t i = (uint32_t)tag - t->first;

	return i < PST_WIRE_SLOTS && t->rec[i].done.tag == tag ? &t->rec[i]
							       : NULL;
}

/*
 * The record a completion belongs to, PENDING or ABANDONED; NULL for a tag
 * that was never issued or is over. As each is matched once and operations of
 * a lost session are over, as many completions as submissions leave nothing
 * PENDING or ABANDONED.
 */
static inline struct pst_record *pst_pending_match(struct pst_pending *t,
						   uint64_t tag)
{
	struct pst_record *rec = pst_pending_by_tag(t, tag);

	if (!rec || (rec->state != PST_RECORD_PENDING &&
		     rec->state != PST_RECORD_ABANDONED))
		return NULL;
	return rec;
}

/* Takes back a record that is in no list: an unclaimed one that is PENDING and
 * whose completion the application has, without its operands. */
static inline void pst_pending_pass(struct pst_pending *t,
				    struct pst_record *rec)
{
	t->n_open--;
	rec->state = PST_RECORD_FREE;
	t->free[t->n_free++] = (uint16_t)(rec->index - t->first);
}

/* PENDING to DONE; queues it for pst_poll() unless it is claimed. */
void pst_pending_complete(struct pst_pending *t, struct pst_record *rec);

/* A thread waits for this one from now on; and no longer. */
void pst_pending_claim(struct pst_pending *t, struct pst_record *rec);
void pst_pending_unclaim(struct pst_pending *t, struct pst_record *rec);

#endif
