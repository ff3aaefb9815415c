/* SPDX-License-Identifier: MIT */
/* One connection, from CHALLENGE to its end, as a state machine over bytes. */
#include "guest-agent/serve/state/session_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/serve/report/report.h"
#include "guest-agent/service/log.h"
#include "transport/base/util.h"
#include "transport/frame.h"

/* A lease waits for memory that is being scrubbed, */
#define SCRUB_NS (5 * PST_NS_PER_S)
/* looking this often. */
#define SCRUB_LOOK_NS PST_NS_PER_MS

int pst_agent_session_new(struct pst_agent *a,
			  const struct pst_agent_session_io *io, bool pass_fd,
			  struct pst_agent_session **ret)
{
	struct pst_agent_session *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->agent = a;
	s->io = *io;
	s->pass_fd = pass_fd;
	s->slot = NO_SLOT;
	*ret = s;
	return 0;
}

void pst_agent_session_free(struct pst_agent_session *s)
{
	if (!s)
		return;
	pst_agent_session_end(s);
	free(s->in);
	free(s);
}

enum pst_agent_session_state
pst_agent_session_state(const struct pst_agent_session *s)
{
	return s->state;
}

void pst_agent_session_challenge(struct pst_agent_session *s, uint64_t now_ns)
{
	struct pst_agent *a = s->agent;
	const bool pass =
		s->pass_fd && a->region.provider == PST_PROVIDER_MEMFD;
	struct pst_wire_challenge c = {
		.epoch = a->epoch,
		.version_min = PST_WIRE_VERSION,
		.version_max = PST_WIRE_VERSION,
		.has_region_fd = pass,
	};
	const struct pst_frame f = {
		.type = PST_WIRE_CHALLENGE,
		.payload = (const uint8_t *)&c,
		.length = sizeof(c),
	};
	int slot = pst_agent_nonces_acquire(&a->nonces, s->nonce);

	if (slot < 0) {
		pst_agent_session_refuse(s, PST_WIRE_EIO,
					 "no random bytes for a nonce");
		return;
	}
	s->slot = c.nonce_slot = (uint32_t)slot;
	s->state = PST_AGENT_SESSION_WAITING;
	s->hello_due_ns = now_ns + PST_AGENT_SESSION_HELLO_MS * PST_NS_PER_MS;
	pst_agent_session_send(s, &f, pass ? a->region.fd : -1);
}

/* An extent that is leased to the session; it gets its memory now, where it
 * has none yet. */
static void hand_out(struct pst_agent_session *s, const struct pst_frame *to,
		     const struct pst_span *span)
{
	const struct pst_wire_lease l = {span->off, span->size};
	struct pst_agent *a = s->agent;
	struct pst_error err;

	if (pst_agent_holdings_back(&a->holdings, span, &err) < 0) {
		(void)pst_agent_extents_release(
			a->holdings.extents, s->id, span,
			pst_agent_executor_begun(a->executor));
		pst_agent_settle(a, s->id);
		pst_agent_session_fail(s, to, PST_WIRE_ENOSPC, "%s", err.text);
		return;
	}
	a->counters.leases++;
	pst_agent_session_reply(s, to, &l, sizeof(l));
}

static void no_room(struct pst_agent_session *s, const struct pst_frame *to,
		    uint64_t size)
{
	struct pst_agent_extents_stats st;

	pst_agent_extents_stats(s->agent->holdings.extents, &st);
	pst_agent_session_fail(s, to, PST_WIRE_ENOSPC,
			       "no room for %" PRIu64
			       " bytes: the arena has %" PRIu64 ", the "
			       "longest free run is %" PRIu64,
			       size, st.total, st.largest_free);
}

/* Answers LEASE. Returns false when it has to wait for what is being
 * scrubbed. */
