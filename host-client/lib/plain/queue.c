/* SPDX-License-Identifier: MIT */
/* The operations of one lane: those outstanding, and the forecast from earlier
 * ones. */
#include "host-client/lib/plain/queue.h"

#include <errno.h>

#include "transport/status.h"

/* One completion, already private. */
static inline void take_completion(struct pst_queue *q, struct pst_memory *m,
				   struct pst_channel *ch,
				   const struct pst_wire_cqe *cqe,
				   struct pst_completions *into)
{
	struct pst_record *rec = pst_pending_match(&q->ops, cqe->tag);
	const bool passes = into && rec && !rec->claimed &&
			    rec->state == PST_RECORD_PENDING;
	int status = cqe->status ? pst_status_to_errno(cqe->status) : 0;

	if (!rec || q->lane.cq_head > q->lane.sq_tail || cqe->flags ||
	    cqe->reserved0[0] || cqe->reserved0[1]) {
		pst_channel_fail(ch, -EPROTO,
				 "the agent completed an operation that was "
				 "not submitted");
		return;
	}
	/* The record is done with before anything of it is given back. */
	if (rec->state == PST_RECORD_ABANDONED) {
		pst_pending_put(&q->ops, rec);
		pst_record_unref(m, rec);
		return;
	}
	if (rec->uses && rec->run)
		status = pst_run_use_end(rec->run, status);
	*(passes ? &into->ret[into->n] : &rec->done) = (struct pst_completion){
		.tag = cqe->tag,
		.user_data = rec->done.user_data,
		.status = status,
		.compute_ns = cqe->compute_ns,
		.queue_ns = cqe->queue_ns,
		.result = cqe->result,
	};
	if (rec->key && cqe->status == PST_WIRE_OK)
		pst_forecast_done(&q->forecast, rec->key, cqe->compute_ns);
	if (passes) {
		into->n++;
		pst_pending_pass(&q->ops, rec);
	} else {
		pst_pending_complete(&q->ops, rec);
	}
	pst_record_unref(m, rec);
}

/* Takes those that are there, of the next max. What comes meanwhile is left:
 * the caller answers these with new operations while the agent does those.
 * Taken as they come, all would be done at once, and each side wait for the
 * other. */
static void reap(struct pst_queue *q, struct pst_memory *m,
		 struct pst_channel *ch, unsigned int max,
		 struct pst_completions *into)
{
	unsigned int n = pst_lane_client_count(
		&q->lane, max < PST_WIRE_SLOTS ? max : PST_WIRE_SLOTS);
	struct pst_wire_cqe cqe;

	while (n-- && !ch->failed && pst_lane_client_reap(&q->lane, &cqe))
		take_completion(q, m, ch, &cqe, into);
}

bool pst_queue_reap(struct pst_queue *q, struct pst_memory *m,
		    struct pst_channel *ch, struct pst_completions *into)
{
	const uint64_t head = q->lane.cq_head;
	const int n = into ? into->n : 0;
	uint64_t before;

	if (!ch->open || !q->lane.lane)
		return false;
	do {
		before = q->lane.cq_head;
		/* At most as many as are outstanding: one more breaks the
		 * session. */
		reap(q, m, ch,
		     into ? (unsigned int)(into->max - n) : PST_WIRE_SLOTS,
		     into);
		/* Again where all were other threads', or nobody's. */
	} while (into && into->n == n && q->lane.cq_head != before);
	if (q->lane.cq_head == head)
		return false;
	if (q->lane.cq_head == q->lane.sq_tail)
		pst_forecast_forget(&q->forecast);
	else if (pst_forecast_waits(&q->forecast))
		pst_forecast_seen(&q->forecast, pst_now_ns());
	return true;
}

bool pst_queue_arm(struct pst_queue *q)
{
	if (!q->lane.lane)
		return false;
	pst_lane_client_disarm(&q->lane);
	if (!pst_lane_client_arm(&q->lane))
		return false;
	pst_lane_client_disarm(&q->lane);
	return true;
}

void pst_queue_give_up(struct pst_queue *q, struct pst_record *rec)
{
	if (rec->state == PST_RECORD_DONE) {
		pst_pending_put(&q->ops, rec);
		return;
	}
	rec->state = PST_RECORD_ABANDONED;
	pst_forecast_forget(&q->forecast);
}

void pst_queue_end(struct pst_queue *q, struct pst_memory *m, int code)
{
	struct pst_record *rec;
	uint32_t i;

	for (i = 0; i < PST_WIRE_SLOTS; i++) {
		rec = &q->ops.rec[i];
		switch (rec->state) {
		case PST_RECORD_PENDING:
			rec->done = (struct pst_completion){
				.tag = rec->done.tag,
				.user_data = rec->done.user_data,
				.status = code,
			};
			rec->lost = true;
			pst_pending_complete(&q->ops, rec);
			pst_record_unref(m, rec);
			break;
		case PST_RECORD_DONE:
			if (rec->writes && !rec->done.status) {
				rec->done.status = code;
				rec->lost = true;
			}
			break;
		case PST_RECORD_ABANDONED:
			pst_pending_put(&q->ops, rec);
			pst_record_unref(m, rec);
			break;
		case PST_RECORD_FREE:
			break;
		}
	}
	pst_forecast_forget(&q->forecast);
}
