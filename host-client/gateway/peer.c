/* SPDX-License-Identifier: MIT */
/* Open connections and who is behind them: limits, and ends of slow ones. */
#include "host-client/gateway/peer.h"

#include <sys/socket.h>

/* For the head of a request, and between two. */
#define HEAD_NS (30 * PST_NS_PER_S)

void pst_gw_peers_init(struct pst_gw_peers *p, unsigned int max_conns)
{
	*p = (struct pst_gw_peers){.max_conns = max_conns};
	LIST_INIT(&p->peers);
	TAILQ_INIT(&p->conns);
}

void pst_gw_peers_done(struct pst_gw_peers *p)
{
	struct pst_gw_conn *c;

	while ((c = TAILQ_FIRST(&p->conns)))
		pst_gw_conn_free(p, c);
}

static struct pst_gw_peer *peer_get(struct pst_gw_peers *p,
				    enum pst_gw_peer_kind kind, unsigned int id)
{
	struct pst_gw_peer *e;

	LIST_FOREACH(e, &p->peers, link)
	if (e->kind == kind && e->id == id)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->kind = kind;
	e->id = id;
	LIST_INSERT_HEAD(&p->peers, e, link);
	return e;
}

static void peer_put(struct pst_gw_peer *e)
{
	if (e->n_conns > 0)
		return;
	LIST_REMOVE(e, link);
	free(e);
}

/* Of the peer with most connections that wait for a request, the oldest. */
static void make_room(struct pst_gw_peers *p)
{
	struct pst_gw_conn *c, *worst = NULL;

	TAILQ_FOREACH(c, &p->conns, link)
	if (!c->busy && !c->ended &&
	    (!worst || c->peer->n_conns > worst->peer->n_conns))
		worst = c;
	if (worst)
		pst_gw_conn_end(worst);
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
	if (p->n_conns >= p->max_conns)
		make_room(p);
	p->n_conns++;
	TAILQ_INSERT_TAIL(&p->conns, c, link);
	pst_gw_conn_expect(c, false, HEAD_NS);
	return c;
}

void pst_gw_conn_free(struct pst_gw_peers *p, struct pst_gw_conn *c)
{
	p->n_conns--;
	TAILQ_REMOVE(&p->conns, c, link);
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
	if (e == c->peer)
		return 0;
	e->n_conns++;
	c->peer->n_conns--;
	peer_put(c->peer);
	c->peer = e;
	return 0;
}

void pst_gw_conn_expect(struct pst_gw_conn *c, bool busy, uint64_t limit_ns)
{
	c->busy = busy;
	c->deadline_ns = pst_now_ns() + (limit_ns ? limit_ns : HEAD_NS);
}

void pst_gw_conn_end(struct pst_gw_conn *c)
{
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
