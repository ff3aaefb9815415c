/* SPDX-License-Identifier: MIT */
/* Waits: takes completions, spins, then sleeps; one thread on the socket, the
 * others behind it. */
#include "host-client/lib/session/wait.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <time.h>

#include "host-client/lib/plain/interrupt.h"
#include "transport/shm.h"

/* A clock reading costs about as much as this many pauses. */
#define SPINS_PER_CLOCK 32
/* Without a limit to spinning, state is checked this often. */
#define SPIN_SLICE_NS PST_NS_PER_MS
#define ANY_SLICE_NS  (2 * PST_NS_PER_US)
/* After this many useless wake-ups in a row, each costs a sleep. An honest
 * agent comes nowhere near: a reply that nobody waits for counts as something,
 * and so does a completion that another thread took. */
#define IDLE_MAX      16
#define IDLE_SLEEP_NS PST_NS_PER_MS
/* A useless spin shortens the next, down to this fraction of spin_ns. */
#define SPIN_MIN_PART 8
/* An agent that runs ends a cancelled operation with its slice. */
#define CALL_OFF_NS (20 * PST_NS_PER_MS)

struct pst_record *pst_wait_first(const struct pst *c)
{
	struct pst_record *rec = NULL;
	uint32_t i;

	for (i = 0; i < c->conf.n_queues && !rec; i++)
		rec = TAILQ_FIRST(
			&c->queue[(c->turn + i) % c->conf.n_queues].ops.done);
	return rec;
}

void pst_wait_tell(struct pst *c)
{
	pst_wake_followers(&c->sleepers);
	if (c->events.armed && pst_wait_first(c))
		pst_events_notify(&c->events);
}

void pst_reap(struct pst *c)
{
	bool any = false;
	uint32_t i;

	for (i = 0; i < c->conf.n_queues; i++)
		any |= pst_queue_reap(&c->queue[i], &c->mem, &c->channel, NULL);
	if (any)
		pst_wait_tell(c);
}

void pst_socket_service(struct pst *c)
{
	uint64_t n_ops = 0;
	uint32_t i;

	for (i = 0; i < c->conf.n_queues; i++)
		n_ops += c->queue[i].lane.sq_tail;
	if (pst_channel_service(&c->channel, n_ops))
		pst_wake_followers(&c->sleepers);
}

/* Arms the lanes for a sleeper, see pst_queue_arm(). True when completions were
 * there: they were taken, no lane is armed. */
static bool arm(struct pst *c)
{
	struct pst_queue *q;
	uint64_t head;
	uint32_t i;

	for (i = 0; i < c->conf.n_queues; i++) {
		q = &c->queue[i];
		head = q->lane.cq_head;
		if (!pst_queue_arm(q))
			continue;
		pst_wait_disarm(c);
		pst_reap(c);
		/* It would keep us from sleeping for ever. */
		if (q->lane.cq_head == head)
			pst_channel_fail(&c->channel, -EPROTO,
					 "a completion disappeared from the "
					 "ring");
		return true;
	}
	return false;
}

void pst_wait_disarm(struct pst *c)
{
	uint32_t i;

	for (i = 0; i < c->conf.n_queues; i++)
		pst_queue_disarm(&c->queue[i]);
}

/* Before another thread relies on the leader: arms the lane unless it is. True
 * as arm(). */
static bool arm_leader(struct pst *c)
{
	if (!c->sleepers.leader || !c->sleepers.unarmed)
		return false;
	c->sleepers.unarmed = arm(c);
	return c->sleepers.unarmed;
}

/* What the agent can move. */
struct progress {
	uint64_t completed;
	uint32_t unanswered;
	size_t unsent;
};

static struct progress progress(const struct pst *c)
{
	struct progress p = {0, c->channel.unanswered, c->channel.tx_n};
	uint32_t i;

	for (i = 0; i < c->conf.n_queues; i++)
		p.completed += c->queue[i].lane.cq_head;
	return p;
}

/* The socket has woken us: an agent that does so again and again for nothing
 * may not keep us awake (unlocks). */
static void rest_if_idle(struct pst *c, const struct progress *before)
{
	const struct progress now = progress(c);

	if (now.completed != before->completed ||
	    now.unsent != before->unsent ||
	    now.unanswered != before->unanswered)
		c->sleepers.n_idle = 0;
	else if (++c->sleepers.n_idle > IDLE_MAX)
		pst_sleep(c, IDLE_SLEEP_NS);
}

/* Sleeps on the socket for all (unlocks). */
static void sleep_on_socket(struct pst *c, const struct pst_waiter *w,
			    uint64_t now, uint64_t until)
{
	const struct progress before = progress(c);
	struct pollfd p = {
		.fd = c->channel.sock,
		.events = (short)(POLLIN | (c->channel.tx_n ? POLLOUT : 0)),
	};
	struct timespec ts = pst_timespec(until - now);
	uint64_t serial = c->session.serial;
	int n = 0;

	c->sleepers.unarmed = w->unarmed && w->wake_ns &&
			      !c->sleepers.n_followers && !c->events.armed;
	if (c->sleepers.unarmed || !arm(c)) {
		c->sleepers.leader = true;
		pst_unlock(c);
		/* A signal only makes the step shorter. */
		n = ppoll(&p, 1, &ts, NULL);
		pst_lock(c);
		c->sleepers.leader = false;
		if (!c->session.live || c->session.serial != serial)
			return;
		pst_wait_disarm(c);
	}
	/* Completions before a loss that the socket may tell of. */
	pst_reap(c);
	pst_socket_service(c);
	pst_fd_rearm(c);
	if (n > 0)
		rest_if_idle(c, &before);
}

