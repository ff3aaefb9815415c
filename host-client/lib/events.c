/* SPDX-License-Identifier: MIT */
/* The descriptor that an application's event loop sleeps on. */
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "host-client/lib/conn.h"

void pst_notify(struct pst *c)
{
	c->fd_armed = false;
	if (c->epfd < 0 || c->notice_set)
		return;
	/* A full counter is set as well. */
	(void)eventfd_write(c->notice, 1);
	c->notice_set = true;
}

void pst_notice_clear(struct pst *c)
{
	eventfd_t v;

	if (!c->notice_set)
		return;
	(void)eventfd_read(c->notice, &v);
	c->notice_set = false;
}

void pst_fd_attach(struct pst *c)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = c->sock};

	if (c->epfd >= 0)
		(void)epoll_ctl(c->epfd, EPOLL_CTL_ADD, c->sock, &ev);
}

void pst_fd_detach(struct pst *c)
{
	/* By hand: a forked child may keep the socket open, and with it the
	 * entry, which nobody could remove then. */
	if (c->epfd >= 0)
		(void)epoll_ctl(c->epfd, EPOLL_CTL_DEL, c->sock, NULL);
}
