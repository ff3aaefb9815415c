/* SPDX-License-Identifier: MIT */
/* The descriptor that an application's event loop sleeps on. */
#include "host-client/lib/plain/events.h"

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

void pst_events_notify(struct pst_events *e)
{
	e->armed = false;
	if (e->epfd < 0 || e->notice_set)
		return;
	/* A full counter is set as well. */
	(void)eventfd_write(e->notice, 1);
	e->notice_set = true;
}

void pst_events_clear(struct pst_events *e)
{
	eventfd_t v;

	if (!e->notice_set)
		return;
	(void)eventfd_read(e->notice, &v);
	e->notice_set = false;
}

void pst_events_attach(struct pst_events *e, int sock)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = sock};

	if (e->epfd >= 0)
		(void)epoll_ctl(e->epfd, EPOLL_CTL_ADD, sock, &ev);
}

void pst_events_detach(struct pst_events *e, int sock)
{
	/* By hand: a forked child may keep the socket open, and with it the
	 * entry, which nobody could remove then. */
	if (e->epfd >= 0)
		(void)epoll_ctl(e->epfd, EPOLL_CTL_DEL, sock, NULL);
}
