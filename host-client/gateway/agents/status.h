/* SPDX-License-Identifier: MIT */
/* What the agents last said, as objects, and what is wrong with them. */
#ifndef PST_HOST_CLIENT_GATEWAY_AGENTS_STATUS_H
#define PST_HOST_CLIENT_GATEWAY_AGENTS_STATUS_H

#include <jansson.h>

#include "host-client/gateway/agents/agent.h"

/* An agent's snapshot, parsed. */
struct pst_gw_status {
	const char *name;
	bool up, has_values;
	double age_s;                  /* of the values */
	json_t *info, *health, *stats; /* NULL: none */
	const char *error;
};

/* Borrows name and error of the agent, until it is updated. */
void pst_gw_status_read(struct pst_gw_status *s, const struct pst_gw_agent *a,
			uint64_t now_ns);
void pst_gw_status_done(struct pst_gw_status *s);

/* Whether it is up, and says that it is well. */
bool pst_gw_status_is_well(const struct pst_gw_status *s);

/* A list of objects: "what" is wrong, in a sentence, and the "remedy". NULL:
 * out of memory. */
json_t *pst_gw_status_wrong(const struct pst_gw_status *s);

#endif
