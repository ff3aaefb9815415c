/* SPDX-License-Identifier: MIT */
/* The sockets of the sessions: accepted, served, lingering, closed. */
#include "guest-agent/serve/conn.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/vm_sockets.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "guest-agent/serve/state/session.h"
#include "guest-agent/service/log.h"
#include "transport/base/util.h"
#include "transport/frame.h"
#include "transport/sock.h"

/* Connections before HELLO, as far as descriptors go. At 50 ms each these are
 * 20000 a second, or half of it from one uid. */
#define MAX_WAITING 1024U
#define MIN_WAITING 16U
/* Sessions that have ended, and connections that were refused, while their
 * peers do not close. */
#define MAX_ENDED   64U
#define MAX_REFUSED 64U
/* Left for all else that the agent opens. */
#define OTHER_FDS 256U
/* How long the last bytes have to go out. */
#define LINGER_MS 1000U
/* The interval for polling a lingering connection: no event tells when its
 * queue is empty. */
#define LINGER_LOOK_MS 10U

struct pst_agent_conn {
	TAILQ_ENTRY(pst_agent_conn) link; /* the oldest of its stage is first */
	enum pst_agent_conn_stage stage;
	struct pst_agent_door_place place; /* while WAITING */
	struct pst_agent_conns *conns;
	int fd;
	struct pst_source *src; /* NULL until it is in the loop */
	struct pst_agent_session *session;
	uint64_t linger_ns; /* closed at that time; 0: does not linger */
	bool shut;          /* our side is closed */
	bool lost;          /* the peer's side is closed, or failed */
};

#define conn_of(p)                                                             \
	((struct pst_agent_conn *)(void *)((char *)(p)-offsetof(               \
		struct pst_agent_conn, place)))

static const unsigned int stage_max[PST_AGENT_CONN_STAGES] = {
	[PST_AGENT_CONN_WAITING] = UINT_MAX, /* the door sees to it */
	[PST_AGENT_CONN_OPEN] = UINT_MAX,    /* HELLO does */
	[PST_AGENT_CONN_ENDED] = MAX_ENDED,
	[PST_AGENT_CONN_REFUSED] = MAX_REFUSED,
};

static void stage_leave(struct pst_agent_conn *conn)
{
	struct pst_agent_conns *c = conn->conns;

	if (conn->stage == PST_AGENT_CONN_WAITING)
		pst_agent_door_leave(&c->door, &conn->place);
	TAILQ_REMOVE(&c->stages[conn->stage], conn, link);
	c->n_stage[conn->stage]--;
}

static void conn_close(struct pst_agent_conn *conn)
{
	pst_agent_session_free(conn->session);
	pst_loop_remove(conn->conns->loop, conn->src);
	pst_close_fd(conn->fd);
	stage_leave(conn);
	conn->conns->n--;
	free(conn);
}

/* The oldest makes room, since its last bytes have had the most time. */
static void stage_enter(struct pst_agent_conn *conn,
			enum pst_agent_conn_stage stage)
{
	struct pst_agent_conns *c = conn->conns;

	if (c->n_stage[stage] >= stage_max[stage])
		conn_close(TAILQ_FIRST(&c->stages[stage]));
	conn->stage = stage;
	TAILQ_INSERT_TAIL(&c->stages[stage], conn, link);
	c->n_stage[stage]++;
}

static int conn_send(void *arg, const void *buf, size_t n, int fd)
{
	struct pst_agent_conn *conn = arg;
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
	struct pst_agent_conn *conn = arg;

	return conn->src ? pst_loop_pending(conn->src) : 0;
}

/* Lets the last bytes out before the close, which could destroy them. */
static void conn_linger(struct pst_agent_conn *conn, uint64_t now_ns)
{
	/* Further bytes are dropped, but the end of the stream must be seen. */
	pst_loop_hold(conn->conns->loop, conn->src, false);
	if (!conn->linger_ns)
		conn->linger_ns = now_ns + LINGER_MS * PST_NS_PER_MS;
	if (conn->shut || conn_pending(conn) > 0)
		return;
	/* The peer sees the end of the stream behind the last frame. */
	shutdown(conn->fd, SHUT_WR);
	conn->shut = true;
}

/* Puts a connection where its session's state belongs. */
static void conn_sort(struct pst_agent_conn *conn, uint64_t now_ns)
{
	const enum pst_agent_session_state state =
		pst_agent_session_state(conn->session);
	const enum pst_agent_conn_stage was = conn->stage;

	if (state == PST_AGENT_SESSION_OPEN && was == PST_AGENT_CONN_WAITING) {
		stage_leave(conn);
		stage_enter(conn, PST_AGENT_CONN_OPEN);
	} else if (state == PST_AGENT_SESSION_CLOSED &&
		   was < PST_AGENT_CONN_ENDED) {
		stage_leave(conn);
		stage_enter(conn, was == PST_AGENT_CONN_OPEN
					  ? PST_AGENT_CONN_ENDED
					  : PST_AGENT_CONN_REFUSED);
	}
	if (state == PST_AGENT_SESSION_CLOSED)
		conn_linger(conn, now_ns);
}

