/* SPDX-License-Identifier: MIT */
/* The descriptor that an application's event loop sleeps on. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_EVENTS_H
#define PST_HOST_CLIENT_LIB_PLAIN_EVENTS_H

#include <stdbool.h>

struct pst_events {
	int epfd;   /* pst_fd(), or -1 */
	int notice; /* eventfd inside epfd: look, though the socket is quiet */
	bool notice_set;
	bool armed;       /* the application sleeps on epfd */
	const void *by;   /* the thread that armed it last */
	bool lost_unseen; /* pst_arm() has not told of the loss */
};

/* Makes pst_fd() readable though the socket is quiet; and no longer. */
void pst_events_notify(struct pst_events *e);
void pst_events_clear(struct pst_events *e);

/* A socket joins and leaves epfd. */
void pst_events_attach(struct pst_events *e, int sock);
void pst_events_detach(struct pst_events *e, int sock);

#endif
