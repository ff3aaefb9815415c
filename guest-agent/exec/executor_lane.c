/* SPDX-License-Identifier: MIT */
/* The executor's lanes: cancelled operations, reasons of failures, running
 * operations. */
#include "guest-agent/exec/executor_int.h"

#include <errno.h>
#include <string.h>

#include "transport/base/util.h"

void pst_agent_lane_stash_why(struct lane *l, uint64_t tag,
			      const struct pst_error *err)
{
	struct why *w = &l->whys[l->n_whys++ % PST_AGENT_EXECUTOR_FAILURES];

	w->tag = tag;
	memcpy(w->text, err->text, sizeof(w->text));
}

/* The n-th last reason, from 0 on; NULL if there are fewer. */
static const struct why *nth_why(const struct lane *l, unsigned int n)
{
	if (n >= l->n_whys || n >= PST_AGENT_EXECUTOR_FAILURES)
		return NULL;
	return &l->whys[(l->n_whys - 1 - n) % PST_AGENT_EXECUTOR_FAILURES];
}

static bool is_marked(const struct lane *l, uint64_t entry)
{
	uint64_t slot = entry % PST_WIRE_SLOTS;

	return l->marked[slot / 64] >> (slot % 64) & 1;
}

static void mark(struct lane *l, uint64_t entry)
{
	uint64_t slot = entry % PST_WIRE_SLOTS;

	if (is_marked(l, entry))
		return;
	l->marked[slot / 64] |= 1ULL << (slot % 64);
	l->n_marked++;
}

bool pst_agent_lane_take_mark(struct lane *l, uint64_t entry)
{
	uint64_t slot = entry % PST_WIRE_SLOTS;

	if (!is_marked(l, entry))
		return false;
	l->marked[slot / 64] &= ~(1ULL << (slot % 64));
	l->n_marked--;
	return true;
}

/* Searches the entries not taken yet for a tag. A hit is only marked, and read
 * again when it is taken. */
static int cancel_in_ring(struct lane *l, uint64_t tag)
{
	const struct pst_wire_sqe *slot;
	uint64_t e;

	for (e = l->ring.sq_head; e < l->ring.sq_head + PST_WIRE_SLOTS; e++) {
		slot = &l->ring.lane->sq[e % PST_WIRE_SLOTS];
		/* Partner: the release in pst_lane_client_submit(). */
		if (pst_shm_load_acquire(&slot->seq) != e + 1)
			return -ENOENT;
		if (pst_shm_load(&slot->tag) == tag) {
			mark(l, e);
			return 0;
		}
	}
	return -ENOENT;
}

int pst_agent_executor_cancel(struct pst_agent_executor *ex, uint32_t lane,
			      uint64_t tag)
{
	struct lane *l = &ex->lanes[lane];
	struct follower *f;
	struct taken *t;
	unsigned int i;

	if (!l->attached || l->detached || l->broken)
		return -ENOENT;
	if (l->running && l->bop.op.tag == tag) {
		/* Carried out, and completed, in a later run: the reply to
		 * CANCEL goes out first. */
		if (!l->giving_up)
			l->give_up_ns = ex->config.clock();
		l->waiting = false;
		l->giving_up = true;
		return 0;
	}
	f = pst_agent_ahead_find(l, tag);
	if (f) {
		f->cancelled = true;
		return 0;
	}
	for (i = 0; i < l->n_taken; i++) {
		t = &l->taken[(l->first + i) % N_TAKEN];
		if (t->sqe.tag == tag) {
			t->cancelled = true;
			return 0;
		}
	}
	return cancel_in_ring(l, tag);
}

uint64_t pst_agent_executor_running(const struct pst_agent_executor *ex,
				    uint32_t lane)
{
	const struct lane *l = &ex->lanes[lane];

	return l->attached && l->running ? l->begun : 0;
}

uint64_t pst_agent_executor_due(const struct pst_agent_executor *ex,
				uint64_t *ret_begun_ns)
{
	const struct lane *l;
	uint64_t due = 0;
	unsigned int i;

	for (i = 0; i < ex->n_active; i++) {
		l = ex->active[i];
		if (!l->waiting || l->use.tells || (due && l->due_ns >= due))
			continue;
		due = l->due_ns;
		*ret_begun_ns = l->device_ns;
	}
	return due;
}

bool pst_agent_executor_is_told(const struct pst_agent_executor *ex)
{
	unsigned int i;

	for (i = 0; i < ex->n_active; i++)
		if (ex->active[i]->waiting && ex->active[i]->use.tells)
			return true;
	return false;
}

uint64_t pst_agent_executor_taken(const struct pst_agent_executor *ex,
				  uint64_t *ret_running)
{
	uint64_t n = 0, running = 0;
	unsigned int i;

	for (i = 0; i < ex->n_active; i++) {
		running += ex->active[i]->running;
		n += ex->active[i]->n_taken;
	}
	*ret_running = running;
	return n + running;
}

uint64_t pst_agent_executor_begun(const struct pst_agent_executor *ex)
{
	return ex->n_begun;
}

static bool uses(const struct pst_op *op, const void *mem)
{
	return op->a.mem == mem || op->b.mem == mem || op->c.mem == mem ||
	       op->bias.mem == mem || op->model == mem;
}

bool pst_agent_executor_uses(const struct pst_agent_executor *ex,
			     const void *mem)
{
	const struct lane *l;
	unsigned int i, j;

	for (i = 0; i < ex->n_active; i++) {
		l = ex->active[i];
		if (l->running && uses(&l->bop.op, mem))
			return true;
		for (j = 0; j < l->n_ahead; j++)
			if (uses(&l->ahead[(l->first_ahead + j) %
					   PST_BACKEND_MAX_AHEAD]
					  .bop.op,
				 mem))
				return true;
	}
	return false;
}

const char *pst_agent_executor_failure(const struct pst_agent_executor *ex,
				       uint32_t lane, uint64_t tag)
{
	const struct why *w;
	unsigned int n;

	for (n = 0; (w = nth_why(&ex->lanes[lane], n)); n++)
		if (w->tag == tag)
			return w->text;
	return NULL;
}

void pst_agent_executor_drain(struct pst_agent_executor *ex)
{
	ex->draining = true;
}

bool pst_agent_executor_drained(const struct pst_agent_executor *ex)
{
	unsigned int i;

	for (i = 0; i < ex->n_active; i++)
		if (ex->active[i]->running)
			return false;
	return true;
}

uint64_t pst_agent_executor_stuck_since(const struct pst_agent_executor *ex)
{
	const struct lane *l;
	uint64_t oldest = 0;
	unsigned int i;

	for (i = 0; i < ex->n_active; i++) {
		l = ex->active[i];
		if (l->giving_up && (!oldest || l->give_up_ns < oldest))
			oldest = l->give_up_ns;
	}
	return oldest;
}

void pst_agent_executor_lane_stats(const struct pst_agent_executor *ex,
				   uint32_t lane,
				   struct pst_agent_lane_stats *ret)
{
	const struct why *last = nth_why(&ex->lanes[lane], 0);

	*ret = ex->lanes[lane].stats;
	ret->last_error = last ? last->text : "";
}
