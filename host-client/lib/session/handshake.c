/* SPDX-License-Identifier: MIT */
/* Connects: from an endpoint to a checked WELCOME. */
#include "host-client/lib/session/handshake.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host-client/lib/plain/interrupt.h"
#include "host-client/lib/plain/spawn.h"
#include "transport/shm.h"

/* Who waits for an agent to come connects anew that often. */
#define TRY_NS (2 * PST_NS_PER_S)

/* What the steps of one handshake share. */
struct shake {
	const struct pst_conf *conf;
	struct pst_channel *ch;
	uint8_t *ctl;
	uint64_t deadline_ns;
	struct pst_session s;
	bool mapped;    /* the control area is the region's */
	bool have_map;  /* s.map is open */
	int peer_fd;    /* a region that came with CHALLENGE, or -1 */
	uid_t peer_uid; /* whose socket it is, where it has a path */
	struct pst_wire_challenge challenge;
	struct pst_wire_format format;
	struct pst_error *err;
};

/* Opens the socket; for spawn: the region is there already. */
static int connect_agent(struct shake *h)
{
	const struct pst_endpoint *ep = &h->conf->ep;
	const uint64_t now = pst_now_ns();
	uint64_t left = h->deadline_ns > now ? h->deadline_ns - now : 0;
	int fd = -1, r;

	if (ep->scheme == PST_SCHEME_SPAWN) {
		r = pst_spawn(ep, &h->s.sock, &fd, &h->s.child, h->err);
		if (r < 0)
			return r;
		r = pst_region_map_sparse(fd, &h->s.map, h->err);
		h->have_map = r == 0;
		return r;
	}
	/* A guest that boots may have lost what came before its driver. */
	if (h->conf->wait && left > TRY_NS)
		left = TRY_NS;
	r = pst_sock_connect(ep, left, h->err);
	if (r < 0)
		return r;
	h->s.sock = r;
	if (!ep->path[0])
		return 0;
	return pst_sock_check_peer(r, ep->path, &h->peer_uid, h->err);
}

/* Reads what comes next into rx, no longer than until the caller's thread is to
 * be asked (pst_set_interrupt()). Returns 0, -errno. */
static int recv_some(struct shake *h, int *ret_fd)
{
	struct pst_rx *rx = &h->ch->rx;
	uint64_t until;
	int64_t n;
	int r;

	for (;;) {
		r = pst_interrupt_ask_unlocked(h->err);
		if (r < 0)
			return r;
		/* Receiving bytes that are there reads no clock. */
		if (pst_now_ns() >= h->deadline_ns)
			return pst_error_set(h->err, -ETIMEDOUT,
					     "the agent did not shake hands in "
					     "time");
		until = pst_interrupt_next();
		if (until > h->deadline_ns)
			until = h->deadline_ns;
		n = pst_sock_recv(h->s.sock, rx->buf + rx->n,
				  PST_RX_SIZE - rx->n, ret_fd, until, h->err);
		if (n == -ETIMEDOUT && until < h->deadline_ns)
			continue;
		if (n < 0)
			return (int)n;
		rx->n += (size_t)n;
		return 0;
	}
}

/* Reads one frame into rx; the first descriptor that comes along is kept. */
static int recv_frame(struct shake *h, struct pst_frame *ret, int64_t *ret_n)
{
	struct pst_rx *rx = &h->ch->rx;
	int64_t n;
	int fd, r;

	for (;;) {
		n = pst_frame_decode(rx->buf, rx->n, PST_READER_CLIENT, ret,
				     h->err);
		if (n < 0)
			return (int)n;
		if (n > 0) {
			*ret_n = n;
			return 0;
		}
		if (rx->n == PST_RX_SIZE)
			return pst_error_set(h->err, -EPROTO,
					     "the agent's frame is longer "
					     "than any that a client gets");
		fd = -1;
		r = recv_some(h, &fd);
		if (fd >= 0 && h->peer_fd < 0)
			h->peer_fd = fd;
		else
			pst_close_fd(fd);
		if (r < 0)
			return r;
	}
}

static void consume(struct pst_rx *rx, int64_t n)
{
	rx->n -= (size_t)n;
	memmove(rx->buf, rx->buf + n, rx->n);
}

static int recv_challenge(struct shake *h)
{
	struct pst_frame f;
	int64_t n;
	int r;

	r = recv_frame(h, &f, &n);
	if (r == -ECONNRESET && h->s.child)
		return pst_spawn_ended(&h->s.child, PST_SPAWN_REAP_NS, h->err);
	if (r < 0)
		return r;
	if (f.type == PST_WIRE_ERROR) {
		r = pst_frame_failure(&f, h->err);
		return r < 0 ? r : -EPROTO;
	}
	if (f.type != PST_WIRE_CHALLENGE || f.reply)
		return pst_error_set(h->err, -EPROTO,
				     "the agent began with %s, not CHALLENGE",
				     pst_frame_name(f.type));
	r = pst_frame_challenge(&f, &h->challenge, h->err);
	if (r < 0)
		return r;
	consume(&h->ch->rx, n);
	if (h->challenge.version_min > PST_WIRE_VERSION ||
	    h->challenge.version_max < PST_WIRE_VERSION)
		return pst_error_set(
			h->err, -EPROTONOSUPPORT,
			"the agent speaks protocol %u to %u, this library %u",
			h->challenge.version_min, h->challenge.version_max,
			PST_WIRE_VERSION);
	return 0;
}

