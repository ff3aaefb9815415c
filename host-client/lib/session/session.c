/* SPDX-License-Identifier: MIT */
/* Checks whether a session is alive, and ends one that is lost. */
#include "host-client/lib/session/session.h"

#include <errno.h>
#include <string.h>

#include "host-client/lib/session/conn.h"
#include "host-client/lib/session/handshake.h"
#include "transport/shm.h"

/* Of a longer gap between two checks only this much counts as silence: this
 * process, or its machine, was stopped. */
#define GAP_NS (2 * PST_TICK_NS)

int pst_session_gone(const struct pst_liveness *s, struct pst_error *err)
{
	return pst_error_set(err, -ESTALE, "the session is lost: %s",
			     s->lost.text);
}

/* Pending operations complete with the failure's code, buffers become stale
 * and private, sleepers wake. */
void pst_session_lose(struct pst *c)
{
	const int code = c->channel.failed;
	uint32_t i;

	c->session.lost = c->channel.failure;
	c->session.lost_code = code;
	c->session.live = false;
	/* First of all nothing may reach the peer any more. */
	pst_memory_detach(&c->mem);
	pst_events_detach(&c->events, c->channel.sock);
	pst_channel_shut(&c->channel);
	for (i = 0; i < c->conf.n_queues; i++)
		pst_queue_end(&c->queue[i], &c->mem, code);
	/* Frees what they used, without frames: the agent is gone. */
	pst_memory_give_back(&c->mem, &c->channel);
	c->events.lost_unseen = true;
	pst_events_notify(&c->events);
	pst_wake_followers(&c->sleepers);
}

void pst_session_pay(struct pst *c)
{
	uint32_t i;

	for (i = 0; c->session.live && i < c->conf.n_queues; i++)
		if (pst_lane_client_pay(&c->queue[i].lane))
			pst_channel_wake(&c->channel);
}

void pst_session_check(struct pst *c, uint64_t now_ns)
{
	const struct pst_wire_header *hdr = pst_ctl_header(c->mem.ctl);
	uint64_t beat, gap;

	if (c->session.live &&
	    pst_shm_load(&hdr->format.epoch) != c->session.welcome.epoch)
		pst_channel_fail(&c->channel, -ESTALE,
				 "another agent has taken the region");
	pst_settle(c);
	if (!c->session.live)
		return;
	/* The caller may have read the clock before another thread, which has
	 * checked already. */
	if (now_ns < c->session.checked_ns)
		now_ns = c->session.checked_ns;
	beat = pst_shm_load(&hdr->heartbeat.value);
	gap = now_ns - c->session.checked_ns;
	if (beat != c->session.beat)
		c->session.silence_ns = 0;
	else
		c->session.silence_ns += gap < GAP_NS ? gap : GAP_NS;
	c->session.beat = beat;
	c->session.checked_ns = now_ns;
	pst_session_pay(c);
}
