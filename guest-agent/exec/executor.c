/* SPDX-License-Identifier: MIT */
/* The executor: takes operations from lanes, checks, schedules, completes. */
#include "guest-agent/exec/executor_int.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/util.h"
#include "transport/status.h"

/* What is short is done in bursts, for so long at most: sockets are polled in
 * between. */
#define BURST_NS (20 * PST_NS_PER_US)
/* m n k of a product that is short: some 5 us. */
#define SHORT_PRODUCT (64ULL * 64 * 64)
/* Starting an operation costs about as much as reading the clock: the clock is
 * read once for this many, in case none of them comes to a step. */
#define STARTS_A_CLOCK 16U

int pst_agent_executor_new(const struct pst_agent_executor_config *config,
			   struct pst_agent_executor **ret)
{
	struct pst_agent_executor *ex = calloc(1, sizeof(*ex));

	if (!ex)
		return -ENOMEM;
	ex->config = *config;
	ex->compute.ops = config->ops;
	ex->compute.backend = config->backend;
	if (!ex->config.clock)
		ex->config.clock = pst_now_ns;
	ex->now_ns = ex->config.clock();
	*ret = ex;
	return 0;
}

void pst_agent_executor_free(struct pst_agent_executor *ex)
{
	free(ex);
}

void pst_agent_executor_attach(struct pst_agent_executor *ex, uint32_t lane,
			       struct pst_wire_lane *shared, uint64_t owner)
{
	struct lane *l = &ex->lanes[lane];

	memset(l, 0, sizeof(*l));
	l->attached = true;
	l->index = lane;
	l->owner = owner;
	pst_lane_agent_init(&l->ring, shared);
	ex->active[ex->n_active++] = l;
}

static void remove_lane(struct pst_agent_executor *ex, struct lane *l)
{
	unsigned int i;

	for (i = 0; ex->active[i] != l; i++)
		;
	ex->n_active--;
	memmove(&ex->active[i], &ex->active[i + 1],
		(ex->n_active - i) * sizeof(ex->active[0]));
	if (ex->turn >= ex->n_active)
		ex->turn = 0;
	l->attached = false;
	l->running = false;
	l->waiting = false;
	ex->config.hooks.gone(ex->config.arg, l->index);
}

void pst_agent_executor_detach(struct pst_agent_executor *ex, uint32_t lane)
{
	struct lane *l = &ex->lanes[lane];

	if (!l->attached || l->detached)
		return;
	l->detached = true;
	if (ex->owes == l)
		ex->owes = NULL;
	l->n_taken = 0;
	if (l->running && !l->giving_up) {
		l->waiting = false;
		l->giving_up = true;
		l->give_up_ns = ex->config.clock();
	}
	if (pst_agent_ahead_cancel(ex, l))
		remove_lane(ex, l);
}

/* After a completion: a client that was asleep already is woken at once. What
 * the look may miss for want of a fence, pay() finds. */
static inline void glance(struct pst_agent_executor *ex, struct lane *l)
{
	if (!pst_lane_agent_glance(&l->ring))
		return;
	ex->woke = true;
	/* Of all that was posted so far the client now knows: one WAKE more
	 * for it would be one too many. */
	ex->owes = NULL;
	ex->config.hooks.wake(ex->config.arg, l->index);
}

/* The fenced look. A fence waits for the lines that were just posted, so it is
 * put off while short operations of the same lane follow, and until nothing has
 * followed for a little while. */
static void pay(struct pst_agent_executor *ex)
{
	struct lane *l = ex->owes;

	if (!l)
		return;
	ex->owes = NULL;
	if (pst_lane_agent_must_wake(&l->ring))
		ex->config.hooks.wake(ex->config.arg, l->index);
}

/* A completion, for which a client may be spinning, goes before all else; then
 * comes glance(). */
static inline void publish(struct pst_agent_executor *ex, struct lane *l,
			   const struct pst_wire_cqe *cqe)
{
	/* Whatever another lane's client was owed is paid. */
	assert(!ex->owes || ex->owes == l);
	pst_lane_agent_post(&l->ring, cqe);
	ex->owes = l;
	l->stats.ops++;
	l->stats.compute_ns += cqe->compute_ns;
	pst_agent_meters_add(&ex->meters, l->kind, cqe);
	l->running = false;
	l->giving_up = false;
}

/* Completes an operation that did not run, or not to its end. */
static void post_failed(struct pst_agent_executor *ex, struct lane *l,
			uint64_t tag, uint32_t status,
			const struct pst_error *err)
{
	const struct pst_wire_cqe cqe = {
		.tag = tag,
		.status = status,
		.compute_ns = l->running ? l->bop.compute_ns : 0,
		.queue_ns = l->queue_ns,
	};

	ex->stepped = false;
	l->stats.errors++;
	if (err)
		pst_agent_lane_stash_why(l, tag, err);
	publish(ex, l, &cqe);
	glance(ex, l);
}

