/* SPDX-License-Identifier: MIT */
/* The table of operations that were submitted and not yet handed back. */
#include "host-client/lib/plain/pending.h"

#include <assert.h>
#include <string.h>

/* A second insertion is found when it happens: the link says whether a record
 * is in the list. */
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
	TAILQ_INIT(&t->done);
	for (i = 0; i < PST_WIRE_SLOTS; i++) {
		t->rec[i].index = first + i;
		t->rec[i].done.tag = first + i;
		/* The first one lies on top. */
		t->free[i] = (uint16_t)(PST_WIRE_SLOTS - 1 - i);
	}
	t->n_free = PST_WIRE_SLOTS;
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
	t->free[t->n_free++] = (uint16_t)(rec->index - t->first);
}

struct pst_record *pst_pending_find(struct pst_pending *t, uint64_t tag)
{
	struct pst_record *rec = pst_pending_by_tag(t, tag);

	if (!rec ||
	    (rec->state != PST_RECORD_PENDING && rec->state != PST_RECORD_DONE))
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
