/* SPDX-License-Identifier: MIT */
/* Limits the log lines that peers can cause. */
#include "guest-agent/service/log_limit.h"

#include "transport/base/util.h"

/* The time from which on a line may be written. */
static uint64_t free_ns(const struct pst_agent_log_limit *l)
{
	const uint64_t oldest = l->at_ns[l->next];

	return oldest ? oldest + PST_NS_PER_S : 0;
}

static void mark(struct pst_agent_log_limit *l, uint64_t now_ns)
{
	l->at_ns[l->next] = now_ns;
	l->next = (l->next + 1) % PST_AGENT_LOG_LIMIT_LINES;
}

bool pst_agent_log_limit_take(struct pst_agent_log_limit *l, uint64_t now_ns)
{
	/* The count goes first. */
	if (l->n_left_out == 0 && now_ns >= free_ns(l)) {
		mark(l, now_ns);
		return true;
	}
	if (l->n_left_out++ == 0)
		l->since_ns = now_ns;
	return false;
}

uint64_t pst_agent_log_limit_count(struct pst_agent_log_limit *l,
				   uint64_t now_ns, uint64_t *ret_due_ns)
{
	const uint64_t n = l->n_left_out;
	uint64_t due = l->since_ns + PST_NS_PER_S;

	*ret_due_ns = UINT64_MAX;
	if (n == 0)
		return 0;
	if (due < free_ns(l))
		due = free_ns(l);
	if (now_ns < due) {
		*ret_due_ns = due;
		return 0;
	}
	mark(l, now_ns);
	l->n_left_out = 0;
	return n;
}