static inline void post_done(struct pst_agent_executor *ex, struct lane *l,
			     uint64_t tag)
{
	const struct pst_wire_cqe cqe = {
		.tag = tag,
		.status = PST_WIRE_OK,
		.compute_ns = l->bop.compute_ns,
		.queue_ns = l->queue_ns,
		.result = l->bop.result,
	};

	publish(ex, l, &cqe);
	if (l->kind != PST_WIRE_OP_NOP)
		pst_agent_meters_moved(&ex->meters, l->kind, &l->bop.op);
}

static __attribute__((noinline)) void break_lane(struct pst_agent_executor *ex,
						 struct lane *l, int code,
						 const char *why)
{
	struct pst_error err;

	pst_error_set(&err, code, "%s", why);
	l->broken = true;
	ex->config.hooks.broken(ex->config.arg, l->index, &err);
}

static __attribute__((noinline)) void
break_corrupt_lane(struct pst_agent_executor *ex, struct lane *l, int code)
{
	const struct pst_lane_agent *ring = &l->ring;
	const bool ahead = ring->refused_head > ring->cq_tail;
	char why[96];

	snprintf(why, sizeof(why),
		 "corrupt completion ring: head %s by %" PRIu64 " entries",
		 ahead ? "is ahead of tail" : "went back",
		 ahead ? ring->refused_head - ring->cq_tail
		       : ring->cq_head_seen - ring->refused_head);
	break_lane(ex, l, code, why);
}

static void read_clock(struct pst_agent_executor *ex)
{
	ex->now_ns = ex->config.clock();
	ex->fresh = true;
}

void pst_agent_executor_away(struct pst_agent_executor *ex)
{
	pay(ex);
	ex->fresh = false;
}

/* Whether an operation is over before anybody notices that it took time. The
 * numbers are not checked yet. */
static bool is_short(const struct pst_wire_sqe *s)
{
	const uint64_t mn = (uint64_t)s->m * s->n;

	return s->op == PST_WIRE_OP_NOP ||
	       (s->op == PST_WIRE_OP_GEMM && mn <= SHORT_PRODUCT &&
		mn * s->k <= SHORT_PRODUCT);
}

/* Takes entries as far as there is room; but one that is short, and that nobody
 * keeps from being done at once, alone: until its answer is there the client
 * has nothing to do, and each entry is a cache line to wait for. Returns false
 * when the lane broke, and may be gone. */
static bool take(struct pst_agent_executor *ex, struct lane *l)
{
	struct taken *t;
	int r;

	while (l->n_taken < N_TAKEN && pst_lane_agent_ready(&l->ring)) {
		pst_lane_agent_prefetch(&l->ring);
		t = &l->taken[(l->first + l->n_taken) % N_TAKEN];
		r = pst_lane_agent_take(&l->ring, &t->sqe);
		if (r < 0) {
			break_corrupt_lane(ex, l, r);
			return false;
		}
		/* The client stores its head before it submits again, so an
		 * entry beyond the reserved completions is its mistake.
		 * Ignored, it would keep this thread awake for ever. */
		if (r == 0) {
			break_lane(ex, l, -EPROTO,
				   "more operations are outstanding than a "
				   "ring has slots");
			return false;
		}
		if (!ex->fresh)
			read_clock(ex);
		t->taken_ns = ex->now_ns;
		t->cancelled = l->n_marked &&
			       pst_agent_lane_take_mark(l, l->ring.sq_head - 1);
		if (++l->n_taken == 1 && !l->running && !ex->shared &&
		    is_short(&t->sqe))
			break;
	}
	return true;
}

/* An operation that is to run. */
static __attribute__((noinline)) void
check_and_begin(struct pst_agent_executor *ex, struct lane *l,
		const struct taken *t)
{
	const uint64_t tag = t->sqe.tag;
	struct pst_error err;
	int r;

	r = pst_agent_check(&ex->config, l->owner, &l->memo, &t->sqe,
			    &l->bop.op, &l->run, &err);
	if (r == 0) {
		l->use = ex->compute;
		if (l->bop.op.run)
			r = pst_agent_run_choose(&ex->config, l, &err);
	}
	if (r == PST_AGENT_STEP_DONE) {
		ex->stepped = false;
		post_done(ex, l, tag);
		glance(ex, l);
		return;
	}
	if (r == 0) {
		l->bop.lane = l->index;
		memset(l->bop.cursor, 0, sizeof(l->bop.cursor));
		l->bop.priv = NULL;
		pst_backend_no_reason(&err);
		r = l->use.ops->begin(l->use.backend, &l->bop, &err);
	}
	if (r < 0) {
		post_failed(ex, l, tag, pst_status_from_errno(r), &err);
		return;
	}
	l->running = true;
	l->no_ahead = false;
	l->device_ns = 0;
	l->begun = ++ex->n_begun;
}

