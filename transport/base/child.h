/* SPDX-License-Identifier: MIT */
/* What a child process gets from us, and what not. */
#ifndef PST_TRANSPORT_BASE_CHILD_H
#define PST_TRANSPORT_BASE_CHILD_H

#include <spawn.h>

#include "transport/base/util.h"

/*
 * Sets attributes so that posix_spawn(3) starts a child with default signals,
 * none of them blocked. flags: POSIX_SPAWN_SETSID or 0. Returns 0 or a positive
 * errno, as posix_spawn() does.
 */
PST_MUST_USE int pst_child_signals(posix_spawnattr_t *at, short flags);

/*
 * Moves a descriptor to least or above, close-on-exec, and closes the old one:
 * out of the way of numbers that a child's descriptors are put at. Returns 0 or
 * -errno.
 */
PST_MUST_USE int pst_child_lift_fd(int *fd, int least);

#endif
