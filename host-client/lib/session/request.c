/* SPDX-License-Identifier: MIT */
/* One request to the agent and its reply. */
#include "host-client/lib/session/request.h"

#include <errno.h>
#include <string.h>

#include "host-client/lib/plain/interrupt.h"
#include "host-client/lib/session/wait.h"

/* Gets the one request slot (unlocks). */
static int request_begin(struct pst *c, const struct pst_waiter *w,
			 struct pst_error *err)
{
	int r = 0;

	while (c->session.live && c->channel.req.owner && !r) {
		r = pst_interrupt_check(c->channel.req.owner, err);
		if (!r)
			r = pst_wait_step(c, w, err);
	}
	pst_wait_end(&c->sleepers);
	if (r < 0)
		return r;
	if (!c->session.live)
		return pst_session_gone(&c->session, err);
	c->channel.req.owner = pst_interrupt_thread();
	return 0;
}

static void request_end(struct pst_channel *ch, struct pst_sleepers *s)
{
	free(ch->req.payload);
	memset(&ch->req, 0, sizeof(ch->req));
	pst_wake_followers(s);
}

/* Sends the request and waits for its reply (unlocks). */
static int exchange(struct pst *c, struct pst_frame *f,
		    const struct pst_waiter *w, struct pst_error *err)
{
	uint64_t serial = c->session.serial;
	int r = 0;

	/* Frames that nobody waits for may fill tx for a moment. */
	while (!r && c->session.serial == serial &&
	       pst_channel_send(&c->channel, f) == -EAGAIN)
		r = pst_wait_step(c, w, err);
	c->channel.req.seq = f->seq;
	c->channel.req.waiting = true;
	while (!r && c->session.live && c->session.serial == serial &&
	       !c->channel.req.answered)
		r = pst_wait_step(c, w, err);
	pst_wait_end(&c->sleepers);
	if (c->channel.req.answered)
		return 0;
	if (r < 0)
		return r;
	return pst_error_set(err, c->session.lost_code, "%s",
			     c->session.lost.text);
}

int pst_request(struct pst *c, uint16_t type, const void *payload,
		uint32_t length, uint64_t deadline_ns, uint8_t **ret,
		uint32_t *ret_length, struct pst_error *err)
{
	const struct pst_waiter w = {
		.start_ns = pst_now_ns(),
		.deadline_ns = deadline_ns,
	};
	struct pst_frame f = {
		.type = type,
		.payload = payload,
		.length = length,
	};
	int r;

	r = request_begin(c, &w, err);
	if (r < 0)
		return r;
	c->channel.req.type = type;
	r = exchange(c, &f, &w, err);
	if (!r && c->channel.req.result < 0)
		r = pst_error_set(err, c->channel.req.result, "%s",
				  c->channel.req.err.text);
	if (!r && ret) {
		*ret = c->channel.req.payload;
		*ret_length = c->channel.req.length;
		c->channel.req.payload = NULL;
	}
	request_end(&c->channel, &c->sleepers);
	return r;
}
