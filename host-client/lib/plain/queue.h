/* SPDX-License-Identifier: MIT */
/* The operations of one lane: those outstanding, and the forecast from earlier
 * ones. The caller serialises. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_QUEUE_H
#define PST_HOST_CLIENT_LIB_PLAIN_QUEUE_H

#include <stdbool.h>

#include "host-client/lib/plain/channel.h"
#include "host-client/lib/plain/forecast.h"
#include "host-client/lib/plain/memory.h"
#include "host-client/lib/plain/pending.h"
#include "transport/ring.h"

struct pst_queue {
	/* lane.lane NULL: the last session had none for it. */
	struct pst_lane_client lane;
	struct pst_pending ops;
	struct pst_forecast forecast;
};

/* Where completions go that the application collects: n of max so far. */
struct pst_completions {
	struct pst_completion *ret;
	int max, n;
};

/*
 * Takes all completions into their records, unless the channel has failed; it
 * may fail by one. Any record but an awaited one may be free then. Whether any
 * was there.
 *
 * With into, what nobody has claimed goes there at once, and only as many are
 * taken as there is room for. No earlier one is left in a record.
 */
bool pst_queue_reap(struct pst_queue *q, struct pst_memory *m,
		    struct pst_channel *ch, struct pst_completions *into);

/* Arms the lane for a sleeper, in a new generation: the old one may have been
 * woken already. True when completions are there: the lane is not armed. */
bool pst_queue_arm(struct pst_queue *q);

static inline void pst_queue_disarm(struct pst_queue *q)
{
	/* One that has no lane is not armed. */
	pst_lane_client_disarm(&q->lane);
}

/* Nobody waits for a claimed record any more: it is free if it is DONE, else
 * ABANDONED. */
void pst_queue_give_up(struct pst_queue *q, struct pst_record *rec);

/* The session is lost. Operations on their way complete with code; so do those
 * that are done but whose results, not seen yet, are lost with its memory. */
void pst_queue_end(struct pst_queue *q, struct pst_memory *m, int code);

#endif
