/* SPDX-License-Identifier: MIT */
/* Sends frames on a live session's socket, and handles those that arrived. */
#include "host-client/lib/plain/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The most reads of one service, so that a flood does not hold the lock. */
#define SERVICE_READS 4
/* An agent sends at most one WAKE an operation; more are useless. */
#define WAKES_SPARE 16

int pst_channel_open(struct pst_channel *ch, int sock, struct pst_error *err)
{
	if (ch->sock < 0) {
		ch->sock = sock;
	} else {
		/* Threads may be polling the old number: it is replaced, not
		 * closed and given to somebody else. */
		if (dup3(sock, ch->sock, O_CLOEXEC) < 0)
			return pst_error_set_errno(err, errno,
						   "cannot keep the socket");
		close(sock);
	}
	ch->tx_n = 0;
	ch->unanswered = 0;
	ch->n_wakes = 0;
	ch->failed = 0;
	ch->open = true;
	return 0;
}

void pst_channel_shut(struct pst_channel *ch)
{
	ch->open = false;
	ch->failed = 0;
	ch->tx_n = 0;
	/* The number stays taken. */
	shutdown(ch->sock, SHUT_RDWR);
}

void pst_channel_fail(struct pst_channel *ch, int code, const char *fmt, ...)
{
	va_list ap;

	if (!ch->open || ch->failed)
		return;
	va_start(ap, fmt);
	vsnprintf(ch->failure.text, sizeof(ch->failure.text), fmt, ap);
	va_end(ap);
	ch->failed = code;
}

/* Sends as much of tx as the socket takes. False when it failed. */
static bool flush_tx(struct pst_channel *ch)
{
	ssize_t n;

	while (ch->tx_n) {
		n = send(ch->sock, ch->tx, ch->tx_n,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0) {
			pst_channel_fail(ch, -ECONNRESET,
					 "the agent closed the connection");
			return false;
		}
		ch->tx_n -= (size_t)n;
		memmove(ch->tx, ch->tx + n, ch->tx_n);
	}
	return true;
}

void pst_channel_wake(struct pst_channel *ch)
{
	const struct pst_frame f = {.type = PST_WIRE_WAKE};
	int64_t n;

	if (!ch->open || ch->failed)
		return;
	/* Bytes that wait for room in the socket will wake it as well, and
	 * nothing may come between the halves of a frame. */
	if (ch->tx_n == 0) {
		n = pst_frame_encode(&f, ch->tx, sizeof(ch->tx));
		if (n < 0)
			return;
		ch->tx_n = (size_t)n;
		if (!flush_tx(ch))
			return;
		/* All of it unsent: the socket is full of what wakes it. */
		if (ch->tx_n == (size_t)n)
			ch->tx_n = 0;
	} else {
		(void)flush_tx(ch);
	}
}

int pst_channel_send(struct pst_channel *ch, struct pst_frame *f)
{
	int64_t n;

	if (!ch->open || ch->failed)
		return -ECONNRESET;
	/* Only what is on its way has a number: an answer to anything else is
	 * a lie. */
	f->seq = ch->seq + 1;
	n = pst_frame_encode(f, ch->tx + ch->tx_n, sizeof(ch->tx) - ch->tx_n);
	if (n < 0)
		return -EAGAIN;
	ch->seq = f->seq;
	ch->tx_n += (size_t)n;
	ch->unanswered++;
	return flush_tx(ch) ? 0 : -ECONNRESET;
}

int pst_post(struct pst_channel *ch, uint16_t type, const void *payload,
	     uint32_t length)
{
	struct pst_frame f = {
		.type = type,
		.payload = payload,
		.length = length,
	};

	ch->n_posts++;
	return pst_channel_send(ch, &f);
}

/* An extent that was leased after its request had been given up: back it
 * goes. Should even that fail, it returns with the session's end. */
static void return_late_lease(struct pst_channel *ch, const struct pst_frame *f)
{
	struct pst_wire_lease lease;

	if (f->status == PST_WIRE_OK && pst_frame_lease(f, &lease, NULL) == 0)
		(void)pst_post(ch, PST_WIRE_RELEASE, &lease, sizeof(lease));
}

/* The same for a tensor that was created after its request had been given
 * up. */
