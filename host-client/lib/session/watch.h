/* SPDX-License-Identifier: MIT */
/* The connection's thread: notices a lost session while the application makes
 * no call. */
#ifndef PST_HOST_CLIENT_LIB_SESSION_WATCH_H
#define PST_HOST_CLIENT_LIB_SESSION_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/eventfd.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/* The connection's own thread. */
struct pst_watcher {
	pthread_t thread;
	bool runs;
	bool sends; /* it waits for the socket to take more */
	int fd;     /* eventfd: sessions changed, or stop */
};

struct pst;

/* Starts the connection's thread (without the lock). 0 or -errno. */
PST_MUST_USE int pst_watch_start(struct pst *c, struct pst_error *err);
/* Makes it check the connection again. */
static inline void pst_watch_kick(struct pst_watcher *w)
{
	(void)eventfd_write(w->fd, 1);
}

/* Bytes are left over, and who sleeps on the socket may not wait for room in
 * it: has them sent when there is some. */
static inline void pst_watch_send(struct pst_watcher *w)
{
	if (!w->runs || w->sends)
		return;
	w->sends = true;
	pst_watch_kick(w);
}
/* Ends it (without the lock; closing is set). */
void pst_watch_stop(struct pst_watcher *w);

#endif
