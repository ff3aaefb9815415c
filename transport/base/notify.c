/* SPDX-License-Identifier: MIT */
/* Notifies systemd as sd_notify(3) does, without its library. */
#include "transport/base/notify.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "transport/base/util.h"

int pst_service_notify(const char *state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	PST_CLEANUP_FD int fd = -1;
	socklen_t len;
	size_t n;

	if (!path)
		return 0;
	n = strlen(path);
	if ((path[0] != '/' && path[0] != '@') || n >= sizeof(sun.sun_path))
		return -EINVAL;
	memcpy(sun.sun_path, path, n);
	/* '@' stands for the NUL of an abstract address, whose length counts.
	 */
	if (path[0] == '@')
		sun.sun_path[0] = '\0';
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL,
			     (struct sockaddr *)&sun, len) < 0)
		return -errno;
	return 1;
}

int pst_service_notify_watchdog(const char *usec, const char *pid, pid_t self,
				uint64_t *ret_ns, struct pst_error *err)
{
	uint64_t us, to;

	*ret_ns = 0;
	if (!usec)
		return 0;
	if (pid && pst_parse_u64(pid, 1, INT_MAX, &to) < 0)
		return pst_error_set(err, -EINVAL,
				     "WATCHDOG_PID=%.64s is not a process id",
				     pid);
	if (pid && to != (uint64_t)self)
		return 0;
	if (pst_parse_u64(usec, 1, UINT64_MAX / PST_NS_PER_US, &us) < 0)
		return pst_error_set(err, -EINVAL,
				     "WATCHDOG_USEC=%.64s: expected "
				     "microseconds",
				     usec);
	*ret_ns = us * PST_NS_PER_US;
	return 0;
}
