/* SPDX-License-Identifier: MIT */
/* The sockets of the sessions: accepted, served, lingering, closed. */
#include "guest-agent/conn.h"

#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "guest-agent/log.h"
#include "guest-agent/session.h"
#include "transport/frame.h"
#include "transport/sock.h"
#include "transport/util.h"

/* Lanes, sessions without one, connections before HELLO, and as many again
 * that linger. */
#define MAX_CONNS 128U
/* How long the last bytes have to go out. */
#define LINGER_MS 1000U
/* Looks at a lingering connection; nothing tells when its queue is empty. */
#define LINGER_LOOK_MS 10U

struct pst_conn {
	struct pst_conn *next, **link;
	struct pst_conns *conns;
	int fd;
	struct pst_source *src; /* NULL until it is in the loop */
	struct pst_session *session;
	uint64_t linger_ns; /* closed at that time; 0: does not linger */
	bool shut;          /* our side is closed */
	bool lost;          /* the peer's side is closed, or failed */
};

static void conn_close(struct pst_conn *conn)
{
	pst_session_free(conn->session);
	pst_loop_remove(conn->conns->loop, conn->src);
	pst_close_fd(conn->fd);
	*conn->link = conn->next;
	if (conn->next)
		conn->next->link = conn->link;
	conn->conns->n--;
	free(conn);
}

static int conn_send(void *arg, const void *buf, size_t n, int fd)
{
	struct pst_conn *conn = arg;
	int r;

	if (conn->lost)
		return -ECONNRESET;
	/* The first frame goes by hand: the loop passes no descriptors. A
	 * fresh socket has room for it. */
	if (!conn->src)
		r = pst_sock_send(conn->fd, buf, n, fd, pst_now_ns(), NULL);
	else
		r = pst_loop_send(conn->conns->loop, conn->src, buf, n);
	if (r < 0)
		conn->lost = true;
	return r;
}

static size_t conn_pending(void *arg)
{
	struct pst_conn *conn = arg;

	return conn->src ? pst_loop_pending(conn->src) : 0;
}

/* Lets the last bytes out before the close, which could destroy them. */
static void conn_linger(struct pst_conn *conn, uint64_t now_ns)
{
	/* What still comes is dropped, but its end has to be seen. */
	pst_loop_hold(conn->conns->loop, conn->src, false);
	if (!conn->linger_ns)
		conn->linger_ns = now_ns + LINGER_MS * PST_NS_PER_MS;
	if (conn->shut || conn_pending(conn) > 0)
		return;
	/* The peer sees the end of the stream behind the last frame. */
	shutdown(conn->fd, SHUT_WR);
	conn->shut = true;
}

/* What has come was handled, or some of it waits. */
static void conn_turned(void *arg, bool more)
{
	struct pst_conn *conn = arg;

	if (pst_session_state(conn->session) == PST_SESSION_CLOSED)
		conn_linger(conn, pst_now_ns());
	else
		pst_loop_hold(conn->conns->loop, conn->src, more);
}

static void on_data(void *arg, const uint8_t *buf, int64_t n)
{
	struct pst_conn *conn = arg;

	if (n <= 0)
		conn_close(conn);
	else
		pst_session_input(conn->session, buf, (size_t)n);
}

static bool is_unix(int fd)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);

	return getsockname(fd, (struct sockaddr *)&ss, &n) == 0 &&
	       ss.ss_family == AF_UNIX;
}

static int conn_new(struct pst_conns *c, int fd)
{
	struct pst_conn *conn = calloc(1, sizeof(*conn));
	struct pst_session_io io = {conn_send, conn_pending, conn_turned, conn};

	if (!conn ||
	    pst_session_new(c->agent, &io, is_unix(fd), &conn->session) < 0) {
		free(conn);
		pst_close_fd(fd);
		return -ENOMEM;
	}
	conn->fd = fd;
	conn->conns = c;
	conn->next = c->first;
	conn->link = &c->first;
	if (c->first)
		c->first->link = &conn->next;
	c->first = conn;
	c->n++;
	c->agent->counters.connections++;
	pst_session_challenge(conn->session, pst_now_ns());
	conn->src = pst_loop_add_stream(c->loop, fd, on_data, conn);
	if (!conn->src) {
		conn_close(conn);
		return -ENOMEM;
	}
	return 0;
}