/* The region that the caller named goes before the one the agent passed. */
static int open_region(struct shake *h)
{
	const struct pst_endpoint *ep = &h->conf->ep;
	const struct pst_region_sender from = {
		.uid = h->peer_uid,
		.max_size = ep->size,
	};
	int r, fd;

	if (h->have_map)
		return 0;
	if (ep->region[0]) {
		r = pst_region_map_open(ep->region, &h->s.map, h->err);
	} else if (h->peer_fd >= 0) {
		fd = h->peer_fd;
		h->peer_fd = -1;
		r = pst_region_map_fd(fd, &from, &h->s.map, h->err);
	} else {
		return pst_error_set(
			h->err, -EINVAL,
			"the agent does not pass its region: add ?region=PATH "
			"to the endpoint");
	}
	h->have_map = r == 0;
	return r;
}

/* Maps the control area and compares its header with CHALLENGE. */
static int map_control(struct shake *h)
{
	const struct pst_span span = {.off = 0, .size = PST_WIRE_CTL_SIZE};
	const struct pst_wire_header *hdr = pst_ctl_header(h->ctl);
	struct pst_error why = {0};
	void *addr;
	int r;

	r = pst_region_map_span(&h->s.map, &span, h->ctl, &addr, h->err);
	if (r < 0)
		return r;
	h->mapped = true;
	pst_shm_read(&h->format, &hdr->format, sizeof(h->format));
	r = pst_format_check(&h->format, h->s.map.file_size, &why);
	if (r == -EPROTONOSUPPORT)
		return pst_error_set(h->err, r, "%s", why.text);
	if (r < 0 || h->format.epoch != h->challenge.epoch)
		return pst_error_set(
			h->err, -EINVAL,
			"the region %s is not the one that the agent serves",
			h->conf->ep.region);
	return 0;
}

static int send_hello(struct shake *h)
{
	const struct pst_wire_header *hdr = pst_ctl_header(h->ctl);
	struct pst_wire_hello hello = {
		.version = PST_WIRE_VERSION,
		.features = PST_WIRE_FEATURES,
		.epoch = h->challenge.epoch,
		.nonce_slot = h->challenge.nonce_slot,
		.flags =
			h->conf->control_only ? PST_WIRE_HELLO_CONTROL_ONLY : 0,
		.pid = (uint32_t)getpid(),
	};
	struct pst_frame f = {
		.type = PST_WIRE_HELLO,
		.seq = ++h->ch->seq,
		.payload = (const uint8_t *)&hello,
		.length = sizeof(hello),
	};
	uint8_t buf[sizeof(struct pst_wire_frame) + sizeof(hello)];
	int64_t n;

	if (hello.nonce_slot >= PST_WIRE_NONCE_SLOTS)
		return pst_error_set(h->err, -EPROTO,
				     "the agent's nonce slot %u does not exist",
				     hello.nonce_slot);
	pst_shm_read(hello.nonce, hdr->nonce[hello.nonce_slot].bytes,
		     sizeof(hello.nonce));
	static_assert(sizeof(hello.name) == sizeof(h->conf->name), "");
	memcpy(hello.name, h->conf->name, sizeof(hello.name));
	n = pst_frame_encode(&f, buf, sizeof(buf));
	if (n < 0)
		return (int)n;
	return pst_sock_send(h->s.sock, buf, (size_t)n, -1, h->deadline_ns,
			     h->err);
}

/* WELCOME against the file, CHALLENGE and our own request, after
 * pst_frame_welcome(): nothing in it is believed that could be checked. */
static int check_welcome(const struct shake *h)
{
	const struct pst_wire_welcome *w = &h->s.welcome;
	const struct pst_region_map *m = &h->s.map;
	bool lane_ok = h->conf->control_only ? w->lane == UINT32_MAX
					     : w->lane < h->format.n_lanes;
	const char *bad = NULL;

	if (w->epoch != h->challenge.epoch)
		bad = "epoch";
	else if (!lane_ok)
		bad = "lane";
	else if (w->file_size != m->file_size)
		bad = "region size";
	else if (memcmp(w->region_uuid, m->uuid, sizeof(m->uuid)) != 0)
		bad = "region UUID";
	else if (w->arena_off != PST_WIRE_CTL_SIZE || w->arena_size == 0 ||
		 w->arena_size % PST_WIRE_UNIT ||
		 w->arena_size >
			 m->file_size - PST_WIRE_PREAMBLE - w->arena_off)
		bad = "arena";
	if (bad)
		return pst_error_set(h->err, -EPROTO,
				     "the agent's WELCOME has a wrong %s", bad);
	return 0;
}