static void return_late_tensor(struct pst_channel *ch,
			       const struct pst_frame *f)
{
	struct pst_wire_tensor t;

	if (f->status != PST_WIRE_OK || pst_frame_tensor(f, &t, NULL) < 0)
		return;
	t.size = 0;
	(void)pst_post(ch, PST_WIRE_TENSOR_DESTROY, &t, sizeof(t));
}

/* A reply: the one that is waited for, or one that nobody wants. */
static void take_reply(struct pst_channel *ch, const struct pst_frame *f)
{
	struct pst_request *q = &ch->req;

	/* One reply a request; a request never sent is ahead of all that
	 * were. */
	if (ch->unanswered == 0 || ch->seq - f->seq > UINT32_MAX / 2) {
		pst_channel_fail(ch, -EPROTO,
				 "the agent answered a request that was not "
				 "made");
		return;
	}
	ch->unanswered--;
	if (!q->waiting || f->seq != q->seq) {
		if (f->type == PST_WIRE_LEASE)
			return_late_lease(ch, f);
		else if (f->type == PST_WIRE_TENSOR_CREATE)
			return_late_tensor(ch, f);
		return;
	}
	if (f->type != q->type) {
		pst_channel_fail(ch, -EPROTO, "the agent answered %s with %s",
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
		q->result = pst_oom(&q->err);
	} else {
		if (f->length)
			memcpy(q->payload, f->payload, f->length);
		q->payload[f->length] = '\0';
	}
}

static void take_frame(struct pst_channel *ch, const struct pst_frame *f,
		       uint64_t n_ops)
{
	struct pst_error e = {0};

	if (f->reply) {
		take_reply(ch, f);
	} else if (f->type == PST_WIRE_ERROR) {
		(void)pst_frame_failure(f, &e);
		pst_channel_fail(ch, -ECONNRESET,
				 "the agent ended the session: %s", e.text);
	} else if (f->type != PST_WIRE_WAKE) {
		pst_channel_fail(ch, -EPROTO, "the agent sent %s",
				 pst_frame_name(f->type));
	} else if (++ch->n_wakes > n_ops + WAKES_SPARE) {
		pst_channel_fail(ch, -EPROTO,
				 "the agent sent %" PRIu64
				 " wake-ups for %" PRIu64 " "
				 "operations",
				 ch->n_wakes, n_ops);
	}
}

/* Handles the whole frames in rx. */
static void take_frames(struct pst_channel *ch, uint64_t n_ops)
{
	struct pst_rx *rx = &ch->rx;
	struct pst_error e = {0};
	struct pst_frame f;
	size_t used = 0;
	int64_t n = 0;

	while (!ch->failed && used < rx->n) {
		n = pst_frame_decode(rx->buf + used, rx->n - used,
				     PST_READER_CLIENT, &f, &e);
		if (n <= 0)
			break;
		take_frame(ch, &f, n_ops);
		used += (size_t)n;
	}
	if (n < 0) {
		pst_channel_fail(ch, -EPROTO, "%s", e.text);
		return;
	}
	rx->n -= used;
	memmove(rx->buf, rx->buf + used, rx->n);
}

/* Reads and handles what arrived. */
static void receive(struct pst_channel *ch, uint64_t n_ops)
{
	struct pst_rx *rx = &ch->rx;
	ssize_t n;
	int i;

	for (i = 0; i < SERVICE_READS && !ch->failed; i++) {
		/* Decode takes any whole frame, so there is room. */
		n = recv(ch->sock, rx->buf + rx->n, PST_RX_SIZE - rx->n,
			 MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			pst_channel_fail(ch, -ECONNRESET,
					 "the agent or its VM went away");
			return;
		}
		rx->n += (size_t)n;
		take_frames(ch, n_ops);
	}
}

void pst_channel_flush(struct pst_channel *ch)
{
	if (ch->open && !ch->failed)
		(void)flush_tx(ch);
}

bool pst_channel_service(struct pst_channel *ch, uint64_t n_ops)
{
	const bool before = ch->req.answered;

	ch->n_posts = 0;
	if (ch->open && !ch->failed && flush_tx(ch))
		receive(ch, n_ops);
	return ch->req.answered && !before;
}
