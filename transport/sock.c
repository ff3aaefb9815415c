/* SPDX-License-Identifier: MIT */
/* Stream sockets: connecting, listening, and bytes with a deadline. */
#include "transport/sock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

#include "transport/base/util.h"

/* Connections that may wait for accept. They are taken in bursts: a queue as
 * short as one would turn others away that come between two. */
#define BACKLOG 128
/* "OK 4294967295\n", with room for a hybrid that says more. */
#define HANDSHAKE_MAX 64
/* Descriptors that are taken in to be closed; the kernel drops the rest. */
#define FDS_MAX 8
/* The owner and the group may connect. */
#define SOCKET_MODE 0660

static uint64_t deadline_after(uint64_t timeout_ns)
{
	uint64_t deadline;

	if (pst_add_overflow(pst_now_ns(), timeout_ns, &deadline))
		return UINT64_MAX;
	return deadline;
}

/* The time left, at least 0; false when there is no limit. */
static bool time_left(uint64_t deadline_ns, struct timespec *ret)
{
	uint64_t now = pst_now_ns();
	uint64_t left = deadline_ns > now ? deadline_ns - now : 0;

	ret->tv_sec = (time_t)(left / PST_NS_PER_S);
	ret->tv_nsec = (long)(left % PST_NS_PER_S);
	return deadline_ns != UINT64_MAX;
}

/* The same for a socket option, rounded up: 0 there means no limit. */
static bool time_left_option(uint64_t deadline_ns, struct timeval *ret)
{
	struct timespec left;
	bool limited = time_left(deadline_ns, &left);

	ret->tv_sec = left.tv_sec;
	ret->tv_usec = left.tv_nsec / 1000 + 1;
	if (ret->tv_usec == 1000000) {
		ret->tv_sec++;
		ret->tv_usec = 0;
	}
	return limited;
}

/* Waits for events on fd. Returns 0, -ETIMEDOUT, -errno. */
static int wait_for(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = fd, .events = events};
	struct timespec left;
	int r;

	for (;;) {
		bool limited = time_left(deadline_ns, &left);

		r = ppoll(&p, 1, limited ? &left : NULL, NULL);
		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

/* EPIPE is how a write learns of what a read sees as ECONNRESET. */
static int stream_errno(int err)
{
	return err == EPIPE ? -ECONNRESET : -err;
}

/* A pass_fd as SCM_RIGHTS; control lives as long as msg. */
union control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int) * FDS_MAX)];
};

static void attach_fd(struct msghdr *msg, union control *control, int fd)
{
	struct cmsghdr *c;

	memset(control, 0, sizeof(*control));
	msg->msg_control = control->buf;
	msg->msg_controllen = CMSG_SPACE(sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
}

int pst_sock_send(int fd, const void *buf, size_t n, int pass_fd,
		  uint64_t deadline_ns, struct pst_error *err)
{
	const char *p = buf;
	union control control;
	int r;

	while (n > 0) {
		struct iovec iov = {.iov_base = (void *)p, .iov_len = n};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t sent;

		if (pass_fd >= 0)
			attach_fd(&msg, &control, pass_fd);
		sent = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent >= 0) {
			p += sent;
			n -= (size_t)sent;
			pass_fd = -1;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return pst_error_set_errno(err, -stream_errno(errno),
						   "sending to the peer");
		r = wait_for(fd, POLLOUT, deadline_ns);
		if (r == -ETIMEDOUT)
			return pst_error_set(err, r,
					     "the peer did not read in time");
		if (r < 0)
			return pst_error_set_errno(err, -r,
						   "waiting for the peer");
	}
	return 0;
}

/* Takes the first passed descriptor, closes the others. Returns it or -1. */
static int take_fd(struct msghdr *msg)
{
	struct cmsghdr *c;
	int first = -1;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t i, n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (first < 0)
				first = fd;
			else
				pst_close_fd(fd);
		}
	}
	return first;
}

static int received(struct msghdr *msg, ssize_t n, int *ret_fd,
		    struct pst_error *err)
{
	int fd = -1;

