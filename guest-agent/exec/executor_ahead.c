/* SPDX-License-Identifier: MIT */
/* The executor's lanes: operations that the backend takes while the one before
 * is on the device, so that the device goes on with the next by itself. */
#include "guest-agent/exec/executor_int.h"

#include <string.h>

static struct follower *nth(struct lane *l, unsigned int n)
{
	return &l->ahead[(l->first_ahead + n) % PST_BACKEND_MAX_AHEAD];
}

bool pst_agent_ahead_may(const struct pst_agent_executor *ex,
			 const struct lane *l)
{
	return l->waiting && l->n_taken && !l->no_ahead && !ex->draining &&
	       l->n_ahead < l->use.ops->ahead;
}

/* What may begin before the one before is done. All else, and what fails,
 * completes in its turn. */
static bool may_follow(const struct taken *t)
{
	return !t->cancelled && (t->sqe.op == PST_WIRE_OP_GEMM ||
				 t->sqe.op == PST_WIRE_OP_GEMM_STRIDED_BATCHED);
}

void pst_agent_ahead_begin(struct pst_agent_executor *ex, struct lane *l)
{
	const struct taken *t = &l->taken[l->first];
	struct follower *f = nth(l, l->n_ahead);
	struct pst_error err;

	l->no_ahead = true;
	if (!may_follow(t) ||
	    pst_agent_check(&ex->config, l->owner, &f->memo, &t->sqe,
			    &f->bop.op, NULL, &err) < 0)
		return;
	f->bop.lane = l->index;
	f->bop.alone = ex->n_active == 1;
	f->bop.compute_ns = f->bop.result = 0;
	f->bop.begin_ns = f->bop.end_ns = 0;
	memset(f->bop.cursor, 0, sizeof(f->bop.cursor));
	f->bop.priv = NULL;
	if (l->use.ops->begin(l->use.backend, &f->bop, &err) < 0)
		return;
	l->no_ahead = false;
	f->cancelled = false;
	f->queue_ns = ex->now_ns - t->taken_ns;
	f->begun = ++ex->n_begun;
	l->n_ahead++;
	l->first = (l->first + 1) % N_TAKEN;
	l->n_taken--;
}

bool pst_agent_ahead_next(struct pst_agent_executor *ex, struct lane *l)
{
	const struct follower *f = nth(l, 0);

	if (l->running || !l->n_ahead)
		return false;
	l->bop = f->bop;
	l->memo.valid = false; /* it goes with another bop */
	l->queue_ns = f->queue_ns;
	l->begun = f->begun;
	l->running = true;
	l->waiting = !f->cancelled;
	l->giving_up = f->cancelled;
	l->give_up_ns = ex->now_ns;
	l->device_ns = 0; /* its own time begins with its first step */
	l->no_ahead = false;
	l->first_ahead = (l->first_ahead + 1) % PST_BACKEND_MAX_AHEAD;
	l->n_ahead--;
	return true;
}

bool pst_agent_ahead_cancel(struct pst_agent_executor *ex, struct lane *l)
{
	while (l->running || pst_agent_ahead_next(ex, l)) {
		l->waiting = false;
		l->giving_up = true;
		if (l->use.ops->cancel(l->use.backend, &l->bop) != 1)
			return false;
		l->running = false;
	}
	return true;
}

struct follower *pst_agent_ahead_find(struct lane *l, uint64_t tag)
{
	unsigned int i;

	for (i = 0; i < l->n_ahead; i++)
		if (nth(l, i)->bop.op.tag == tag)
			return nth(l, i);
	return NULL;
}
