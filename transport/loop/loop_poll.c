/* SPDX-License-Identifier: MIT */
/* The event loop over poll(2), used if io_uring is denied. */
#include <errno.h>
#include <poll.h>

#include "transport/base/util.h"
#include "transport/loop/loop_impl.h"

#define source_of(l) ((struct pst_source *)(void *)(l))

struct poll_loop {
	struct pollfd *fds;
	struct pst_source **sources; /* as fds */
	size_t n;                    /* of this round */
	size_t n_added;
	size_t size;
};

static int poll_open(struct pst_loop *loop, struct pst_error *err)
{
	loop->impl = calloc(1, sizeof(struct poll_loop));
	if (!loop->impl)
		return pst_oom(err);
	return 0;
}

static void poll_close(struct pst_loop *loop)
{
	struct poll_loop *p = loop->impl;

	free(p->fds);
	free(p->sources);
	free(p);
}

/* Room is made here, so that a round cannot run out of memory. */
static int poll_add(struct pst_loop *loop, struct pst_source *src)
{
	struct poll_loop *p = loop->impl;
	size_t size = p->size ? 2 * p->size : 16;
	struct pst_source **sources;
	struct pollfd *fds;

	if (p->n_added == p->size) {
		fds = reallocarray(p->fds, size, sizeof(*fds));
		if (!fds)
			return -ENOMEM;
		p->fds = fds;
		sources = reallocarray(p->sources, size, sizeof(*sources));
		if (!sources)
			return -ENOMEM;
		p->sources = sources;
		p->size = size;
	}
	p->n_added++;
	return 0;
}

static void poll_remove(struct pst_loop *loop, struct pst_source *src)
{
	struct poll_loop *p = loop->impl;

	p->n_added--;
}

/* The next round polls all sources anyway. */
static void poll_nothing(struct pst_loop *loop, struct pst_source *src)
{
}

static void collect(struct pst_loop *loop, struct poll_loop *p)
{
	struct pst_link *l;

	p->n = 0;
	for (l = loop->sources.next; l != &loop->sources; l = l->next) {
		struct pst_source *src = source_of(l);
		short events = 0;

		if (!src->ended && !src->held && !src->paused_until_ns)
			events |= POLLIN;
		if (src->queue_len)
			events |= POLLOUT;
		/* Not asked for anything, it would still report a hang-up. */
		if (!events)
			continue;
		p->fds[p->n] = (struct pollfd){.fd = src->fd, .events = events};
		p->sources[p->n] = src;
		p->n++;
	}
}

static void dispatch(struct pst_loop *loop, struct pst_source *src,
		     short events, short revents)
{
	const short broken = POLLERR | POLLHUP | POLLNVAL;

	if (revents & (POLLOUT | broken))
		pst_loop_flush(loop, src, revents & broken);
	if ((events & POLLIN) && (revents & (POLLIN | broken)) &&
	    !src->removed && !src->held)
		pst_loop_readable(loop, src);
}

static int poll_run(struct pst_loop *loop, uint64_t timeout_ns)
{
	struct poll_loop *p = loop->impl;
	struct timespec ts = {
		.tv_sec = (time_t)(timeout_ns / PST_NS_PER_S),
		.tv_nsec = (long)(timeout_ns % PST_NS_PER_S),
	};
	size_t i;
	int r;

	collect(loop, p);
	r = ppoll(p->fds, p->n, timeout_ns == UINT64_MAX ? NULL : &ts, NULL);
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	/* A callback that adds a source may move the arrays, not the entries
	 * of this round. */
	for (i = 0; r > 0 && i < p->n; i++) {
		if (!p->fds[i].revents)
			continue;
		r--;
		dispatch(loop, p->sources[i], p->fds[i].events,
			 p->fds[i].revents);
	}
	return 0;
}

const struct pst_loop_ops pst_loop_poll_ops = {
	.kind = PST_LOOP_POLL,
	.open = poll_open,
	.close = poll_close,
	.add = poll_add,
	.remove = poll_remove,
	.want_write = poll_nothing,
	.resume = poll_nothing,
	.hold = poll_nothing,
	.run = poll_run,
};
