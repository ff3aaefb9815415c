/* SPDX-License-Identifier: MIT */
/* Schedules the frames of sessions: round robin, each within a budget. */
#include "guest-agent/serve/state/turns.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/serve/state/session_int.h"
#include "transport/status.h"

#define FIRST_SIZE 512U
/* An empty buffer above this size is given back. */
#define KEEP_SIZE 4096U
/* The same for a connection before HELLO. */
#define HELLO_FRAME                                                            \
	(sizeof(struct pst_wire_frame) + sizeof(struct pst_wire_hello))
/* A frame that took longer was probably interrupted by the machine. */
#define MAX_COST_NS PST_NS_PER_MS
/* Weight of the newest cost: a part. */
#define NEWEST 4
/* The interval for checking whether a peer has read its replies: no event
 * tells. */
#define REPLY_POLL_NS (10 * PST_NS_PER_MS)

/* Gives the buffer back, unless it is small and will be used again. */
static void empty(struct pst_agent_session *s)
{
	s->in_off = s->in_len = 0;
	if (s->in_size <= KEEP_SIZE)
		return;
	free(s->in);
	s->in = NULL;
	s->in_size = 0;
}

/* Room for n bytes more. */
static bool reserve(struct pst_agent_session *s, size_t n)
{
	size_t size = s->in_size ? s->in_size : FIRST_SIZE;
	uint8_t *in;

	if (s->in_off && s->in_len)
		memmove(s->in, s->in + s->in_off, s->in_len);
	s->in_off = 0;
	while (size < s->in_len + n)
		size *= 2;
	if (size == s->in_size)
		return true;
	in = realloc(s->in, size);
	if (!in)
		return false;
	s->in = in;
	s->in_size = size;
	return true;
}

void pst_agent_session_input(struct pst_agent_session *s, const uint8_t *buf,
			     size_t n)
{
	if (s->state == PST_AGENT_SESSION_CLOSED)
		return;
	/* Of no client are more bytes kept than one callback gives. */
	if (s->queued || s->rest_until_ns)
		s->io.turned(s->io.arg, true);
	if (!reserve(s, n)) {
		pst_agent_session_refuse(s, PST_WIRE_ENOMEM, "out of memory");
		s->io.turned(s->io.arg, false);
		return;
	}
	memcpy(s->in + s->in_off + s->in_len, buf, n);
	s->in_len += n;
	if (!s->rest_until_ns)
		pst_agent_turns_join(s);
}

/* These are rare, or have a rule of their own. */
static bool is_exempt(uint16_t type)
{
	return type == PST_WIRE_HELLO || type == PST_WIRE_MODEL_LOAD;
}

/* Whether a peer has left too many replies unread; not for long. */
static bool reads_nothing(struct pst_agent_session *s, uint64_t now_ns)
{
	if (s->io.pending(s->io.arg) <= PST_AGENT_TURNS_OUT) {
		s->unread_ns = 0;
		return false;
	}
	if (!s->unread_ns)
		s->unread_ns = now_ns;
	if (now_ns - s->unread_ns >= PST_AGENT_TURNS_UNREAD_NS) {
		pst_agent_session_log(s, PST_AGENT_LOG_INFO,
				      "session %" PRIu64
				      ": ended, because the client does not "
				      "read its replies",
				      s->id);
		pst_agent_session_end(s);
	}
	return true;
}

/* Until when the next frame has to wait, 0: it has not. */
static uint64_t must_wait(const struct pst_agent_session *s, uint16_t type,
			  uint64_t now_ns)
{
	const struct pst_agent_turns *t = &s->agent->turns;

	if (!is_exempt(type) && t->cost_ns[type] > PST_AGENT_TURNS_CHEAP_NS &&
	    now_ns < t->costly_due_ns)
		return t->costly_due_ns;
	return 0;
}

/* What a frame took: now it and others may have to wait. */
static void account(struct pst_agent_session *s, uint16_t type,
		    uint64_t start_ns, uint64_t now_ns)
{
	struct pst_agent_turns *t = &s->agent->turns;
	uint64_t took_ns = now_ns - start_ns;

	if (is_exempt(type))
		return;
	if (took_ns > MAX_COST_NS)
		took_ns = MAX_COST_NS;
	t->cost_ns[type] += took_ns / NEWEST - t->cost_ns[type] / NEWEST;
	if (took_ns <= PST_AGENT_TURNS_CHEAP_NS ||
	    s->agent->seats.n_sessions <= 1)
		return;
	t->costly_due_ns = now_ns + took_ns * (PST_AGENT_TURNS_ALL_REST - 1);
	if (s->state == PST_AGENT_SESSION_OPEN)
		s->rest_until_ns =
			now_ns + took_ns * (PST_AGENT_TURNS_ONE_REST - 1);
}

/* Handles the next frame. Returns whether another one may follow. */
static bool next_frame(struct pst_agent_session *s, uint64_t *now_ns)
{
	const uint64_t start_ns = *now_ns;
	struct pst_error err;
	struct pst_frame f;
	int64_t r;

	r = pst_frame_decode(s->in + s->in_off, s->in_len, PST_READER_AGENT, &f,
			     &err);
	if (r < 0)
		pst_agent_session_break(s, pst_status_from_errno((int)r),
					err.text);
	else if (r == 0 && s->state == PST_AGENT_SESSION_WAITING &&
		 s->in_len >= HELLO_FRAME)
		pst_agent_session_break(
			s, PST_WIRE_EPROTO,
			"a frame longer than HELLO before HELLO");
	if (r <= 0)
		return false;
	s->rest_until_ns = reads_nothing(s, start_ns)
				   ? start_ns + REPLY_POLL_NS
				   : must_wait(s, f.type, start_ns);
	if (s->rest_until_ns)
		return false;
	s->in_off += (size_t)r;
	s->in_len -= (size_t)r;
	pst_agent_session_frame(s, &f, start_ns);
	*now_ns = s->agent->turns.clock();
	account(s, f.type, start_ns, *now_ns);
	return s->state != PST_AGENT_SESSION_CLOSED && !s->rest_until_ns &&
	       s->in_len > 0;
}

static bool is_over(const struct pst_agent_executor *ex, uint64_t spent_ns,
		    uint64_t share_ns)
{
	return spent_ns >= PST_AGENT_TURNS_ROUND_NS ||
	       (spent_ns >= share_ns && pst_agent_executor_ready(ex));
}

void pst_agent_turns_run(struct pst_agent *a, uint64_t share_ns)
{
	struct pst_agent_turns *t = &a->turns;
	const uint64_t start_ns = t->clock();
	uint64_t now_ns = start_ns;
	struct pst_agent_session *s;
	bool over = false, more;
	unsigned int n;

	while ((s = t->first) && !over) {
		pst_agent_turns_unqueue(s);
		n = 0;
		do {
			more = next_frame(s, &now_ns);
			over = is_over(a->executor, now_ns - start_ns,
				       share_ns);
		} while (more && !over &&
			 (++n < PST_AGENT_TURNS_FRAMES || !t->first));
		if (more)
			pst_agent_turns_join(s);
		else if (!s->in_len)
			empty(s);
		s->io.turned(s->io.arg,
			     more || (s->rest_until_ns && s->in_len));
	}
}