/* An ERROR frame for a connection that does not become a session. */
static void turn_away(int fd, uint32_t status, const char *sentence)
{
	const struct pst_frame f = {
		.type = PST_WIRE_ERROR,
		.status = status,
		.payload = (const uint8_t *)sentence,
		.length = (uint32_t)strlen(sentence),
	};
	uint8_t buf[sizeof(struct pst_wire_frame) + 256];
	int64_t n = pst_frame_encode(&f, buf, sizeof(buf));

	/* Whether it arrives is not our business any more. */
	if (n > 0 &&
	    pst_sock_send(fd, buf, (size_t)n, -1, pst_now_ns(), NULL) == 0)
		shutdown(fd, SHUT_WR);
	pst_close_fd(fd);
}

static bool cid_allowed(const struct pst_conns *c, uint32_t cid)
{
	unsigned int i;

	if (cid == VMADDR_CID_HOST)
		return true;
	for (i = 0; i < c->n_cids; i++)
		if (c->cids[i] == cid)
			return true;
	return false;
}

void pst_conns_accept(void *arg, int fd)
{
	struct pst_log_about about = {0};
	struct pst_conns *c = arg;
	char text[128];
	uint32_t cid;

	if (pst_sock_peer_cid(fd, &cid) == 0 && !cid_allowed(c, cid)) {
		c->agent->counters.rejected_cid++;
		snprintf(text, sizeof(text),
			 "this agent accepts the host (CID 2) only, not CID "
			 "%u (--allow-cid)",
			 cid);
		about.cid = cid;
		pst_log_about(PST_LOG_WARNING, &about,
			      "connection from CID %u refused", cid);
		turn_away(fd, PST_WIRE_EAUTH, text);
		return;
	}
	if (c->n >= MAX_CONNS) {
		c->agent->counters.rejected_full++;
		turn_away(fd, PST_WIRE_EBUSY, "too many connections");
		return;
	}
	if (conn_new(c, fd) < 0)
		pst_log(PST_LOG_WARNING, "connection dropped: out of memory");
}

int pst_conns_serve(struct pst_conns *c, int fd, struct pst_error *err)
{
	int type, flags = fcntl(fd, F_GETFL);
	socklen_t n = sizeof(type);

	if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0) {
		pst_error_set_errno(err, errno, "--serve-fd %d", fd);
		pst_close_fd(fd);
		return err->code;
	}
	if (type != SOCK_STREAM) {
		pst_close_fd(fd);
		return pst_error_set(err, -EINVAL,
				     "--serve-fd %d: not a stream socket", fd);
	}
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
		pst_error_set_errno(err, errno, "--serve-fd %d", fd);
		pst_close_fd(fd);
		return err->code;
	}
	if (conn_new(c, fd) < 0)
		return pst_error_set(err, -ENOMEM, "out of memory");
	return 0;
}

static uint64_t tick(struct pst_conn *conn, uint64_t now_ns)
{
	uint64_t due = pst_session_tick(conn->session, now_ns);

	if (pst_session_state(conn->session) != PST_SESSION_CLOSED)
		return due;
	conn_linger(conn, now_ns);
	if (conn->lost || now_ns >= conn->linger_ns) {
		conn_close(conn);
		return UINT64_MAX;
	}
	return conn->shut ? conn->linger_ns
			  : now_ns + LINGER_LOOK_MS * PST_NS_PER_MS;
}

uint64_t pst_conns_tick(struct pst_conns *c, uint64_t now_ns)
{
	struct pst_conn *conn, *next;
	uint64_t due, first = UINT64_MAX;

	for (conn = c->first; conn; conn = next) {
		next = conn->next;
		due = tick(conn, now_ns);
		if (due < first)
			first = due;
	}
	return first;
}

void pst_conns_refuse_all(struct pst_conns *c, uint32_t status,
			  const char *sentence)
{
	struct pst_conn *conn;

	for (conn = c->first; conn; conn = conn->next)
		pst_session_refuse(conn->session, status, sentence);
}

void pst_conns_close_all(struct pst_conns *c)
{
	while (c->first)
		conn_close(c->first);
}
