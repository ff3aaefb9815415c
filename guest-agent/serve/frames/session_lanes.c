/* SPDX-License-Identifier: MIT */
/* Gives a session its first lane, and more when it asks. */
#include "guest-agent/serve/state/session_int.h"

#include <inttypes.h>
#include <string.h>

/* Lanes that sessions of one process hold, by the pid that they gave. */
static uint32_t lanes_of(const struct pst_agent *a, uint32_t pid)
{
	uint32_t i, n = 0;

	for (i = 0; i < a->config.limits.max_clients; i++)
		n += a->seats.lanes[i].state == PST_AGENT_SEAT_USED &&
		     a->seats.lanes[i].peer.pid == pid;
	return n;
}

static void on_wake(void *arg)
{
	pst_agent_session_wake(arg);
}

static void on_broken(void *arg, const char *sentence)
{
	pst_agent_session_break(arg, PST_WIRE_EPROTO, sentence);
}

uint32_t pst_agent_session_add_lane(struct pst_agent_session *s,
				    struct pst_error *why)
{
	struct pst_agent *a = s->agent;
	const uint32_t most = pst_agent_lanes_each(&a->config.limits);
	struct pst_agent_peer peer = {
		.owner = s->id,
		.pid = s->pid,
		.wake = on_wake,
		.broken = on_broken,
		.arg = s,
	};
	int lane;

	if (lanes_of(a, s->pid) >= most) {
		pst_error_set(
			why, 0,
			"process %u holds %u of %u lanes (--max-clients), the "
			"others are for other processes",
			s->pid, most, a->config.limits.max_clients);
		return PST_WIRE_EBUSY;
	}
	memcpy(peer.name, s->name, sizeof(peer.name));
	lane = pst_agent_lane_acquire(a, &peer);
	if (lane < 0) {
		pst_error_set(why, 0, "all %u lanes are leased (--max-clients)",
			      a->config.limits.max_clients);
		return PST_WIRE_EBUSY;
	}
	s->lanes[s->n_lanes++] = (uint32_t)lane;
	return PST_WIRE_OK;
}

int pst_agent_session_lanes(struct pst_agent_session *s,
			    const struct pst_frame *f, struct pst_error *err)
{
	struct pst_wire_lanes l;
	struct pst_error why;
	int r = pst_frame_lanes(f, &l, err);

	if (r < 0)
		return r;
	if (!(s->features & PST_WIRE_FEATURE_LANES))
		return pst_error_set(err, -EPROTO,
				     "LANES, of which HELLO said nothing");
	if (s->n_lanes == 0 || l.n == 0) {
		pst_agent_session_fail(
			s, f, PST_WIRE_EINVAL,
			s->n_lanes ? "0 lanes were asked for"
				   : "a control-only session has no lanes");
		return 0;
	}
	if (l.n > PST_WIRE_SESSION_LANES) {
		pst_agent_session_fail(s, f, PST_WIRE_ELIMIT,
				       "%" PRIu32 " lanes are above the limit "
				       "of %u for one session",
				       l.n, PST_WIRE_SESSION_LANES);
		return 0;
	}
	while (s->n_lanes < l.n &&
	       pst_agent_session_add_lane(s, &why) == PST_WIRE_OK)
		;
	l.n = s->n_lanes;
	memcpy(l.lane, s->lanes, l.n * sizeof(l.lane[0]));
	pst_agent_session_reply(s, f, &l, sizeof(l));
	return 0;
}