/* Starts the first waiting operation; what cannot start completes here. The
 * check is made now, not when it was taken: leases may have changed. */
static inline void start(struct pst_agent_executor *ex, struct lane *l)
{
	const struct taken *t = &l->taken[l->first];

	l->kind = pst_agent_meter_kind(t->sqe.op);
	l->first = (l->first + 1) % N_TAKEN;
	l->n_taken--;
	/* The clock was read when it was taken and after each step. */
	if (++ex->n_started % STARTS_A_CLOCK == 0)
		ex->now_ns = ex->config.clock();
	l->queue_ns = ex->now_ns - t->taken_ns;
	if (t->cancelled || ex->draining) {
		post_failed(ex, l, t->sqe.tag,
			    t->cancelled ? PST_WIRE_ECANCELED
					 : PST_WIRE_ESHUTDOWN,
			    NULL);
		return;
	}
	l->bop.compute_ns = 0;
	l->bop.result = 0;
	if (!pst_op_is_nop(&t->sqe)) {
		check_and_begin(ex, l, t);
		return;
	}
	ex->stepped = false;
	post_done(ex, l, t->sqe.tag);
	glance(ex, l);
}

/* From now on a device runs the operation. */
static void begin_device(const struct pst_agent_executor *ex, struct lane *l)
{
	const uint64_t ns = l->use.ops->estimate_ns(l->use.backend, &l->bop.op);

	l->device_ns = ex->now_ns;
	if (pst_add_overflow(ex->now_ns, ns, &l->due_ns))
		l->due_ns = UINT64_MAX;
}

static void step(struct pst_agent_executor *ex, struct lane *l)
{
	const uint64_t before_ns = l->bop.compute_ns;
	struct pst_error err;
	int r;

	pst_backend_no_reason(&err);
	l->bop.alone = ex->n_active == 1;
	l->bop.begin_ns = ex->stepped ? ex->now_ns : 0;
	l->bop.end_ns = 0;
	r = l->use.ops->step(l->use.backend, &l->bop, &err);
	if (l->bop.op.run && (r == PST_AGENT_STEP_DONE || r == -EMSGSIZE))
		pst_agent_run_answer(&ex->config, l);
	if (r == PST_AGENT_STEP_DONE) {
		post_done(ex, l, l->bop.op.tag);
		pst_agent_rates_add(&ex->rates, &l->bop.op, l->bop.compute_ns);
	}
	ex->slice_ns = l->bop.compute_ns - before_ns;
	l->waiting = r == PST_AGENT_STEP_WAIT;
	if (r == PST_AGENT_STEP_DONE)
		glance(ex, l);
	else if (r < 0)
		post_failed(ex, l, l->bop.op.tag, pst_status_from_errno(r),
			    &err);
	/* After the completion, for which a client may be waiting. Where the
	 * backend has read the clock, and nothing took time since, that is
	 * now. */
	ex->stepped = r == PST_AGENT_STEP_DONE && l->bop.end_ns && !ex->woke;
	if (ex->stepped) {
		ex->now_ns = l->bop.end_ns;
		ex->fresh = true;
		return;
	}
	read_clock(ex);
	if (l->waiting && !l->device_ns)
		begin_device(ex, l);
}

/* Asks the backend once more to give up the running operation. */
static void give_up(struct pst_agent_executor *ex, struct lane *l)
{
	/* The caller's clock must advance, however long this takes. */
	ex->now_ns = ex->config.clock();
	if (l->detached ? !pst_agent_ahead_cancel(ex, l)
			: l->use.ops->cancel(l->use.backend, &l->bop) != 1) {
		/* Who will be told does not ask all the time. */
		l->waiting = l->use.tells;
		return;
	}
	l->waiting = false;
	if (l->detached) {
		remove_lane(ex, l);
		return;
	}
	post_failed(ex, l, l->bop.op.tag, PST_WIRE_ECANCELED, NULL);
}

static void go_on(struct pst_agent_executor *ex, struct lane *l)
{
	if (l->giving_up)
		give_up(ex, l);
	else
		step(ex, l);
}

static inline void work_once(struct pst_agent_executor *ex, struct lane *l)
{
	if (!l->running)
		start(ex, l);
	if (!l->running)
		return;
	if (l->waiting) {
		pst_agent_ahead_begin(ex, l);
		return;
	}
	go_on(ex, l);
	if (l->n_ahead)
		pst_agent_ahead_next(ex, l);
}

/* Steps the operations that a device runs. Returns whether one of them
 * ended. */
