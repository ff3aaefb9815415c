/* SPDX-License-Identifier: MIT */
/* Listening sockets that the service manager passes (sd_listen_fds(3)). */
#include "transport/base/listen_fds.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

#include "transport/base/util.h"

int pst_activation_count(const char *pid, const char *fds, pid_t self,
			 unsigned int max, struct pst_error *err)
{
	uint64_t to, n;

	if (!pid || !fds)
		return 0;
	if (pst_parse_u64(pid, 1, INT_MAX, &to) < 0)
		return pst_error_set(err, -EINVAL,
				     "LISTEN_PID=%.64s is not a process id",
				     pid);
	if (to != (uint64_t)self)
		return 0;
	if (pst_parse_u64(fds, 0, max, &n) < 0)
		return pst_error_set(err, -EINVAL,
				     "LISTEN_FDS=%.64s: expected a number of "
				     "sockets from 0 to %u",
				     fds, max);
	return (int)n;
}

static int option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int v;

	return getsockopt(fd, SOL_SOCKET, name, &v, &len) < 0 ? -errno : v;
}

/* What is wrong with a passed descriptor; NULL: nothing. */
static const char *judge(int fd, bool ip)
{
	const int domain = option(fd, SO_DOMAIN);

	if (domain < 0)
		return domain == -EBADF ? "is not open" : "is not a socket";
	if (ip && domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
		return "is neither a TCP nor a UNIX socket";
	if (!ip && domain != AF_VSOCK && domain != AF_UNIX)
		return "is neither a vsock nor a UNIX socket";
	if (option(fd, SO_TYPE) != SOCK_STREAM)
		return "is not a stream socket (ListenStream=)";
	if (option(fd, SO_ACCEPTCONN) != 1)
		return "does not listen (Accept=no is wanted)";
	return NULL;
}

static int take(int fd, bool ip, struct pst_error *err)
{
	const char *wrong = judge(fd, ip);
	int flags;

	if (wrong)
		return pst_error_set(err, -EINVAL,
				     "descriptor %d, passed by LISTEN_FDS, %s",
				     fd, wrong);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return pst_error_set_errno(err, errno, "descriptor %d", fd);
	return 0;
}

int pst_activation_take(int *ret_fds, unsigned int max, bool ip,
			struct pst_error *err)
{
	int i, r, n;

	n = pst_activation_count(getenv("LISTEN_PID"), getenv("LISTEN_FDS"),
				 getpid(), max, err);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (i = 0; i < n; i++) {
		r = take(PST_ACTIVATION_FIRST + i, ip, err);
		if (r < 0)
			return r;
		ret_fds[i] = PST_ACTIVATION_FIRST + i;
	}
	return n;
}

void pst_activation_describe(int fd, char *buf, size_t size)
{
	union {
		struct sockaddr sa;
		struct sockaddr_un un;
		struct sockaddr_vm vm;
	} a = {.un = {.sun_family = AF_UNSPEC}};
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.sa, &len) < 0)
		a.sa.sa_family = AF_UNSPEC;
	if (a.sa.sa_family == AF_VSOCK)
		snprintf(buf, size, "vsock:%u", a.vm.svm_port);
	else if (a.sa.sa_family == AF_UNIX)
		snprintf(buf, size, "unix:%s%.*s", a.un.sun_path[0] ? "" : "@",
			 (int)sizeof(a.un.sun_path) - 1,
			 a.un.sun_path + !a.un.sun_path[0]);
	else
		snprintf(buf, size, "descriptor %d", fd);
}
