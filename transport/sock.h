/* SPDX-License-Identifier: MIT */
/* Endpoints as text, and the stream sockets they name. */
#ifndef PST_TRANSPORT_SOCK_H
#define PST_TRANSPORT_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "transport/base/error.h"

enum pst_scheme {
	PST_SCHEME_VSOCK,     /* vsock://CID:PORT?region=PATH */
	PST_SCHEME_VSOCK_UDS, /* vsock-uds:///path:PORT?region=PATH */
	PST_SCHEME_UNIX,      /* unix:///path[?region=PATH] */
	PST_SCHEME_SPAWN,     /* spawn:[?agent=PATH&size=SIZE&threads=N] */
};

struct pst_endpoint {
	enum pst_scheme scheme;
	uint32_t cid;
	uint32_t port;
	char path[108];    /* sun_path of the socket */
	char region[4096]; /* region file, empty when none was named */
	char agent[4096];  /* spawn: the program; empty: found by the library */
	/* Bytes of the region: spawn: makes it so, unix: takes no larger one
	 * from the agent. 0: default. */
	uint64_t size;
	uint32_t threads; /* spawn: BLAS threads, 0: default */
};

/*
 * Parses an endpoint URI; %XX escapes are decoded in paths. A pure function.
 * Returns 0, -EINVAL (not a URI of a known scheme, or with an unknown or
 * repeated parameter; the sentence says what was expected), -EMSGSIZE (path
 * too long).
 */
int pst_endpoint_parse(const char *uri, struct pst_endpoint *ret,
		       struct pst_error *err);

/* What an agent listens on: vsock:PORT, unix:PATH. */
struct pst_listen {
	enum pst_scheme scheme; /* VSOCK or UNIX */
	uint32_t port;
	char path[108];
};

int pst_listen_parse(const char *spec, struct pst_listen *ret,
		     struct pst_error *err);

/*
 * Connects within timeout_ns (all of it: the CONNECT handshake included).
 * VSOCK_UDS speaks "CONNECT port\n", expects "OK n\n". Returns a blocking,
 * close-on-exec descriptor that the caller owns, or -ECONNREFUSED, -ENOENT,
 * -EACCES, -ENODEV (no AF_VSOCK or no such CID), -ETIMEDOUT, -EPROTO
 * (handshake), -errno. SPAWN is -EINVAL.
 */
int pst_sock_connect(const struct pst_endpoint *ep, uint64_t timeout_ns,
		     struct pst_error *err);

/*
 * Checks that the server of the socket at path, to which fd is connected, is
 * root, the caller, or the owner of path. Any other user has put a socket of
 * its own there. Returns 0 and the user, -EPERM, -errno.
 */
int pst_sock_check_peer(int fd, const char *path, uid_t *ret,
			struct pst_error *err);

/*
 * Listens. A UNIX path is created with mode 0660 minus umask; a stale socket
 * file there (nobody accepts) is replaced, a live one is -EADDRINUSE. Returns
 * a non-blocking descriptor, or -errno.
 */
int pst_sock_listen(const struct pst_listen *l, struct pst_error *err);

/* The process at the other end. */
struct pst_sock_peer {
	bool is_unix;
	uint32_t uid, pid; /* of UNIX: the client's, from the kernel */
	uint32_t cid;      /* of vsock */
};

/* Returns 0, -EAFNOSUPPORT (neither UNIX nor vsock), -errno (not connected any
 * more, no socket). */
int pst_sock_peer(int fd, struct pst_sock_peer *ret);

/*
 * Writes all of [buf, +n), without SIGPIPE, until the deadline
 * (pst_now_ns() clock). pass_fd >= 0 goes along as SCM_RIGHTS with the first
 * byte. Returns 0, -ECONNRESET, -ETIMEDOUT, -errno.
 */
int pst_sock_send(int fd, const void *buf, size_t n, int pass_fd,
		  uint64_t deadline_ns, struct pst_error *err);

/*
 * Reads at least 1 and at most n bytes until the deadline; ret_fd (may be
 * NULL) receives one passed descriptor, close-on-exec, or -1; further ones
 * are closed. Returns the bytes, -ECONNRESET (end of stream too),
 * -ETIMEDOUT, -errno.
 */
int pst_sock_recv(int fd, void *buf, size_t n, int *ret_fd,
		  uint64_t deadline_ns, struct pst_error *err);

#endif