/* What has come was handled, or some of it waits. */
static void conn_turned(void *arg, bool more)
{
	struct pst_agent_conn *conn = arg;

	conn_sort(conn, pst_now_ns());
	if (pst_agent_session_state(conn->session) != PST_AGENT_SESSION_CLOSED)
		pst_loop_hold(conn->conns->loop, conn->src, more);
}

static void on_data(void *arg, const uint8_t *buf, int64_t n)
{
	struct pst_agent_conn *conn = arg;

	if (n <= 0)
		conn_close(conn);
	else
		pst_agent_session_input(conn->session, buf, (size_t)n);
}

/* Returns 0, or -errno; the descriptor is closed then. */
static int conn_new(struct pst_agent_conns *c, int fd,
		    const struct pst_sock_peer *peer, uint64_t now_ns,
		    struct pst_agent_conn **ret)
{
	struct pst_agent_conn *conn = calloc(1, sizeof(*conn));
	struct pst_agent_session_io io = {conn_send, conn_pending, conn_turned,
					  conn};

	if (!conn || pst_agent_session_new(c->agent, &io, peer->is_unix,
					   &conn->session) < 0) {
		free(conn);
		pst_close_fd(fd);
		return -ENOMEM;
	}
	if (!pst_agent_door_enter(&c->door, &conn->place, peer->is_unix,
				  peer->uid, now_ns)) {
		pst_agent_session_free(conn->session);
		free(conn);
		pst_close_fd(fd);
		return -EBUSY;
	}
	conn->fd = fd;
	conn->conns = c;
	stage_enter(conn, PST_AGENT_CONN_WAITING);
	c->n++;
	c->agent->counters.connections++;
	pst_agent_session_challenge(conn->session, now_ns);
	conn->src = pst_loop_add_stream(c->loop, fd, on_data, conn);
	if (!conn->src) {
		conn_close(conn);
		return -ENOMEM;
	}
	*ret = conn;
	return 0;
}

static const char *why_dropped(int r)
{
	return r == -EBUSY ? "too many wait for HELLO" : "out of memory";
}

/* Until there is room for the newcomer. Returns when its listener goes on. */
static uint64_t make_room(struct pst_agent_conns *c,
			  struct pst_agent_conn *newcomer, uint64_t now_ns)
{
	struct pst_agent_door_place *out;
	uint64_t rest_ns;