	/* Without a control buffer the kernel drops what was passed. */
	if (ret_fd) {
		fd = take_fd(msg);
		/* There was room: the kernel could not install it. */
		if (fd < 0 && (msg->msg_flags & MSG_CTRUNC))
			return pst_error_set(err, -EMFILE,
					     "a descriptor that the peer "
					     "passed could not be taken");
	}
	if (n == 0) {
		pst_close_fd(fd);
		return pst_error_set(err, -ECONNRESET,
				     "the peer closed the connection");
	}
	if (ret_fd)
		*ret_fd = fd;
	return (int)n;
}

int pst_sock_recv(int fd, void *buf, size_t n, int *ret_fd,
		  uint64_t deadline_ns, struct pst_error *err)
{
	union control control;
	int r;

	if (n == 0)
		return pst_error_set(err, -EINVAL, "reading 0 bytes");
	if (ret_fd)
		*ret_fd = -1;
	for (;;) {
		struct iovec iov = {
			.iov_base = buf,
			.iov_len = n < INT32_MAX ? n : INT32_MAX,
		};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t got;

		if (ret_fd) {
			msg.msg_control = control.buf;
			msg.msg_controllen = sizeof(control.buf);
		}
		got = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (got >= 0)
			return received(&msg, got, ret_fd, err);
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return pst_error_set_errno(err, -stream_errno(errno),
						   "reading from the peer");
		r = wait_for(fd, POLLIN, deadline_ns);
		if (r == -ETIMEDOUT)
			return pst_error_set(err, r,
					     "the peer did not answer in time");
		if (r < 0)
			return pst_error_set_errno(err, -r,
						   "waiting for the peer");
	}
}

static int vsock_socket(struct pst_error *err)
{
	int fd =
		socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0)
		return fd;
	if (errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT ||
	    errno == ESOCKTNOSUPPORT)
		return pst_error_set(err, -ENODEV,
				     "this kernel has no AF_VSOCK (is the "
				     "module vsock loaded?)");
	return pst_error_set_errno(err, errno, "opening an AF_VSOCK socket");
}

static int vsock_failed(const struct pst_endpoint *ep, int err_no,
			struct pst_error *err)
{
	/* virtio answers a port where nobody listens with a reset. */
	if (err_no == ECONNRESET || err_no == ECONNREFUSED)
		return pst_error_set(err, -ECONNREFUSED,
				     "no agent listens at vsock://%" PRIu32
				     ":%" PRIu32,
				     ep->cid, ep->port);
	if (err_no == ENODEV || err_no == EHOSTUNREACH || err_no == ENETUNREACH)
		return pst_error_set(err, -ENODEV,
				     "no machine has CID %" PRIu32
				     " (or vhost_vsock is not loaded)",
				     ep->cid);
	if (err_no == ETIMEDOUT)
		return pst_error_set(err, -ETIMEDOUT,
				     "CID %" PRIu32 " did not answer in time",
				     ep->cid);
	return pst_error_set_errno(
		err, err_no, "connecting to CID %" PRIu32 ", port %" PRIu32,
		ep->cid, ep->port);
}

static int set_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int connect_vsock(const struct pst_endpoint *ep, uint64_t deadline_ns,
			 struct pst_error *err)
{
	PST_CLEANUP_FD int fd = vsock_socket(err);
	struct sockaddr_vm sa = {
		.svm_family = AF_VSOCK,
		.svm_cid = ep->cid,
		.svm_port = ep->port,
	};
	struct timeval left;
	int r, so_error = 0;
	socklen_t len = sizeof(so_error);

	if (fd < 0)
		return fd;
	/* The kernel gives up after 2 s by itself unless told otherwise. */
	if (time_left_option(deadline_ns, &left))
		(void)setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT,
				 &left, sizeof(left));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		if (errno != EINPROGRESS && errno != EINTR)
			return vsock_failed(ep, errno, err);
		r = wait_for(fd, POLLOUT, deadline_ns);
		if (r < 0)
			return vsock_failed(ep, -r, err);
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &so_error, &len) < 0)
			so_error = errno;
		if (so_error)
			return vsock_failed(ep, so_error, err);
	}
	r = set_blocking(fd);
	if (r < 0)
		return pst_error_set_errno(err, -r, "fcntl on a socket");
	r = fd;
	fd = -1;
	return r;
}

