/* SPDX-License-Identifier: MIT */
/* The sockets that the gateway listens on. */
#include "host-client/gateway/http/listen.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#define BACKLOG 1024

union address {
	struct sockaddr sa;
	struct sockaddr_un un;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Gateways that come and go at one path do so one after another: holds a lock
 * on its folder until the descriptor is closed. Somebody else may hold that,
 * too, so it is not waited for without end. */
static int lock_folder(const char *path)
{
	const uint64_t end_ns = pst_now_ns() + PST_NS_PER_S;
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path) + 2];
	char *slash;
	int fd;

	snprintf(folder, sizeof(folder), "%s%s", path[0] == '/' ? "" : "./",
		 path);
	slash = strrchr(folder, '/');
	slash[slash == folder] = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 &&
	       pst_now_ns() < end_ns)
		usleep(5000);
	return fd;
}

/* Whether the file is a socket without a server. */
static bool is_stale(const struct sockaddr_un *a)
{
	PST_CLEANUP_FD int fd = -1;
	struct stat st;

	if (lstat(a->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd >= 0 && connect(fd, (const void *)a, sizeof(*a)) < 0 &&
	       errno == ECONNREFUSED;
}

int pst_gw_listen_unix(const char *path, struct stat *ret_file,
		       struct pst_error *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	PST_CLEANUP_FD int fd = -1, lock = -1;
	int r;

	/* An empty one would be an abstract address, which has no mode. */
	if (!*path)
		return pst_error_set(err, -EINVAL,
				     "--socket: a path is missing");
	if (strlen(path) >= sizeof(a.sun_path))
		return pst_error_set(err, -EINVAL,
				     "%.64s...: too long for a "
				     "socket's path",
				     path);
	memcpy(a.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return pst_error_set_errno(err, errno, "socket");
	lock = lock_folder(path);
	if (is_stale(&a))
		(void)unlink(path);
	if (bind(fd, (const void *)&a, sizeof(a)) < 0 ||
	    listen(fd, BACKLOG) < 0 || lstat(path, ret_file) < 0)
		return pst_error_set_errno(err, errno, "cannot listen on %s",
					   path);
	r = fd;
	fd = -1;
	return r;
}

void pst_gw_listen_unlink(const char *path, const struct stat *file)
{
	const int lock = lock_folder(path);
	struct stat st;

	if (lstat(path, &st) == 0 && st.st_dev == file->st_dev &&
	    st.st_ino == file->st_ino)
		(void)unlink(path);
	pst_close_fd(lock);
}

static bool is_loopback(const union address *a)
{
	if (a->sa.sa_family == AF_INET)
		return ntohl(a->in.sin_addr.s_addr) >> 24 == 127;
	return a->sa.sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

static int resolve(const char *text, struct pst_gw_address *ret,
		   struct addrinfo **ret_info, struct pst_error *err)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	const char *colon = strrchr(text, ':');
	const size_t n = colon ? (size_t)(colon - text) : 0;
	char plain[sizeof(ret->host)];

	if (n == 0 || n >= sizeof(ret->host))
		return pst_error_set(err, -EINVAL,
				     "--listen %.64s: expected ADDRESS:PORT",
				     text);
	memcpy(ret->host, text, n);
	ret->host[n] = '\0';
	snprintf(plain, sizeof(plain), "%s", ret->host);
	if (text[0] == '[' && ret->host[n - 1] == ']') {
		memmove(plain, plain + 1, n);
		plain[n - 2] = '\0';
	}
	if (getaddrinfo(plain, colon + 1, &hints, ret_info) != 0)
		return pst_error_set(err, -EINVAL,
				     "--listen %.64s: expected a numeric "
				     "ADDRESS:PORT",
				     text);
	return 0;
}

int pst_gw_listen_tcp(const char *text, struct pst_gw_address *ret,
		      struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	struct addrinfo *info;
	union address a = {0};
	const int one = 1;
	int r;

	r = resolve(text, ret, &info, err);
	if (r < 0)
		return r;
	if (info->ai_addrlen <= sizeof(a))
		memcpy(&a, info->ai_addr, info->ai_addrlen);
	ret->is_loopback = is_loopback(&a);
	fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, info->ai_addr, info->ai_addrlen) < 0 ||
	    listen(fd, BACKLOG) < 0)
		r = pst_error_set_errno(err, errno, "cannot listen on %s",
					text);
	freeaddrinfo(info);
	if (r < 0)
		return r;
	r = fd;
	fd = -1;
	return r;
}

static void name_of(int fd, union address *ret)
{
	socklen_t n = sizeof(*ret);

	ret->sa.sa_family = AF_UNSPEC;
	if (getsockname(fd, &ret->sa, &n) < 0)
		ret->sa.sa_family = AF_UNSPEC;
}

bool pst_gw_listen_is_unix(int fd)
{
	union address a;

	name_of(fd, &a);
	return a.sa.sa_family == AF_UNIX;
}

bool pst_gw_listen_is_loopback(int fd)
{
	union address a;

	name_of(fd, &a);
	return is_loopback(&a);
}