	while ((out = pst_agent_door_show_out(&c->door, &newcomer->place,
					      now_ns, &rest_ns))) {
		c->agent->counters.rejected_full++;
		pst_agent_session_refuse(
			conn_of(out)->session, PST_WIRE_EBUSY,
			"too many connections wait for HELLO, and this one "
			"has waited longest");
		conn_sort(conn_of(out), now_ns);
	}
	return rest_ns;
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

static bool cid_allowed(const struct pst_agent_conns *c, uint32_t cid)
{
	unsigned int i;

	if (cid == VMADDR_CID_HOST)
		return true;
	for (i = 0; i < c->n_cids; i++)
		if (c->cids[i] == cid)
			return true;
	return false;
}

/* Whether the peer may connect; if not, it gets an ERROR frame. An unknown peer
 * may not. */
static bool admit(struct pst_agent_conns *c, int fd, struct pst_sock_peer *peer)
{
	struct pst_agent_log_about about = {0};
	char text[128];
	int r = pst_sock_peer(fd, peer);

	if (r == 0 && (peer->is_unix || cid_allowed(c, peer->cid)))
		return true;
	c->agent->counters.rejected_cid++;
	if (r < 0) {
		pst_agent_log_peer(
			PST_AGENT_LOG_WARNING, NULL,
			"connection refused: cannot read the peer's address: "
			"%s",
			strerror(-r));
		turn_away(fd, PST_WIRE_EAUTH,
			  "the peer's address cannot be "
			  "read");
		return false;
	}
	snprintf(text, sizeof(text),
		 "this agent accepts the host (CID 2) only, not CID %u "
		 "(--allow-cid)",
		 peer->cid);
	about.cid = peer->cid;
	pst_agent_log_peer(PST_AGENT_LOG_WARNING, &about,
			   "connection from CID %u refused", peer->cid);
	turn_away(fd, PST_WIRE_EAUTH, text);
	return false;
}

uint64_t pst_agent_conns_accept(void *arg, int fd)
{
	const uint64_t now = pst_now_ns();
	struct pst_agent_conns *c = arg;
	struct pst_sock_peer peer;
	struct pst_agent_conn *conn;
	uint64_t rest_ns;
	int r;

	if (!admit(c, fd, &peer))
		return 0;
	r = conn_new(c, fd, &peer, now, &conn);
	if (r < 0) {
		pst_agent_log_peer(PST_AGENT_LOG_WARNING, NULL,
				   "connection dropped: %s", why_dropped(r));
		return 0;
	}
	rest_ns = make_room(c, conn, now);
	/* It may be closed already, and then needs no room. */
	conn_sort(conn, now);
	return rest_ns;
}

int pst_agent_conns_serve(struct pst_agent_conns *c, int fd,
			  struct pst_error *err)
{
	int r, type, flags = fcntl(fd, F_GETFL);
	struct pst_sock_peer peer = {0};
	socklen_t n = sizeof(type);
	struct pst_agent_conn *conn;

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
	/* The process that passed it has checked the peer. */
	if (pst_sock_peer(fd, &peer) < 0)
		peer.is_unix = false;
	r = conn_new(c, fd, &peer, pst_now_ns(), &conn);
	if (r < 0)
		return pst_error_set(err, r, "--serve-fd %d: %s", fd,
				     why_dropped(r));
	return 0;
}

static uint64_t tick(struct pst_agent_conn *conn, uint64_t now_ns)
{
	uint64_t due = pst_agent_session_tick(conn->session, now_ns);

	conn_sort(conn, now_ns);
	if (pst_agent_session_state(conn->session) != PST_AGENT_SESSION_CLOSED)
		return due;
	if (conn->lost || now_ns >= conn->linger_ns) {
		conn_close(conn);
		return UINT64_MAX;
	}
	return conn->shut ? conn->linger_ns
			  : now_ns + LINGER_LOOK_MS * PST_NS_PER_MS;
}

/* Those that wait say HELLO within the same time: nothing is due of any before
 * it is of the oldest. */
static uint64_t tick_waiting(struct pst_agent_conns *c, uint64_t now_ns)
{
	struct pst_agent_conn *conn;
	uint64_t due;

	while ((conn = TAILQ_FIRST(&c->stages[PST_AGENT_CONN_WAITING]))) {
		due = tick(conn, now_ns);
		if (conn == TAILQ_FIRST(&c->stages[PST_AGENT_CONN_WAITING]))
			return due;
	}
	return UINT64_MAX;
}

uint64_t pst_agent_conns_tick(struct pst_agent_conns *c, uint64_t now_ns)
{
	uint64_t due, first = tick_waiting(c, now_ns);
	const uint64_t log_ns = pst_agent_log_tick(now_ns);
	struct pst_agent_conn *conn, *next;
	unsigned int i;

	if (log_ns < first)
		first = log_ns;
	for (i = PST_AGENT_CONN_OPEN; i < PST_AGENT_CONN_STAGES; i++)
		for (conn = TAILQ_FIRST(&c->stages[i]); conn; conn = next) {
			next = TAILQ_NEXT(conn, link);
			due = tick(conn, now_ns);
			if (due < first)
				first = due;
		}
	return first;
}

void pst_agent_conns_refuse_all(struct pst_agent_conns *c, uint32_t status,
				const char *sentence)
{
	const uint64_t now = pst_now_ns();
	struct pst_agent_conn *conn, *next;
	unsigned int i;

	for (i = PST_AGENT_CONN_WAITING; i <= PST_AGENT_CONN_OPEN; i++)
		for (conn = TAILQ_FIRST(&c->stages[i]); conn; conn = next) {
			next = TAILQ_NEXT(conn, link);
			pst_agent_session_refuse(conn->session, status,
						 sentence);
			conn_sort(conn, now);
		}
}

/* Descriptors for as many as may wait, or as many as there are descriptors
 * for. */
static unsigned int waiting_max(void)
{
	const rlim_t other = OTHER_FDS + MAX_ENDED + MAX_REFUSED +
			     PST_WIRE_MAX_LANES + PST_AGENT_SESSION_MAX_CONTROL;
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return MIN_WAITING;
	if (l.rlim_cur < MAX_WAITING + other) {
		l.rlim_cur = l.rlim_max < MAX_WAITING + other
				     ? l.rlim_max
				     : MAX_WAITING + other;
		if (setrlimit(RLIMIT_NOFILE, &l) < 0 &&
		    getrlimit(RLIMIT_NOFILE, &l) < 0)
			return MIN_WAITING;
	}
	if (l.rlim_cur >= MAX_WAITING + other)
		return MAX_WAITING;
	return l.rlim_cur < other + MIN_WAITING
		       ? MIN_WAITING
		       : (unsigned int)(l.rlim_cur - other);
}

int pst_agent_conns_init(struct pst_agent_conns *c, struct pst_agent *a,
			 struct pst_loop *loop)
{
	unsigned int i;
	int r;

	*c = (struct pst_agent_conns){.agent = a, .loop = loop};
	for (i = 0; i < PST_AGENT_CONN_STAGES; i++)
		TAILQ_INIT(&c->stages[i]);
	r = pst_agent_door_init(&c->door, waiting_max());
	c->agent = r < 0 ? NULL : a;
	return r;
}

void pst_agent_conns_done(struct pst_agent_conns *c)
{
	unsigned int i;

	if (!c->agent)
		return;
	for (i = 0; i < PST_AGENT_CONN_STAGES; i++)
		while (!TAILQ_EMPTY(&c->stages[i]))
			conn_close(TAILQ_FIRST(&c->stages[i]));
	pst_agent_door_done(&c->door);
	c->agent = NULL;
}
