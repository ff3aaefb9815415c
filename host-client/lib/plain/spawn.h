/* SPDX-License-Identifier: MIT */
/* spawn: endpoints: a private agent over a socketpair and a memfd. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_SPAWN_H
#define PST_HOST_CLIENT_LIB_PLAIN_SPAWN_H

#include <stdint.h>
#include <sys/types.h>

#include "transport/base/error.h"
#include "transport/base/util.h"
#include "transport/sock.h"

/* Region of a private agent unless ?size= says otherwise. It has memory for
 * what is leased only. */
#define PST_SPAWN_SIZE (256ULL << 20)
/* On a busy machine an agent takes seconds to start, and its end is seen at
 * once: it gets this time unless the caller says otherwise, and no more. */
#define PST_SPAWN_OPEN_NS (60 * PST_NS_PER_S)
/* How long it may take to end. */
#define PST_SPAWN_REAP_NS (2 * PST_NS_PER_S)

/*
 * Starts an agent for ep. The program is ep->agent, else $PENSTOCK_AGENT,
 * else the installed one. Its output goes to the file $PENSTOCK_AGENT_LOG
 * names, else nowhere. Of the environment it gets all but LD_PRELOAD and
 * PENSTOCK_BLAS*, which are for this program. The agent ends when its socket
 * does; still, pst_spawn_reap() must be called.
 *
 * Returns 0, the socket, the region's descriptor (both the caller's) and the
 * process; -ENOENT (no such program), -EACCES, -ENOMEM, -EINVAL, -errno.
 */
PST_MUST_USE int pst_spawn(const struct pst_endpoint *ep, int *ret_sock,
			   int *ret_region, pid_t *ret_child,
			   struct pst_error *err);

/*
 * After the socket was closed: waits for the process at most timeout_ns, then
 * kills it. Waits for nobody else, and copes with a host program that ignores
 * or reaps its children itself. pid 0 does nothing.
 */
void pst_spawn_reap(pid_t pid, uint64_t timeout_ns);

/*
 * The socket ended before the agent said anything: how its process did, if that
 * is known within timeout_ns; *pid is 0 then. Returns -ECONNRESET.
 */
int pst_spawn_ended(pid_t *pid, uint64_t timeout_ns, struct pst_error *err);

#endif