static int unix_address(const char *path, struct sockaddr_un *sa)
{
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(sa->sun_path))
		return -EMSGSIZE;
	memcpy(sa->sun_path, path, strlen(path) + 1);
	return 0;
}

/*
 * Blocking, with SO_SNDTIMEO: a non-blocking connect to a full backlog is
 * EAGAIN on AF_UNIX, and nothing tells when to try again.
 */
static int connect_unix(const char *path, uint64_t deadline_ns,
			struct pst_error *err)
{
	PST_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static const struct timeval forever = {0, 0};
	struct sockaddr_un sa;
	struct timeval left;
	int r;

	if (fd < 0)
		return pst_error_set_errno(err, errno, "opening a socket");
	r = unix_address(path, &sa);
	if (r < 0)
		return pst_error_set(err, r, "socket path is too long");
	do {
		if (time_left_option(deadline_ns, &left) &&
		    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &left,
			       sizeof(left)) < 0)
			return pst_error_set_errno(err, errno,
						   "setting a time limit");
		r = connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	} while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EAGAIN)
		return pst_error_set(err, -ETIMEDOUT,
				     "no agent accepted the connection at %s "
				     "in time",
				     path);
	if (r < 0)
		return pst_error_set_errno(err, errno, "connecting to %s",
					   path);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &forever, sizeof(forever)) <
	    0)
		return pst_error_set_errno(err, errno, "setting a time limit");
	r = fd;
	fd = -1;
	return r;
}

/*
 * Reads "OK n\n" byte by byte: what follows the newline belongs to the stream.
 */
static int read_ok(int fd, const struct pst_endpoint *ep, uint64_t deadline_ns,
		   struct pst_error *err)
{
	char line[HANDSHAKE_MAX];
	uint64_t port;
	size_t n = 0;
	int r;

	do {
		r = pst_sock_recv(fd, &line[n], 1, NULL, deadline_ns, err);
		/* How a hybrid says that the guest refused the port. */
		if (r == -ECONNRESET)
			return pst_error_set(err, -ECONNREFUSED,
					     "%s: no agent listens at the "
					     "guest's port %" PRIu32,
					     ep->path, ep->port);
		if (r < 0)
			return r;
	} while (line[n++] != '\n' && n < sizeof(line));
	if (line[n - 1] != '\n' || n < 4 || memcmp(line, "OK ", 3) != 0)
		return pst_error_set(err, -EPROTO,
				     "%s does not answer CONNECT with OK",
				     ep->path);
	line[n - 1] = '\0';
	if (strlen(line) != n - 1 ||
	    pst_parse_u64(line + 3, 0, UINT32_MAX, &port) < 0)
		return pst_error_set(err, -EPROTO,
				     "%s answers CONNECT with a bad port",
				     ep->path);
	return 0;
}

static int connect_vsock_uds(const struct pst_endpoint *ep,
			     uint64_t deadline_ns, struct pst_error *err)
{
	PST_CLEANUP_FD int fd = connect_unix(ep->path, deadline_ns, err);
	char line[32];
	int n, r;

	if (fd < 0)
		return fd;
	n = snprintf(line, sizeof(line), "CONNECT %" PRIu32 "\n", ep->port);
	r = pst_sock_send(fd, line, (size_t)n, -1, deadline_ns, err);
	if (r < 0)
		return r;
	r = read_ok(fd, ep, deadline_ns, err);
	if (r < 0)
		return r;
	r = fd;
	fd = -1;
	return r;
}

int pst_sock_connect(const struct pst_endpoint *ep, uint64_t timeout_ns,
		     struct pst_error *err)
{
	uint64_t deadline_ns = deadline_after(timeout_ns);