static bool lease(struct pst_agent_session *s, const struct pst_frame *to,
		  uint64_t size, bool may_wait)
{
	struct pst_agent *a = s->agent;
	const uint64_t held =
		pst_agent_extents_leased(a->holdings.extents, s->id);
	struct pst_span span;
	bool never =
		size > PST_WIRE_MAX_FILE ||
		pst_round_up(size, PST_WIRE_UNIT) > a->config.limits.max_lease;

	if (never || held + pst_round_up(size, PST_WIRE_UNIT) >
			     a->config.limits.max_lease) {
		pst_agent_session_fail(
			s, to, never ? PST_WIRE_ELIMIT : PST_WIRE_ENOSPC,
			"%" PRIu64 " bytes more than the %" PRIu64
			" held are above "
			"the limit of %" PRIu64
			" for one session (--max-lease)",
			size, held, a->config.limits.max_lease);
		return true;
	}
	switch (pst_agent_extents_lease(a->holdings.extents, s->id, size,
					&span)) {
	case 0:
		hand_out(s, to, &span);
		return true;
	case -EINVAL:
		pst_agent_session_fail(s, to, PST_WIRE_EINVAL,
				       "a lease of 0 bytes was asked for");
		return true;
	default:
		if (may_wait && pst_agent_holdings_scrubs(&a->holdings))
			return false;
		no_room(s, to, size);
		return true;
	}
}

static void on_lease(struct pst_agent_session *s, const struct pst_frame *f,
		     const struct pst_wire_lease *l, uint64_t now_ns)
{
	const uint64_t settled_ns = s->agent->settled_ns;

	if (s->n_lanes == 0) {
		pst_agent_session_fail(
			s, f, PST_WIRE_EINVAL,
			"a control-only session holds no extents");
		return;
	}
	if (now_ns >= settled_ns && s->n_held == 0 &&
	    lease(s, f, l->size, true))
		return;
	/* Clients of the former epoch may still write (takeover.h), or memory
	 * is being scrubbed. */
	if (s->n_held == N_HELD) {
		pst_agent_session_fail(
			s, f, PST_WIRE_EBUSY,
			"%u leases wait already for the arena to "
			"settle",
			N_HELD);
		return;
	}
	s->held[s->n_held++] = (struct held){
		.seq = f->seq,
		.size = l->size,
		.until_ns =
			(now_ns > settled_ns ? now_ns : settled_ns) + SCRUB_NS,
	};
}

static void on_release(struct pst_agent_session *s, const struct pst_frame *f,
		       const struct pst_wire_lease *l)
{
	const struct pst_span span = {l->off, l->size};

	if (s->n_lanes == 0 ||
	    pst_agent_extents_release(
		    s->agent->holdings.extents, s->id, &span,
		    pst_agent_executor_begun(s->agent->executor)) < 0) {
		pst_agent_session_fail(s, f, PST_WIRE_ENOENT,
				       "the session holds no extent of %" PRIu64
				       " bytes at "
				       "offset %" PRIu64,
				       l->size, l->off);
		return;
	}
	s->agent->counters.releases++;
	pst_agent_settle(s->agent, s->id);
	pst_agent_session_reply(s, f, NULL, 0);
}

static void on_cancel(struct pst_agent_session *s, const struct pst_frame *f,
		      uint64_t tag)
{
	unsigned int i = 0;

	s->agent->counters.cancels++;
	while (i < s->n_lanes &&
	       pst_agent_executor_cancel(s->agent->executor, s->lanes[i], tag) <
		       0)
		i++;
	if (i == s->n_lanes)
		pst_agent_session_fail(s, f, PST_WIRE_ENOENT,
				       "no operation with tag %" PRIu64
				       " is outstanding",
				       tag);
	else
		pst_agent_session_reply(s, f, NULL, 0);
}

static void on_query(struct pst_agent_session *s, const struct pst_frame *f)
{
	PST_CLEANUP_FREE char *text = NULL;
	size_t n;

	if (f->type == PST_WIRE_INFO)
		text = pst_agent_report_info(s->agent, s->id);
	else if (f->type == PST_WIRE_HEALTH)
		text = pst_agent_report_health(s->agent);
	else
		text = pst_agent_report_stats(s->agent);
	n = text ? strlen(text) : 0;
	if (!text || n > PST_WIRE_MAX_PAYLOAD)
		pst_agent_session_fail(s, f, PST_WIRE_ENOMEM, "out of memory");
	else
		pst_agent_session_reply(s, f, text, n);
}

