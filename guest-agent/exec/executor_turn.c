/* SPDX-License-Identifier: MIT */
/* The executor's scheduler: whose turn it is, and who has had how much. */
#include "guest-agent/exec/executor_int.h"
#include "transport/base/util.h"

/* A lane's share of a round. */
#define QUANTUM_NS (10 * PST_NS_PER_MS)
/* The most debt that a lane keeps after long slices. It bounds the search for
 * the next lane. */
#define MAX_DEBT_NS (100 * (int64_t)QUANTUM_NS)
/* All lanes with work have had a turn after this time, where operations are
 * short. */
#define ROTATION_NS PST_NS_PER_MS

/* Adds every lane's share of the next round. A lane without work keeps no
 * debt. */
static void new_round(struct pst_agent_executor *ex)
{
	struct lane *l;
	unsigned int i;

	for (i = 0; i < ex->n_active; i++) {
		l = ex->active[i];
		if (!pst_agent_lane_has_work(ex, l) || l->deficit_ns > 0)
			l->deficit_ns = 0;
		l->deficit_ns += (int64_t)QUANTUM_NS;
	}
}

/* Alone there is nobody to pay a debt to. */
static void begin_sharing(struct pst_agent_executor *ex)
{
	unsigned int i;

	ex->shared = true;
	for (i = 0; i < ex->n_active; i++)
		ex->active[i]->deficit_ns = (int64_t)QUANTUM_NS;
}

/* The next lane that may work, of at least one that has work. */
static struct lane *next_lane(struct pst_agent_executor *ex)
{
	struct lane *l;
	unsigned int i;

	/* Ends: each round gives every lane with work a quantum, and debt is
	 * bounded. */
	for (;; new_round(ex)) {
		for (i = 0; i < ex->n_active; i++) {
			ex->turn = (ex->turn + 1) % ex->n_active;
			l = ex->active[ex->turn];
			if (pst_agent_lane_has_work(ex, l) && l->deficit_ns > 0)
				return l;
		}
	}
}

struct lane *pst_agent_executor_pick(struct pst_agent_executor *ex)
{
	unsigned int i, with_work = 0, last = 0;
	struct lane *l;

	for (i = 0; i < ex->n_active; i++) {
		if (pst_agent_lane_has_work(ex, ex->active[i])) {
			with_work++;
			last = i;
		}
	}
	if (with_work <= 1) {
		ex->shared = false;
		ex->turn = last;
		return with_work ? ex->active[last] : NULL;
	}
	if (!ex->shared)
		begin_sharing(ex);
	l = ex->active[ex->turn];
	if (pst_agent_lane_has_work(ex, l) && l->deficit_ns > 0 &&
	    ex->turn_ns < ROTATION_NS / with_work)
		return l;
	ex->turn_ns = 0;
	return next_lane(ex);
}

void pst_agent_executor_charge(struct pst_agent_executor *ex, struct lane *l,
			       uint64_t used_ns)
{
	ex->turn_ns += used_ns;
	if (used_ns > (uint64_t)MAX_DEBT_NS)
		used_ns = (uint64_t)MAX_DEBT_NS;
	l->deficit_ns -= (int64_t)used_ns;
	if (l->deficit_ns < -MAX_DEBT_NS)
		l->deficit_ns = -MAX_DEBT_NS;
}
