/* SPDX-License-Identifier: MIT */
/* Open connections and who is behind them: limits, and ends of slow ones. */
#include "host-client/gateway/http/peer.h"

#include <errno.h>
#include <sys/socket.h>

/* For the head of a request, and between two. */
#define HEAD_NS (30 * PST_NS_PER_S)

void pst_gw_peers_init(struct pst_gw_peers *p, const struct pst_gw_limits *max)
{
	*p = (struct pst_gw_peers){.max = *max};
	LIST_INIT(&p->peers);
	TAILQ_INIT(&p->conns);
}

void pst_gw_peers_done(struct pst_gw_peers *p)
{
	struct pst_gw_conn *c;

	while ((c = TAILQ_FIRST(&p->conns)))
		pst_gw_conn_free(p, c);
}

/* One reference more. */
static struct pst_gw_peer *peer_get(struct pst_gw_peers *p,
				    enum pst_gw_peer_kind kind, unsigned int id)
{
	struct pst_gw_peer *e;

	LIST_FOREACH(e, &p->peers, link)
	if (e->kind == kind && e->id == id)
		break;
	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return NULL;
		e->kind = kind;
		e->id = id;
		LIST_INSERT_HEAD(&p->peers, e, link);
	}
	e->n_refs++;
	return e;
}

static void peer_put(struct pst_gw_peer *e)
{
	if (--e->n_refs > 0)
		return;
	LIST_REMOVE(e, link);
	free(e);
}

/* Whether c is ended rather than d, which is older. */
static bool goes_first(const struct pst_gw_conn *c, const struct pst_gw_conn *d)
{
	if (c->peer != d->peer)
		return c->peer->n_conns > d->peer->n_conns;
	if (c->busy != d->busy)
		return !c->busy;
	return c->busy || c->deadline_ns < d->deadline_ns;
}

static void make_room(struct pst_gw_peers *p)
{
	struct pst_gw_conn *c, *first = NULL;

	TAILQ_FOREACH(c, &p->conns, link)
	if (!c->waiting && !c->ended && (!first || goes_first(c, first)))
		first = c;
	if (first)
		pst_gw_conn_end(first);
}

struct pst_gw_conn *pst_gw_conn_new(struct pst_gw_peers *p, int fd,
				    bool is_local)
{
	struct pst_gw_conn *c = calloc(1, sizeof(*c));
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (!c)
		return NULL;
	c->fd = fd;
	c->is_local = is_local;
	if (!is_local)
		c->peer = peer_get(p, PST_GW_PEER_STRANGER, 0);
	else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0)
		c->peer = peer_get(p, PST_GW_PEER_USER, cred.uid);
	if (!c->peer) {
		free(c);
		return NULL;
	}
	c->peer->n_conns++;
	p->n_conns++;
	TAILQ_INSERT_TAIL(&p->conns, c, link);
	pst_gw_conn_expect(c, false, HEAD_NS);
	if (p->n_conns > p->max.conns)
		make_room(p);
	return c;
}

void pst_gw_conn_free(struct pst_gw_peers *p, struct pst_gw_conn *c)
{
	p->n_conns--;
	TAILQ_REMOVE(&p->conns, c, link);
	if (!c->ended)
		c->peer->n_conns--;
	peer_put(c->peer);
	free(c);
}

int pst_gw_conn_is_token(struct pst_gw_peers *p, struct pst_gw_conn *c,
			 unsigned int token)
{
	struct pst_gw_peer *e = peer_get(p, PST_GW_PEER_TOKEN, token);

	if (!e)
		return -ENOMEM;
	if (!c->ended) {
		e->n_conns++;
		c->peer->n_conns--;
	}
	peer_put(c->peer);
	c->peer = e;
	return 0;
}

void pst_gw_conn_expect(struct pst_gw_conn *c, bool busy, uint64_t limit_ns)
{
	c->busy = busy;
	c->deadline_ns = pst_now_ns() + (limit_ns ? limit_ns : HEAD_NS);
}

int pst_gw_body_take(struct pst_gw_peers *p, struct pst_gw_conn *c,
		     uint64_t bytes)
{
	const uint64_t half = p->max.body_bytes / 2;

	if (bytes > half)
		return -EMSGSIZE;
	if (bytes > half - c->peer->body_bytes)
		return -EAGAIN;
	if (bytes > p->max.body_bytes - p->body_bytes)
		return -ENOSPC;
	c->peer->body_bytes += bytes;
	p->body_bytes += bytes;
	return 0;
}

void pst_gw_body_give(struct pst_gw_peers *p, struct pst_gw_conn *c,
		      uint64_t bytes)
{
	c->peer->body_bytes -= bytes;
	p->body_bytes -= bytes;
}

struct pst_gw_peer *pst_gw_peer_take_op(struct pst_gw_peers *p,
					struct pst_gw_conn *c)
{
	if (c->peer->n_ops >= p->max.ops)
		return NULL;
	c->peer->n_ops++;
	c->peer->n_refs++;
	return c->peer;
}

void pst_gw_peer_give_op(struct pst_gw_peer *e)
{
	e->n_ops--;
	peer_put(e);
}

void pst_gw_conn_end(struct pst_gw_conn *c)
{
	if (!c->ended)
		c->peer->n_conns--;
	c->ended = true;
	(void)shutdown(c->fd, SHUT_RDWR);
}

void pst_gw_peers_sweep(struct pst_gw_peers *p, uint64_t now_ns)
{
	struct pst_gw_conn *c;

	TAILQ_FOREACH(c, &p->conns, link)
	if (!c->ended && now_ns > c->deadline_ns)
		pst_gw_conn_end(c);
}
