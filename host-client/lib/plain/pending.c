/* SPDX-License-Identifier: MIT */
/* The table of operations that were submitted and not yet handed back. */
#include "host-client/lib/plain/pending.h"

#include <assert.h>
#include <string.h>

#define GEN_SHIFT 32

/* A record is in one list at most: its link says so, and a second insertion is
 * found when it happens. */
static void unlink_record(struct pst_record_list *list, struct pst_record *rec)
{
	assert(rec->link.tqe_prev);
	TAILQ_REMOVE(list, rec, link);
	rec->link.tqe_prev = NULL;
}

void pst_pending_init(struct pst_pending *t, uint32_t first)
{
	uint32_t i;

	memset(t, 0, sizeof(*t));
	t->first = first;
	TAILQ_INIT(&t->free);
	TAILQ_INIT(&t->done);
	for (i = 0; i < PST_WIRE_SLOTS; i++) {
		t->rec[i].index = first + i;
		TAILQ_INSERT_TAIL(&t->free, &t->rec[i], link);
	}
}

struct pst_record *pst_pending_new(struct pst_pending *t, bool claimed)
{
	struct pst_record *rec = TAILQ_FIRST(&t->free);

	if (!rec)
		return NULL;
	unlink_record(&t->free, rec);
	/* Generation 0 would make a tag of 0 possible. */
	if (++rec->gen == 0)
		rec->gen = 1;
	rec->state = PST_RECORD_PENDING;
	rec->claimed = claimed;
	t->n_open += !claimed;
	rec->writes = false;
	rec->lost = false;
	memset(rec->blocks, 0, sizeof(rec->blocks));
	memset(rec->tensors, 0, sizeof(rec->tensors));
	rec->done = (struct pst_completion){
		.tag = (uint64_t)rec->gen << GEN_SHIFT | rec->index,
	};
	return rec;
}

/* Before an unclaimed record is no longer PENDING, or DONE. */
static void take_out(struct pst_pending *t, struct pst_record *rec)
{
	if (rec->claimed)
		return;
	if (rec->state == PST_RECORD_PENDING)
		t->n_open--;
	else if (rec->state == PST_RECORD_DONE)
		unlink_record(&t->done, rec);
}

void pst_pending_put(struct pst_pending *t, struct pst_record *rec)
{
	take_out(t, rec);
	rec->state = PST_RECORD_FREE;
	assert(!rec->link.tqe_prev);
	/* The record used last is the one in the cache. */
	TAILQ_INSERT_HEAD(&t->free, rec, link);
}

static struct pst_record *by_tag(struct pst_pending *t, uint64_t tag)
{
	const uint32_t index = (uint32_t)tag - t->first;
	struct pst_record *rec;

	if (index >= PST_WIRE_SLOTS)
		return NULL;
	rec = &t->rec[index];
	return rec->gen == (uint32_t)(tag >> GEN_SHIFT) ? rec : NULL;
}

struct pst_record *pst_pending_find(struct pst_pending *t, uint64_t tag)
{
	struct pst_record *rec = by_tag(t, tag);

	if (!rec ||
	    (rec->state != PST_RECORD_PENDING && rec->state != PST_RECORD_DONE))
		return NULL;
	return rec;
}

struct pst_record *pst_pending_match(struct pst_pending *t, uint64_t tag)
{
	struct pst_record *rec = by_tag(t, tag);

	if (!rec || (rec->state != PST_RECORD_PENDING &&
		     rec->state != PST_RECORD_ABANDONED))
		return NULL;
	return rec;
}

void pst_pending_complete(struct pst_pending *t, struct pst_record *rec)
{
	take_out(t, rec);
	rec->state = PST_RECORD_DONE;
	assert(!rec->link.tqe_prev);
	if (!rec->claimed)
		TAILQ_INSERT_TAIL(&t->done, rec, link);
}

void pst_pending_claim(struct pst_pending *t, struct pst_record *rec)
{
	take_out(t, rec);
	rec->claimed = true;
}

void pst_pending_unclaim(struct pst_pending *t, struct pst_record *rec)
{
	rec->claimed = false;
	if (rec->state == PST_RECORD_PENDING)
		t->n_open++;
	else if (rec->state == PST_RECORD_DONE)
		TAILQ_INSERT_TAIL(&t->done, rec, link);
}
