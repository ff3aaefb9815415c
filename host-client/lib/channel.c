/* SPDX-License-Identifier: MIT */
/* Frames on a live session's socket: sending, and handling what arrived. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include "host-client/lib/conn.h"

/* Reads of one service at most, so that a flood does not hold the lock. */
#define SERVICE_READS 4
/* An agent sends at most one WAKE an operation; more are for nothing. */
#define WAKES_SPARE 16

void pst_channel_fail(struct pst *c, int code, const char *fmt, ...)
{
	va_list ap;

	if (!c->session.live || c->channel.failed)
		return;
	va_start(ap, fmt);
	vsnprintf(c->channel.failure.text, sizeof(c->channel.failure.text), fmt,
		  ap);
	va_end(ap);
	c->channel.failed = code;
}

/* Sends as much of tx as the socket takes. False when it failed. */
static bool flush_tx(struct pst *c)
{
	ssize_t n;

	while (c->channel.tx_n) {
		n = send(c->channel.sock, c->channel.tx, c->channel.tx_n,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0) {
			pst_channel_fail(c, -ECONNRESET,
					 "the agent closed the connection");
			return false;
		}
		c->channel.tx_n -= (size_t)n;
		memmove(c->channel.tx, c->channel.tx + n, c->channel.tx_n);
	}
	return true;
}

void pst_wake(struct pst *c)
{
	const struct pst_frame f = {.type = PST_WIRE_WAKE};
	int64_t n;

	if (!c->session.live || c->channel.failed)
		return;
	/* Bytes that wait for room in the socket will wake it as well, and
	 * nothing may come between the halves of a frame. */
	if (c->channel.tx_n == 0) {
		n = pst_frame_encode(&f, c->channel.tx, sizeof(c->channel.tx));
		if (n < 0)
			return;
		c->channel.tx_n = (size_t)n;
		if (!flush_tx(c))
			return;
		/* All of it unsent: the socket is full of what wakes it. */
		if (c->channel.tx_n == (size_t)n)
			c->channel.tx_n = 0;
	} else {
		(void)flush_tx(c);
	}
}

int pst_channel_send(struct pst *c, const struct pst_frame *f)
{
	int64_t n;

	if (!c->session.live || c->channel.failed)
		return -ECONNRESET;
	n = pst_frame_encode(f, c->channel.tx + c->channel.tx_n,
			     sizeof(c->channel.tx) - c->channel.tx_n);
	if (n < 0)
		return -EAGAIN;
	c->channel.tx_n += (size_t)n;
	c->channel.unanswered++;
	return flush_tx(c) ? 0 : -ECONNRESET;
}

int pst_post(struct pst *c, uint16_t type, const void *payload, uint32_t length)
{
	struct pst_frame f = {
		.type = type,
		.payload = payload,
		.length = length,
	};

	/* A handshake counts requests without the lock. */
	if (!c->session.live)
		return -ECONNRESET;
	f.seq = ++c->channel.seq;
	c->channel.n_posts++;
	return pst_channel_send(c, &f);
}

/* An extent that was leased after its request had been given up: back it
 * goes. Should even that fail, it returns with the session's end. */
static void return_late_lease(struct pst *c, const struct pst_frame *f)
{
	struct pst_wire_lease lease;

	if (f->status == PST_WIRE_OK && pst_frame_lease(f, &lease, NULL) == 0)
		(void)pst_post(c, PST_WIRE_RELEASE, &lease, sizeof(lease));
}

/* Likewise a tensor. */
static void return_late_tensor(struct pst *c, const struct pst_frame *f)
{
	struct pst_wire_tensor t;

	if (f->status != PST_WIRE_OK || pst_frame_tensor(f, &t, NULL) < 0)
		return;
	t.size = 0;
	(void)pst_post(c, PST_WIRE_TENSOR_DESTROY, &t, sizeof(t));
}

/* A reply: the one that is waited for, or one that nobody wants. */
static void take_reply(struct pst *c, const struct pst_frame *f)
{
	struct pst_request *q = &c->channel.req;

	/* One reply a request; a request never sent is ahead of all that
	 * were. */
	if (c->channel.unanswered == 0 ||
	    c->channel.seq - f->seq > UINT32_MAX / 2) {
		pst_channel_fail(c, -EPROTO,
				 "the agent answered a request that was not "
				 "made");
		return;
	}
	c->channel.unanswered--;
	if (!q->waiting || f->seq != q->seq) {
		if (f->type == PST_WIRE_LEASE)
			return_late_lease(c, f);
		else if (f->type == PST_WIRE_TENSOR_CREATE)
			return_late_tensor(c, f);
		return;
	}
	if (f->type != q->type) {
		pst_channel_fail(c, -EPROTO, "the agent answered %s with %s",
				 pst_frame_name(q->type),
				 pst_frame_name(f->type));
		return;
	}
	q->waiting = false;
	q->answered = true;
	q->result = pst_frame_failure(f, &q->err);
	q->length = f->length;
	q->payload = malloc((size_t)f->length + 1);
	if (!q->payload) {
		q->result = pst_error_set(&q->err, -ENOMEM, "out of memory");
	} else {
		if (f->length)
			memcpy(q->payload, f->payload, f->length);
		q->payload[f->length] = '\0';
	}
	pst_wake_followers(c);
}

static void take_frame(struct pst *c, const struct pst_frame *f)
{
	struct pst_error e = {0};

	if (f->reply) {
		take_reply(c, f);
	} else if (f->type == PST_WIRE_ERROR) {
		(void)pst_frame_failure(f, &e);
		pst_channel_fail(c, -ECONNRESET,
				 "the agent ended the session: %s", e.text);
	} else if (f->type != PST_WIRE_WAKE) {
		pst_channel_fail(c, -EPROTO, "the agent sent %s",
				 pst_frame_name(f->type));
	} else if (++c->channel.n_wakes > c->queue.lane.sq_tail + WAKES_SPARE) {
		pst_channel_fail(c, -EPROTO,
				 "the agent sent %llu wake-ups for %llu "
				 "operations",
				 (unsigned long long)c->channel.n_wakes,
				 (unsigned long long)c->queue.lane.sq_tail);
	}
}

/* Handles the whole frames in rx. */
static void take_frames(struct pst *c)
{
	struct pst_rx *rx = &c->channel.rx;
	struct pst_error e = {0};
	struct pst_frame f;
	size_t used = 0;
	int64_t n = 0;

	while (!c->channel.failed && used < rx->n) {
		n = pst_frame_decode(rx->buf + used, rx->n - used,
				     PST_READER_CLIENT, &f, &e);
		if (n <= 0)
			break;
		take_frame(c, &f);
		used += (size_t)n;
	}
	if (n < 0) {
		pst_channel_fail(c, -EPROTO, "%s", e.text);
		return;
	}
	rx->n -= used;
	memmove(rx->buf, rx->buf + used, rx->n);
}

void pst_socket_service(struct pst *c)
{
	struct pst_rx *rx = &c->channel.rx;
	ssize_t n;
	int i;

	c->channel.n_posts = 0;
	if (!c->session.live || c->channel.failed || !flush_tx(c))
		return;
	for (i = 0; i < SERVICE_READS && !c->channel.failed; i++) {
		/* Decode takes any whole frame, so there is room. */
		n = recv(c->channel.sock, rx->buf + rx->n, PST_RX_SIZE - rx->n,
			 MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			pst_channel_fail(c, -ECONNRESET,
					 "the agent or its VM went away");
			return;
		}
		rx->n += (size_t)n;
		take_frames(c);
	}
}