static int recv_welcome(struct shake *h)
{
	struct pst_frame f;
	int64_t n;
	int r;

	r = recv_frame(h, &f, &n);
	if (r < 0)
		return r;
	if (f.type == PST_WIRE_ERROR ||
	    (f.type == PST_WIRE_HELLO && f.reply && f.status)) {
		r = pst_frame_failure(&f, h->err);
		return r < 0 ? r : -EPROTO;
	}
	if (f.type != PST_WIRE_HELLO || !f.reply || f.seq != h->ch->seq)
		return pst_error_set(h->err, -EPROTO,
				     "the agent answered HELLO with %s",
				     pst_frame_name(f.type));
	r = pst_frame_welcome(&f, &h->s.welcome, h->err);
	if (r < 0)
		return r;
	consume(&h->ch->rx, n);
	return check_welcome(h);
}

/* Sends LANES for as many as there are queues. */
static int send_lanes(struct shake *h)
{
	const struct pst_wire_lanes want = {.n = h->conf->n_queues};
	const struct pst_frame f = {
		.type = PST_WIRE_LANES,
		.seq = ++h->ch->seq,
		.payload = (const uint8_t *)&want,
		.length = sizeof(want),
	};
	uint8_t buf[sizeof(struct pst_wire_frame) + sizeof(want)];
	int64_t n = pst_frame_encode(&f, buf, sizeof(buf));

	if (n < 0)
		return (int)n;
	return pst_sock_send(h->s.sock, buf, (size_t)n, -1, h->deadline_ns,
			     h->err);
}

/* The lanes against WELCOME, the region and what was asked for. */
static int check_lanes(const struct shake *h)
{
	const struct pst_wire_lanes *l = &h->s.lanes;
	bool ok = l->n <= h->conf->n_queues && l->lane[0] == h->s.welcome.lane;
	uint32_t i;

	for (i = 0; i < l->n && ok; i++)
		ok = l->lane[i] < h->format.n_lanes;
	return ok ? 0
		  : pst_error_set(h->err, -EPROTO,
				  "the agent gave lanes that are not there or "
				  "were not asked for");
}

/* The session's lanes: WELCOME's, and one for each further queue as far as the
 * agent has them. */
static int get_lanes(struct shake *h)
{
	struct pst_frame f;
	int64_t n;
	int r;

	if (h->conf->control_only)
		return 0;
	h->s.lanes.n = 1;
	h->s.lanes.lane[0] = h->s.welcome.lane;
	if (h->conf->n_queues == 1 ||
	    !(h->s.welcome.features & PST_WIRE_FEATURE_LANES))
		return 0;
	if ((r = send_lanes(h)) < 0 || (r = recv_frame(h, &f, &n)) < 0)
		return r;
	r = pst_frame_failure(&f, h->err);
	if (r < 0)
		return r;
	if (f.type != PST_WIRE_LANES || !f.reply || f.seq != h->ch->seq)
		return pst_error_set(h->err, -EPROTO,
				     "the agent answered LANES with %s",
				     pst_frame_name(f.type));
	r = pst_frame_lanes(&f, &h->s.lanes, h->err);
	if (r < 0)
		return r;
	consume(&h->ch->rx, n);
	return check_lanes(h);
}

int pst_handshake(const struct pst_conf *conf, struct pst_channel *ch,
		  uint8_t *ctl, uint64_t deadline_ns, struct pst_session *ret,
		  struct pst_error *err)
{
	struct shake h = {
		.conf = conf,
		.ch = ch,
		.ctl = ctl,
		.deadline_ns = deadline_ns,
		.s = {.sock = -1},
		.peer_fd = -1,
		.err = err,
	};
	int r;

	ch->rx.n = 0;
	if ((r = connect_agent(&h)) < 0 || (r = recv_challenge(&h)) < 0 ||
	    (r = open_region(&h)) < 0 || (r = map_control(&h)) < 0 ||
	    (r = send_hello(&h)) < 0 || (r = recv_welcome(&h)) < 0 ||
	    (r = get_lanes(&h)) < 0)
		goto undo;
	pst_close_fd(h.peer_fd);
	*ret = h.s;
	return 0;
undo:
	if (h.mapped && pst_region_map_detach(ctl, PST_WIRE_CTL_SIZE) < 0)
		r = pst_oom(err);
	if (h.have_map)
		pst_region_map_close(&h.s.map);
	pst_close_fd(h.peer_fd);
	pst_close_fd(h.s.sock);
	/* One that has not come up in time has nothing to finish. */
	pst_spawn_reap(h.s.child,
		       r == -ETIMEDOUT || r == -EINTR ? 0 : PST_SPAWN_REAP_NS);
	return r;
}
