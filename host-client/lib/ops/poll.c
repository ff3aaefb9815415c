/* SPDX-License-Identifier: MIT */
/* Completions: waits for one, or takes those that are there; the descriptor of
 * an event loop. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "host-client/lib/ops/call.h"
#include "host-client/lib/plain/interrupt.h"
#include "host-client/lib/session/wait.h"

/* Replies that nobody waits for are read at least this often: a socket holds a
 * few hundred frames. */
#define POSTS_MAX 64
/* Tries of pst_arm() while completions for other threads keep coming in. */
#define ARM_TRIES 8

/* What a thread has armed, its call has seen. Another thread's call may take
 * what it would wake for: so it wakes now, and arms again. */
static void look(struct pst *c)
{
	const bool armed = c->events.armed;

	c->events.lost_unseen = false;
	if (!armed && !c->events.notice_set)
		return;
	if (c->events.by == pst_interrupt_thread())
		pst_events_clear(&c->events);
	else if (armed)
		pst_events_notify(&c->events);
	c->events.armed = false;
	/* Only an armed lane puts bytes into the socket: a loop that polls
	 * without pst_arm() makes no system call. */
	if (armed && !c->sleepers.leader) {
		if (c->session.live)
			pst_wait_disarm(c);
		pst_reap(c);
		pst_socket_service(c);
	}
}

/* Those of a queue that were taken before. */
static void collect_done(struct pst_queue *q, struct pst_completions *into)
{
	struct pst_record *rec;

	while (into->n < into->max && (rec = TAILQ_FIRST(&q->ops.done))) {
		into->ret[into->n++] = rec->done;
		pst_pending_put(&q->ops, rec);
	}
}

/* From the queues in turn: the next call begins behind the last one that had
 * any. */
static int collect(struct pst *c, struct pst_completion *ret, int max)
{
	struct pst_completions into = {ret, max, 0};
	const uint32_t first = c->turn;
	struct pst_queue *q;
	bool any = false;
	uint32_t i, at;
	int n;

	for (i = 0; i < c->conf.n_queues && into.n < max; i++) {
		at = (first + i) % c->conf.n_queues;
		q = &c->queue[at];
		n = into.n;
		collect_done(q, &into);
		any |= pst_queue_reap(q, &c->mem, &c->channel, &into);
		if (into.n > n)
			c->turn = at + 1;
	}
	if (any)
		pst_wait_tell(c);
	return into.n;
}

int pst_poll(struct pst *c, struct pst_completion *ret, int max)
{
	int n;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	look(c);
	if (max < 1)
		pst_reap(c);
	n = collect(c, ret, max);
	/* A loss completes what was left. */
	if (c->channel.failed) {
		pst_settle(c);
		c->events.lost_unseen = false;
		/* ret may be NULL where nothing is to be taken. */
		if (n < max)
			n += collect(c, ret + n, max - n);
	}
	if (n == 0)
		pst_session_pay(c);
	pst_unlock(c);
	return n;
}

