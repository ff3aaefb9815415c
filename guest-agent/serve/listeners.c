/* SPDX-License-Identifier: MIT */
/* The sockets that the agent listens on. */
#include "guest-agent/serve/listeners.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "transport/base/listen_fds.h"
#include "transport/base/util.h"

static int check_room(const struct pst_agent_listeners *l,
		      struct pst_error *err)
{
	if (l->n < PST_AGENT_MAX_LISTENERS)
		return 0;
	return pst_error_set(err, -EINVAL, "more than %u listeners",
			     PST_AGENT_MAX_LISTENERS);
}

int pst_agent_listeners_add(struct pst_agent_listeners *l,
			    struct pst_loop *loop, struct pst_agent_conns *c,
			    int fd, const char *path, struct pst_error *err)
{
	struct pst_agent_listener *one;
	int r = check_room(l, err);

	if (r < 0) {
		pst_close_fd(fd);
		return r;
	}
	one = &l->listeners[l->n++];
	one->fd = fd;
	snprintf(one->path, sizeof(one->path), "%s", path ? path : "");
	one->src = pst_loop_add_listener(loop, fd, pst_agent_conns_accept, c);
	return one->src ? 0 : pst_oom(err);
}

int pst_agent_listeners_open(struct pst_agent_listeners *l,
			     struct pst_loop *loop, struct pst_agent_conns *c,
			     const struct pst_listen *where,
			     struct pst_error *err)
{
	const char *path =
		where->scheme == PST_SCHEME_UNIX ? where->path : NULL;
	int r = check_room(l, err);

	/* Before it leaves a file that nobody unlinks. */
	if (r == 0)
		r = pst_sock_listen(where, err);
	return r < 0 ? r : pst_agent_listeners_add(l, loop, c, r, path, err);
}

void pst_agent_listeners_close(struct pst_agent_listeners *l,
			       struct pst_loop *loop)
{
	unsigned int i;

	for (i = 0; i < l->n; i++) {
		pst_loop_remove(loop, l->listeners[i].src);
		/* Still ours: nobody replaces a socket that is served. */
		if (l->listeners[i].path[0])
			unlink(l->listeners[i].path);
		pst_close_fd(l->listeners[i].fd);
	}
	l->n = 0;
}

void pst_agent_listeners_describe(const struct pst_agent_listeners *l,
				  char *buf, size_t size)
{
	char one[128];
	size_t n = 0;
	unsigned int i;

	buf[0] = '\0';
	for (i = 0; i < l->n && n < size; i++) {
		pst_activation_describe(l->listeners[i].fd, one, sizeof(one));
		n += (size_t)snprintf(buf + n, size - n, " %s", one);
	}
}
