/* SPDX-License-Identifier: MIT */
/* HELLO: checks the client, gives it a lane, and answers WELCOME. */
#include "guest-agent/serve/state/session_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "guest-agent/service/log.h"

/* Takes the same time wherever the first difference is. */
static bool nonce_matches(const struct pst_agent_session *s,
			  const struct pst_wire_hello *h)
{
	volatile uint8_t diff = 0;
	size_t i;

	for (i = 0; i < sizeof(s->nonce); i++)
		diff |= s->nonce[i] ^ h->nonce[i];
	return diff == 0 && h->nonce_slot == s->slot;
}

/* Returns the status for a HELLO, and counts and explains a refusal. */
static uint32_t judge_hello(struct pst_agent_session *s,
			    const struct pst_wire_hello *h,
			    struct pst_error *why)
{
	struct pst_agent *a = s->agent;

	if (h->version != PST_WIRE_VERSION) {
		a->counters.rejected_version++;
		pst_error_set(why, 0,
			      "no common protocol version: the client speaks "
			      "%u, this agent (penstock %s) speaks %u",
			      h->version, PACKAGE_VERSION, PST_WIRE_VERSION);
		return PST_WIRE_EVERSION;
	}
	if (h->epoch != a->epoch) {
		a->counters.rejected_epoch++;
		pst_error_set(why, 0,
			      "HELLO echoes epoch %016" PRIx64
			      ", the agent's is "
			      "%016" PRIx64,
			      h->epoch, a->epoch);
		return PST_WIRE_EPROTO;
	}
	if (!nonce_matches(s, h)) {
		a->counters.rejected_nonce++;
		pst_error_set(why, 0,
			      "wrong nonce: the client has not read it from "
			      "this agent's region; does it map another one?");
		return PST_WIRE_EAUTH;
	}
	if (a->draining) {
		pst_error_set(why, 0, "the agent is shutting down");
		return PST_WIRE_ESHUTDOWN;
	}
	return PST_WIRE_OK;
}

/* A lane for the session, or its place among those without. */
static uint32_t assign_lane(struct pst_agent_session *s,
			    const struct pst_wire_hello *h,
			    struct pst_error *why)
{
	struct pst_agent *a = s->agent;
	uint32_t status;

	if (h->flags & PST_WIRE_HELLO_CONTROL_ONLY) {
		if (a->seats.n_control >= PST_AGENT_SESSION_MAX_CONTROL) {
			a->counters.rejected_full++;
			pst_error_set(why, 0,
				      "%u sessions without a lane are open "
				      "already",
				      a->seats.n_control);
			return PST_WIRE_EBUSY;
		}
		a->seats.n_control++;
		return PST_WIRE_OK;
	}
	status = pst_agent_session_add_lane(s, why);
	if (status != PST_WIRE_OK)
		a->counters.rejected_lanes++;
	return status;
}

static void copy_text(char *dst, size_t size, const char *src)
{
	snprintf(dst, size, "%s", src);
}

static void welcome(struct pst_agent_session *s, const struct pst_frame *f)
{
	const struct pst_agent *a = s->agent;
	struct pst_wire_welcome w = {
		.version = PST_WIRE_VERSION,
		.features = s->features,
		.epoch = a->epoch,
		.session = s->id,
		.lane = s->n_lanes ? s->lanes[0] : NO_LANE,
		.n_slots = PST_WIRE_SLOTS,
		.arena_off = PST_WIRE_CTL_SIZE,
		.arena_size = a->region.size - PST_WIRE_CTL_SIZE,
		.file_size = a->region.file_size,
		.limits = a->config.limits,
		.heartbeat_ms = PST_AGENT_HEARTBEAT_MS,
		.emulated = a->facts.identity.emulated,
	};

	memcpy(w.region_uuid, a->region.uuid, sizeof(w.region_uuid));
	memcpy(w.vm_uuid, a->facts.identity.vm_uuid, sizeof(w.vm_uuid));
	memcpy(w.boot_id, a->facts.identity.boot_id, sizeof(w.boot_id));
	copy_text(w.agent_version, sizeof(w.agent_version), PACKAGE_VERSION);
	copy_text(w.provider, sizeof(w.provider),
		  pst_provider_name(a->region.provider));
	copy_text(w.backend, sizeof(w.backend), a->facts.backend_text);
	copy_text(w.driver, sizeof(w.driver), a->facts.device.driver);
	copy_text(w.cuda, sizeof(w.cuda), a->facts.device.runtime);
	copy_text(w.cublas, sizeof(w.cublas), a->facts.device.cublas);
	pst_agent_session_reply(s, f, &w, sizeof(w));
}

void pst_agent_session_hello(struct pst_agent_session *s,
			     const struct pst_frame *f)
{
	struct pst_wire_hello h;
	struct pst_error why;
	uint32_t status;

	if (pst_frame_hello(f, &h, &why) < 0) {
		pst_agent_session_break(s, PST_WIRE_EPROTO, why.text);
		return;
	}
	status = judge_hello(s, &h, &why);
	pst_agent_session_wipe_nonce(s);
	if (status == PST_WIRE_OK) {
		/* The lane's seat shows them. */
		s->id = ++s->agent->seats.last_session;
		s->pid = h.pid;
		s->features = h.features & PST_WIRE_FEATURES;
		snprintf(s->name, sizeof(s->name), "%.*s", (int)sizeof(h.name),
			 h.name);
		status = assign_lane(s, &h, &why);
	}
	if (status != PST_WIRE_OK) {
		pst_agent_log_peer(PST_AGENT_LOG_INFO, NULL,
				   "HELLO refused: %s", why.text);
		pst_agent_session_send_sentence(s, PST_WIRE_HELLO, true, f->seq,
						status, why.text);
		pst_agent_session_end(s);
		return;
	}
	s->state = PST_AGENT_SESSION_OPEN;
	s->agent->seats.n_sessions++;
	s->agent->counters.sessions_started++;
	pst_agent_session_log(s, PST_AGENT_LOG_DEBUG,
			      "session %" PRIu64 ": %s, pid %u", s->id, s->name,
			      s->pid);
	welcome(s, f);
}
