/* SPDX-License-Identifier: MIT */
/* Sends a session's frames, and ends a session. */
#include "guest-agent/serve/state/session_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "guest-agent/service/log.h"
#include "transport/base/util.h"
#include "transport/frame.h"

void pst_agent_session_wipe_nonce(struct pst_agent_session *s)
{
	if (s->slot == NO_SLOT)
		return;
	pst_agent_nonces_release(&s->agent->nonces, s->slot);
	s->slot = NO_SLOT;
	memset(s->nonce, 0, sizeof(s->nonce));
}

struct pst_agent_log_about
pst_agent_session_about(const struct pst_agent_session *s)
{
	return (struct pst_agent_log_about){
		.session = s->id,
		.has_lane = s->n_lanes > 0,
		.lane = s->lanes[0],
		.client = s->name,
		.client_pid = s->pid,
	};
}

void pst_agent_session_end(struct pst_agent_session *s)
{
	struct pst_agent *a = s->agent;
	const bool was_open = s->state == PST_AGENT_SESSION_OPEN;
	unsigned int i;

	s->state = PST_AGENT_SESSION_CLOSED;
	pst_agent_session_wipe_nonce(s);
	s->n_held = 0;
	s->n_loads = 0;
	pst_agent_turns_leave(s);
	if (!was_open)
		return;
	a->seats.n_sessions--;
	a->counters.sessions_ended++;
	if (s->n_lanes == 0)
		a->seats.n_control--;
	for (i = 0; i < s->n_lanes; i++)
		pst_agent_lane_release(a, s->lanes[i]);
	pst_agent_staged_release(&a->staged, s->id);
	if (a->ended)
		a->ended(a, s);
	pst_agent_session_log(s, PST_AGENT_LOG_DEBUG,
			      "session %" PRIu64 " ended", s->id);
}

void pst_agent_session_send(struct pst_agent_session *s,
			    const struct pst_frame *f, int fd)
{
	uint8_t *buf = s->agent->scratch;
	int64_t n;
	int r;

	n = pst_frame_encode(f, buf, sizeof(s->agent->scratch));
	r = n < 0 ? (int)n : s->io.send(s->io.arg, buf, (size_t)n, fd);
	if (r == 0 || s->state == PST_AGENT_SESSION_CLOSED)
		return;
	/* A client that closes does not wait for the last replies. */
	pst_agent_session_log(
		s, r == -EMSGSIZE ? PST_AGENT_LOG_INFO : PST_AGENT_LOG_DEBUG,
		"session %" PRIu64 ": %s", s->id,
		r == -EMSGSIZE ? "ended, because the client does not read its "
				 "replies"
			       : "connection lost");
	pst_agent_session_end(s);
}

void pst_agent_session_reply(struct pst_agent_session *s,
			     const struct pst_frame *to, const void *payload,
			     size_t n)
{
	const struct pst_frame f = {
		.type = to->type,
		.reply = true,
		.seq = to->seq,
		.payload = payload,
		.length = (uint32_t)n,
	};

	pst_agent_session_send(s, &f, -1);
}

void pst_agent_session_send_sentence(struct pst_agent_session *s, uint16_t type,
				     bool is_reply, uint32_t seq,
				     uint32_t status, const char *sentence)
{
	const struct pst_frame f = {
		.type = type,
		.reply = is_reply,
		.seq = seq,
		.status = status,
		.payload = (const uint8_t *)sentence,
		.length = (uint32_t)strlen(sentence),
	};

	pst_agent_session_send(s, &f, -1);
}

void pst_agent_session_fail(struct pst_agent_session *s,
			    const struct pst_frame *to, uint32_t status,
			    const char *fmt, ...)
{
	struct pst_error err;
	char text[sizeof(err.text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pst_error_set(&err, -EINVAL, "%s", text);
	pst_agent_session_send_sentence(s, to->type, true, to->seq, status,
					err.text);
}

void pst_agent_session_refuse(struct pst_agent_session *s, uint32_t status,
			      const char *sentence)
{
	if (s->state == PST_AGENT_SESSION_CLOSED)
		return;
	pst_agent_session_send_sentence(s, PST_WIRE_ERROR, false, 0, status,
					sentence);
	pst_agent_session_end(s);
}

void pst_agent_session_break(struct pst_agent_session *s, uint32_t status,
			     const char *sentence)
{
	if (s->state == PST_AGENT_SESSION_CLOSED)
		return;
	if (s->state == PST_AGENT_SESSION_OPEN) {
		s->agent->counters.broken++;
		pst_agent_session_log(s, PST_AGENT_LOG_WARNING,
				      "session %" PRIu64
				      " (%s, pid %u) broke the protocol: %s",
				      s->id, s->name, s->pid, sentence);
	} else {
		s->agent->counters.rejected_frames++;
		pst_agent_log_peer(PST_AGENT_LOG_INFO, NULL,
				   "a connection broke the protocol: %s",
				   sentence);
	}
	pst_agent_session_refuse(s, status, sentence);
}

void pst_agent_session_wake(struct pst_agent_session *s)
{
	const struct pst_frame f = {.type = PST_WIRE_WAKE};

	if (s->state != PST_AGENT_SESSION_OPEN || s->io.pending(s->io.arg) > 0)
		return;
	s->agent->counters.wakes_sent++;
	pst_agent_session_send(s, &f, -1);
}