static bool step_waiting(struct pst_agent_executor *ex)
{
	struct lane *l;
	unsigned int i;
	bool ended = false;

	pay(ex);
	/* A completion's hook may detach lanes, which moves the active ones:
	 * so not that list. */
	for (i = 0; i < PST_WIRE_MAX_LANES; i++) {
		l = &ex->lanes[i];
		if (!l->attached || !l->waiting)
			continue;
		ex->stepped = false;
		ex->slice_ns = 0;
		do {
			go_on(ex, l);
			ended |= !l->waiting;
		} while (pst_agent_ahead_next(ex, l) && l->waiting);
		pay(ex);
		pst_agent_executor_charge(ex, l, ex->slice_ns);
	}
	return ended;
}

bool pst_agent_executor_waits(const struct pst_agent_executor *ex)
{
	unsigned int i;

	for (i = 0; i < ex->n_active; i++)
		if (ex->active[i]->waiting)
			return true;
	return false;
}

/* Nobody else waits for what the lane has by now. */
static bool refill(struct pst_agent_executor *ex, struct lane *l)
{
	return pst_lane_agent_ready(&l->ring) && take(ex, l);
}

/* Whether the lane goes on in the same run. */
static bool goes_on(struct pst_agent_executor *ex, struct lane *l,
		    uint64_t start_ns)
{
	return !l->running && !l->detached && !l->broken && !ex->woke &&
	       ex->now_ns - start_ns < BURST_NS &&
	       (l->n_taken > 0 || (!ex->shared && refill(ex, l))) &&
	       is_short(&l->taken[l->first].sqe);
}

/* Whether what is owed may wait for what the lane does now: a client that
 * sleeps is seen after the next completion of its own lane at the latest. */
static bool may_owe(const struct pst_agent_executor *ex, const struct lane *l)
{
	return ex->owes == l && !l->running &&
	       is_short(&l->taken[l->first].sqe);
}

/* A slice of an operation, or a burst of those that are short. */
static void work(struct pst_agent_executor *ex, struct lane *l)
{
	const uint64_t start_ns = ex->now_ns;
	uint64_t slices_ns = 0;

	ex->woke = false;
	ex->stepped = false;
	do {
		ex->slice_ns = 0;
		work_once(ex, l);
		slices_ns += ex->slice_ns;
	} while (goes_on(ex, l, start_ns));
	ex->slice_ns = slices_ns;
}

/* A lane is charged for all time of the thread: also for waking its client, and
 * for a refusal's sentence. A backend may charge more. */
static void work_and_charge(struct pst_agent_executor *ex, struct lane *l)
{
	uint64_t start_ns, used_ns;

	if (!ex->fresh)
		read_clock(ex);
	start_ns = ex->now_ns;
	work(ex, l);
	read_clock(ex);
	used_ns = ex->now_ns - start_ns;
	pst_agent_executor_charge(
		ex, l, used_ns > ex->slice_ns ? used_ns : ex->slice_ns);
}

int pst_agent_executor_run(struct pst_agent_executor *ex)
{
	struct lane *l;
	unsigned int i;
	bool ended;

	for (i = 0; i < ex->n_active; i++) {
		l = ex->active[i];
		if (!l->broken && !l->detached && !take(ex, l))
			return 1;
	}
	ended = pst_agent_executor_waits(ex) && step_waiting(ex);
	ex->slice_ns = 0;
	l = pst_agent_executor_pick(ex);
	if (l && ex->owes && !may_owe(ex, l)) {
		pay(ex);
		/* A session may have ended by that, and l with it. */
		l = pst_agent_executor_pick(ex);
	}
	if (!l) {
		/* Idle: the next operation's waiting counts from here. */
		read_clock(ex);
		if (ex->idle)
			pay(ex);
		ex->idle = true;
		return ended;
	}
	ex->idle = false;
	if (ex->shared)
		work_and_charge(ex, l);
	else
		work(ex, l);
	return 1;
}

bool pst_agent_executor_ready(const struct pst_agent_executor *ex)
{
	const struct lane *l;
	unsigned int i;

	for (i = 0; i < ex->n_active; i++) {
		l = ex->active[i];
		if (pst_agent_lane_has_work(ex, l))
			return true;
		if (!l->broken && !l->detached && l->n_taken < N_TAKEN &&
		    pst_lane_agent_ready(&l->ring))
			return true;
	}
	return false;
}

uint64_t pst_agent_executor_slice(const struct pst_agent_executor *ex)
{
	return ex->slice_ns;
}

uint64_t pst_agent_executor_now(const struct pst_agent_executor *ex)
{
	return ex->now_ns;
}

const struct pst_agent_rates *
pst_agent_executor_rates(const struct pst_agent_executor *ex)
{
	return &ex->rates;
}

const struct pst_agent_meters *
pst_agent_executor_meters(const struct pst_agent_executor *ex)
{
	return &ex->meters;
}
