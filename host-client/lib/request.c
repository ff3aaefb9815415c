/* SPDX-License-Identifier: MIT */
/* One request to the agent and its reply. */
#include <errno.h>
#include <string.h>

#include "host-client/lib/conn.h"

/* Gets the one request slot (unlocks). */
static int request_begin(struct pst *c, const struct pst_waiter *w,
			 struct pst_error *err)
{
	int r = 0;

	while (c->live && c->req.busy && !r)
		r = pst_wait_step(c, w, err);
	pst_wait_end(c);
	if (r < 0)
		return r;
	if (!c->live)
		return pst_session_gone(c, err);
	c->req.busy = true;
	return 0;
}

static void request_end(struct pst *c)
{
	free(c->req.payload);
	memset(&c->req, 0, sizeof(c->req));
	pst_wake_followers(c);
}

/* Sends the request and waits for its reply (unlocks). */
static int exchange(struct pst *c, const struct pst_frame *f,
		    const struct pst_waiter *w, struct pst_error *err)
{
	uint64_t serial = c->serial;
	int r = 0;

	/* Frames that nobody waits for may fill tx for a moment. */
	while (!r && c->serial == serial && pst_channel_send(c, f) == -EAGAIN)
		r = pst_wait_step(c, w, err);
	while (!r && c->live && c->serial == serial && !c->req.answered)
		r = pst_wait_step(c, w, err);
	pst_wait_end(c);
	if (c->req.answered)
		return 0;
	if (r < 0)
		return r;
	return pst_error_set(err, c->lost_code, "%s", c->lost.text);
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
	f.seq = ++c->seq;
	c->req.type = type;
	c->req.seq = f.seq;
	c->req.waiting = true;
	r = exchange(c, &f, &w, err);
	if (!r && c->req.result < 0)
		r = pst_error_set(err, c->req.result, "%s", c->req.err.text);
	if (!r && ret) {
		*ret = c->req.payload;
		*ret_length = c->req.length;
		c->req.payload = NULL;
	}
	request_end(c);
	return r;
}
