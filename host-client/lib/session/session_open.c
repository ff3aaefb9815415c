/* SPDX-License-Identifier: MIT */
/* Opens a session when one is needed. */
#include "host-client/lib/session/session_open.h"

#include <errno.h>
#include <unistd.h>

#include "host-client/lib/plain/interrupt.h"
#include "host-client/lib/plain/spawn.h"
#include "host-client/lib/session/handshake.h"
#include "transport/shm.h"

/* Takes over what the handshake brought. */
static int install(struct pst *c, struct pst_session *s, struct pst_error *err)
{
	const struct pst_wire_welcome *w = &s->welcome;
	struct pst_wire_header *hdr = pst_ctl_header(c->mem.ctl);
	int r = pst_channel_open(&c->channel, s->sock, err);
	uint32_t i;

	if (r < 0)
		return r;
	c->session.child = s->child;
	c->mem.map = s->map;
	c->session.welcome = *w;
	c->session.dead_ns = c->conf.dead_opt_ns;
	if (!c->session.dead_ns)
		c->session.dead_ns =
			w->emulated ? PST_DEAD_EMULATED_NS : PST_DEAD_NS;
	c->session.n_lanes = s->lanes.n;
	for (i = 0; i < c->conf.n_queues; i++)
		pst_lane_client_init(
			&c->queue[i].lane,
			i < s->lanes.n
				? pst_region_lane(c->mem.ctl, s->lanes.lane[i])
				: NULL,
			&hdr->agent_wake);
	c->session.beat = pst_shm_load(&hdr->heartbeat.value);
	c->session.checked_ns = pst_now_ns();
	c->session.silence_ns = 0;
	c->sleepers.n_idle = 0;
	c->mem.serial = ++c->session.serial;
	c->session.live = true;
	pst_events_attach(&c->events, c->channel.sock);
	pst_watch_kick(&c->watcher);
	return 0;
}

static void discard(uint8_t *ctl, struct pst_session *s)
{
	/* On failure the memory is inaccessible, which is as safe. */
	(void)pst_region_map_detach(ctl, PST_WIRE_CTL_SIZE);
	pst_region_map_close(&s->map);
	close(s->sock);
	pst_spawn_reap(s->child, PST_NS_PER_S);
}

int pst_session_ensure(struct pst *c, uint64_t deadline_ns,
		       struct pst_error *err)
{
	struct pst_session s;
	uint64_t until;
	pid_t old;
	int r;

	while (!c->session.live && c->session.connecting) {
		r = pst_interrupt_check(c->session.connecting, err);
		if (!r)
			r = pst_interrupt_ask(c, err);
		if (r < 0)
			return r;
		if (pst_now_ns() >= deadline_ns)
			return pst_error_set(err, -ETIMEDOUT,
					     "another thread is still "
					     "connecting");
		until = pst_interrupt_next();
		if (r == 0)
			pst_wait_cond(c, until < deadline_ns ? until
							     : deadline_ns);
	}
	if (c->session.live)
		return 0;
	c->session.connecting = pst_interrupt_thread();
	old = c->session.child;
	c->session.child = 0;
	pst_unlock(c);
	pst_spawn_reap(old, PST_NS_PER_S);
	r = pst_handshake(&c->conf, &c->channel, c->mem.ctl, deadline_ns, &s,
			  err);
	pst_lock(c);
	if (!r) {
		r = install(c, &s, err);
		if (r < 0)
			discard(c->mem.ctl, &s);
	}
	c->session.connecting = NULL;
	pst_wake_followers(&c->sleepers);
	return r;
}