int pst_wait_any(struct pst *c, struct pst_completion *ret, int max,
		 uint64_t timeout_ns)
{
	const struct pst_waiter w = pst_waiter_new(timeout_ns);
	struct pst_error err = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	if (max < 1)
		return pst_fail(c,
				pst_error_set(&err, -EINVAL,
					      "room for %d completions", max),
				&err);
	pst_lock(c);
	look(c);
	r = pst_wait_done(c, NULL, &w, &err);
	if (!r)
		r = collect(c, ret, max);
	if (!r)
		r = pst_error_set(&err, -ENOENT, "no operation is outstanding");
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_wait_buffer(struct pst *c, const void *ptr, uint64_t timeout_ns)
{
	const struct pst_waiter w = pst_waiter_new(timeout_ns);
	struct pst_error err = {0};
	struct pst_block *b;
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	pst_reap(c);
	pst_settle(c);
	for (;;) {
		/* Anew each time: whoever waits lets others free it. */
		r = pst_buffer_find(&c->mem, "the pointer", ptr, 0, &b, &err);
		if (r < 0 || !b->busy)
			break;
		r = pst_wait_step(c, &w, &err);
		if (r < 0)
			break;
	}
	pst_wait_end(&c->sleepers);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_cancel(struct pst *c, uint64_t tag)
{
	const struct pst_wire_cancel cancel = {.tag = tag};
	struct pst_error err = {0};
	struct pst_record *rec;
	int r = 0;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	rec = pst_record_find(c, tag);
	if (!rec)
		r = pst_error_set(&err, -ENOENT,
				  "no operation of this tag is outstanding");
	else if (rec->state == PST_RECORD_PENDING)
		r = pst_post(&c->channel, PST_WIRE_CANCEL, &cancel,
			     sizeof(cancel));
	/* An application that never sleeps reads the socket nowhere else. */
	if (c->channel.n_posts >= POSTS_MAX && !c->sleepers.leader) {
		pst_reap(c);
		pst_socket_service(c);
		pst_fd_rearm(c);
	}
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

/* Makes epfd and the eventfd in it; later calls find them. A live session's
 * socket joins. */
static int open_fd(struct pst_events *e, const struct pst_channel *ch,
		   struct pst_error *err)
{
	struct epoll_event ev = {.events = EPOLLIN};
	PST_CLEANUP_FD int notice = -1;
	PST_CLEANUP_FD int epfd = -1;

	if (e->epfd >= 0)
		return e->epfd;
	notice = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	ev.data.fd = notice;
	if (notice < 0 || epfd < 0 ||
	    epoll_ctl(epfd, EPOLL_CTL_ADD, notice, &ev) < 0)
		return pst_error_set_errno(err, errno,
					   "cannot make an event descriptor");
	e->epfd = epfd;
	e->notice = notice;
	epfd = notice = -1;
	if (ch->open)
		pst_events_attach(e, ch->sock);
	return e->epfd;
}

int pst_fd(struct pst *c)
{
	struct pst_error err = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = open_fd(&c->events, &c->channel, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_arm(struct pst *c)
{
	struct pst_error err = {0};
	int r, i;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = open_fd(&c->events, &c->channel, &err);
	if (r < 0)
		goto out;
	r = 1;
	for (i = 0; i < ARM_TRIES; i++) {
		pst_events_clear(&c->events);
		pst_reap(c);
		/* Wake-ups of earlier generations would keep the descriptor
		 * readable. */
		if (!c->sleepers.leader)
			pst_socket_service(c);
		pst_settle(c);
		if (pst_wait_first(c) || c->events.lost_unseen)
			break;
		c->events.armed = true;
		c->events.by = pst_interrupt_thread();
		if (!c->session.live || !pst_fd_arm(c)) {
			r = 0;
			break;
		}
		c->events.armed = false;
	}
out:
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_wait(struct pst *c, uint64_t tag, uint64_t timeout_ns,
	     struct pst_completion *ret)
{
	const struct pst_waiter w = pst_waiter_new(timeout_ns);
	struct pst_error err = {0};
	struct pst_record *rec;
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	rec = pst_record_find(c, tag);
	if (!rec || rec->claimed) {
		r = pst_error_set(&err, -ENOENT,
				  "no operation of this tag is outstanding");
	} else {
		pst_pending_claim(&pst_queue_of(c, rec)->ops, rec);
		r = pst_wait_kept(c, rec, &w, &err);
		if (r < 0) {
			pst_pending_unclaim(&pst_queue_of(c, rec)->ops, rec);
			/* Its completion may have come after an interrupt. */
			pst_wait_tell(c);
		} else {
			r = pst_call_collect(c, rec, &w, ret, &err);
		}
	}
	pst_unlock(c);
	if (pst_fail(c, r, &err) < 0)
		pst_fail_touched(c);
	return r;
}