static void on_open_frame(struct pst_agent_session *s,
			  const struct pst_frame *f, uint64_t now_ns)
{
	struct pst_wire_cancel cancel;
	struct pst_wire_lease l;
	struct pst_error err;

	err.text[0] = '\0';
	switch (f->type) {
	case PST_WIRE_PING:
		pst_agent_session_reply(s, f, f->payload, f->length);
		return;
	case PST_WIRE_INFO:
	case PST_WIRE_HEALTH:
	case PST_WIRE_STATS:
		on_query(s, f);
		return;
	case PST_WIRE_LEASE:
		if (pst_frame_lease(f, &l, &err) < 0)
			break;
		on_lease(s, f, &l, now_ns);
		return;
	case PST_WIRE_RELEASE:
		if (pst_frame_lease(f, &l, &err) < 0)
			break;
		on_release(s, f, &l);
		return;
	case PST_WIRE_CANCEL:
		if (pst_frame_cancel(f, &cancel, &err) < 0)
			break;
		on_cancel(s, f, cancel.tag);
		return;
	case PST_WIRE_LANES:
		if (pst_agent_session_lanes(s, f, &err) < 0)
			break;
		return;
	case PST_WIRE_FAILURE:
	case PST_WIRE_TENSOR_CREATE:
	case PST_WIRE_TENSOR_DESTROY:
	case PST_WIRE_TENSOR_LIST:
		if (pst_agent_session_tensor(s, f, &err) < 0)
			break;
		return;
	case PST_WIRE_MODEL_LOAD:
	case PST_WIRE_MODEL_OPEN:
	case PST_WIRE_MODEL_UNLOAD:
	case PST_WIRE_MODEL_LIST:
		if (pst_agent_session_model(s, f, now_ns, &err) < 0)
			break;
		return;
	case PST_WIRE_MODEL_STAGE:
	case PST_WIRE_MODEL_UNSTAGE:
	case PST_WIRE_MODEL_FILL:
	case PST_WIRE_MODEL_LOAD_FILES:
	case PST_WIRE_MODEL_DESCRIBE:
		if (pst_agent_session_files(s, f, &err) < 0)
			break;
		return;
	case PST_WIRE_WAKE:
		/* It has done its work: the serving thread is awake. */
		return;
	case PST_WIRE_BYE:
		pst_agent_session_reply(s, f, NULL, 0);
		pst_agent_session_end(s);
		return;
	default:
		pst_error_set(&err, -EPROTO, "%s after HELLO",
			      pst_frame_name(f->type));
	}
	pst_agent_session_break(s, PST_WIRE_EPROTO, err.text);
}

void pst_agent_session_frame(struct pst_agent_session *s,
			     const struct pst_frame *f, uint64_t now_ns)
{
	struct pst_error err;

	s->agent->counters.frames++;
	if (s->state == PST_AGENT_SESSION_OPEN) {
		on_open_frame(s, f, now_ns);
	} else if (f->type == PST_WIRE_HELLO) {
		pst_agent_session_hello(s, f);
	} else {
		pst_error_set(&err, -EPROTO, "%s before HELLO",
			      pst_frame_name(f->type));
		pst_agent_session_break(s, PST_WIRE_EPROTO, err.text);
	}
}

static uint64_t tick_leases(struct pst_agent_session *s, uint64_t now_ns)
{
	struct pst_frame to = {.type = PST_WIRE_LEASE};
	struct held next;

	if (s->n_held && now_ns < s->agent->settled_ns)
		return s->agent->settled_ns;
	while (s->n_held) {
		next = s->held[0];
		to.seq = next.seq;
		if (!lease(s, &to, next.size, now_ns < next.until_ns))
			return now_ns + SCRUB_LOOK_NS;
		/* The reply may have ended the session. */
		if (!s->n_held)
			break;
		s->n_held--;
		memmove(s->held, s->held + 1, s->n_held * sizeof(s->held[0]));
	}
	return UINT64_MAX;
}

uint64_t pst_agent_session_tick(struct pst_agent_session *s, uint64_t now_ns)
{
	uint64_t due_ns, load_ns, turn_ns;

	if (s->state == PST_AGENT_SESSION_WAITING) {
		if (now_ns < s->hello_due_ns)
			return s->hello_due_ns;
		s->agent->counters.rejected_late++;
		pst_agent_session_refuse(s, PST_WIRE_ETIMEDOUT,
					 "HELLO did not come within 1 s");
		return UINT64_MAX;
	}
	due_ns = tick_leases(s, now_ns);
	load_ns = pst_agent_session_model_tick(s, now_ns);
	if (load_ns < due_ns)
		due_ns = load_ns;
	turn_ns = pst_agent_turns_tick(s, now_ns);
	return turn_ns < due_ns ? turn_ns : due_ns;
}
