/* SPDX-License-Identifier: MIT */
/* The sockets that the agent listens on. */
#ifndef PST_GUEST_AGENT_SERVE_LISTENERS_H
#define PST_GUEST_AGENT_SERVE_LISTENERS_H

#include <stddef.h>

#include "guest-agent/serve/conn.h"
#include "transport/base/error.h"
#include "transport/loop/loop.h"
#include "transport/sock.h"

#define PST_AGENT_MAX_LISTENERS 8U

struct pst_agent_listener {
	int fd;
	char path[sizeof(((struct pst_listen *)NULL)->path)]; /* of UNIX */
	struct pst_source *src;
};

struct pst_agent_listeners {
	unsigned int n;
	struct pst_agent_listener listeners[PST_AGENT_MAX_LISTENERS];
};

/*
 * Listens on fd, which it owns from then on, also on failure. path: what to
 * unlink at the end; NULL for a passed socket, whose file is the service
 * manager's. Returns 0, -EINVAL (too many), -ENOMEM.
 */
int pst_agent_listeners_add(struct pst_agent_listeners *l,
			    struct pst_loop *loop, struct pst_agent_conns *c,
			    int fd, const char *path, struct pst_error *err);

/* The same on a new socket. Returns also the -errno of making it. */
int pst_agent_listeners_open(struct pst_agent_listeners *l,
			     struct pst_loop *loop, struct pst_agent_conns *c,
			     const struct pst_listen *where,
			     struct pst_error *err);

/* Closes all of them. */
void pst_agent_listeners_close(struct pst_agent_listeners *l,
			       struct pst_loop *loop);

/* " vsock:7070 unix:/path" of all of them. */
void pst_agent_listeners_describe(const struct pst_agent_listeners *l,
				  char *buf, size_t size);

#endif
