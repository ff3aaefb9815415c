/* SPDX-License-Identifier: MIT */
/* The sockets that the gateway listens on. */
#ifndef PST_HOST_CLIENT_GATEWAY_HTTP_LISTEN_H
#define PST_HOST_CLIENT_GATEWAY_HTTP_LISTEN_H

#include <sys/stat.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/*
 * Listens on a Unix socket, whose file, ret_file, has the mode that the umask
 * leaves. One that nobody serves is replaced. Returns a descriptor, or -errno
 * (-EADDRINUSE: somebody serves it).
 */
int pst_gw_listen_unix(const char *path, struct stat *ret_file,
		       struct pst_error *err);

/* Removes the socket's file while it still listens, if it is that one: another
 * gateway may have replaced it. */
void pst_gw_listen_unlink(const char *path, const struct stat *file);

/* What a text "ADDRESS:PORT" or "[ADDRESS]:PORT" says. */
struct pst_gw_address {
	char host[64]; /* as a Host header has it */
	bool is_loopback;
};

/* Listens on TCP. Returns a descriptor, or -errno. */
int pst_gw_listen_tcp(const char *text, struct pst_gw_address *ret,
		      struct pst_error *err);

/* Whether a listening socket is a Unix socket; and of another, whether it is
 * bound to the loopback. */
bool pst_gw_listen_is_unix(int fd);
bool pst_gw_listen_is_loopback(int fd);

#endif
