/* SPDX-License-Identifier: MIT */
/* INFO, HEALTH, STATS and MODEL_LIST as JSON text. */
#ifndef PST_GUEST_AGENT_SERVE_REPORT_H
#define PST_GUEST_AGENT_SERVE_REPORT_H

#include <stdint.h>

#include "guest-agent/serve/state/agent.h"

/* Each returns a JSON object as text that the caller frees with free(), NULL
 * when memory is out. session: the one that asks. */
char *pst_agent_report_info(struct pst_agent *a, uint64_t session);
char *pst_agent_report_health(const struct pst_agent *a);
char *pst_agent_report_stats(const struct pst_agent *a);
/* MODEL_LIST: {"models": [...]}, by name. */
char *pst_agent_report_models(struct pst_agent *a);
/* A model was loaded or unloaded. */
void pst_agent_report_models_changed(struct pst_agent *a);

#endif
