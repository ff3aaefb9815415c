/* SPDX-License-Identifier: MIT */
/* Checks that a Unix socket's server is the owner of the socket file. */
#include "transport/sock.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int pst_sock_check_peer(int fd, const char *path, uid_t *ret,
			struct pst_error *err)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);
	struct stat st;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
		return pst_error_set_errno(err, errno, "socket %s", path);
	if (peer.uid != 0 && peer.uid != geteuid()) {
		if (stat(path, &st) < 0)
			return pst_error_set_errno(err, errno, "socket %s",
						   path);
		if (st.st_uid != peer.uid)
			return pst_error_set(err, -EPERM,
					     "uid %u answers at %s, which "
					     "belongs to uid %u",
					     peer.uid, path, st.st_uid);
	}
	*ret = peer.uid;
	return 0;
}
