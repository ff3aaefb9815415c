/* SPDX-License-Identifier: MIT */
/* Listening sockets that the service manager passes (sd_listen_fds(3)). */
#ifndef PST_TRANSPORT_BASE_LISTEN_FDS_H
#define PST_TRANSPORT_BASE_LISTEN_FDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "transport/base/error.h"

/* The first of them, the others follow (sd_listen_fds(3)). */
#define PST_ACTIVATION_FIRST 3

/*
 * How many sockets $LISTEN_PID and $LISTEN_FDS, given as pid and fds (NULL:
 * not set), pass to the process self; 0 when they are for another one. A pure
 * function. Returns the number, or -EINVAL: not numbers, or more than max.
 */
int pst_activation_count(const char *pid, const char *fds, pid_t self,
			 unsigned int max, struct pst_error *err);

/*
 * Takes what the environment says was passed, at most max sockets, into
 * ret_fds; removes the variables, so that no child takes them for its own.
 * Each has to be a listening stream socket, AF_UNIX, or AF_VSOCK or with ip one
 * of TCP; it becomes close-on-exec and non-blocking and belongs to the caller.
 * Returns the number, 0 when there are none, -EINVAL.
 */
int pst_activation_take(int *ret_fds, unsigned int max, bool ip,
			struct pst_error *err);

/* Where a socket listens, as --listen says it: "vsock:7070", "unix:/path". */
void pst_activation_describe(int fd, char *buf, size_t size);

#endif
