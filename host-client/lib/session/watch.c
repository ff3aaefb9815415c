/* SPDX-License-Identifier: MIT */
/* The connection's thread: notices a lost session while the application makes
 * no call, so that its old pointers reach nobody. */
#include "host-client/lib/session/watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

#include "host-client/lib/session/wait.h"
#include "transport/base/thread.h"

/* Enough for poll() and mmap(); the library has no deep calls here. The host
 * program's thread-local data counts too, so it may prove too small. */
#define STACK_SIZE (256U << 10)
#define TICK_MS    ((int)(PST_TICK_NS / PST_NS_PER_MS))

/* The application's threads have pst_lock(). */
static void enter(struct pst *c)
{
	pst_mutex_foreign_acquire(&c->lock);
}

static void leave(struct pst *c)
{
	pst_settle(c);
	pst_mutex_foreign_release(&c->lock);
}

static void *watch(void *arg)
{
	struct pst *c = arg;
	struct pollfd p[2] = {{.fd = c->watcher.fd, .events = POLLIN}};
	uint64_t serial;
	eventfd_t v;
	bool live;
	int n;

	enter(c);
	while (!c->session.closing) {
		live = c->session.live;
		serial = c->session.serial;
		p[1] = (struct pollfd){.fd = c->channel.sock,
				       .events = POLLRDHUP};
		c->watcher.sends = live && c->channel.tx_n;
		if (c->watcher.sends)
			p[1].events |= POLLOUT;
		leave(c);
		/* Between sessions only pst_watch_kick() ends the sleep. */
		n = poll(p, live ? 2 : 1, live ? TICK_MS : -1);
		if (n > 0 && p[0].revents)
			(void)eventfd_read(c->watcher.fd, &v);
		enter(c);
		if (!c->session.live || c->session.serial != serial ||
		    c->session.closing)
			continue;
		pst_session_check(c, pst_now_ns());
		if (n > 0 && p[1].revents & POLLOUT)
			pst_channel_flush(&c->channel);
		if (n > 0 && p[1].revents & ~POLLOUT) {
			/* Its last words may be there. */
			pst_socket_service(c);
			pst_channel_fail(&c->channel, -ECONNRESET,
					 "the agent or its VM went away");
			pst_settle(c);
		}
	}
	leave(c);
	return NULL;
}

static int start_thread(struct pst *c)
{
	pthread_attr_t attr;
	int r;

	r = -pthread_attr_init(&attr);
	if (r)
		return r;
	r = -pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (!r)
		r = pst_thread_start(&c->watcher.thread, &attr, watch, c);
	pthread_attr_destroy(&attr);
	/* -EINVAL: smaller than this program's thread-local data. */
	if (r == -EINVAL)
		r = pst_thread_start(&c->watcher.thread, NULL, watch, c);
	return r;
}

int pst_watch_start(struct pst *c, struct pst_error *err)
{
	int r;

	r = start_thread(c);
	if (r)
		return pst_error_set_errno(err, r, "cannot start a thread");
	c->watcher.runs = true;
	pthread_setname_np(c->watcher.thread, "penstock");
	return 0;
}

void pst_watch_stop(struct pst_watcher *w)
{
	if (!w->runs)
		return;
	pst_watch_kick(w);
	pthread_join(w->thread, NULL);
	w->runs = false;
}
