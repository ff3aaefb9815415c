/* SPDX-License-Identifier: MIT */
/* What operations took and moved, for STATS. */
#ifndef PST_GUEST_AGENT_SERVE_REPORT_METERS_H
#define PST_GUEST_AGENT_SERVE_REPORT_METERS_H

#include <jansson.h>

#include "guest-agent/exec/executor.h"

/* Adds "waiting", "running" and "operations" to the object STATS. */
void pst_agent_report_meters(const struct pst_agent_executor *ex,
			     json_t *stats);

#endif
