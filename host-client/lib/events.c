/* SPDX-License-Identifier: MIT */
/* The descriptor that an application's event loop sleeps on. */
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "host-client/lib/conn.h"

void pst_notify(struct pst *c)
{
	c->events.armed = false;
	if (c->events.epfd < 0 || c->events.notice_set)
		return;
	/* A full counter is set as well. */
	(void)eventfd_write(c->events.notice, 1);
	c->events.notice_set = true;
}

void pst_notice_clear(struct pst *c)
{
	eventfd_t v;

	if (!c->events.notice_set)
		return;
	(void)eventfd_read(c->events.notice, &v);
	c->events.notice_set = false;
}

void pst_fd_attach(struct pst *c)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = c->channel.sock};

	if (c->events.epfd >= 0)
		(void)epoll_ctl(c->events.epfd, EPOLL_CTL_ADD, c->channel.sock,
				&ev);
}

void pst_fd_detach(struct pst *c)
{
	/* By hand: a forked child may keep the socket open, and with it the
	 * entry, which nobody could remove then. */
	if (c->events.epfd >= 0)
		(void)epoll_ctl(c->events.epfd, EPOLL_CTL_DEL, c->channel.sock,
				NULL);
}