/* 0 and until when to sleep, or -ETIMEDOUT. */
static int check_time(const struct pst_liveness *s, const struct pst_waiter *w,
		      uint64_t now, uint64_t *ret_until, struct pst_error *err)
{
	uint64_t silence = now - w->start_ns, until;

	if (now >= w->deadline_ns)
		return pst_error_set(err, -ETIMEDOUT, "the deadline passed");
	if (silence > s->silence_ns)
		silence = s->silence_ns;
	if (silence >= s->dead_ns)
		return pst_error_set(
			err, -ETIMEDOUT,
			"the agent has given no sign of life for %" PRIu64
			" ms",
			s->silence_ns / PST_NS_PER_MS);
	until = s->dead_ns - silence;
	until = now + (until < PST_TICK_NS ? until : PST_TICK_NS);
	*ret_until = until < w->deadline_ns ? until : w->deadline_ns;
	return 0;
}

int pst_wait_step(struct pst *c, const struct pst_waiter *w,
		  struct pst_error *err)
{
	uint64_t now, until, ask;
	int r = pst_interrupt_ask(c, err);

	if (r)
		return r < 0 ? r : 0;
	now = pst_now_ns();
	pst_session_check(c, now);
	if (!c->session.live)
		return 0;
	r = check_time(&c->session, w, now, &until, err);
	if (r < 0)
		return r;
	ask = pst_interrupt_next();
	if (ask < until)
		until = ask > now ? ask : now;
	if (w->wake_ns && w->wake_ns < until) {
		if (w->wake_ns <= now)
			return 0;
		until = w->wake_ns;
	}
	if (!c->sleepers.leader)
		sleep_on_socket(c, w, now, until);
	else if (!arm_leader(c))
		pst_wait_cond(c, until);
	pst_settle(c);
	return 0;
}

/* Spins until the slot's entry is there or time is up, without the lock. Any
 * later entry of the slot says that too. Returns the time. */
static uint64_t spin_on(const uint64_t *seq, uint64_t want, uint64_t until)
{
	uint64_t now;
	int i;

	for (;;) {
		for (i = 0; i < SPINS_PER_CLOCK; i++) {
			/* Only a hint; pst_lane_client_ready() acquires. */
			if ((int64_t)(pst_shm_load(seq) - want) >= 0)
				return 0;
			pst_cpu_relax();
		}
		now = pst_now_ns();
		if (now >= until)
			return now;
	}
}

/* The time to spin, at most max_ns, follows what came of it. */
static void adapt_spin(struct pst_sleepers *s, uint64_t max_ns, bool success)
{
	const uint64_t min = max_ns / SPIN_MIN_PART;

	if (max_ns == UINT64_MAX)
		return;
	if (success)
		s->spin_now_ns *= 2;
	else
		s->spin_now_ns /= 2;
	if (s->spin_now_ns > max_ns)
		s->spin_now_ns = max_ns;
	if (s->spin_now_ns < min)
		s->spin_now_ns = min;
}

/* The queue of what a thread waits for: a record, or, without one, any that can
 * be collected. NULL: it is there, or nothing is left to come. */
static struct pst_queue *awaited(struct pst *c, const struct pst_record *rec)
{
	uint32_t i = 0;

	if (rec)
		return rec->state == PST_RECORD_PENDING ? pst_queue_of(c, rec)
							: NULL;
	if (pst_wait_first(c))
		return NULL;
	while (i < c->conf.n_queues && !c->queue[i].ops.n_open)
		i++;
	return i < c->conf.n_queues ? &c->queue[i] : NULL;
}

/* Spins for a record, or any, until end (unlocks). 0 or -ETIMEDOUT. */
static int spin(struct pst *c, const struct pst_record *rec,
		const struct pst_waiter *w, uint64_t now, uint64_t end,
		struct pst_error *err)
{
	/* Of several lanes one is looked at without the lock. */
	const uint64_t max_ns =
		rec || c->conf.n_queues == 1 ? SPIN_SLICE_NS : ANY_SLICE_NS;
	const struct pst_lane_client *l;
	uint64_t ignored, slice, want;
	const struct pst_queue *q;
	const uint64_t *seq;
	int r;