	switch (ep->scheme) {
	case PST_SCHEME_VSOCK:
		return connect_vsock(ep, deadline_ns, err);
	case PST_SCHEME_VSOCK_UDS:
		return connect_vsock_uds(ep, deadline_ns, err);
	case PST_SCHEME_UNIX:
		return connect_unix(ep->path, deadline_ns, err);
	case PST_SCHEME_SPAWN:
		break;
	}
	return pst_error_set(err, -EINVAL,
			     "spawn: names no socket to connect "
			     "to");
}

/* Whether no process accepts on the socket file at path, so that it may be
 * replaced. Returns 0, -EADDRINUSE, -errno. */
static int check_stale(const struct sockaddr_un *sa, struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	struct stat st;

	if (lstat(sa->sun_path, &st) < 0)
		return pst_error_set_errno(err, errno, "%s", sa->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return pst_error_set(err, -EADDRINUSE,
				     "%s exists and is no socket",
				     sa->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return pst_error_set_errno(err, errno, "opening a socket");
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 &&
	    errno == ECONNREFUSED)
		return 0;
	return pst_error_set(err, -EADDRINUSE,
			     "%s: another program listens there", sa->sun_path);
}

static int bind_unix(int fd, const char *path, struct pst_error *err)
{
	struct sockaddr_un sa;
	int r;

	r = unix_address(path, &sa);
	if (r < 0)
		return pst_error_set(err, r, "socket path is too long");
	/* bind() takes the mode from here, minus umask: no moment in which
	 * everybody may connect. */
	if (fchmod(fd, SOCKET_MODE) < 0)
		return pst_error_set_errno(err, errno, "fchmod on a socket");
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return pst_error_set_errno(err, errno, "binding %s", path);
	r = check_stale(&sa, err);
	if (r < 0)
		return r;
	if (unlink(path) < 0 && errno != ENOENT)
		return pst_error_set_errno(err, errno, "replacing %s", path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return pst_error_set_errno(err, errno, "binding %s", path);
	return 0;
}

static int bind_vsock(int fd, uint32_t port, struct pst_error *err)
{
	struct sockaddr_vm sa = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY,
		.svm_port = port,
	};

	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return pst_error_set_errno(err, errno,
					   "binding vsock port %" PRIu32, port);
	return 0;
}

int pst_sock_listen(const struct pst_listen *l, struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	int r;

	if (l->scheme == PST_SCHEME_VSOCK) {
		fd = vsock_socket(err);
		if (fd < 0)
			return fd;
		r = bind_vsock(fd, l->port, err);
	} else if (l->scheme == PST_SCHEME_UNIX) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			    0);
		if (fd < 0)
			return pst_error_set_errno(err, errno,
						   "opening a socket");
		r = bind_unix(fd, l->path, err);
	} else {
		return pst_error_set(err, -EINVAL,
				     "only vsock and unix can listen");
	}
	if (r < 0)
		return r;
	if (listen(fd, BACKLOG) < 0)
		return pst_error_set_errno(err, errno, "listening");
	r = fd;
	fd = -1;
	return r;
}

static int peer_unix(int fd, struct pst_sock_peer *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*ret = (struct pst_sock_peer){
		.is_unix = true, .uid = cred.uid, .pid = (uint32_t)cred.pid};
	return 0;
}

static int peer_vsock(int fd, struct pst_sock_peer *ret)
{
	struct sockaddr_vm sa = {0};
	socklen_t len = sizeof(sa);

	if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0)
		return -errno;
	if (sa.svm_family != AF_VSOCK || len < sizeof(sa))
		return -EAFNOSUPPORT;
	*ret = (struct pst_sock_peer){.cid = sa.svm_cid};
	return 0;
}

int pst_sock_peer(int fd, struct pst_sock_peer *ret)
{
	int domain;
	socklen_t len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return -errno;
	if (domain == AF_UNIX)
		return peer_unix(fd, ret);
	if (domain == AF_VSOCK)
		return peer_vsock(fd, ret);
	return -EAFNOSUPPORT;
}
