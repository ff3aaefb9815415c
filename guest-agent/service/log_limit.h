/* SPDX-License-Identifier: MIT */
/* Limits the log lines that peers can cause. */
#ifndef PST_GUEST_AGENT_SERVICE_LOG_LIMIT_H
#define PST_GUEST_AGENT_SERVICE_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* In any second, the one with the count among them. */
#define PST_AGENT_LOG_LIMIT_LINES 10U

/* All zero at first. */
struct pst_agent_log_limit {
	uint64_t at_ns[PST_AGENT_LOG_LIMIT_LINES]; /* of the last lines, a ring
						    */
	unsigned int next;
	uint64_t n_left_out;
	uint64_t since_ns; /* the first of those */
};

/* Whether a line may be written; it counts as written or as left out. */
bool pst_agent_log_limit_take(struct pst_agent_log_limit *l, uint64_t now_ns);

/*
 * The count of what was left out, once a second has gone by since the first
 * of those; it counts as a line then. 0: nothing to say. *ret_due_ns: when to
 * ask again, UINT64_MAX: when something was left out.
 */
uint64_t pst_agent_log_limit_count(struct pst_agent_log_limit *l,
				   uint64_t now_ns, uint64_t *ret_due_ns);

#endif
