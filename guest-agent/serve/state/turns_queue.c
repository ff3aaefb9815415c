/* SPDX-License-Identifier: MIT */
/* The queue of sessions that wait for a turn. */
#include "guest-agent/serve/state/session_int.h"

void pst_agent_turns_join(struct pst_agent_session *s)
{
	struct pst_agent_turns *t = &s->agent->turns;

	if (s->queued)
		return;
	s->queued = true;
	s->next_turn = NULL;
	if (t->last)
		t->last->next_turn = s;
	else
		t->first = s;
	t->last = s;
}

void pst_agent_turns_unqueue(struct pst_agent_session *s)
{
	struct pst_agent_turns *t = &s->agent->turns;
	struct pst_agent_session *before = NULL, *at;

	if (!s->queued)
		return;
	for (at = t->first; at != s; at = at->next_turn)
		before = at;
	if (before)
		before->next_turn = s->next_turn;
	else
		t->first = s->next_turn;
	if (t->last == s)
		t->last = before;
	s->queued = false;
}

void pst_agent_turns_leave(struct pst_agent_session *s)
{
	pst_agent_turns_unqueue(s);
	/* Not freed: a frame that is being handled lies there. */
	s->in_off = s->in_len = 0;
	s->rest_until_ns = 0;
}

uint64_t pst_agent_turns_tick(struct pst_agent_session *s, uint64_t now_ns)
{
	if (!s->rest_until_ns)
		return UINT64_MAX;
	if (now_ns < s->rest_until_ns)
		return s->rest_until_ns;
	s->rest_until_ns = 0;
	if (!s->in_len)
		return UINT64_MAX;
	pst_agent_turns_join(s);
	return now_ns;
}