	if (end > w->deadline_ns)
		end = w->deadline_ns;
	while ((q = awaited(c, rec)) && now < end) {
		l = &q->lane;
		slice = now + max_ns < end ? now + max_ns : end;
		want = l->cq_head + 1;
		seq = &l->lane->cq[l->cq_head % PST_WIRE_SLOTS].seq;
		pst_unlock(c);
		now = spin_on(seq, want, slice);
		pst_lock(c);
		pst_reap(c);
		if (!awaited(c, rec))
			break;
		r = pst_interrupt_ask(c, err);
		if (r < 0)
			return r;
		if (now == 0)
			now = pst_now_ns();
		pst_session_check(c, now);
		if (c->session.live) {
			r = check_time(&c->session, w, now, &ignored, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Sleeps until a time unless the record is done before (unlocks). 0 or
 * -ETIMEDOUT. */
static int sleep_until(struct pst *c, const struct pst_record *rec,
		       const struct pst_waiter *w, uint64_t until_ns,
		       struct pst_error *err)
{
	struct pst_waiter timed = *w;
	uint64_t now;
	int r = 0;

	timed.wake_ns = until_ns;
	for (;;) {
		r = pst_wait_step(c, &timed, err);
		if (!awaited(c, rec) || r)
			break;
		now = pst_now_ns();
		if (now >= until_ns) {
			pst_forecast_slept(&pst_queue_of(c, rec)->forecast,
					   until_ns, now);
			break;
		}
	}
	pst_wait_end(&c->sleepers);
	return r;
}

/* The part of a wait that is to end awake: by what is known of such an
 * operation, else by what came of spinning so far. */
static int wait_awake(struct pst *c, const struct pst_record *rec,
		      const struct pst_waiter *w, struct pst_error *err)
{
	const uint64_t key = rec ? rec->key : 0;
	struct pst_queue *const q = awaited(c, rec);
	struct pst_forecast_start start = {0};
	struct pst_forecast_plan plan = {0};
	uint64_t now;
	int r = 0;

	if (rec)
		start = rec->start;
	if (!start.asked_ns)
		start = (struct pst_forecast_start){w->start_ns, w->start_ns,
						    w->start_ns};
	else if (rec->order == q->lane.cq_head)
		pst_forecast_next(&q->forecast, &start);
	if (key)
		pst_forecast_plan(&q->forecast, key, &start, c->conf.spin_ns,
				  &plan);
	if (plan.sleep_until_ns)
		r = sleep_until(c, rec, w, plan.sleep_until_ns, err);
	if (!awaited(c, rec) || r)
		return r;
	now = pst_now_ns();
	if (!plan.spin_until_ns) {
		r = spin(c, rec, w, now,
			 pst_deadline(now, c->sleepers.spin_now_ns), err);
		adapt_spin(&c->sleepers, c->conf.spin_ns, !awaited(c, rec));
		return r;
	}
	r = spin(c, rec, w, now, plan.spin_until_ns, err);
	pst_forecast_met(&q->forecast, key, rec->state != PST_RECORD_PENDING);
	return r;
}

int pst_wait_done(struct pst *c, struct pst_record *rec,
		  const struct pst_waiter *w, struct pst_error *err)
{
	int r = pst_interrupt_ask(c, err);

	if (r < 0)
		return r;
	/* Asked or not. */
	r = 0;
	pst_reap(c);
	pst_session_pay(c);
	if (awaited(c, rec) && c->sleepers.spin_now_ns)
		r = wait_awake(c, rec, w, err);
	if (awaited(c, rec) && !r) {
		while (awaited(c, rec) && !r)
			r = pst_wait_step(c, w, err);
		pst_wait_end(&c->sleepers);
	}
	return !awaited(c, rec) ? 0 : r;
}

/* Asks for an operation's end, and waits for that a little: a caller that was
 * interrupted should not see C change later. */
static void call_off(struct pst *c, struct pst_record *rec)
{
	const struct pst_wire_cancel cancel = {.tag = rec->done.tag};
	struct pst_waiter w = {.start_ns = pst_now_ns()};
	struct pst_error ignored = {0};

	if (rec->state != PST_RECORD_PENDING ||
	    pst_post(&c->channel, PST_WIRE_CANCEL, &cancel, sizeof(cancel)) < 0)
		return;
	w.deadline_ns = w.start_ns + CALL_OFF_NS;
	pst_interrupt_hold(true);
	(void)!pst_wait_done(c, rec, &w, &ignored);
	pst_interrupt_hold(false);
}

int pst_wait_kept(struct pst *c, struct pst_record *rec,
		  const struct pst_waiter *w, struct pst_error *err)
{
	int r = pst_wait_done(c, rec, w, err);

	if (r == -EINTR)
		call_off(c, rec);
	return r;
}

int pst_wait_record(struct pst *c, struct pst_record *rec,
		    const struct pst_waiter *w, struct pst_error *err)
{
	int r = pst_wait_kept(c, rec, w, err);

	if (r < 0)
		pst_queue_give_up(pst_queue_of(c, rec), rec);
	return r;
}

bool pst_fd_arm(struct pst *c)
{
	pst_session_pay(c);
	/* A thread asleep on the socket notices and tells; its generation
	 * must stay as it is. */
	return c->sleepers.leader ? arm_leader(c) : arm(c);
}

void pst_fd_rearm(struct pst *c)
{
	if (c->session.live && c->events.armed && pst_fd_arm(c))
		pst_events_notify(&c->events);
}
