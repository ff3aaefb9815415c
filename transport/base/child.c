/* SPDX-License-Identifier: MIT */
/* Attributes and descriptors of a child process. */
#include "transport/base/child.h"

#include <fcntl.h>
#include <signal.h>

int pst_child_signals(posix_spawnattr_t *at, short flags)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	r = posix_spawnattr_setsigmask(at, &set);
	sigfillset(&set);
	if (!r)
		r = posix_spawnattr_setsigdefault(at, &set);
	if (!r)
		r = posix_spawnattr_setflags(
			at, (short)(POSIX_SPAWN_SETSIGMASK |
				    POSIX_SPAWN_SETSIGDEF | flags));
	return r;
}

int pst_child_lift_fd(int *fd, int least)
{
	int up = fcntl(*fd, F_DUPFD_CLOEXEC, least);

	if (up < 0)
		return -errno;
	close(*fd);
	*fd = up;
	return 0;
}
